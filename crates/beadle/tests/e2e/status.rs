//! Tests `beadle status`, which shows the state of the service, and `beadle reload`, which changes
//! the configuration of the running service.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{Ran, Serving, World, acme, replace_file};

/// The maximum number of times that a test checks a condition. All checks together take at least a
/// minute.
const LOOKS: usize = 600;

/// Waits until the state meets a condition, and returns the state.
async fn until_status(world: &World, what: &str, holds: impl Fn(&Value) -> bool) -> (Value, i32) {
    let mut last = None;
    for _ in 0..LOOKS {
        let ran: Ran = world.beadle(&["status", "--json"]).await;
        let status = ran.json();
        if holds(&status) {
            return (status, ran.code);
        }
        last = Some(status);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come true: {last:#?}");
}

/// Waits until the log contains a text this number of times.
async fn until_logged(serving: &Serving, text: &str, times: usize) {
    for _ in 0..LOOKS {
        if serving.log().matches(text).count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the log has no `{text}`:\n{}", serving.log());
}

fn mode(status: &Value) -> &Value {
    &status["instances"][0]["mode"]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_missing_team_is_one_problem_of_all_repositories_until_it_is_gone() {
    let world = World::new(acme(json!({ "a": declared(), "b": declared(), "c": declared() }))).await;
    let with_ghosts = POLICY.replace("teams:\n", "teams:\n  - { name: ghosts, permission: pull }\n");
    world.policy("settings.yml", &with_ghosts);
    world.beadle(&["status"]).await.expect(1);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    let (status, code) = until_status(&world, "the record of the service", |status| {
        status["service"]["version"].is_string() && mode(status) == "enforce"
    })
    .await;
    let problems = status["problems"].as_array().unwrap();
    assert_eq!((problems.len(), code), (1, 2), "{status:#}");
    assert_eq!(
        (&problems[0]["kind"], &problems[0]["names"]),
        (&json!("unknown"), &json!(["acme/a", "acme/b", "acme/c"]))
    );
    let shown = world.beadle(&["status"]).await.expect(2);
    assert!(shown.out.contains("unknown   3 repositories of acme"), "{}", shown.out);
    assert!(shown.out.contains("ghosts"), "{}", shown.out);
    world.policy("settings.yml", POLICY);
    world.read_policy().await;
    world.read_policy().await;
    until_status(&world, "no problem", |status| status["problems"] == json!([])).await;
    world.beadle(&["status"]).await.expect(0);
    assert_eq!(serving.stop().await, Some(0));
    let stopped = world.beadle(&["status"]).await.expect(1);
    assert!(stopped.out.contains("service   stopped"), "{}", stopped.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_the_mode_and_keeps_the_listeners_open() {
    let drifted = json!({ "teams": { "contractors": "admin" }, "branches": { "main": {} } });
    let mut world = World::new(acme(json!({ "widgets": drifted }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let (status, _) =
        until_status(&world, "the mode of the service", |status| mode(status) == "observe").await;
    assert_eq!(status["service"]["other_configuration"], json!([]));
    assert_eq!(status["problems"][0]["kind"], json!("drifted"), "{status:#}");
    world.mode = "enforce";
    let status = world.beadle(&["status", "--json"]).await.expect(2).json();
    assert_eq!(
        (mode(&status), &status["service"]["other_configuration"]),
        (&json!("observe"), &json!(["org.acme.mode"]))
    );
    assert!(world.writes().is_empty(), "the service still observes");
    let health = world.hook_url().replace("/hooks/github", "/healthz");
    let reload = world.beadle(&["reload"]);
    tokio::pin!(reload);
    let mut answered = 0;
    let reloaded = loop {
        tokio::select! {
            reloaded = &mut reload => break reloaded.expect(0),
            answer = world.http.get(&health).send() => {
                assert!(answer.unwrap().status().is_success());
                answered += 1;
            }
        }
    };
    assert!(answered > 0);
    assert!(reloaded.out.contains("1 value changed: `org.acme.mode`"), "{}", reloaded.out);
    world.until("widgets", "the repair", is_declared).await;
    let (status, _) = until_status(&world, "the new mode", |status| mode(status) == "enforce").await;
    assert_eq!(status["service"]["other_configuration"], json!([]));
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_file_does_not_stop_the_service_and_a_listener_needs_a_restart() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    let path = world.config();
    let text = std::fs::read_to_string(&path).unwrap();
    replace_file(&path, &text.replace("mode = ", "mod = "));
    let pid = serving.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    until_logged(&serving, "configuration not reloaded, the service keeps the previous one", 1).await;
    let ready = format!("http://127.0.0.1:{}/readyz", world.operator());
    assert!(world.http.get(&ready).send().await.unwrap().status().is_success());
    // The command finds the service, because only the public listener changes in the file.
    world.ports[0] = beadle_emulate::free_port();
    let reloaded = world.beadle(&["reload"]).await.expect(2);
    assert!(
        reloaded.out.contains("restart the service to use the new values of `server.listen`"),
        "{}",
        reloaded.out
    );
    until_status(&world, "the record of the new configuration", |status| {
        status["service"]["other_configuration"] == json!(["server.listen"])
    })
    .await;
    let plan = world.beadle(&["plan"]).await.expect(0);
    assert!(plan.err.contains("1 value differs (`server.listen`); restart the service"), "{}", plan.err);
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    until_logged(&serving, "configuration reloaded", 2).await;
    assert_eq!(serving.stop().await, Some(0));
}
