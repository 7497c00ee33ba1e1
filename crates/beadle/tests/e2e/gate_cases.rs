//! Tests the five most expensive mistakes in a policy. The gate holds each mistake as a whole.
//! Before the approval, Beadle writes none of the mistake's changes, but still repairs drift
//! according to the previous generation. After the approval, Beadle writes exactly the changes that
//! the hold showed.

use serde_json::{Value, json};

use crate::gate::held;
use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

/// Returns the number of repositories. This number is above the limit of the gate.
fn repositories() -> usize {
    std::env::var("GATE_REPOSITORIES").map_or(12, |number| number.parse().unwrap())
}

const ENGINEERING: &str = "  - { name: engineering, permission: push }\n";
const SUBORG: &str = "suborgrepos: ['r*']\nteams:\n  - { name: engineering, permission: push }\n";
const LAYER: &str = "select: { name: 'r*' }\nrepository: { visibility: private }\n";

/// A mistake in a policy.
struct Case {
    what: &'static str,
    /// The files before the mistake.
    files: Vec<(&'static str, String)>,
    /// The files that the mistake changes.
    mistake: Vec<(&'static str, String)>,
    /// Returns whether a repository is in the state that the new files declare.
    is_done: fn(&Value) -> bool,
    /// The number of writes for each repository.
    writes: usize,
}

fn without_engineering(repository: &Value) -> bool {
    repository["teams"] == json!({ "platform": "admin" })
}

fn cases() -> [Case; 5] {
    let alone = POLICY.replace(ENGINEERING, "");
    let renamed = |text: &str| text.replace("engineering", "security");
    [
        Case {
            what: "a deleted line",
            files: vec![("settings.yml", POLICY.to_owned())],
            mistake: vec![("settings.yml", alone.clone())],
            is_done: without_engineering,
            writes: 1,
        },
        Case {
            what: "a file of which only comments are left",
            files: vec![("settings.yml", alone.clone()), ("suborgs/all.yml", SUBORG.to_owned())],
            mistake: vec![("suborgs/all.yml", "# to do\n".to_owned())],
            is_done: without_engineering,
            writes: 1,
        },
        Case {
            what: "a selector without a match",
            files: vec![("settings.yml", alone), ("suborgs/all.yml", SUBORG.to_owned())],
            mistake: vec![("suborgs/all.yml", SUBORG.replace("r*", "x*"))],
            is_done: without_engineering,
            writes: 1,
        },
        Case {
            what: "a team renamed in all files",
            files: vec![("settings.yml", POLICY.to_owned()), ("suborgs/all.yml", SUBORG.to_owned())],
            mistake: vec![("settings.yml", renamed(POLICY)), ("suborgs/all.yml", renamed(SUBORG))],
            is_done: |repository| repository["teams"] == json!({ "platform": "admin", "security": "push" }),
            writes: 2,
        },
        Case {
            what: "a default of a layer that becomes public",
            files: vec![("settings.yml", POLICY.to_owned()), ("layers/all.yml", LAYER.to_owned())],
            mistake: vec![("layers/all.yml", LAYER.replace("private", "public"))],
            is_done: |repository| repository["visibility"] == "public",
            writes: 1,
        },
    ]
}

/// Returns the number of calls that wrote to a repository.
fn writes(world: &World) -> usize {
    let is_of_repository = |call: &&Value| !call["path"].to_string().contains("/access_tokens");
    world.writes().iter().filter(is_of_repository).count()
}

async fn expect_held(case: &Case) {
    let what = case.what;
    let number = repositories();
    let repositories: Value = (0..number).map(|n| (format!("r{n:02}"), declared())).collect();
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = "[org.gate]\npercent = 10\n".into();
    std::fs::create_dir(world.path().join("policy/layers")).unwrap();
    for (file, text) in &case.files {
        world.policy(file, text);
    }
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert_eq!(writes(&world), 0, "{what}");

    for (file, text) in &case.mistake {
        world.policy(file, text);
    }
    world.read_policy().await;
    world.read_policy().await;
    let mut holds = held(&world).await;
    assert_eq!(holds.len(), 1, "{what}: {}", serving.log());
    let hold = holds.remove(0);
    assert_eq!(hold["sums"]["repositories"], json!(number), "{what}: {hold}");

    // The service repairs drift according to the previous generation, and writes nothing else.
    world.patch(json!({ "r00": { "teams": { "contractors": "admin" } } }), true).await;
    let is_repaired = |repository: &Value| repository["teams"].get("contractors").is_none();
    world.until("r00", "the repair by the last generation", is_repaired).await;
    world.until_idle().await;
    assert_eq!(writes(&world), 1, "{what}: {:#?}", world.writes());
    assert!(!(case.is_done)(&world.repository("r00")), "{what}");

    world.sim.forget_calls();
    let generation = hold["generation"].as_str().unwrap();
    world.beadle(&["approve", generation, "--reason", "as meant"]).await.expect(0);
    world.read_policy().await;
    for n in 0..number {
        world.until(&format!("r{n:02}"), what, case.is_done).await;
    }
    world.until_idle().await;
    assert_eq!(writes(&world), number * case.writes, "{what}: {:#?}", world.writes());
    assert_eq!(held(&world).await, Vec::<Value>::new(), "{what}");
    assert_eq!(serving.stop().await, Some(0), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_five_costly_mistakes_are_held_until_one_approval() {
    let cases = cases();
    futures::future::join_all(cases.iter().map(expect_held)).await;
}
