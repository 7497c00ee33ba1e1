//! Tests writes that must not change more than their plan shows.

use super::world::World;
use super::*;

#[tokio::test(start_paused = true)]
async fn a_secret_that_beadle_did_not_write_stays_if_the_plan_does_not_show_it() {
    let policy = "webhooks: [{ url: 'https://ci.example.com/hook', events: [push], content_type: json, secret: hook }]\n";
    let mut doc = acme(501, 601);
    let config = json!({ "url": "https://ci.example.com/hook", "content_type": "form", "insecure_ssl": "0",
        "secret": "the value of other people" });
    doc["orgs"]["acme"]["repos"]["shop"]["hooks"] = json!({ "https://ci.example.com/hook": { "id": 7, "active": true, "events": ["push"], "config": config } });
    let mut world = World::new(doc, policy).await;
    world.set_secret("hook", "the value of the configuration");
    let changes = world.changes().await;
    assert!(changes.len() == 1 && changes[0].contains("content_type"), "{changes:?}");
    world.apply().await;
    let state = world.sim.state();
    let config = &state["orgs"]["acme"]["repos"]["shop"]["hooks"]["https://ci.example.com/hook"]["config"];
    assert_eq!(
        (&config["content_type"], &config["secret"]),
        (&json!("json"), &json!("the value of other people"))
    );
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn reviews_that_beadle_turns_on_get_the_declared_number_of_approvals_at_once() {
    let policy = "branches: [{ name: main, protection: { required_pull_request_reviews: { required_approving_review_count: 0, \
                  require_code_owner_reviews: true } } }]\n";
    let mut doc = acme(501, 601);
    doc["orgs"]["acme"]["repos"]["shop"]["protection"] = json!({ "main": { "enforce_admins": true } });
    let world = World::new(doc, policy).await;
    let changes = world.changes().await;
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(!changes[0].contains("Weakens"), "{changes:?}");
    let steps = world.apply_once(super::world::UNLIMITED).await;
    assert_eq!(steps.len(), 1);
    assert_eq!(world.changes().await, Vec::<String>::new(), "nothing is left for a second write");
}

#[tokio::test(start_paused = true)]
async fn a_rule_does_not_rely_on_access_that_the_run_only_observes() {
    let policy = "teams: { additive: [{ name: core, permission: push }] }\n\
                  branches: [{ name: main, protection: { restrictions: { teams: [platform, core] } } }]\n";
    let mut doc = acme(501, 601);
    doc["orgs"]["acme"]["teams"]["core"] = json!({ "id": 602 });
    let shop = &mut doc["orgs"]["acme"]["repos"]["shop"];
    shop["teams"] = json!({ "platform": "push" });
    let mut world = World::new(doc, policy).await;
    world.modes.aspects.insert("teams".to_owned(), Mode::Observe);
    let (_, doubts) = world.changes_and_doubts().await;
    assert!(doubts.iter().any(|why| why.contains("team `core` has no write access")), "{doubts:?}");
    world.modes.aspects.clear();
    assert_eq!(world.changes_and_doubts().await.1, Vec::<String>::new());
}
