//! Tests names of files in repos/ that more than one repository can claim.

use serde_json::json;

use crate::world::{World, acme};

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_takes_the_name_of_a_file_does_not_get_its_settings() {
    let teams = json!({ "platform": "admin", "security": "pull" });
    let ours = json!({ "id": 4001, "description": "Ours", "branches": { "main": {} }, "teams": teams });
    let theirs = json!({ "id": 4002, "branches": { "main": {} }, "teams": { "platform": "admin" } });
    let world = World::new(acme(json!({ "pay": ours, "svc": theirs }))).await;
    world.policy("settings.yml", "teams:\n  - { name: platform, permission: admin }\n");
    let file =
        "repository: { name: pay, description: Ours }\nteams:\n  - { name: security, permission: pull }\n";
    world.policy("repos/svc.yml", file);
    world.beadle(&["sweep", "--without-store"]).await.expect(1);
    let plan = world.beadle(&["plan"]).await;
    let why = "repos/svc.yml has the name of repository 4002, but its `repository.name` is the name of repository 4001";
    assert!(plan.out.contains(why), "{}{}", plan.out, plan.err);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    // Now the repository of each file has the file's name.
    std::fs::remove_file(world.path().join("policy/repos/svc.yml")).unwrap();
    world.policy("repos/pay.yml", &file.replace("name: pay, ", ""));
    world.beadle(&["sweep", "--without-store"]).await.expect(0);
    assert_eq!(world.repository("pay")["teams"], teams);
    assert_eq!(world.repository("svc")["teams"], json!({ "platform": "admin" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_after_a_rename_knows_the_repository_of_a_file() {
    let teams = json!({ "platform": "admin", "security": "pull" });
    let live = json!({ "id": 4001, "has_wiki": true, "branches": { "main": {} }, "teams": teams });
    let world = World::new(acme(json!({ "svc": live }))).await;
    world.policy(
        "settings.yml",
        "repository: { has_wiki: false }\nteams:\n  - { name: platform, permission: admin }\n",
    );
    let file = "repository: { name: pay }\nteams:\n  - { name: security, permission: pull }\n";
    world.policy("repos/svc.yml", file);
    world.patch(json!({ "svc": null, "pay": world.repository("svc") }), false).await;
    let serving = world.serve().await;
    world.connect();
    world.until("pay", "has_wiki", |repository| repository["has_wiki"] == json!(false)).await;
    world.until_idle().await;
    assert_eq!(world.repository("pay")["teams"], teams, "what the file grants stays");
    assert_eq!(serving.stop().await, Some(0));
}
