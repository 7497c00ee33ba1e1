//! Tests layers that no longer apply to a repository. If a layer no longer applies, Beadle handles
//! each list of the layer separately.

use serde_json::{Value, json};

use crate::world::{World, acme};

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_list_does_not_hold_later_drift_of_another_list() {
    let world = World::new(acme(json!({ "pay-api": { "id": 4001, "branches": { "main": {} } } }))).await;
    let rule = |is_strict: bool| {
        format!("branches:\n  - {{ name: default, protection: {{ enforce_admins: {is_strict} }} }}\n")
    };
    let teams = "teams:\n  - { name: platform, permission: admin }\n  - { name: ghosts, permission: pull }\n";
    world.policy("settings.yml", &format!("{teams}{}", rule(false)));
    let layer = "suborgrepos: ['pay*']\nteams:\n  - { name: security, permission: pull }\n";
    world.policy("suborgs/pay.yml", &format!("{layer}{}", rule(true)));
    world.beadle(&["apply", "--yes"]).await;
    let is_strict =
        |name: &str| world.repository(name)["protection"]["main"]["enforce_admins"] == json!(true);
    assert!(is_strict("pay-api"));
    world.patch(json!({ "pay-api": null, "shop": world.repository("pay-api") }), false).await;
    world.beadle(&["apply", "--yes"]).await;
    assert!(is_strict("shop"), "what the layer protected waits for somebody");
    let holds = world.beadle(&["holds", "--json"]).await.expect(0).out;
    for hold in holds.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        world.beadle(&["approve", hold["digest"].as_str().unwrap(), "--reason", "as meant"]).await.expect(0);
    }
    // The first run writes the change. The second run finds no further change. Both runs report
    // that there is no team `ghosts`.
    world.beadle(&["apply", "--yes"]).await;
    let quiet = world.beadle(&["apply", "--yes"]).await;
    assert!(!is_strict("shop") && quiet.out.contains("ghosts"), "{}", quiet.out);
    // Another person makes the protection strict. The strict protection is drift, and has nothing
    // to do with the layer.
    let mut drifted = world.repository("shop");
    drifted["protection"]["main"]["enforce_admins"] = json!(true);
    world.patch(json!({ "shop": drifted }), false).await;
    let applied = world.beadle(&["apply", "--yes"]).await;
    assert!(!is_strict("shop"), "{}", applied.out);
}
