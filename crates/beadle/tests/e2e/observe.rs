//! Tests that `beadle plan` and all runs in mode `observe` never write. The types of the program
//! already guarantee this. These tests also count the writes.

use serde_json::json;

use crate::repair::{POLICY, declared, is_declared};
use crate::world::{World, acme};

fn drifted() -> serde_json::Value {
    json!({
        "widgets": { "visibility": "public", "teams": { "contractors": "admin" }, "branches": { "main": {} } },
        "empty": {},
        "archived": { "archived": true, "has_wiki": true },
        "gadgets": declared(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_writes_nothing() {
    let world = World::new(acme(drifted())).await;
    world.policy("settings.yml", POLICY);
    for args in [
        &["plan"][..],
        &["plan", "--repo", "widgets"],
        &["plan", "--format", "json"],
        &["plan", "--format", "markdown", "--org", "ACME"],
    ] {
        world.beadle(args).await.expect(2);
    }
    world.fault(json!({ "path": "/graphql", "contains": "nodes", "shorten": "collaborators" })).await;
    world.beadle(&["plan"]).await.expect(2);
    assert_eq!(world.writes(), Vec::<serde_json::Value>::new());
    let plan = world.beadle(&["plan", "--format", "json"]).await.json();
    assert_eq!(plan["organisations"][0]["pending"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_organisation_observes() {
    let mut world = World::new(acme(drifted())).await;
    world.mode = "observe";
    world.policy("settings.yml", POLICY);
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(applied.out.contains("skipped by the mode"), "{}", applied.out);
    let serving = world.serve().await;
    world.connect();
    world.patch(json!({ "gadgets": { "teams": { "contractors": "admin" } } }), true).await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert_eq!(world.writes(), Vec::<serde_json::Value>::new());
    let journal = world.beadle(&["journal"]).await.expect(0);
    assert!(
        journal.out.contains("skipped by the mode"),
        "what would have been done is in the journal: {}",
        journal.out
    );
    assert_eq!(serving.stop().await, Some(0));
    // Only the mode changes to `enforce`. No other step is necessary.
    world.mode = "enforce";
    let serving = world.serve().await;
    world.until("widgets", "it is as declared", is_declared).await;
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn add_only_never_removes_weakens_or_exposes() {
    let mut world = World::new(acme(json!({ "widgets": {
        "visibility": "private", "branches": { "main": {} }, "topics": ["old"],
        "teams": { "contractors": "admin", "engineering": "admin" },
        "protection": { "main": { "enforce_admins": true, "allow_deletions": false } },
    } })))
    .await;
    world.mode = "add-only";
    let loose = POLICY
        .replace("visibility: private", "visibility: public")
        .replace("enforce_admins: true", "enforce_admins: false\n      allow_deletions: true");
    world.policy("settings.yml", &loose);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let after = world.repository("widgets");
    assert_eq!(after["visibility"], "private");
    assert_eq!(after["topics"], json!(["managed", "old"]));
    assert_eq!(
        after["teams"],
        json!({ "contractors": "admin", "engineering": "admin", "platform": "admin" })
    );
    assert_eq!(after["protection"]["main"]["enforce_admins"], json!(true));
    assert_eq!(after["protection"]["main"]["allow_deletions"], json!(false));
    assert_eq!(after["has_wiki"], json!(false), "what only changes is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aspect_can_have_a_more_careful_mode_than_its_organisation() {
    let mut world = World::new(acme(drifted())).await;
    world.org_lines = "[org.modes]\nteams = \"observe\"\n".into();
    world.policy("settings.yml", POLICY);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let after = world.repository("widgets");
    assert_eq!(after["teams"], json!({ "contractors": "admin" }));
    assert_eq!(after["visibility"], "private");
    assert!(!is_declared(&after));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_risky_changes_need_yes() {
    let world = World::new(acme(drifted())).await;
    world.policy("settings.yml", POLICY);
    let refused = world.beadle(&["apply"]).await.expect(1);
    assert!(refused.err.contains("--yes") && refused.err.contains("2 removals"), "{}", refused.err);
    assert_eq!(world.writes(), Vec::<serde_json::Value>::new());
    world.beadle(&["apply", "--yes"]).await.expect(0);
    world.beadle(&["apply"]).await.expect(0);
}
