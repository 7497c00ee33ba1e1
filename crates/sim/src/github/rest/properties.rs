//! Values of custom properties.
//!
//! <https://docs.github.com/rest/orgs/custom-properties>

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::world::World;

fn values(found: &Value) -> Vec<Value> {
    let properties = found["properties"].as_object().into_iter().flatten();
    properties.map(|(name, value)| json!({ "property_name": name, "value": value })).collect()
}

/// Answers `/repos/{owner}/{repo}/properties/values`.
pub(super) fn of_repository(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    match call.method.as_str() {
        "GET" => Reply::json(200, json!(values(found))),
        "PATCH" => {
            let given = world.org(org).is_some_and(|org| org["custom_properties"].is_array());
            let defined = defined(world, org);
            for property in call.body["properties"].as_array().into_iter().flatten() {
                let name = property["property_name"].as_str().unwrap_or_default();
                if given && !defined.contains(name) {
                    return Reply::invalid(&format!("Property '{name}' does not exist for '{org}'"));
                }
            }
            let name = found["name"].as_str().unwrap_or_default();
            world.edit(org, name, call.sender, |found| {
                for property in call.body["properties"].as_array().into_iter().flatten() {
                    let Some(name) = property["property_name"].as_str() else { continue };
                    if property["value"].is_null() {
                        found["properties"].as_object_mut().and_then(|known| known.remove(name));
                    } else {
                        found["properties"][name] = property["value"].clone();
                    }
                }
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

/// The names that an organisation defines: those that its `custom_properties` list; and where the state has no such list, those
/// that any repository has a value of.
fn defined(world: &World, org: &str) -> BTreeSet<String> {
    let given = world.org(org).map(|org| org["custom_properties"].clone()).unwrap_or_default();
    if let Some(names) = given.as_array() {
        return names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let repositories = world.repositories(org);
    let names = repositories.iter().filter_map(|found| found["properties"].as_object()).flat_map(|known| known.keys());
    names.cloned().collect()
}

/// Answers `/orgs/{org}/properties/schema`.
pub(super) fn schema(world: &World, call: &Call<'_>, org: &str) -> Reply {
    if call.method.as_str() != "GET" {
        return Reply::not_found();
    }
    let rows = defined(world, org).into_iter().map(|name| {
        json!({
            "property_name": name, "source_type": "organization", "value_type": "string", "required": false,
            "default_value": null, "description": null, "allowed_values": null, "values_editable_by": "org_actors",
        })
    });
    Reply::json(200, rows.collect())
}

/// Answers `/orgs/{org}/properties/values`.
pub(super) fn of_organisation(world: &World, call: &Call<'_>, org: &str) -> Reply {
    if call.method.as_str() != "GET" {
        return Reply::not_found();
    }
    let rows = world.repositories(org).into_iter().map(|found| {
        let name = found["name"].as_str().unwrap_or_default();
        json!({
            "repository_id": found["id"], "repository_name": name,
            "repository_full_name": format!("{org}/{name}"), "properties": values(found),
        })
    });
    page(call, rows.collect())
}
