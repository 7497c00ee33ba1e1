//! Tests values that GitHub would refuse because of other values of the repository.

use super::world::World;
use super::*;

fn topics(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("t{n:02}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_takes_the_place_of_another_is_written_with_it() {
    let mut doc = acme(501, 601);
    doc["orgs"]["acme"]["repos"]["shop"]["topics"] = json!(topics(0..20));
    let policy = json!({ "repository": { "topics": topics(1..21) } }).to_string();
    let world = World::new(doc.clone(), &policy).await;
    world.apply().await;
    assert_eq!(world.sim.state()["orgs"]["acme"]["repos"]["shop"]["topics"], json!(topics(1..21)));
    // An additive list removes no topic, so there is no room for the new one.
    let additive = json!({ "repository": { "topics": { "additive": ["new"] } } }).to_string();
    let world = World::new(doc, &additive).await;
    let (changes, doubts) = world.changes_and_doubts().await;
    assert!(changes.is_empty(), "{changes:?}");
    assert!(doubts.len() == 1 && doubts[0].contains("would have 21 topics"), "{doubts:?}");
}

#[tokio::test(start_paused = true)]
async fn security_updates_without_alerts_are_unknown_and_not_refused_in_every_sweep() {
    let updates = "security: { dependabot_security_updates: true }\n";
    let world = World::new(acme(501, 601), updates).await;
    let (changes, doubts) = world.changes_and_doubts().await;
    assert!(changes.is_empty(), "{changes:?}");
    assert!(doubts.len() == 1 && doubts[0].contains("add `dependabot_alerts: true`"), "{doubts:?}");
    let both = "security: { dependabot_alerts: true, dependabot_security_updates: true }\n";
    let world = World::new(acme(501, 601), both).await;
    world.apply().await;
}
