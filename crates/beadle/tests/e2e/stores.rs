//! Tests which commands create a store.

use serde_json::json;

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_an_operator_creates_no_store() {
    let mut state = acme(json!({ "widgets": declared() }));
    state["orgs"]["acme"]["teams"]["core"] = json!({ "id": 701 });
    let world = World::new(state).await;
    world.policy("settings.yml", POLICY);
    world.policy("repos/widgets.yml", "repository: { has_wiki: false }\n");
    let path = world.path().join("wrong.db");
    let wrong = path.to_str().unwrap();
    let commands: &[&[&str]] = &[
        &["pause", "--org", "acme", "--for", "1h"],
        &["pause", "--repo", "acme/widgets", "--for", "1h"],
        &["resume", "--org", "acme"],
        &["resume", "--repo", "acme/widgets"],
        &["approve", "8f0c1d2e3a4b"],
        &["reject", "8f0c1d2e3a4b"],
        &["undo", "1"],
        &["rebind", "acme/widgets"],
        &["rebind", "acme", "--team", "core"],
        &["rebind", "acme", "--user", "mona"],
        &["holds"],
        &["queue"],
        &["queue", "--retry", "repository:acme:1"],
        &["deliveries"],
        &["journal"],
        &["tasks"],
    ];
    for command in commands {
        let args: Vec<&str> = command.iter().copied().chain(["--store", wrong]).collect();
        let ran = world.beadle(&args).await.expect(1);
        assert!(ran.err.contains(&format!("there is no store at {wrong}")), "{command:?}: {}", ran.err);
        assert!(!path.exists(), "{command:?} created a store");
    }
    // These commands need no store.
    for command in
        [&["tasks", "run", "policy of acme"][..], &["plan"], &["explain", "acme/widgets"], &["budget"]]
    {
        let args: Vec<&str> = command.iter().copied().chain(["--store", wrong]).collect();
        world.beadle(&args).await;
        assert!(!path.exists(), "{command:?} created a store");
    }
    assert!(world.writes().is_empty());
    // The path itself is valid. A command that starts an instance creates the store there.
    world.beadle(&["apply", "--yes", "--store", wrong]).await;
    assert!(path.exists());
}
