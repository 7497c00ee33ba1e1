//! Tests how Beadle maps attributes to accounts.

use std::time::Duration;

use beadle_sim::okta::Hook;
use serde_json::{Value, json};

use super::world::{World, of, people};

/// Creates a directory and a target without accounts. The directory has two people in the group
/// `AWS_Ops`.
async fn world(attributes: &str) -> World {
    let groups = json!({ "00g1": { "profile": { "name": "AWS_Ops" }, "members": of(0..2) } });
    let mut users = people(2);
    users["00u00000"]["profile"]["title"] = json!("Chief");
    let mut world = World::new([json!({ "users": users, "groups": groups }), json!({})]).await;
    world.groups += "users = \"provision\"\n";
    world.target_lines = format!("[target.attributes]\n{attributes}");
    world
}

fn account(world: &World, id: &str) -> Option<Value> {
    let users = world.aws.state()["users"].clone();
    users.as_object()?.values().find(|user| user["externalId"] == id).cloned()
}

async fn until_has_title(world: &World, title: &str) {
    for _ in 0..1500 {
        if account(world, "00u00000").is_some_and(|account| account["title"] == title) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the account has another title: {:?}", account(world, "00u00000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_a_profile_updates_the_mapped_attributes_only() {
    let world = world("title = \"title\"\nlocality = \"city\"\n").await;
    let _serving = world.serve().await;
    world.connect(&Hook::default());
    until_has_title(&world, "Chief").await;
    world.until_holds("Ops", 0..2).await;
    let id = world.aws.state()["users"]
        .as_object()
        .unwrap()
        .iter()
        .find_map(|(id, user)| (user["externalId"] == "00u00000").then(|| id.clone()));
    world.aws.patch(&json!({ "users": { id.unwrap(): { "nickName": "Boss" } } }));
    world.okta.patch(&json!({ "users": { "00u00000": { "profile": { "title": "Head" } } } }));
    until_has_title(&world, "Head").await;
    assert_eq!(account(&world, "00u00000").unwrap()["nickName"], "Boss");
    assert_eq!(account(&world, "00u00001").unwrap().get("title"), None, "Okta has no title of this person");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_that_the_target_does_not_have_is_refused_with_its_line() {
    for (attributes, why) in [
        (
            "custom = { \"urn:acme:User:shift\" = \"shift\" }\n",
            "IAM Identity Center does not have this attribute",
        ),
        ("titel = \"title\"\n", "did you mean `title`?"),
        ("title = \"title ~\"\n", "must be an expression: title: "),
        ("custom = { userName = \"login\" }\n", "must not be an attribute that Beadle writes itself"),
    ] {
        let checked = world(attributes).await.beadle(&["check"]).await.expect(1).err;
        assert!(checked.contains(why) && checked.contains("beadle.toml:"), "{attributes}: {checked}");
    }
}
