//! Tests that the guard counts a change to the organisation once for each affected repository.

use serde_json::{Value, json};

use crate::world::{World, acme};

fn policy(name: &str) -> String {
    format!(
        "rulesets:\n  - name: {name}\n    target: branch\n    enforcement: active\n    conditions:\n\
         \x20     ref_name: {{ include: ['~DEFAULT_BRANCH'], exclude: [] }}\n\
         \x20     repository_name: {{ include: ['*'], exclude: [] }}\n\
         \x20   rules:\n      - {{ type: deletion }}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_an_organisations_ruleset_counts_for_all_its_repositories() {
    let repositories: Value = (0..30).map(|n| (format!("r{n:02}"), json!({}))).collect();
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = "[org.guard]\nremoves = 20\npercent = 100\n".into();
    world.policy("settings.yml", &policy("first"));
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.policy("settings.yml", &policy("second"));
    let plan = world.beadle(&["plan"]).await.expect(2);
    assert!(plan.out.contains("reaches 30 repositories"), "{}", plan.out);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("this change reaches 30 repositories"), "{}", applied.out);
    let is_there = |name: &str| world.sim.state()["orgs"]["acme"]["rulesets"].get(name).is_some();
    assert!(is_there("first") && is_there("second"), "what is added goes on");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let hold: Value = serde_json::from_str(holds.out.lines().next().unwrap()).unwrap();
    world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(!is_there("first"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_the_policy_lacks_loses_access_in_only_a_share_of_the_repositories() {
    let repositories: Value =
        (0..60).map(|n| (format!("r{n:02}"), json!({ "teams": { "contractors": "push" } }))).collect();
    let world = World::new(acme(repositories)).await;
    world.policy("settings.yml", "teams:\n  - { name: platform, permission: admin }\n");
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("48 held by the guard"), "{}", applied.out);
    let left = |world: &World| {
        let state = world.sim.state();
        let all = state["orgs"]["acme"]["repos"].as_object().unwrap().clone();
        all.values().filter(|repository| repository["teams"].get("contractors").is_some()).count()
    };
    assert_eq!(left(&world), 48, "a fifth of 60 lost it");
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(left(&world), 48, "the share has a memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_has_a_maximum_duration() {
    let world = World::new(acme(json!({}))).await;
    for time in ["31d", "213503982334602d", "99999999999999999999d"] {
        let refused = world.beadle(&["pause", "--org", "acme", "--for", time]).await;
        assert_ne!(refused.code, 0, "{time}: {}", refused.out);
    }
    assert!(!world.beadle(&["queue"]).await.out.contains("paused"));
}
