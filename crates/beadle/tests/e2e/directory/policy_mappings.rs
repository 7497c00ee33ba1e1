//! Tests mappings in the policy of an organisation. The target consists of the organisation's
//! teams.

use std::time::Duration;

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::teams::{acme, directory, hold};
use super::world::{World, of};
use crate::world::Serving;

/// Returns the text of a mapping with these keys. The target of the mapping consists of teams.
fn mapping(keys: &str) -> String {
    format!(
        "[[groups]]\nsource = \"corp\"\ntarget = \"teams\"\nmode = \"enforce\"\non_missing_group = \"create\"\n{keys}\n"
    )
}

/// Creates two groups: `AWS_Ops` with 20 people and `AWS_Dev` with 2 people. The configuration file
/// contains no mapping for these groups.
async fn world(mappings: &str) -> World {
    let groups = json!({
        "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..20) },
        "00g2": { "profile": { "name": "AWS_Dev" }, "members": of(20..22) },
    });
    let mut world = World::of_teams(directory(22, &groups), acme(22, &json!({}))).await;
    world.groups = "include = [\"Nothing\"]\n".into();
    world.policy("groups.toml", mappings);
    world
}

async fn until_logged(serving: &Serving, text: &str) {
    for _ in 0..1200 {
        if serving.log().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text}: {}", serving.log());
}

/// Returns the held generations.
async fn held(world: &World) -> Vec<Value> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let holds = holds.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    holds.filter(|hold| hold.get("groups").is_some()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mappings_of_a_policy_come_into_force_with_its_generation() {
    let world = world(&mapping("include = [\"AWS_Dev\"]\nstrip_prefix = \"AWS_\"")).await;
    let shown = world.beadle(&["check"]).await.expect(0);
    assert!(shown.out.contains("2 mappings"), "{}", shown.out);
    let serving = world.serve().await;
    world.until_team("dev", &hold(20..22)).await;
    assert_eq!(world.team("ops"), None);
    // If a file is invalid, the previous generation stays in force.
    world.policy("groups.toml", &mapping("includes = [\"AWS_*\"]"));
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("groups.toml:6"), "{} {}", checked.out, checked.err);
    world.read_policy().await;
    until_logged(&serving, "unknown key `groups.includes`").await;
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g2": { "members": of([0]) } } }));
    world.until_team("dev", &hold([0, 20, 21])).await;
    // The configuration file contains the same mapping. The error shows both places.
    world.policy("groups.toml", &mapping("include = [\"Nothing\"]"));
    let checked = world.beadle(&["check"]).await.expect(1);
    assert!(checked.out.contains("the same groups have a mapping at beadle.toml:"), "{}", checked.out);
    // A valid file comes into force without a restart.
    world.policy("groups.toml", &mapping("include = [\"AWS_*\"]\nstrip_prefix = \"AWS_\""));
    world.read_policy().await;
    world.until_team("ops", &hold(0..20)).await;
    let explained = world.beadle(&["explain", "--group", "AWS_Ops"]).await.expect(0);
    assert!(explained.out.contains("groups.toml:2"), "{}", explained.out);
    world.until_idle().await;
    world.beadle(&["plan"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_that_remove_many_members_write_nothing_before_one_approval() {
    let union = |include: &str| mapping(&format!("include = [\"{include}\"]\ninto = \"All\""));
    let mut world = world(&union("AWS_*")).await;
    world.org_lines = "gate = { removes = 5 }".into();
    let serving = world.serve().await;
    world.connect_github();
    world.until_team("all", &hold(0..22)).await;
    world.until_idle().await;
    world.policy("groups.toml", &union("AWS_Dev"));
    world.read_policy().await;
    let held = held(&world).await;
    assert_eq!(held.len(), 1, "{}", serving.log());
    assert_eq!(held[0]["sums"]["risks"]["removes"], json!(20), "{}", held[0]);
    // The service still repairs drift according to the latest valid mappings.
    world.patch_github(json!({ "teams": { "all": { "members": { "octo3": null } } } }), true).await;
    world.until_team("all", &hold(0..22)).await;
    let generation = held[0]["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "only developers"]).await.expect(0);
    world.read_policy().await;
    world.until_team("all", &hold(20..22)).await;
    assert_eq!(self::held(&world).await, Vec::<Value>::new());
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_the_accepted_mappings_are_in_force_before_a_held_generation() {
    let union = |include: &str| mapping(&format!("include = [\"{include}\"]\ninto = \"All\""));
    let mut world = world(&union("AWS_*")).await;
    world.org_lines = "gate = { removes = 5 }".into();
    let serving = world.serve().await;
    world.until_team("all", &hold(0..22)).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.policy("groups.toml", &union("AWS_Dev"));
    let serving = world.serve().await;
    world.read_policy().await;
    assert_eq!(held(&world).await.len(), 1, "{}", serving.log());
    world.connect(&Hook::default());
    world.okta.patch(&json!({ "groups": { "00g1": { "members": { "00u00000": null } } } }));
    world.until_team("all", &hold(1..22)).await;
}
