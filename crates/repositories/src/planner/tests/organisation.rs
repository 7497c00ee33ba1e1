//! Changes every field of the organisation's rulesets and code security configurations, one field
//! at a time. Beadle must find each change and restore the declared value.

use super::world::World;
use super::*;

/// The end-to-end tests of the organisation use the same policy.
const SETTINGS: &str = include_str!("organisation.yml");

/// Returns the part of the state that belongs to the organisation itself.
fn own(state: &Value) -> Value {
    let org = &state["orgs"]["acme"];
    json!({ "rulesets": org["rulesets"], "security_configurations": org["security_configurations"] })
}

/// Returns the state in a form for comparisons. This form has a fixed order, and does not contain
/// the ids and times of new objects.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !["id", "updated_at"].contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), comparable(value)))
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(comparable).collect();
            items.sort_by_key(ToString::to_string);
            json!(items)
        }
        other => other.clone(),
    }
}

/// Adds copies of the document to `found`. In each copy, one value below `value` is changed.
fn mutations(document: &Value, path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    let skipped = ["/id", "/updated_at", "/type", "/actor_type", "/actor_id"];
    if skipped.iter().any(|end| path.ends_with(end)) {
        return;
    }
    let mut with = |suffix: &str, new: Value| {
        let mut changed = document.clone();
        *changed.pointer_mut(path).unwrap() = new;
        found.push((format!("{path}{suffix}"), changed));
    };
    match value {
        Value::Bool(on) => with("", json!(!on)),
        Value::Number(number) => with("", json!(number.as_i64().unwrap() + 1)),
        Value::String(text) => {
            let other = match text.as_str() {
                "enabled" => "disabled",
                "enforced" => "unenforced",
                "all" => "public",
                "active" => "evaluate",
                "branch" => "tag",
                "always" => "pull_request",
                "labeled" => "standard",
                text => &format!("{text}-changed"),
            };
            with("", json!(other));
        }
        Value::Array(items) if !items.is_empty() => with(" emptied", json!([])),
        Value::Object(map) if ["/rulesets", "/security_configurations"].contains(&path) => {
            for name in map.keys() {
                let mut fewer = map.clone();
                fewer.remove(name);
                with(&format!(" without {name}"), json!(fewer));
            }
        }
        _ => {}
    }
    let children: Vec<(String, Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        Value::Array(items) if path.ends_with("/repositories") => {
            // A changed id detaches one repository. The empty list in `found` detaches all of them.
            let _ = items;
            Vec::new()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value.clone())).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        mutations(document, &format!("{path}/{}", key.replace('/', "~1")), &child, found);
    }
}

#[tokio::test(start_paused = true)]
async fn drift_of_every_field_of_the_organisation_is_repaired() {
    let state = json!({
        "orgs": { "acme": { "repos": {
            "widgets": { "branches": { "main": {} } },
            "gadgets": { "branches": { "main": {} }, "visibility": "public" },
            "old": { "archived": true },
        } } },
        "users": {}, "apps": { "beadle-app": { "id": beadle_sim::APP_ID } },
    });
    let world = World::new(state, SETTINGS).await;
    world.apply().await;
    let declared = own(&world.sim.state());
    let attached = declared["security_configurations"]["baseline"]["repositories"].as_array().unwrap().len();
    assert_eq!(attached, 2, "an archived repository takes no writes");
    // The test changes only values that the apply wrote. So the test would not notice a key that no
    // aspect applies.
    assert_eq!(declared["security_configurations"]["baseline"]["default_for_new_repos"], "all");
    let mut table = Vec::new();
    for part in ["rulesets", "security_configurations"] {
        mutations(&declared, &format!("/{part}"), &declared[part], &mut table);
    }
    assert!(table.len() > 25, "the table has shrunk: {}", table.len());
    for (what, mutated) in &table {
        let mut state = world.sim.state();
        for part in ["rulesets", "security_configurations"] {
            state["orgs"]["acme"][part] = mutated[part].clone();
        }
        world.control("PUT", &state).await;
        assert!(!world.changes().await.is_empty(), "{what} was not found");
        world.apply().await;
        assert_eq!(
            comparable(&own(&world.sim.state())),
            comparable(&declared),
            "{what} was mended otherwise"
        );
        assert_eq!(world.changes().await, Vec::<String>::new(), "{what}: the plan after is not empty");
    }
    world.check_calls();
}
