//! Lists that are longer than a page of GitHub: what is beyond the first page counts.

use std::fmt::Write as _;

use beadle_engine::{ApplyContext, Limits, StepResult, WritePace, apply};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};

use super::*;

/// No budget and no limit is short.
const PLENTY: u64 = 1_000_000_000;

/// The simulated GitHub in this process, a store and a policy. Every call is checked against GitHub's
/// published descriptions.
struct Many {
    sim: Arc<Sim>,
    token: String,
    clock: Clock,
    store: Arc<dyn Store>,
    policy: Policy,
    _folder: tempfile::TempDir,
}

impl Many {
    async fn new(state: Value, policy: &str) -> Self {
        let limits = beadle_sim::Limits {
            core: PLENTY,
            graphql: PLENTY,
            rest_points: PLENTY,
            graphql_points: PLENTY,
            ..beadle_sim::Limits::default()
        };
        let settings = beadle_sim::Settings {
            limits,
            record: true,
            state: Some(state),
            ..beadle_sim::Settings::default()
        };
        let sim = Arc::new(Sim::start(([127, 0, 0, 1], 0).into(), settings).await.unwrap());
        let texts = BTreeMap::from([("settings.yml".to_owned(), policy.to_owned())]);
        let policy = Policy::from_sources(texts, "admin", Path::new("policy")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open_inline(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        Self {
            token: sim.token(),
            sim,
            clock: Clock::simulated(Time::from_seconds(1_800_000_000)),
            store: Arc::new(store),
            policy,
            _folder: folder,
        }
    }

    /// Returns a planner and a writer that have nothing in memory.
    fn parts(&self) -> (RepositoryPlanner, RepositoryWriter) {
        let wire: Arc<dyn Wire> = Arc::new(InProcess(self.sim.clone()));
        let settings = ClientSettings {
            rest_points: u32::MAX,
            graphql_points: u32::MAX,
            wire: Some(wire),
            ..ClientSettings::default()
        };
        let credential = Credential::Token(SecretString::from(self.token.as_str()));
        let (endpoint, budgets) = (Endpoint::new(&self.sim.url()), Budgets::new("acme", 0));
        let api = Api::new(&endpoint, "acme", credential, budgets, &self.clock, settings).unwrap();
        let reader = Reader::new(api.clone(), self.policy.asks());
        let modes = Modes { organisation: Mode::Enforce, ..Modes::default() };
        let planner = RepositoryPlanner::new(reader.clone(), PolicyHandle::new(self.policy.clone()), modes)
            .remembering(self.store.clone());
        (planner, RepositoryWriter::new(Writer::new(api), reader))
    }

    /// The changes of a plan, as text.
    async fn changes(&self) -> Vec<String> {
        let (planner, _) = self.parts();
        let plans = plans(&planner).await;
        let changes = plans.iter().flat_map(|(_, plan)| &plan.changes);
        changes.map(|change| format!("{} {:?}", change.what, change.fields)).collect()
    }

    /// Applies, and expects that everything is written.
    async fn apply(&self) {
        let (planner, writer) = self.parts();
        let planned = self.clock.now();
        for (key, plan) in plans(&planner).await {
            let context = ApplyContext {
                store: self.store.clone(),
                clock: self.clock.clone(),
                lease: None,
                limits: Limits { percent: 100, ..Limits::default() },
                pace: WritePace::new(Duration::ZERO),
                patient: true,
                generation: planner.generation(),
                planned,
            };
            let report = apply(&key, &plan, &writer, &context, &|_, _| {}).await.unwrap();
            for step in &report.steps {
                assert_eq!(step.outcome, StepResult::Written, "{}", step.change.what);
            }
        }
    }

    /// Changes the only repository behind Beadle's back: a merge patch.
    async fn patch(&self, widgets: &Value) {
        let patch = json!({ "orgs": { "acme": { "repos": { "widgets": widgets } } } });
        let request = http::Request::builder()
            .method("PATCH")
            .uri(format!("{}/_sim/state", self.sim.url()))
            .body(Bytes::from(patch.to_string()));
        let answer = self.sim.exchange(request.unwrap()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(204));
    }
}

async fn plans(planner: &RepositoryPlanner) -> Vec<(Key, Plan<Box<dyn Step>>)> {
    let whole = planner.organisation("acme", &[], Shard::default(), &|_, _| {}).await.unwrap();
    assert_eq!(whole.short, None);
    for (_, plan) in &whole.plans {
        assert!(plan.unknowns.is_empty(), "{}: {:?}", plan.subject, plan.unknowns);
    }
    whole.plans
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_first_page_counts() {
    let people: Vec<String> = (0..31).map(|n| format!("person{n:02}")).collect();
    let teams: Vec<String> = (0..101).map(|n| format!("team{n:03}")).collect();
    let all = |names: &[String]| -> Value {
        names.iter().map(|name| (name.clone(), json!("push"))).collect::<serde_json::Map<_, _>>().into()
    };
    let empty = |names: &[String]| -> Value {
        names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    let reviews = json!({ "required_approving_review_count": 1, "bypass_pull_request_allowances": { "users": people[..12] } });
    let mut widgets = json!({
        "branches": { "main": {} }, "teams": all(&teams), "collaborators": all(&people),
        "protection": { "bypass": { "required_pull_request_reviews": reviews } },
    });
    let rows = |key: &str, names: &[String]| -> String {
        names.iter().fold(String::new(), |mut rows, name| {
            let _ = writeln!(rows, "  - {{ {key}: {name}, permission: push }}"); // a text takes everything
            rows
        })
    };
    let mut policy =
        format!("teams:\n{}collaborators:\n{}branches:\n", rows("name", &teams), rows("username", &people));
    for n in 0..6 {
        let _ = writeln!(policy, "  - {{ name: release/{n}, protection: {{ enforce_admins: true }} }}");
        widgets["protection"][format!("release/{n}")] = json!({ "enforce_admins": true });
    }
    let _ = writeln!(
        policy,
        "  - name: bypass\n    protection:\n      required_pull_request_reviews:\n        \
         bypass_pull_request_allowances:\n          users: [{}]",
        people[..12].join(", ")
    );
    let state = json!({
        "orgs": { "acme": { "members": people, "teams": empty(&teams), "repos": { "widgets": widgets } } },
        "users": empty(&people),
        "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let many = Many::new(state, &policy).await;
    assert_eq!(many.changes().await, Vec::<String>::new());
    for (patch, what) in [
        (json!({ "teams": { "team100": "admin" } }), "team team100"),
        (json!({ "collaborators": { "person30": "admin" } }), "collaborator person30"),
        (json!({ "protection": { "release/5": { "enforce_admins": false } } }), "rule release/5"),
        (
            json!({ "protection": { "bypass": { "required_pull_request_reviews": {
                "bypass_pull_request_allowances": { "users": people[..13] } } } } }),
            "bypass_pull_request_allowances",
        ),
    ] {
        many.patch(&patch).await;
        let changes = many.changes().await;
        assert!(changes.len() == 1 && changes[0].contains(what), "{what}: {changes:?}");
        many.apply().await;
        assert_eq!(many.changes().await, Vec::<String>::new(), "{what}");
    }
    assert!(beadle_contracts::check(&many.sim.calls()) > 0);
}
