//! Tests two things: templates, and dispatches for which GitHub's answer was lost.

use beadle_engine::{Budgets, Delivery, Key, Lane, Mark};
use beadle_github::{Api, Asks, Credential, Endpoint, NameKind, Names};
use beadle_secrets::testing::signing_key;
use beadle_sim::{Fault, Sim};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use beadle_transport::testing::{Arrived, Recorder};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;

use super::*;

struct InProcess(Arc<Sim>);

#[async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

/// Returns a simulated organisation that contains the workflow of the rule.
async fn simulated() -> Arc<Sim> {
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), beadle_sim::Settings::default()).await.unwrap();
    let workflow = json!({ "run_name": "police ${{ inputs.token }}" });
    let cop = json!({
        "id": 101, "branches": { "master": {} }, "workflows": { "police.yml": workflow },
    });
    sim.begin_with(json!({ "orgs": { "acme": { "id": 1, "repos": { "cop": cop } } } }));
    Arc::new(sim)
}

fn dispatch(
    (wire, url): (Arc<dyn Wire>, &str),
    credential: Credential,
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> Dispatch {
    let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
    let (endpoint, budgets) = (Endpoint::new(url), Budgets::new("acme", 0));
    let api = Api::new(&endpoint, "acme", credential, budgets, clock, settings).unwrap();
    let rule = DispatchRule { token_input: Some("token".into()), ..rule(None, "widgets") };
    Dispatch {
        reader: Reader::new(api.clone(), Asks::default()),
        writer: Writer::new(api),
        store: store.clone(),
        clock: clock.clone(),
        rules: vec![rule],
        names: Names::new(Some(store.clone()), "acme", clock),
    }
}

/// Returns an empty store in `folder`.
fn store(folder: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap())
}

/// Accepts a delivery that makes a dispatch due, and returns the first run of its key.
async fn accepted(store: &Arc<dyn Store>, clock: &Clock) -> Run {
    let key = Key::new("dispatch", "acme", "d-1/police");
    let delivery = Delivery {
        source: "github".into(),
        id: "d-1".into(),
        event: "repository.created".into(),
        actor: None,
        instance: "acme".into(),
        received: clock.now(),
        body: b"{}".to_vec(),
    };
    store.accept(delivery, vec![Mark::new(key.clone(), Lane::Event)]).await.unwrap();
    let claim = store.claim_key(&key, clock.now()).await.unwrap().unwrap();
    Run { lease: claim.lease, lane: claim.lane, hint: claim.hint, since: claim.since }
}

#[tokio::test(start_paused = true)]
async fn a_dispatch_without_a_token_was_certainly_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let wire = Recorder::new(|_| (502, json!({ "message": "Bad Gateway" })));
    let credential = Credential::App { id: 7, key: signing_key(), installation: Some(1) };
    let network: Arc<dyn Wire> = wire.clone();
    let dispatch = dispatch((network, "https://github.test"), credential, &store, &clock);
    let run = accepted(&store, &clock).await;
    assert_eq!(dispatch.reconcile(&run).await.unwrap_err().class, Class::Retry);
    let is_token = |arrived: &Arrived| arrived.segments.ends_with(&["access_tokens".to_owned()]);
    assert!(wire.arrived().iter().all(is_token), "{:?}", wire.arrived());
    let key = Some(run.lease.key.to_string());
    let entries = store.entries(Listing { after: 0, since: None, key, limit: 100 }).await.unwrap();
    let results = entries.iter().filter_map(|entry| match &entry.detail {
        Detail::NotDispatched(result) => Some(result.dispatched),
        _ => None,
    });
    assert_eq!(results.collect::<Vec<_>>(), [Happened::No], "the next try need not look for a run");
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_answer_the_key_waits_in_the_queue_and_one_read_finds_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let sim = simulated().await;
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let credential = Credential::Token(SecretString::from(sim.token().as_str()));
    let url = sim.url();
    let dispatch = dispatch((wire, url.as_str()), credential, &store, &clock);
    let run = accepted(&store, &clock).await;
    let (method, path) = (Some("POST".to_owned()), "/dispatches".to_owned());
    sim.fault(Fault { method, path, reset: true, count: Some(1), ..Fault::default() });
    assert_eq!(dispatch.reconcile(&run).await.unwrap_err().class, Class::Retry);
    let (calls, begun) = (sim.calls().len(), clock.now());
    let Class::RateLimited { until, .. } = dispatch.reconcile(&run).await.unwrap_err().class else {
        panic!("the key does not wait in the queue");
    };
    assert_eq!((clock.now(), sim.calls().len()), (begun, calls), "the wait takes no time and no call");
    clock.sleep_until(until).await;
    assert_eq!(dispatch.reconcile(&run).await.unwrap().skipped, None);
    assert_eq!(sim.calls().len(), calls + 1);
    let listing = Listing { after: 0, since: None, key: Some(run.lease.key.to_string()), limit: 100 };
    let entries = store.entries(listing).await.unwrap();
    let found = entries.iter().filter_map(|entry| match &entry.detail {
        Detail::Dispatched(result) => result.why.as_deref(),
        _ => None,
    });
    assert_eq!(found.collect::<Vec<_>>(), ["found by its run name"]);
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_takes_the_name_of_the_workflows_repository_gets_no_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
    let sim = simulated().await;
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let credential = Credential::Token(SecretString::from(sim.token().as_str()));
    let url = sim.url();
    let dispatch = dispatch((wire, url.as_str()), credential, &store, &clock);
    let names = Names::new(Some(store.clone()), "acme", &clock);
    names.confirm(NameKind::Repository, "acme/cop", 4_711).await.unwrap();
    let failure = dispatch.reconcile(&accepted(&store, &clock).await).await.unwrap_err();
    assert_eq!(failure.class, Class::Rejected);
    assert!(failure.text.contains("run `beadle rebind acme --repository acme/cop`"), "{failure}");
    let sent = sim.calls_that(|call| call["path"].as_str().is_some_and(|path| path.ends_with("/dispatches")));
    assert!(sent.is_empty(), "{sent:?}");
}

fn rule(when: Option<&str>, input: &str) -> DispatchRule {
    DispatchRule {
        name: "police".into(),
        when: when.map(str::to_owned),
        repository: "cop".into(),
        workflow: "police.yml".into(),
        reference: "master".into(),
        inputs: [("repo-to-police".to_owned(), input.to_owned())].into(),
        token_input: None,
        mode: Mode::Enforce,
    }
}

#[test]
fn inputs_are_templates_and_a_missing_name_is_an_error() {
    let payload = json!({ "repository": { "name": "widgets", "private": true } });
    let inputs = rule(None, "{{ repository.name }}").inputs(&payload, "").unwrap();
    assert_eq!(inputs, json!({ "repo-to-police": "widgets" }));
    assert!(rule(None, "{{ repository.nmae }}").inputs(&payload, "").is_err());
    assert!(rule(Some("repository.private"), "x").is_for(&payload).unwrap());
    assert!(!rule(Some("repository.name == 'gadgets'"), "x").is_for(&payload).unwrap());
    assert!(rule(Some("repository."), "x").check().is_err());
    assert!(rule(None, "{{ repository").check().is_err());
}

#[test]
fn a_template_does_a_bounded_amount_of_work() {
    for endless in [
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{% set ns = namespace(text='xxxxxxxx') %}{% for a in range(60) %}{% set ns.text = ns.text ~ ns.text %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
    ] {
        let said = rule(None, endless).check().unwrap_err();
        assert!(said.contains("inputs.repo-to-police") && said.contains("steps of work"), "{said}");
        assert!(rule(None, endless).inputs(&json!({}), "").unwrap_err().contains("steps of work"));
    }
    let said = rule(Some("range(100000)|list|length + ('x' * 100000000)|length > 0"), "x").check();
    assert!(said.unwrap_err().contains("steps of work"));
    let topics = "{% for topic in repository.topics %}{{ topic }} {% endfor %}{{ repository.name|upper }}";
    rule(Some("repository.private and repository.name"), topics).check().unwrap();
}
