//! Tests that `beadle undo` restores the values from before a write. The restored values stay until
//! an operator runs `beadle resume`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{World, acme};

const POLICY: &str = "repository: { has_wiki: false }\nteams: [{ name: platform, permission: admin }]\n";

async fn world() -> World {
    let shop = json!({ "branches": { "main": {} }, "has_wiki": true, "teams": { "contractors": "push" } });
    let world = World::new(acme(json!({ "shop": shop }))).await;
    world.policy("settings.yml", POLICY);
    world
}

/// Returns whether the repository is as it was before Beadle changed it.
fn is_undone(world: &World) -> bool {
    let shop = world.repository("shop");
    shop["has_wiki"] == json!(true) && shop["teams"] == json!({ "contractors": "push" })
}

/// Returns whether the repository is as the policy declares.
fn is_declared(world: &World) -> bool {
    let shop = world.repository("shop");
    shop["has_wiki"] == json!(false) && shop["teams"] == json!({ "platform": "admin" })
}

/// Returns the number of the last entry of this kind in the journal.
async fn last(world: &World, kind: &str) -> String {
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    let mut entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.rfind(|entry| entry["kind"] == kind).unwrap()["seq"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undone_write_stays_undone_until_the_operator_resumes_it() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(is_declared(&world));
    let future = world.beadle(&["undo", "--since", "2999-12-01T09:00:00Z", "--yes"]).await.expect(1);
    assert!(future.err.contains("must not be in the future"), "{}", future.err);
    // Without a terminal, a removal needs `--yes`.
    world.beadle(&["undo", "--since", "1h"]).await.expect(1);
    assert!(is_declared(&world));
    let undo = ["undo", "--since", "1h", "--yes", "--as", "mona", "--reason", "the wrong team"];
    world.beadle(&undo).await.expect(0);
    assert!(is_undone(&world));
    let of_mona = world.beadle(&["journal", "--who", "mona"]).await.expect(0).out;
    assert!(of_mona.contains("mona (system user ") && of_mona.contains(") began the undo of"), "{of_mona}");
    assert!(of_mona.contains(": the wrong team"), "{of_mona}");
    let applied = world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(is_undone(&world), "{}", applied.out);
    assert!(applied.out.contains("beadle resume --repo acme/shop"), "{}", applied.out);
    let why = "skipped: an operator undid this, and Beadle only observes it";
    assert!(applied.out.contains(why), "{}", applied.out);
    assert!(applied.out.contains("skipped because of an undo"), "{}", applied.out);
    assert!(!applied.out.contains("mode `observe`"), "{}", applied.out);
    // The end of a pause does not end the undo.
    world.beadle(&["pause", "--org", "acme", "--for", "1h", "--as", "ann"]).await.expect(0);
    world.beadle(&["resume", "--org", "acme", "--as", "ann", "--reason", "released"]).await.expect(0);
    let of_ann = world.beadle(&["journal", "--who", "ann"]).await.expect(0).out;
    assert!(
        of_ann.contains(") paused it until ") && of_ann.contains(") ended the pause: released"),
        "{of_ann}"
    );
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert!(is_undone(&world));
    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert!(is_undone(&world), "nothing is left to undo");
    world.beadle(&["resume", "--repo", "acme/shop"]).await.expect(0);
    world.beadle(&["resume", "--repo", "acme/shop"]).await.expect(1);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(is_declared(&world));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_the_service_and_an_undo_can_be_undone_by_their_numbers() {
    let world = world().await;
    let serving = world.serve().await;
    world.until("shop", "the first sweep", |shop| shop["teams"] == json!({ "platform": "admin" })).await;
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert!(is_declared(&world));
    assert_eq!(serving.stop().await, Some(0));
    let sweeps = world.beadle(&["journal", "--only", "sweep"]).await.expect(0).out;
    let sweep = format!("  sweep {} ended after ", last(&world, "sweep").await);
    assert!(sweeps.lines().next().is_some_and(|line| line.contains(&sweep)), "{sweeps}");
    let number = last(&world, "run").await;
    let journal = world.beadle(&["journal", "--numbers", "--repo", "shop"]).await.expect(0).out;
    let is_it = |line: &str| line.starts_with(&format!("{number}  ")) && line.contains(" written");
    assert!(journal.lines().any(is_it), "{number} is not in {journal}");
    world.beadle(&["undo", &number, "--yes"]).await.expect(0);
    assert!(is_undone(&world));
    let journal = world.beadle(&["journal", "--repo", "shop"]).await.expect(0).out;
    assert!(journal.contains(&format!("; undo of {number}")), "{journal}");
    world.beadle(&["undo", &last(&world, "run").await, "--yes"]).await.expect(0);
    assert!(is_declared(&world));
    world.beadle(&["undo", &last(&world, "operator").await, "--yes"]).await.expect(1);
    assert!(is_declared(&world));
    world.beadle(&["undo", &last(&world, "sweep").await, "--yes"]).await.expect(0);
    assert!(is_undone(&world), "the sweep has the same writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_only_adds_needs_a_confirmation_too() {
    let both = json!({ "platform": "admin", "contractors": "push" });
    let shop = json!({ "branches": { "main": {} }, "teams": both });
    let world = World::new(acme(json!({ "shop": shop }))).await;
    world.policy("settings.yml", "teams: [{ name: platform, permission: admin }]\n");
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["teams"], json!({ "platform": "admin" }));
    let writes = world.writes().len();
    let undone = world.beadle(&["undo", "--since", "1h"]).await.expect(1);
    assert!(undone.out.contains("1 restoration") && !undone.out.contains("removal"), "{}", undone.out);
    assert!(undone.err.contains("add `--yes`"), "{}", undone.err);
    assert_eq!(world.writes().len(), writes, "nothing was written");
    let journal = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0).out;
    assert!(!journal.contains("\"kind\":\"operator\""), "the undo began: {journal}");
    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert_eq!(world.repository("shop")["teams"], both);
}

/// Returns the code of the only group of held changes.
async fn held_group(world: &World) -> String {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0).out;
    let holds = holds.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let codes: BTreeSet<String> = holds.map(|hold| hold["group"].as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 1, "{codes:?}");
    codes.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_group_is_undone_by_its_code_and_the_guard_checks_an_undo_too() {
    let repository = || json!({ "branches": { "main": {} }, "teams": { "contractors": "push" } });
    let mut world = World::new(acme(json!({ "shop": repository(), "store": repository() }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", "teams: [{ name: platform, permission: admin }]\n");
    let have = |teams: &Value| ["shop", "store"].iter().all(|name| world.repository(name)["teams"] == *teams);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let group = held_group(&world).await;
    world.beadle(&["approve", &group, "--reason", "the contract ended"]).await.expect(0);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert!(have(&json!({ "platform": "admin" })));
    // The undo reverts only the approved changes.
    world.beadle(&["undo", &group, "--yes"]).await.expect(0);
    assert!(have(&json!({ "contractors": "push", "platform": "admin" })));

    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(2);
    assert!(have(&json!({ "contractors": "push", "platform": "admin" })), "the guard allows no removal");
    let group = held_group(&world).await;
    let approved = world.beadle(&["approve", &group, "--reason", "the wrong team"]).await.expect(0);
    assert!(approved.err.contains("run the same `beadle undo` again"), "{}", approved.err);
    // The policy does not ask for these changes. So a run of the policy does not write these
    // changes, and does not end their holds.
    world.beadle(&["apply", "--yes"]).await.expect(2);
    world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(0);
    assert!(have(&json!({ "contractors": "push" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_uses_no_limits_that_the_service_has_not_accepted() {
    let shop = json!({ "branches": { "main": {} }, "has_wiki": true });
    let mut world = World::new(acme(json!({ "shop": shop }))).await;
    world.org_lines = "[org.guard]\nremoves = 0\n".into();
    world.policy("settings.yml", POLICY);
    let serving = world.serve().await;
    world.until("shop", "the first sweep", |shop| shop["teams"] == json!({ "platform": "admin" })).await;
    world.until_idle().await;
    assert_eq!(serving.stop().await, Some(0));
    world.org_lines = "[org.guard]\nremoves = 500\n".into();
    let undone = world.beadle(&["undo", "--since", "1h", "--yes"]).await.expect(2);
    assert!(undone.err.contains("the service has not accepted the raised limits"), "{}", undone.err);
    assert_eq!(world.repository("shop")["teams"], json!({ "platform": "admin" }), "{}", undone.out);
}
