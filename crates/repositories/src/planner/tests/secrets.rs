//! Tests the secrets of repositories, environments and webhooks.

use super::world::{UNLIMITED, World};
use super::*;

const POLICY: &str = "
secrets: [{ name: npm_token, secret: npm }]
dependabot_secrets: [{ name: NPM_TOKEN, secret: npm }]
codespaces_secrets: [{ name: NPM_TOKEN, secret: npm }]
environments:
- name: production
  secrets: [{ name: DEPLOY_KEY, secret: deploy }]
";
const FIRST: &str = "the first value of npm";
const SECOND: &str = "the second value of npm";

/// The places of the secrets in the state of the repository.
const PLACES: [&str; 4] = [
    "/secrets/NPM_TOKEN",
    "/dependabot_secrets/NPM_TOKEN",
    "/codespaces_secrets/NPM_TOKEN",
    "/environments/production/secrets/DEPLOY_KEY",
];

async fn world(policy: &str) -> World {
    let mut world = World::new(acme(501, 601), policy).await;
    world.set_secret("npm", FIRST);
    world.set_secret("deploy", "the value of deploy");
    world
}

fn shop(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"].clone()
}

fn value(world: &World, place: &str) -> Value {
    shop(world).pointer(place).map(|secret| secret["value"].clone()).unwrap_or_default()
}

fn patch(shop: &Value) -> Value {
    json!({ "orgs": { "acme": { "repos": { "shop": shop } } } })
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_written_once_and_again_when_its_value_changes() {
    let mut world = world(POLICY).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    let values = PLACES.map(|place| value(&world, place));
    assert_eq!(values, [FIRST, FIRST, FIRST, "the value of deploy"].map(|text| json!(text)));
    world.set_secret("npm", SECOND);
    let changes = world.changes().await;
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(changes.iter().all(|change| change.contains("an earlier value")), "{changes:?}");
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    assert_eq!(value(&world, PLACES[0]), SECOND);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn no_plan_and_no_note_contains_a_value() {
    let mut world = world(POLICY).await;
    let mut texts = world.changes().await;
    world.apply().await;
    world.set_secret("npm", SECOND);
    texts.extend(world.changes().await);
    let notes = world.notes().await;
    assert!(notes.iter().any(|(name, _)| name.contains("NPM_TOKEN")), "{notes:?}");
    texts.push(format!("{notes:?}"));
    for text in texts {
        for value in [FIRST, SECOND, "the value of deploy"] {
            assert!(!text.contains(value), "{text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_somebody_else_changed_or_removed_is_written_again_once() {
    let world = world(POLICY).await;
    world.apply().await;
    let theirs = json!({ "value": "theirs", "updated_at": "2100-01-01T00:00:00Z" });
    world.control("PATCH", &patch(&json!({ "secrets": { "NPM_TOKEN": theirs } }))).await;
    let changes = world.changes().await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(change.contains("somebody else"), "{change}");
    world.apply().await;
    assert_eq!(value(&world, PLACES[0]), FIRST);
    let mut state = world.sim.state();
    state["orgs"]["acme"]["repos"]["shop"]["dependabot_secrets"] = json!({});
    world.control("PUT", &state).await;
    world.apply().await;
    assert_eq!(value(&world, PLACES[1]), FIRST);
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_behind_lets_beadle_write_no_secret_again() {
    let world = world(POLICY).await;
    world.control("PATCH", &json!({ "secrets_updated_at": "2100-01-01T00:00:00Z" })).await;
    world.apply().await;
    assert_eq!(world.changes().await, Vec::<String>::new());
    let theirs = json!({ "value": "theirs", "updated_at": "2100-01-01T00:06:00Z" });
    world.control("PATCH", &patch(&json!({ "secrets": { "NPM_TOKEN": theirs } }))).await;
    let changes = world.changes().await;
    assert!(changes.len() == 1 && changes[0].contains("somebody else"), "{changes:?}");
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn only_an_exclusive_list_removes_other_secrets() {
    let other = json!({ "secrets": { "OTHER": { "value": "x" } } });
    for (policy, stays) in [
        ("secrets: [{ name: NPM_TOKEN, secret: npm }]\n", true),
        ("secrets: { additive: [{ name: NPM_TOKEN, secret: npm }] }\n", true),
        ("secrets: { exclusive: [{ name: NPM_TOKEN, secret: npm }] }\n", false),
    ] {
        let world = world(policy).await;
        world.control("PATCH", &patch(&other)).await;
        let changes = world.changes().await.join("\n");
        assert_eq!(changes.contains("risk: Removes"), !stays, "{policy}: {changes}");
        world.apply().await;
        assert_eq!(shop(&world)["secrets"].get("OTHER").is_some(), stays, "{policy}");
        assert_eq!(value(&world, PLACES[0]), FIRST);
        world.check_calls();
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_beadle_did_not_write_gets_the_declared_value() {
    let world = world(POLICY).await;
    world.control("PATCH", &patch(&json!({ "secrets": { "NPM_TOKEN": { "value": "old" } } }))).await;
    let changes = world.changes().await.join("\n");
    assert!(changes.contains("a value that Beadle did not write"), "{changes}");
    world.apply().await;
    assert_eq!(value(&world, PLACES[0]), FIRST);
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_webhook_follows_the_configuration() {
    const HOOK: &str = "https://ci.example.com/hook";
    let mut world = world(&format!("webhooks: [{{ url: '{HOOK}', secret: npm }}]\n")).await;
    let kept = |world: &World| shop(world)["hooks"][HOOK]["config"]["secret"].clone();
    world.apply().await;
    assert_eq!(kept(&world), FIRST);
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.set_secret("npm", SECOND);
    let changes = world.changes().await;
    let [change] = changes.as_slice() else { panic!("{changes:?}") };
    assert!(change.contains("an earlier value") && !change.contains(SECOND), "{change}");
    world.apply().await;
    assert_eq!(kept(&world), SECOND);
    assert_eq!(world.changes().await, Vec::<String>::new());
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_a_new_webhook_can_change_before_the_second_plan() {
    const HOOK: &str = "https://ci.example.com/hook";
    let mut world = world(&format!("webhooks: [{{ url: '{HOOK}', secret: npm }}]\n")).await;
    world.apply_once(UNLIMITED).await;
    world.set_secret("npm", SECOND);
    let changes = world.changes().await;
    assert!(changes.len() == 1 && changes[0].contains("an earlier value"), "{changes:?}");
    world.apply().await;
    assert_eq!(shop(&world)["hooks"][HOOK]["config"]["secret"], SECOND);
    assert_eq!(world.changes().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_a_value_in_the_configuration_is_unknown() {
    let stage = Stage::new(acme(501, 601), "secrets: { exclusive: [{ name: A, secret: missing }] }\n").await;
    let plan = stage.plan().await;
    assert!(plan.changes.is_empty());
    assert!(
        plan.unknowns.iter().any(|unknown| unknown.why.contains("declares no secret")),
        "{:?}",
        plan.unknowns
    );
}
