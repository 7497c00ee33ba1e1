//! Tests deploy keys.

use super::world::World;
use super::*;

const POLICY: &str = "
deploy_keys:
- { key: ssh-ed25519 AAAA ci@host, title: CI }
- { key: ssh-ed25519 BBBB, title: Release, read_only: false }
";

fn keys_of(world: &World) -> Value {
    world.sim.state()["orgs"]["acme"]["repos"]["shop"]["deploy_keys"].clone()
}

/// Returns the keys without the fields that GitHub adds.
fn content(keys: &Value) -> Value {
    let mut keys = keys.clone();
    for (_, key) in keys.as_object_mut().into_iter().flatten() {
        for own in ["id", "created_at"] {
            key.as_object_mut().unwrap().remove(own);
        }
    }
    keys
}

async fn set(world: &World, keys: &Value) {
    let mut state = world.sim.state();
    state["orgs"]["acme"]["repos"]["shop"]["deploy_keys"] = keys.clone();
    world.control("PUT", &state).await;
}

#[tokio::test(start_paused = true)]
async fn drift_of_every_field_is_repaired() {
    let world = World::new(acme(501, 601), POLICY).await;
    let changes = world.changes().await;
    assert!(!changes[0].contains("Exposes") && changes[1].contains("Exposes"), "{changes:?}");
    world.apply().await;
    let whole = json!({
        "ssh-ed25519 AAAA": { "title": "CI", "read_only": true },
        "ssh-ed25519 BBBB": { "title": "Release", "read_only": false },
    });
    assert_eq!(content(&keys_of(&world)), whole);
    let settled = keys_of(&world);
    let other = |change: &dyn Fn(&mut Value)| {
        let mut other = settled.clone();
        change(&mut other);
        other
    };
    for (drift, risk) in [
        (other(&|keys| keys["ssh-ed25519 AAAA"]["read_only"] = json!(false)), "Changes"),
        (other(&|keys| keys["ssh-ed25519 BBBB"]["read_only"] = json!(true)), "Exposes"),
        (other(&|keys| keys["ssh-ed25519 AAAA"]["title"] = json!("Other")), "Changes"),
        (other(&|keys| drop(keys.as_object_mut().unwrap().remove("ssh-ed25519 AAAA"))), "Adds"),
        (
            other(&|keys| keys["ssh-rsa CCCC"] = json!({ "id": 9, "title": "X", "read_only": true })),
            "Removes",
        ),
    ] {
        set(&world, &drift).await;
        let changes = world.changes().await;
        assert!(changes.len() == 1 && changes[0].contains(risk), "{risk}: {changes:?}");
        world.apply().await;
        assert_eq!(content(&keys_of(&world)), whole, "{risk}");
    }
    world.check_calls();
}

#[tokio::test(start_paused = true)]
async fn an_additive_list_keeps_other_keys() {
    let world = World::new(acme(501, 601), "deploy_keys: { additive: [] }\n").await;
    set(&world, &json!({ "ssh-rsa CCCC": { "id": 9, "title": "X", "read_only": true } })).await;
    assert_eq!(world.changes().await, Vec::<String>::new());
}
