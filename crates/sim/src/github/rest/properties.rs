//! Values of custom properties.
//!
//! <https://docs.github.com/rest/orgs/custom-properties>

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

/// Answers `GET /orgs/{org}/properties/schema`: what `property_definitions` of the state defines,
/// and without such a key what any repository has a value of.
pub(super) fn definitions(world: &World, org: &str) -> Reply {
    let mut all = world.org(org).map(|org| org["property_definitions"].clone()).unwrap_or_default();
    if !all.is_object() {
        let repositories = world.repositories(org);
        let names = repositories
            .iter()
            .filter_map(|found| found["properties"].as_object())
            .flat_map(|known| known.keys());
        all = names.map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>().into();
    }
    let rows = all.as_object().into_iter().flatten().map(|(name, definition)| {
        let mut shown = definition.clone();
        shown["property_name"] = json!(name);
        if shown["value_type"].is_null() {
            shown["value_type"] = json!("string");
        }
        shown
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
