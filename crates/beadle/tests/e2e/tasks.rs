//! Tests background tasks. A waiting task does not delay other tasks, and operators see the status
//! of each task.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

/// Starts a vendor that accepts connections and never answers.
async fn mute() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_never_answers_delays_no_other_organisation() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    let url = format!("http://127.0.0.1:{}", mute().await);
    std::fs::write(world.path().join("a.token"), format!("{:x}", rand::random::<u64>())).unwrap();
    let token = "token = \"file:a.token\"";
    // The configuration lists the vendor that never answers before all others.
    world.lines = format!(
        "[[org]]\nname = \"absent\"\napi = \"{url}\"\n{token}\npolicy = \"policy\"\nmode = \"enforce\"\n\
         [[okta]]\nname = \"corp\"\nurl = \"{url}\"\n{token}\nlog_every = \"1s\"\n\
         [[target]]\nname = \"aws\"\nscim = {{ url = \"{url}\", {token}, dialect = \"aws-identity-center\" }}\n\
         [[groups]]\nsource = \"corp\"\ntarget = \"aws\"\ninclude = [\"*\"]\n"
    );
    world.policy("settings.yml", POLICY);
    let _serving = world.serve().await;
    world.connect();
    // The service makes a repair and its first sweep.
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
    world.until("widgets", "repair", is_declared).await;
    // A new policy comes into force, and a sweep applies the policy.
    world.policy("settings.yml", &POLICY.replace("has_wiki: false", "has_wiki: true"));
    world.until("widgets", "the new policy", |repository| repository["has_wiki"] == json!(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_and_the_running_service_runs_one_on_request() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    world.beadle(&["tasks", "run", "policy of acme"]).await.expect(1);
    let serving = world.serve().await;
    // In this test, the service starts this task. Other tests ask the service to run this task.
    serving.until_logged("sweep ended").await;
    let listed = world.beadle(&["tasks"]).await.expect(0);
    for task in ["policy of acme", "sweep of acme", "missed webhooks of App", "pruning"] {
        assert!(listed.out.contains(task), "{task}: {}", listed.out);
    }
    let url = format!("http://127.0.0.1:{}", world.ports[1]);
    let shown: Value =
        world.http.get(format!("{url}/tasks")).send().await.unwrap().text().await.unwrap().parse().unwrap();
    let runs = |shown: &Value| {
        let policy = shown.as_array().unwrap().iter().find(|task| task["name"] == "policy of acme");
        policy.unwrap()["runs"].as_u64().unwrap()
    };
    let before = runs(&shown);
    let ran = world.beadle(&["tasks", "--json", "run", "policy of acme"]).await.expect(0);
    assert!(ran.json()["runs"].as_u64().unwrap() > before, "{}", ran.out);
    let unknown = world.beadle(&["tasks", "run", "policy of acmee"]).await.expect(1);
    assert!(unknown.err.contains("did you mean `policy of acme`?"), "{}", unknown.err);
    // The command, `/readyz` and the metrics show the failure.
    world.policy("settings.yml", "repository:\n  has_wikki: true\n");
    let failing = world.beadle(&["tasks", "run", "policy of acme"]).await.expect(1);
    assert!(failing.out.contains("did you mean `has_wiki`?"), "{}", failing.out);
    let ready = world.http.get(format!("{url}/readyz")).send().await.unwrap().text().await.unwrap();
    assert!(ready.contains("policy of acme: invalid policy"), "{ready}");
    let metrics = world.http.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("beadle_task_failing{task=\"policy of acme\"} 1"), "{metrics}");
    assert!(metrics.contains("beadle_task_failing{task=\"pruning\"} 0"), "{metrics}");
}
