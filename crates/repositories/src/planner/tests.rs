//! Plans whose reads had to wait.

use std::path::Path;
use std::time::Duration;

use beadle_engine::{Budgets, Clock, Resource, Time};
use beadle_github::{Api, Credential, Endpoint};
use beadle_sim::Sim;
use beadle_transport::{Exchanged, Settings, Wire};
use bytes::Bytes;
use secrecy::SecretString;
use serde_json::json;

use super::*;

struct InProcess(Arc<Sim>);

#[async_trait]
impl Wire for InProcess {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.0.exchange(request).await.ok_or_else(|| "the connection broke".to_owned())
    }
}

const POLICY: &str = "repository: { topics: [managed] }\nactions: { default_workflow_permissions: read }\n";

#[tokio::test(start_paused = true)]
async fn a_plan_whose_reads_waited_for_long_is_made_of_what_is_there_after_the_wait() {
    let sim = Sim::start(([127, 0, 0, 1], 0).into(), beadle_sim::Settings::default()).await.unwrap();
    let sim = Arc::new(sim);
    let shop = json!({ "id": 101, "branches": { "main": {} }, "topics": ["old"] });
    sim.begin_with(json!({ "orgs": { "acme": { "id": 1, "repos": { "shop": shop } } } }));
    let texts = BTreeMap::from([("settings.yml".to_owned(), POLICY.to_owned())]);
    let policy = Policy::from_sources(texts, "admin", Path::new("policy")).unwrap();
    let (clock, budgets) = (Clock::simulated(Time::from_seconds(1_800_000_000)), Budgets::new("acme", 0));
    let wire: Arc<dyn Wire> = Arc::new(InProcess(sim.clone()));
    let settings = Settings { patient: true, wire: Some(wire), ..Settings::default() };
    let (endpoint, token) = (Endpoint::new(&sim.url()), sim.token());
    let credential = Credential::Token(SecretString::from(token.as_str()));
    let api = Api::new(&endpoint, "acme", credential, budgets.clone(), &clock, settings).unwrap();
    let reader = Reader::new(api, policy.asks());
    let planner = RepositoryPlanner::new(reader, PolicyHandle::new(policy), Modes::default());
    // The read of the Actions permissions waits for the budget; the topics were read before.
    let now = clock.now();
    budgets.refuse(Resource::Core, Some(now + Duration::from_secs(150)), now);
    let somebody = async {
        clock.sleep(Duration::from_secs(60)).await;
        let request = http::Request::builder()
            .method("PUT")
            .uri(format!("{}/repos/acme/shop/topics", sim.url()))
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::from_static(br#"{ "names": ["old", "theirs"] }"#));
        assert_eq!(sim.exchange(request.unwrap()).await.map(|(status, ..)| status), Some(200));
    };
    let key = Key::new("repository", "acme", 101);
    let (plan, ()) = tokio::join!(planner.plan(&key, None), somebody);
    let plan = plan.unwrap();
    let topics = plan.changes.iter().filter(|change| change.aspect == "topics");
    let names: Vec<&str> =
        topics.flat_map(|change| &change.fields).map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["managed", "old", "theirs"]);
}
