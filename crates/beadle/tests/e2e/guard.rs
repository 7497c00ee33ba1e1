//! Tests the guard. Within a time window, Beadle writes removals up to the limit. Beadle holds
//! further removals until an approval. Beadle writes all changes of other kinds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

/// Returns 30 repositories, each with an undeclared team and an undeclared wiki.
fn drifted() -> Value {
    let mut repositories = json!({});
    for n in 0..30 {
        let mut repository = declared();
        repository["teams"]["contractors"] = json!("admin");
        repository["has_wiki"] = json!(true);
        repositories[format!("r{n:02}")] = repository;
    }
    repositories
}

async fn world() -> World {
    let mut world = World::new(acme(drifted())).await;
    world.org_lines = "[org.guard]\nremoves = 10\n".into();
    world.policy("settings.yml", POLICY);
    world
}

fn count(world: &World, holds: impl Fn(&Value) -> bool) -> usize {
    world.sim.look(|state| {
        let repositories = state["orgs"]["acme"]["repos"].as_object().unwrap().values();
        repositories.filter(|repository| holds(repository)).count()
    })
}

fn with_team(repository: &Value) -> bool {
    repository["teams"].get("contractors").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_writes_up_to_the_limit_and_holds_the_rest_until_an_approval() {
    let world = world().await;
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("20 held by the guard"), "{}", applied.out);
    assert_eq!(count(&world, with_team), 20);
    assert_eq!(
        count(&world, |repository| repository["has_wiki"] == json!(true)),
        0,
        "the rest of the plan goes on"
    );
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(count(&world, with_team), 20, "asking again lets nothing more through");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let digests: Vec<String> = holds
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(digests.len(), 20);
    world.beadle(&["approve", &digests[0], &digests[1], "--reason", "as meant"]).await.expect(0);
    world.beadle(&["approve", "nothing"]).await.expect(1);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(count(&world, with_team), 18, "the approved ones, and no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_also_holds_changes_and_continues_after_an_approval() {
    let world = world().await;
    let serving = world.serve().await;
    for _ in 0..2000 {
        if count(&world, |repository| repository["has_wiki"] == json!(true)) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.until_idle().await;
    assert_eq!(count(&world, with_team), 20);
    world.beadle(&["tasks", "run", "metrics"]).await.expect(0);
    let metrics = format!("http://127.0.0.1:{}/metrics", world.ports[1]);
    let metrics = world.http.get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("beadle_changes_held 20"), "{metrics}");
    let drifted = "beadle_keys_drifted{name=\"acme\",aspect=\"teams\",cause=\"held\"} 20\n";
    assert!(metrics.contains(drifted), "{metrics}");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let hold: Value = serde_json::from_str(holds.out.lines().next().unwrap()).unwrap();
    let name = hold["subject"].as_str().unwrap().trim_start_matches("acme/").to_owned();
    world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    world.until(&name, "the approved removal", is_declared).await;
    assert_eq!(count(&world, with_team), 19);
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_list_of_teams_and_an_empty_file_remove_nothing() {
    let mut repositories = json!({});
    for n in 0..30 {
        repositories[format!("r{n:02}")] = declared();
    }
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = "[org.guard]\nremoves = 5\n".into();
    world.policy("settings.yml", "teams:\n  - { name: platform, permission: admin }\n");
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("25 held"), "{}", applied.out);
    assert_eq!(count(&world, |repository| repository["teams"].get("engineering").is_none()), 5);
    world.policy("settings.yml", "");
    let before = world.writes().len();
    let emptied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(emptied.err.contains("the file is empty"), "{}", emptied.err);
    assert_eq!(world.writes().len(), before);
}
