//! Tests how Beadle changes files. Beadle opens a pull request to change a file.

use serde_json::{Value, json};

use crate::world::{World, acme};

const OWNERS: &str = "files:\n- { path: CODEOWNERS, content: \"* @acme/platform\\n\" }\n";
const WORKFLOW: &str = "- { path: .github/workflows/ci.yml, content: \"on: push\\n\" }\n";

/// Creates an organisation. The App of the organisation can write ordinary files, but not
/// workflows.
async fn world() -> World {
    let mut state = acme(json!({
        "shop": { "branches": { "main": {} }, "contents": { "README.md": "hello\n" } },
    }));
    state["orgs"]["acme"]["permissions"] = json!({
        "administration": "write", "contents": "write", "members": "read", "metadata": "read",
        "organization_custom_properties": "read", "pull_requests": "write",
    });
    let mut world = World::unlimited(state).await;
    // There is only one repository, so each change exceeds the default percentage.
    world.org_lines += "[org.guard]\npercent = 100\nweakens = 100\n";
    world.policy("settings.yml", OWNERS);
    world
}

fn proposed(world: &World) -> Value {
    world.repository("shop")["pulls"]["1"]["contents"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_waits_for_a_person_and_the_plan_after_it_has_no_change() {
    let world = world().await;
    world.beadle(&["plan"]).await.expect(2);
    world.beadle(&["apply", "--yes"]).await.expect(0);
    assert_eq!(proposed(&world)["CODEOWNERS"], "* @acme/platform\n");
    assert_eq!(world.repository("shop")["contents"], json!({ "README.md": "hello\n" }));
    let plan = world.beadle(&["plan"]).await.expect(0);
    assert!(plan.out.contains("#1 waits for a merge") && plan.out.contains("1 waiting"), "{}", plan.out);
    let plan = world.beadle(&["plan", "--format", "json"]).await.expect(0).json();
    assert_eq!(plan["organisations"][0]["pending"], json!(false), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_changes_a_declared_file_is_answered_by_a_pull_request_without_a_sweep() {
    let world = world().await;
    world.patch(json!({ "shop": { "contents": { "CODEOWNERS": "* @acme/platform\n" } } }), false).await;
    let serving = world.serve().await;
    world.connect();
    world.until_swept(&serving).await;
    world.until_idle().await;
    assert_eq!(proposed(&world), Value::Null, "the file is as declared");
    world.patch(json!({ "shop": { "contents": { "CODEOWNERS": "* @mona\n" } } }), true).await;
    let is_proposed = |shop: &Value| shop["pulls"]["1"]["contents"]["CODEOWNERS"] == "* @acme/platform\n";
    world.until("shop", "the pull request", is_proposed).await;
    // The merge of the pull request does not delete the branch. Beadle deletes the branch at the
    // next event.
    let merged = json!({
        "contents": { "CODEOWNERS": "* @acme/platform\n" }, "pulls": { "1": { "merged": true } },
    });
    world.patch(json!({ "shop": merged }), true).await;
    let is_over = |shop: &Value| shop["branches"].get("beadle/files").is_none();
    world.until("shop", "the end of the branch", is_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_the_app_may_not_write_is_refused_and_the_pull_request_stays() {
    let world = world().await;
    world.beadle(&["apply", "--yes"]).await.expect(0);
    let before = proposed(&world);
    world.policy("settings.yml", &format!("{OWNERS}{WORKFLOW}"));
    let applied = world.beadle(&["apply", "--yes"]).await.expect(1);
    assert!(format!("{}{}", applied.out, applied.err).contains("not accessible"), "{}", applied.out);
    assert_eq!(proposed(&world), before);
}
