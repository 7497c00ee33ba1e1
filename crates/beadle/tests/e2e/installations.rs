//! Tests that the running service adds an organisation in mode `observe` when the organisation
//! installs the App. The service uses new permissions of the App as soon as an owner accepts them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{Serving, World, acme};

/// The maximum number of times that a test checks a condition. All checks together take at least a
/// minute.
const LOOKS: usize = 600;

/// Returns a world with the declared organisation `acme`, and three organisations without the App.
/// Beadle is allowed to add two of these three organisations. The third organisation is a stranger.
pub(crate) async fn world() -> World {
    let mut state = acme(json!({ "widgets": declared() }));
    let drifted = || json!({ "teams": { "contractors": "admin" }, "branches": { "main": {} } });
    for login in ["other", "other-labs", "stranger"] {
        state["orgs"][login] = json!({
            "members": ["ann"],
            "teams": { "platform": {}, "engineering": {}, "security": {}, "contractors": {} },
            "repos": { "tools": drifted() },
        });
    }
    state["apps"]["beadle-app"]["installed"] = json!(["acme"]);
    let mut world = World::new(state).await;
    std::fs::create_dir_all(world.path().join("base")).unwrap();
    std::fs::write(world.path().join("base/settings.yml"), POLICY).unwrap();
    world.policy("settings.yml", POLICY);
    world.lines = format!(
        "[installations]\napi = \"{}\"\napp = {{ id = {}, key = \"file:app.pem\" }}\n\
         webhook_secrets = [\"file:webhook.secret\"]\norganisations = [\"other*\"]\npolicy = \"base\"\n",
        world.sim.url(),
        beadle_sim::APP_ID
    );
    world
}

/// Sets the organisations that have the App, and the organisations that have suspended the App.
pub(crate) async fn install(world: &World, installed: &[&str], suspended: &[&str], webhooks: bool) {
    let url = format!("{}/_sim/state?webhooks={webhooks}", world.sim.url());
    let patch = json!({ "apps": { "beadle-app": { "installed": installed, "suspended": suspended } } });
    let answer = world.http.patch(url).body(patch.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
}

/// Waits until the state meets a condition, and returns the state.
async fn until_status(world: &World, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        last = world.beadle(&["status", "--json"]).await.json();
        if holds(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what} did not come true: {last:#}");
}

fn instance<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["instances"].as_array()?.iter().find(|instance| instance["name"] == name)
}

/// Returns the text about Beadle's handling of an organisation's installation.
fn standing<'a>(status: &'a Value, login: &str) -> &'a str {
    let mut all = status["installations"].as_array().unwrap().iter();
    all.find(|one| one["login"] == login).and_then(|one| one["standing"].as_str()).unwrap_or_default()
}

/// Returns whether Beadle has swept an organisation in mode `observe` and found drift.
pub(crate) fn has_drift(status: &Value, name: &str) -> bool {
    instance(status, name).is_some_and(|instance| {
        instance["mode"] == "observe" && instance["last_sweep"].is_u64() && instance["counts"]["drifted"] == 1
    })
}

/// Waits until the service has opened its organisations again this number of times.
async fn until_reloaded(serving: &Serving, times: usize) {
    for _ in 0..LOOKS {
        if serving.log().matches("configuration reloaded").count() >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the service did not open its organisations again:\n{}", serving.log());
}

/// Returns the number of calls about an organisation. Calls of the App itself do not count.
fn calls_about(world: &World, login: &str) -> usize {
    let (org, repository) = (format!("/orgs/{login}"), format!("/repos/{login}/"));
    world
        .sim
        .calls_that(|call| {
            let path = call["path"].as_str().unwrap_or_default();
            path == org || path.starts_with(&format!("{org}/")) || path.starts_with(&repository)
        })
        .len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_organisation_is_observed_without_a_restart_and_a_stranger_is_not() {
    let world = world().await;
    world.connect();
    let mut serving = world.serve().await;
    until_status(&world, "the sweep of acme", |status| {
        instance(status, "acme").is_some_and(|acme| acme["last_sweep"].is_u64())
    })
    .await;
    install(&world, &["acme", "other", "stranger"], &[], true).await;
    let status = until_status(&world, "the drift of other", |status| has_drift(status, "other")).await;
    assert_eq!(standing(&status, "other"), "taken-in");
    assert_eq!(standing(&status, "acme"), "declared");
    assert_eq!(standing(&status, "stranger"), "not-allowed");
    assert!(instance(&status, "stranger").is_none(), "{status:#}");
    assert_eq!(status["service"]["other_configuration"], json!([]));
    world.until_idle().await;
    assert!(world.writes().is_empty(), "an organisation in mode observe was changed");
    assert_eq!(calls_about(&world, "stranger"), 0);
    let url = format!("http://127.0.0.1:{}/api/v1/overview", world.operator());
    let page: Value = world.http.get(url).send().await.unwrap().text().await.unwrap().parse().unwrap();
    let shown: Vec<&str> =
        page["installations"].as_array().unwrap().iter().filter_map(|one| one["login"].as_str()).collect();
    assert_eq!(shown, ["acme", "other", "stranger"], "{page:#}");
    // Commands can use the new organisation too.
    let plan = world.beadle(&["plan", "--org", "other"]).await.expect(2);
    assert!(plan.out.contains("contractors"), "{}", plan.out);
    let refused = world.beadle(&["plan", "--org", "stranger"]).await.expect(1);
    assert!(refused.err.contains("no organisation `stranger`"), "{}", refused.err);
    let doctor = world.beadle(&["doctor"]).await;
    assert!(doctor.out.contains("other: taken in, mode observe"), "{}", doctor.out);
    assert!(doctor.out.contains("stranger: not taken in"), "{}", doctor.out);
    assert_eq!(serving.child.try_wait().unwrap(), None, "the service ended");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_or_uninstalled_organisation_is_left_alone_until_it_returns() {
    let world = world().await;
    install(&world, &["acme", "other"], &[], false).await;
    world.connect();
    let serving = world.serve().await;
    // No webhook reported the installation, so a background task of the service finds the
    // installation.
    until_status(&world, "the drift of other", |status| has_drift(status, "other")).await;
    for (installed, suspended, expected) in
        [(&["acme", "other"][..], &["other"][..], "suspended"), (&["acme"][..], &[][..], "uninstalled")]
    {
        install(&world, installed, suspended, true).await;
        let status = until_status(&world, expected, |status| {
            standing(status, "other") == expected && instance(status, "other").is_none()
        })
        .await;
        let is_of_other = |task: &Value| task["name"].as_str().is_some_and(|name| name.ends_with("of other"));
        let failing = status["failing_tasks"].as_array().unwrap();
        assert!(!failing.iter().any(is_of_other), "{status:#}");
        let shown = world.beadle(&["status"]).await;
        assert!(shown.out.contains(&format!("other: the App is {expected}")), "{}", shown.out);
        // The first reload added the organisation. The second reload removed the organisation.
        until_reloaded(&serving, 2).await;
        world.until_idle().await;
        let before = calls_about(&world, "other");
        world.run_task("installations%20of%20the%20App").await;
        world.run_task("sweep%20of%20acme").await;
        world.until_idle().await;
        assert_eq!(calls_about(&world, "other"), before, "Beadle asks about an organisation without the App");
    }
    install(&world, &["acme", "other"], &[], true).await;
    until_status(&world, "the return of other", |status| has_drift(status, "other")).await;
    assert!(world.writes().is_empty(), "an organisation in mode observe was changed");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_list_takes_nothing_in_and_leaves_nothing_out() {
    let world = world().await;
    install(&world, &["acme", "other"], &[], false).await;
    let serving = world.serve().await;
    until_status(&world, "other", |status| standing(status, "other") == "taken-in").await;
    until_reloaded(&serving, 1).await;
    // The last row is missing from the list, but GitHub still has the installation.
    let fault = json!({ "method": "GET", "path": "/app/installations", "lies": ["row_missing"] });
    world.fault(fault).await;
    world.run_task("installations%20of%20the%20App").await;
    let status = world.beadle(&["status", "--json"]).await.json();
    assert_eq!(standing(&status, "other"), "taken-in");
    world.no_faults().await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_permissions_are_used_before_the_token_ends() {
    let mut state = acme(json!({ "widgets": { "branches": { "main": {} } } }));
    state["orgs"]["acme"]["permissions"] = json!({
        "administration": "write", "contents": "read", "issues": "read", "members": "read", "metadata": "read",
    });
    let world = World::new(state).await;
    world.policy("settings.yml", "labels: [{ name: triage, color: \"ff0000\" }]\n");
    let serving = world.serve().await;
    let is_refused = |call: &Value| call["path"] == "/repos/acme/widgets/labels" && call["status"] == 403;
    let mut looks = 0;
    while world.sim.calls_that(is_refused).is_empty() {
        looks += 1;
        assert!(looks < LOOKS, "no label was refused:\n{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let url = format!("{}/_sim/state?webhooks=false", world.sim.url());
    let patch = json!({ "orgs": { "acme": { "permissions": { "issues": "write" } } } });
    let answer = world.http.patch(url).body(patch.to_string()).send().await.unwrap();
    assert!(answer.status().is_success());
    let id = world.sim.look(|state| state["orgs"]["acme"]["id"].clone());
    let body = json!({
        "action": "new_permissions_accepted", "sender": { "login": "ann" },
        "installation": { "id": 1, "account": { "login": "acme", "id": id } },
    });
    let body = body.to_string();
    let sent = world.delivery("accepted", "installation", body.as_bytes()).send().await.unwrap();
    assert_eq!(sent.status(), 202);
    let has_label = |widgets: &Value| widgets["labels"].get("triage").is_some();
    world.until("widgets", "the label", has_label).await;
    assert_eq!(serving.stop().await, Some(0));
}
