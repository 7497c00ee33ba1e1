//! Tests the main task: after a signed webhook, the repository is as declared again.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::process::output;
use crate::world::{World, acme};

pub(crate) const POLICY: &str = "
repository:
  visibility: private
  has_wiki: false
  delete_branch_on_merge: true
  topics: [managed]
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
branches:
  - name: default
    protection:
      required_pull_request_reviews: { required_approving_review_count: 1 }
      enforce_admins: true
";

/// Returns a repository that matches the policy.
pub(crate) fn declared() -> serde_json::Value {
    json!({
        "visibility": "private", "has_wiki": false, "delete_branch_on_merge": true, "topics": ["managed"],
        "branches": { "main": {} },
        "teams": { "platform": "admin", "engineering": "push" },
        "protection": { "main": {
            "enforce_admins": true, "required_pull_request_reviews": { "required_approving_review_count": 1 } } },
    })
}

pub(crate) fn is_declared(repository: &serde_json::Value) -> bool {
    repository["visibility"] == "private"
        && repository["has_wiki"] == json!(false)
        && repository["delete_branch_on_merge"] == json!(true)
        && repository["topics"] == json!(["managed"])
        && repository["teams"] == json!({ "platform": "admin", "engineering": "push" })
        && repository["protection"]["main"]["enforce_admins"] == json!(true)
        && repository["protection"]["main"]["required_pull_request_reviews"]["required_approving_review_count"]
            == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_empty_repository_is_as_declared_soon_after_its_webhook() {
    let settings =
        beadle_sim::Settings { record: true, latency: Duration::from_millis(100), ..Default::default() };
    let world = World::with(acme(json!({ "old": declared() })), settings).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    let started = Instant::now();
    world.patch(json!({ "new": { "visibility": "private" } }), true).await;
    world.until("new", "compliance", is_declared).await;
    // The notes about the benchmarks contain the exact time. This test only checks that Beadle
    // makes the repair.
    eprintln!("compliant after {:.2} s at 100 ms a call", started.elapsed().as_secs_f64());
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_repairs_drift_and_own_writes_cause_no_loop() {
    let world = World::new(acme(json!({ "widgets": declared(), "gadgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("widgets", "repair", is_declared).await;
    world.patch(json!({ "widgets": { "protection": { "main": { "enforce_admins": false } } } }), true).await;
    world.until("widgets", "repair", is_declared).await;
    world.patch(json!({ "widgets": { "visibility": "public", "private": false } }), true).await;
    world.until("widgets", "repair", is_declared).await;
    // The queue becomes empty, although Beadle's own writes send webhooks too.
    world.until_idle().await;
    let calls = world.sim.call_count();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.sim.call_count(), calls, "it does not come to rest");
    let names = |call: &serde_json::Value| call.to_string().contains("gadgets");
    assert!(!world.writes().iter().any(names), "the other repository was written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_repairs_drift_without_a_webhook() {
    let world = World::new(acme(json!({ "widgets": declared(), "gadgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world.patch(json!({ "gadgets": { "has_wiki": true } }), false).await;
    let _serving = world.serve().await; // a sweep is due at the first start
    world.until("gadgets", "repair", is_declared).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_new_policy_comes_into_force_and_an_invalid_one_does_not() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.policy("settings.yml", "repository:\n  has_wikki: true\n");
    let said =
        || serving.log().contains("did you mean `has_wiki`?") && serving.log().contains("stays in force");
    world.read_policy().await;
    assert!(said(), "{}", serving.log());
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("widgets", "repair by the old policy", is_declared).await;
    world.policy("settings.yml", &POLICY.replace("has_wiki: false", "has_wiki: true"));
    // A generation comes into force after the second read.
    world.read_policy().await;
    world.read_policy().await;
    world.until("widgets", "the new policy", |repository| repository["has_wiki"] == json!(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_pause_webhooks_are_stored_and_nothing_is_written() {
    let world = World::new(acme(json!({ "widgets": declared(), "gadgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    world.until_idle().await;
    world.beadle(&["pause", "--repo", "acme/widgets", "--for", "1h"]).await.expect(0);
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
    world.until_sent().await;
    // During the pause, the worker repairs two later changes. So the worker had enough time to
    // repair the paused repository, but did not repair it.
    for _ in 0..2 {
        world.patch(json!({ "gadgets": { "teams": { "contractors": "admin" } } }), true).await;
        world.until("gadgets", "repair", is_declared).await;
    }
    let names = |call: &serde_json::Value| call.to_string().contains("widgets");
    assert!(!world.writes().iter().any(names), "{:?}", world.writes());
    let queue = world.beadle(&["queue"]).await.expect(0);
    assert!(queue.out.contains("paused"), "{}", queue.out);
    world.beadle(&["resume", "--repo", "acme/widgets"]).await.expect(0);
    world.until("widgets", "repair", is_declared).await;
    world.beadle(&["resume", "--repo", "acme/widgets"]).await.expect(1);
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    for kind in ["operator", "intent", "result", "run"] {
        assert!(journal.out.contains(&format!("\"kind\":\"{kind}\"")), "{kind}: {}", journal.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_running_service_and_missing_parts() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let sick = world.beadle(&["doctor"]).await.expect(1);
    assert!(sick.out.contains("is `beadle serve` running?"), "{}", sick.out);
    let _serving = world.serve().await;
    let well = world.beadle(&["doctor"]).await.expect(0);
    assert!(
        well.out.contains("a signed delivery") && well.out.contains("administration: write"),
        "{}",
        well.out
    );
    let metrics = format!("http://127.0.0.1:{}/metrics", world.ports[1]);
    let metrics = world.http.get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("beadle_deliveries_total{status=\"202\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_the_paths_of_an_enterprise_server_work() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world.patch(json!({ "widgets": { "has_wiki": true } }), false).await;
    let config = world.config();
    std::fs::write(world.path().join("token"), world.sim.token()).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    let app = text.lines().find(|line| line.starts_with("app =")).unwrap();
    let text = text
        .replace(app, "token = \"file:token\"")
        .replace(&world.sim.url(), &format!("{}/api/v3", world.sim.url()));
    let other = world.path().join("ghes.toml");
    std::fs::write(&other, text).unwrap();
    let run = |args: &'static [&'static str]| {
        let other = other.clone();
        async move {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_beadle"));
            command.arg("--config").arg(other).args(args);
            output(command).await
        }
    };
    assert_eq!(run(&["apply", "--yes"]).await.status.code(), Some(0));
    assert!(is_declared(&world.repository("widgets")));
    // If the token is invalid, Beadle reports this and does nothing else.
    world.http.delete(format!("{}/_sim/tokens", world.sim.url())).send().await.unwrap();
    let refused = run(&["plan"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("401"), "{refused:?}");
    world.checked = true;
}
