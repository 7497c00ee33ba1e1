//! Tests that kill the service at each point of the gate. Before the approval, Beadle writes
//! nothing. After the approval, Beadle writes each approved change exactly once, and no other
//! change.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared};
use crate::world::{Serving, World, acme};

/// The number of repositories. This number is above the limit of the gate.
const REPOSITORIES: usize = 6;

/// The points where the service ends itself. `true` means that the service reaches the point only
/// after the approval.
const POINTS: [(&str, bool); 6] = [
    ("before-generation-hold", false),
    ("after-generation-hold", false),
    ("before-generation-acceptance", true),
    ("after-generation-acceptance", true),
    ("between-generation-marks", true),
    ("after-generation-marks", true),
];

/// Returns the number of repositories in which the team engineering still has a permission.
fn with_engineering(world: &World) -> usize {
    world.sim.look(|state| {
        let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap().values();
        repositories.filter(|repository| repository["teams"].get("engineering").is_some()).count()
    })
}

/// Returns the held generations.
async fn held(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    holds.filter(|hold| hold.get("groups").is_some()).collect()
}

/// Approves the held generation, if it has no approval yet. Checks that Beadle has written nothing
/// before the approval.
async fn approve(world: &World) {
    for hold in held(world).await.iter().filter(|hold| hold["approved"].is_null()) {
        assert_eq!(hold["sums"]["risks"]["removes"], json!(REPOSITORIES));
        assert_eq!(with_engineering(world), REPOSITORIES);
        let generation = hold["generation"].as_str().unwrap();
        world.beadle(&["approve", generation, "--reason", "the team is closed"]).await.expect(0);
    }
}

/// Makes the service read the policy until the service ends itself.
async fn until_killed(world: &World, serving: &mut Serving, point: &str) {
    let url = format!("http://127.0.0.1:{}/tasks/policy%20of%20acme/run", world.operator());
    for _ in 0..600 {
        let _ = world.http.post(&url).send().await; // the service may end during the request
        if serving.child.try_wait().unwrap().is_some() {
            return;
        }
        approve(world).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{point}: the service did not end:\n{}", serving.log());
}

/// Makes the service read the policy until the approved changes are written and the gate holds
/// nothing.
async fn until_in_force(world: &World, serving: &Serving, point: &str) {
    for _ in 0..600 {
        world.read_policy().await;
        approve(world).await;
        if with_engineering(world) == 0 && held(world).await.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{point}: the generation is not in force:\n{}", serving.log());
}

async fn kill_at(point: &str, is_after_approval: bool) {
    let repositories: Value = (0..REPOSITORIES).map(|n| (format!("r{n}"), declared())).collect();
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    // After a second, another process can claim the keys of the killed process.
    world.lines = "[worker]\nlease = \"1s\"\n".into();
    world.policy("settings.yml", POLICY);
    let points = format!("settle=return;first-generation=return;{point}=return");
    let mut serving = world.spawn(&[("FAILPOINTS", &points)]).ready(world.operator()).await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    world.policy("settings.yml", &POLICY.replace("  - { name: engineering, permission: push }\n", ""));
    until_killed(&world, &mut serving, point).await;
    if !is_after_approval {
        assert_eq!(with_engineering(&world), REPOSITORIES, "{point}");
    }
    let serving = world.serve().await;
    until_in_force(&world, &serving, point).await;
    world.until_idle().await;
    let removed = world.sim.calls_that(|call| {
        call["method"] == "DELETE" && call["path"].to_string().contains("/teams/engineering/")
    });
    assert_eq!(removed.len(), REPOSITORIES, "{point}: {removed:#?}");
    assert_eq!(world.writes().iter().filter(|call| is_of_repository(call)).count(), REPOSITORIES, "{point}");
    assert_eq!(serving.stop().await, Some(0));
}

/// Returns `false` for a call that only creates a token.
fn is_of_repository(call: &Value) -> bool {
    !call["path"].as_str().unwrap_or_default().contains("/access_tokens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_at_any_point_of_the_gate_resumes() {
    let kills = POINTS.map(|(point, is_after_approval)| kill_at(point, is_after_approval));
    futures::future::join_all(kills).await;
}
