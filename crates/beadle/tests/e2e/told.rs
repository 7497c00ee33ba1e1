//! Compares the texts of a running service with the texts in the documents.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::repair::{POLICY, declared};
use crate::world::{Serving, World, acme};

/// The maximum time that a test waits. The time is long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until_logged(serving: &Serving, holds: impl Fn(&str) -> bool) {
    let begun = Instant::now();
    while !serving.log().lines().any(&holds) {
        assert!(begun.elapsed() < PATIENCE, "{}", serving.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_and_doctor_show_the_mode_of_the_service() {
    let mut world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until_swept(&serving).await;
    let other = "the running service has mode observe, the configuration has enforce";
    for command in ["plan", "doctor"] {
        let ran = world.beadle(&[command]).await;
        assert!(!format!("{}{}", ran.out, ran.err).contains(other), "{ran:?}");
    }
    world.mode = "enforce";
    for command in ["plan", "doctor"] {
        let ran = world.beadle(&[command]).await;
        assert!(format!("{}{}", ran.out, ran.err).contains(other), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_repository_of_a_key() {
    let world = World::new(acme(json!({ "widgets": declared() }))).await;
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.fault(json!({ "path": "/graphql", "status": 500 })).await;
    world.patch(json!({ "widgets": { "teams": { "contractors": "admin" } } }), true).await;
    until_logged(&serving, |line| {
        line.contains("run failed") && line.contains("subject=") && line.contains("acme/widgets")
    })
    .await;
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_terraform_module_packs_no_private_key() {
    let text = std::fs::read_to_string(root().join("deploy/terraform/main.tf")).unwrap();
    let packed: Vec<&str> = text.lines().filter(|line| line.contains("fileset(")).collect();
    assert!(!packed.is_empty());
    assert!(packed.iter().all(|line| line.contains("\"**/*.{toml,yml,yaml}\"")), "{packed:?}");
}

#[test]
fn the_example_of_a_directory_makes_no_second_group_for_a_person_who_moves() {
    let text = std::fs::read_to_string(root().join("docs/directory.md")).unwrap();
    let example = text.split("```toml\n").skip(1).find(|block| block.contains("[[groups]]")).unwrap();
    let example: toml::Table = example.split("```").next().unwrap().parse().unwrap();
    for groups in example["groups"].as_array().unwrap() {
        assert_eq!(groups.get("adopt").and_then(toml::Value::as_bool), Some(true), "{groups}");
        assert!(groups.get("strip_prefix").is_none() && groups.get("on_missing_group").is_none(), "{groups}");
    }
}
