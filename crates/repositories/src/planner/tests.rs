//! Tests changes by another person at two times: while Beadle reads for a plan, and between the
//! plan and the write.

mod actions;
mod agreed;
mod conditions;
mod configurations;
mod controls;
mod creation;
mod creation_kill;
mod default_branch;
mod deploy_keys;
mod enterprise_rulesets;
mod environments;
mod failing;
mod files;
mod forms;
mod generation;
mod github_pages;
mod immutable_releases;
mod importing;
mod importing_everything;
mod interaction_limit;
mod merging;
mod milestones;
mod mortal;
mod names;
mod oidc_subject;
mod organisation;
mod organization;
mod organization_secrets;
mod pages;
mod policy_files;
mod preview;
mod refusals;
mod removed_entries;
mod reviewers;
mod rulesets;
mod secrets;
mod spread;
mod sweep_read;
mod undo;
mod undo_whole;
mod undone_records;
mod unshown;
mod validator;
mod waivers;
mod waiving_everything;
mod world;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::Planner as _;
use beadle_engine::apply::PlanWriter as _;
use beadle_engine::{Budgets, Clock, Lane, Resource, Time};
use beadle_github::{Api, Credential, Endpoint, Writer};
use beadle_sim::{Fault, Sim};
use beadle_transport::{ClientSettings, Exchanged, Wire};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;
use crate::writer::RepositoryWriter;

struct InProcess(Arc<Sim>);

#[async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

struct Stage {
    sim: Arc<Sim>,
    token: String,
    clock: Clock,
    budgets: Budgets,
    planner: RepositoryPlanner,
    writer: RepositoryWriter,
}

impl Stage {
    /// Creates an organisation with the repository `shop`, and a policy for it.
    async fn new(doc: Value, policy: &str) -> Self {
        Self::of_files(doc, &[("settings.yml", policy)]).await
    }

    async fn of_files(doc: Value, files: &[(&str, &str)]) -> Self {
        let sim = Sim::start(([127, 0, 0, 1], 0).into(), beadle_sim::Settings::default()).await.unwrap();
        let sim = Arc::new(sim);
        sim.begin_with(doc);
        let texts = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(texts, "admin", Path::new("policy")).unwrap();
        let clock = Clock::simulated(Time::from_seconds(1_800_000_000));
        let budgets = Budgets::new("acme", 0);
        let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
        let settings = ClientSettings { patient: true, wire: Some(wire), ..ClientSettings::default() };
        let (endpoint, token) = (Endpoint::new(&sim.url()), sim.token());
        let credential = Credential::Token(SecretString::from(token.as_str()));
        let api = Api::new(&endpoint, "acme", credential, budgets.clone(), &clock, settings).unwrap();
        let reader = Reader::new(api.clone(), policy.asks());
        let planner = RepositoryPlanner::new(reader.clone(), PolicyHandle::new(policy), Modes::default());
        let writer = RepositoryWriter::new(Writer::new(api), reader);
        Self { sim, token, clock, budgets, planner, writer }
    }

    async fn plan(&self) -> Plan<Box<dyn Step>> {
        self.planner.plan(&shop(), None, Lane::Manual).await.unwrap()
    }

    /// Writes the first change of a plan.
    async fn write(&self, plan: &Plan<Box<dyn Step>>) -> Result<(), Failure> {
        let valid_until = self.clock.now() + Duration::from_secs(120);
        let session = self.writer.open(&shop(), plan, valid_until, Lane::Manual).await?;
        session.write(&plan.changes[0]).await
    }

    /// Returns the number of write calls that the simulated GitHub received.
    fn writes(&self) -> usize {
        self.sim.calls().iter().filter(|call| call["writes"] == true).count()
    }
}

fn shop() -> Key {
    Key::new("repository", "acme", 101)
}

/// Returns an organisation. The parameter `mona` is the id of the account with this login. The
/// parameter `platform` is the id of the team with this slug.
fn acme(mona: u64, platform: u64) -> Value {
    let shop = json!({ "id": 101, "branches": { "main": {} }, "topics": ["old"] });
    json!({
        "users": { "mona": { "id": mona } },
        "orgs": { "acme": {
            "id": 1, "teams": { "platform": { "id": platform } }, "repos": { "shop": shop },
        } },
    })
}

#[tokio::test(start_paused = true)]
async fn a_file_without_any_text_lets_nothing_be_removed_weakened_or_exposed_unasked() {
    let settings = "repository: { visibility: public, has_wiki: false, topics: [new] }\nteams: []\n";
    let mut doc = acme(201, 301);
    doc["orgs"]["acme"]["repos"]["shop"]["visibility"] = json!("private");
    doc["orgs"]["acme"]["repos"]["shop"]["teams"] = json!({ "platform": "push" });
    for (file, text, waits) in [
        ("repos/shop.yml", "\n", true),
        ("suborgs/shops.yml", "", true),
        ("repos/shop.yml", "# nothing\n", false),
        ("repos/other.yml", "\n", false),
    ] {
        let stage = Stage::of_files(doc.clone(), &[("settings.yml", settings), (file, text)]).await;
        let plan = stage.plan().await;
        let (guarded, plain): (Vec<_>, Vec<_>) =
            plan.changes.iter().partition(|change| change.risks().is_guarded());
        // An empty file in repos/ also makes lists additive, so Beadle removes no topic and no
        // team. Only the change of the visibility still needs an approval.
        assert!(!guarded.is_empty(), "{file}: {text:?}: {:?}", plan.unknowns);
        assert!(guarded.iter().all(|change| change.stop.is_some() == waits), "{file}: {text:?}");
        assert!(plain.iter().all(|change| change.stop.is_none()), "{file}: {text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_without_a_permission_changes_no_access() {
    let text = "teams: [{ name: platform }]\ncollaborators: [{ username: mona }]\n";
    for (permission, new) in [(Some("admin"), 0), (Some("pull"), 0), (None, 2)] {
        let mut doc = acme(201, 301);
        if let Some(permission) = permission {
            doc["orgs"]["acme"]["repos"]["shop"]["teams"] = json!({ "platform": permission });
            doc["orgs"]["acme"]["repos"]["shop"]["collaborators"] = json!({ "mona": permission });
        }
        let plan = Stage::new(doc, text).await.plan().await;
        assert!(plan.unknowns.is_empty(), "{:?}", plan.unknowns);
        let after = plan.changes.iter().map(|change| change.fields[0].after.as_str());
        let mut after: Vec<&str> = after.map(Option::unwrap_or_default).collect();
        after.sort_unstable();
        assert_eq!(after, ["pull", "push"][..new], "{permission:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_reads_waited_for_long_is_made_of_what_is_there_after_the_wait() {
    let policy = "repository: { topics: [managed] }\nactions: { default_workflow_permissions: read }\n";
    let stage = Stage::new(acme(501, 601), policy).await;
    // The plan reads the topics first. The plan's read of the Actions permissions then waits for
    // the budget.
    let now = stage.clock.now();
    stage.budgets.refuse(Resource::Core, Some(now + Duration::from_secs(150)), now);
    let somebody = async {
        stage.clock.sleep(Duration::from_secs(60)).await;
        let request = http::Request::builder()
            .method("PUT")
            .uri(format!("{}/repos/acme/shop/topics", stage.sim.url()))
            .header("authorization", format!("Bearer {}", stage.token))
            .body(Bytes::from_static(br#"{ "names": ["old", "theirs"] }"#));
        let answer = stage.sim.exchange(request.unwrap()).await;
        assert_eq!(answer.map(|(status, ..)| status), Some(200));
    };
    let (plan, ()) = tokio::join!(stage.plan(), somebody);
    let topics = plan.changes.iter().filter(|change| change.aspect == "topics");
    let names: Vec<&str> =
        topics.flat_map(|change| &change.fields).map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["managed", "old", "theirs"]);
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_name_between_plan_and_write_gets_nothing() {
    let policies = [
        "collaborators: [{ username: mona, permission: push }]\n",
        "teams: [{ name: platform, permission: push }]\n",
    ];
    for policy in policies {
        let stage = Stage::new(acme(501, 601), policy).await;
        let plan = stage.plan().await;
        assert_eq!(plan.changes.len(), 1, "{policy}");
        stage.clock.jump(6_000);
        stage.sim.begin_with(acme(502, 602));
        let failure = stage.write(&plan).await.unwrap_err();
        assert_eq!(failure.class, Class::Conflict, "{failure}");
        assert!(failure.text.contains("the plan has the id"), "{failure}");
        assert_eq!(stage.writes(), 0, "{policy}");
        // The names belong to the planned account and the planned team again. So the write gives
        // this account and this team access.
        stage.sim.begin_with(acme(501, 601));
        stage.write(&plan).await.unwrap();
        assert_eq!(stage.writes(), 1, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_reviews_shows_each_requirement_that_ends() {
    let mut doc = acme(501, 601);
    let reviews = json!({ "required_approving_review_count": 2, "require_code_owner_reviews": true });
    doc["orgs"]["acme"]["repos"]["shop"]["protection"] =
        json!({ "main": { "required_pull_request_reviews": reviews } });
    let policy = "branches: [{ name: main, protection: { required_pull_request_reviews: null } }]\n";
    let world = world::World::new(doc, policy).await;
    let changes = world.changes().await.join("\n");
    for name in
        ["required_pull_request_reviews", "required_approving_review_count", "require_code_owner_reviews"]
    {
        assert!(changes.contains(name), "{name}: {changes}");
    }
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_autolink_that_overlaps_with_a_new_one_is_removed_first() {
    let mut doc = acme(501, 601);
    let link = json!({ "url_template": "https://t/<num>", "is_alphanumeric": true });
    doc["orgs"]["acme"]["repos"]["shop"]["autolinks"] = json!({ "T-": link, "OLD-": link });
    let policy = "autolinks: [{ key_prefix: T-X-, url_template: 'https://t/<num>' }]\n";
    let world = world::World::new(doc, policy).await;
    let steps = world.apply_once(world::UNLIMITED).await;
    let order: Vec<&str> = steps.iter().map(|(what, ..)| what.as_str()).collect();
    assert!(order[0].contains("autolink T-:") && order[1].contains("autolink T-X-:"), "{order:?}");
    assert!(steps.iter().all(|(.., result)| *result == beadle_engine::StepResult::Written), "{steps:?}");
    assert_eq!(world.changes().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_autolink_that_was_deleted_and_is_not_made_was_changed_in_part() {
    let mut doc = acme(501, 601);
    let link = json!({ "url_template": "https://theirs/<num>", "is_alphanumeric": true });
    doc["orgs"]["acme"]["repos"]["shop"]["autolinks"] = json!({ "T-": link });
    let stage = Stage::new(doc, "autolinks: [{ key_prefix: T-, url_template: 'https://t/<num>' }]\n").await;
    let plan = stage.plan().await;
    assert_eq!(plan.changes.len(), 1);
    let (method, path) = (Some("POST".to_owned()), "/autolinks".to_owned());
    let fault = Fault { method, path, status: Some(422), count: Some(1), ..Fault::default() };
    stage.sim.fault(fault);
    let failure = stage.write(&plan).await.unwrap_err();
    assert!(failure.is_partial, "{failure:?}");
    let state = stage.sim.state();
    let left = &state["orgs"]["acme"]["repos"]["shop"]["autolinks"]["T-"]["url_template"];
    assert_eq!(left, "https://theirs/<num>", "it is put back");
}
