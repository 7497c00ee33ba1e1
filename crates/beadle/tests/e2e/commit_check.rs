//! Tests the check run at each commit of a policy. The check run shows the state of the commit.

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const SETTINGS: &str = ".github/settings.yml";
const NAME: &str = "beadle policy (acme)";

async fn world() -> World {
    let admin = json!({ "branches": { "main": {} }, "contents": { SETTINGS: POLICY } });
    let mut state = acme(json!({ "widgets": declared(), "admin": admin }));
    state["orgs"]["acme"]["permissions"] = json!({
        "actions": "write", "administration": "write", "checks": "write", "contents": "read", "issues": "write",
        "metadata": "read", "members": "read", "organization_administration": "write",
        "organization_custom_properties": "read", "pull_requests": "write", "repository_hooks": "write",
        "repository_custom_properties": "write",
    });
    let mut world = World::unlimited(state).await;
    world.source = "{ repository = \"admin\", path = \".github\" }".into();
    world.org_lines = format!("commit_check = true\n{}[org.gate]\nremoves = 0\n", world.org_lines);
    world
}

/// Pushes a policy, and returns the commit.
async fn push(world: &World, settings: &str) -> Value {
    world.patch(json!({ "admin": { "contents": { SETTINGS: settings } } }), true).await;
    world.repository("admin")["head_commit"].clone()
}

/// Waits until the policy has only one check run at a commit, and the check run has this
/// conclusion.
async fn until_concluded(world: &World, commit: &Value, conclusion: &str) {
    world.read_policy().await;
    world.run_task("commit%20check%20of%20acme").await;
    let is_concluded = |admin: &Value| {
        let all = admin["check_runs"].as_array().into_iter().flatten();
        let its: Vec<&Value> = all.filter(|run| run["name"] == NAME && run["head_sha"] == *commit).collect();
        its.len() == 1 && its[0]["status"] == "completed" && its[0]["conclusion"] == conclusion
    };
    world.until("admin", &format!("a check run with the conclusion {conclusion}"), is_concluded).await;
}

/// Returns the number of calls that write a check run.
fn writes(world: &World) -> usize {
    let is_check = |call: &&Value| call["path"].as_str().is_some_and(|path| path.contains("/check-runs"));
    world.writes().iter().filter(is_check).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_shows_that_its_policy_is_rejected_held_and_in_force_each_once() {
    let world = world().await;
    let serving = world.serve().await;
    world.connect();
    let first = world.repository("admin")["head_commit"].clone();
    until_concluded(&world, &first, "success").await;
    let wrong = push(&world, "repository: { has_wikki: true }").await;
    until_concluded(&world, &wrong, "failure").await;
    let removal = POLICY.replace("  - { name: engineering, permission: push }\n", "");
    let held = push(&world, &removal).await;
    until_concluded(&world, &held, "action_required").await;
    let generation = &held.as_str().unwrap()[..12];
    world.beadle(&["approve", generation, "--reason", "as meant"]).await.expect(0);
    until_concluded(&world, &held, "success").await;
    let before = writes(&world);
    for _ in 0..3 {
        world.beadle(&["tasks", "run", "commit check of acme"]).await.expect(0);
    }
    assert_eq!(writes(&world), before, "each state is written once");
    assert_eq!(serving.stop().await, Some(0));
}
