//! Tests repositories that Beadle creates. Beadle creates exactly one repository for each file,
//! even if the process ends at any point. A repository is never public before it is protected.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Serving, World, acme};

const SETTINGS: &str = "
repository: { visibility: public, has_wiki: false }
teams: [{ name: platform, permission: admin }]
branches:
  - name: default
    protection: { enforce_admins: true }
";
const CREATE: &str = "repository: { force_create: true, auto_init: true }\n";

/// The points at which the process kills itself. For a point with the number 2, the process passes
/// the point twice, and kills itself at the third time.
const POINTS: &[(&str, u32)] = &[
    ("before-creation", 0),
    ("after-creation", 0),
    ("between-claim-and-write", 1),
    ("before-intent", 0),
    ("before-intent", 2),
    ("between-intent-and-write", 0),
    ("between-intent-and-write", 2),
    ("between-write-and-result", 0),
    ("between-write-and-result", 1),
    ("between-write-and-result", 3),
];

fn is_protected(repository: &Value) -> bool {
    repository["has_wiki"] == json!(false)
        && repository["teams"] == json!({ "platform": "admin" })
        && repository["protection"]["main"]["enforce_admins"] == json!(true)
}

fn is_done(repository: &Value) -> bool {
    repository["visibility"] == "public" && is_protected(repository)
}

/// Checks that the repository is not public without its protection.
fn check(world: &World) {
    let new = world.repository("new");
    assert!(new.is_null() || new["visibility"] == "private" || is_protected(&new), "{new}");
}

async fn world() -> World {
    let old = json!({ "branches": { "main": {} }, "visibility": "public", "has_wiki": false,
        "teams": { "platform": "admin" }, "protection": { "main": { "enforce_admins": true } } });
    let mut state = acme(json!({ "old": old }));
    // A rename of a branch needs `contents: write`.
    state["orgs"]["acme"]["permissions"] = json!({
        "administration": "write", "contents": "write", "metadata": "read", "members": "write",
        "issues": "write", "repository_hooks": "write", "organization_administration": "write",
        "organization_custom_properties": "read", "repository_custom_properties": "write",
        "vulnerability_alerts": "write", "security_events": "write", "actions": "write",
    });
    let mut world = World::unlimited(state).await;
    world.lines = "[worker]\nlease = \"1s\"\n".into();
    world.policy("settings.yml", SETTINGS).policy("repos/new.yml", CREATE);
    world
}

/// Returns the names of all repositories.
fn names(world: &World) -> Vec<String> {
    let all = world.sim.look(|state| state["orgs"]["acme"]["repos"].clone());
    let mut names: Vec<String> = all.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_makes_no_second_repository_and_none_that_is_public_too_early() {
    for (point, passes) in POINTS {
        let world = world().await;
        let skipped = if *passes > 0 { format!("{passes}*off->") } else { String::new() };
        let setting = format!("{point}={skipped}return;first-generation=return");
        let mut serving = world.spawn(&[("FAILPOINTS", &setting)]);
        let mut is_killed = false;
        for _ in 0..3000 {
            check(&world);
            if serving.child.try_wait().unwrap().is_some() {
                is_killed = true;
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(is_killed, "the process did not reach {point} {} times", passes + 1);
        drop(serving);
        let serving = world.serve().await;
        world
            .until("new", "the whole policy", |new| {
                check(&world);
                is_done(new)
            })
            .await;
        world.until_idle().await;
        assert_eq!(names(&world), ["new", "old"], "{point} {passes}");
        assert_eq!(serving.stop().await, Some(0));
        world.beadle(&["plan"]).await.expect(0);
    }
}

/// Starts a service. Then adds the file of the new repository to the policy in force.
async fn added_later(mode: &'static str) -> (World, Serving) {
    let mut world = world().await;
    std::fs::remove_file(world.path().join("policy/repos/new.yml")).unwrap();
    world.mode = mode;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.policy("repos/new.yml", CREATE);
    // A generation comes into force after the second read.
    world.read_policy().await;
    world.read_policy().await;
    (world, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_in_the_policy_creates_its_repository() {
    let (world, serving) = added_later("enforce").await;
    world.until("new", "the whole policy", is_done).await;
    world.until_idle().await;
    assert_eq!(names(&world), ["new", "old"]);
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_plans_a_creation_and_creates_nothing() {
    let (world, serving) = added_later("observe").await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    let planned = world.beadle(&["plan"]).await.expect(2);
    assert!(planned.out.contains("acme/new"), "{}", planned.out);
    assert_eq!(names(&world), ["old"]);
    assert_eq!(world.writes(), Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_branch_is_renamed_with_its_rule_and_a_kill_in_between_does_no_harm() {
    for point in ["between-intent-and-write", "between-write-and-result"] {
        let world = world().await;
        std::fs::remove_file(world.path().join("policy/repos/new.yml")).unwrap();
        let renames = "repository: { default_branch: trunk, default_branch_when_missing: rename }\n";
        world.policy("repos/old.yml", renames);
        let setting = format!("{point}=return;first-generation=return");
        let mut serving = world.spawn(&[("FAILPOINTS", &setting)]);
        for _ in 0..3000 {
            if serving.child.try_wait().unwrap().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(serving);
        let serving = world.serve().await;
        let is_renamed = |old: &Value| {
            old["default_branch"] == "trunk" && old["branches"].as_object().is_some_and(|all| all.len() == 1)
        };
        world.until("old", "the rename", is_renamed).await;
        world.until_idle().await;
        let rules = world.repository("old")["protection"].clone();
        let patterns: Vec<&String> = rules.as_object().unwrap().keys().collect();
        assert_eq!(patterns, ["trunk"]);
        assert_eq!(rules["trunk"]["enforce_admins"], json!(true));
        assert_eq!(serving.stop().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_creates_a_repository_and_applies_its_policy() {
    let commands: [&[&str]; 3] = [&["apply", "--yes"], &["apply", "--repo", "new", "--yes"], &["sweep"]];
    for command in commands {
        created_by(command).await;
    }
}

async fn created_by(command: &[&str]) {
    let world = world().await;
    world.beadle(command).await.expect(0);
    assert!(is_done(&world.repository("new")), "{}", world.repository("new"));
    world.beadle(&["plan"]).await.expect(0);
    let writes = world.writes();
    let create = writes.iter().position(|call| call["path"] == "/orgs/acme/repos");
    assert_eq!(create, Some(0));
    assert_eq!(writes.last().unwrap()["method"], "PATCH", "the visibility is the last write");
}
