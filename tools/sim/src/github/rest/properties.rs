//! Simulates the values and the definitions of custom properties.
//!
//! <https://docs.github.com/rest/orgs/custom-properties>

use serde_json::{Map, Value, json};

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

/// Returns the `property_definitions` of the state. If the state lacks this key, every property
/// that has a value in a repository counts as defined.
fn defined(world: &World, org: &str) -> Map<String, Value> {
    let known = world.org(org).and_then(|org| org["property_definitions"].as_object().cloned());
    known.unwrap_or_else(|| {
        let repositories = world.repositories(org);
        let names = repositories
            .iter()
            .filter_map(|found| found["properties"].as_object())
            .flat_map(|known| known.keys());
        names.map(|name| (name.clone(), json!({}))).collect()
    })
}

fn definition(name: &str, definition: &Value) -> Value {
    let mut shown = definition.clone();
    shown["property_name"] = json!(name);
    if shown["value_type"].is_null() {
        shown["value_type"] = json!("string");
    }
    shown
}

/// Returns the reason why GitHub refuses a definition.
fn refused(known: Option<&Value>, body: &Value) -> Option<&'static str> {
    let kind = body["value_type"].as_str().unwrap_or_default();
    let allowed = body["allowed_values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_select = ["single_select", "multi_select"].contains(&kind);
    let defaults = match &body["default_value"] {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        value => vec![value.clone()],
    };
    if known.is_some_and(|known| known["value_type"].as_str().unwrap_or("string") != kind) {
        Some("value_type cannot be changed")
    } else if body["required"] == json!(true) && defaults.is_empty() {
        Some("default_value is needed if the property is required")
    } else if is_select && allowed.is_empty() {
        Some("allowed_values is needed")
    } else if !is_select && !allowed.is_empty() {
        Some("allowed_values is only for single_select and multi_select")
    } else if is_select && !defaults.iter().all(|value| allowed.contains(value)) {
        Some("default_value must be one of allowed_values")
    } else {
        None
    }
}

/// Answers calls with a path that begins with `/orgs/{org}/properties/schema`.
pub(super) fn definitions(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let mut all = defined(world, org);
    let stored =
        rest.first().and_then(|name| all.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned());
    match (call.method.as_str(), rest, stored) {
        ("GET", [], _) => {
            let rows = all.iter().map(|(name, known)| definition(name, known));
            Reply::json(200, rows.collect())
        }
        ("GET", [_], Some(name)) => Reply::json(200, definition(&name, &all[&name])),
        ("PUT", [name], stored) => {
            let name = stored.unwrap_or_else(|| (*name).to_owned());
            if let Some(why) = refused(all.get(&name), call.body) {
                return Reply::invalid(&format!("Validation Failed: {why}"));
            }
            all.insert(name.clone(), call.body.clone());
            let shown = definition(&name, call.body);
            keep(world, org, all);
            Reply::json(200, shown)
        }
        ("DELETE", [_], Some(name)) => {
            all.remove(&name);
            keep(world, org, all);
            // All repositories lose their values of the property.
            let repositories: Vec<String> = world
                .repositories(org)
                .iter()
                .filter_map(|found| Some(found["name"].as_str()?.to_owned()))
                .collect();
            for repository in repositories {
                world.edit(org, &repository, call.sender, |found| {
                    found["properties"].as_object_mut().and_then(|known| known.remove(&name))
                });
            }
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

fn keep(world: &mut World, org: &str, definitions: Map<String, Value>) {
    if let Some(known) = world.org_mut(org) {
        known["property_definitions"] = Value::Object(definitions);
    }
}

/// Answers `/orgs/{org}/properties/values`.
pub(super) fn of_organisation(world: &World, call: &Call<'_>, org: &str) -> Reply {
    if call.method.as_str() != "GET" {
        return Reply::not_found();
    }
    let query = call.query.iter().find(|(name, _)| name == "repository_query");
    let terms = query.map_or("", |(_, query)| query.as_str()).split_whitespace();
    let terms: Option<Vec<(&str, &str)>> =
        terms.map(|term| term.strip_prefix("props.")?.split_once(':')).collect();
    // The simulator must not ignore a filter, because it would then show repositories that GitHub
    // leaves out.
    let Some(terms) = terms else {
        return Reply::invalid("Validation Failed: repository_query takes `props.NAME:VALUE` here");
    };
    let has = |found: &Value, (name, wanted): &(&str, &str)| match &found["properties"][*name] {
        Value::Array(values) => values.iter().any(|value| value == wanted),
        value => value == wanted,
    };
    let found = world.repositories(org).into_iter().filter(|found| terms.iter().all(|term| has(found, term)));
    let rows = found.map(|found| {
        let name = found["name"].as_str().unwrap_or_default();
        json!({
            "repository_id": found["id"], "repository_name": name,
            "repository_full_name": format!("{org}/{name}"), "properties": values(found),
        })
    });
    page(call, rows.collect())
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_query_selects_repositories_by_their_properties() {
        let world = World::from(json!({ "orgs": { "acme": { "repos": {
            "shop": { "properties": { "tier": "gold", "use": ["web", "api"] } },
            "till": { "properties": { "tier": "lead" } }, "docs": {},
        } } } }));
        let names = |terms: &str| {
            let query = [("repository_query".to_owned(), terms.to_owned())];
            let (method, path, body) = (Method::GET, Vec::new(), Value::Null);
            let call =
                Call { method: &method, path, query: &query, body: &body, sender: "beadle-app", accept: "" };
            let rows = of_organisation(&world, &call, "acme").body.unwrap();
            let rows = rows.as_array().cloned().unwrap_or_default();
            rows.iter().map(|row| row["repository_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("props.tier:gold"), ["shop"]);
        assert_eq!(names("props.tier:gold props.use:api"), ["shop"]);
        assert_eq!(names("").len(), 3);
        assert!(names("topic:web").is_empty());
    }

    #[test]
    fn a_definition_that_github_refuses_is_refused() {
        let mut world = World::from(json!({ "orgs": { "acme": {
            "property_definitions": { "tier": { "value_type": "string" } },
            "repos": { "shop": { "properties": { "tier": "gold" } } },
        } } }));
        let mut send = |method: &Method, name: &str, body: &Value| {
            let rest = [name];
            let path = vec!["orgs", "acme", "properties", "schema", name];
            let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
            definitions(&mut world, &call, "acme", &rest).status
        };
        for (name, body, status) in [
            ("tier", json!({ "value_type": "true_false" }), 422),
            ("Tier", json!({ "value_type": "string", "description": "x" }), 200),
            ("area", json!({ "value_type": "single_select" }), 422),
            ("area", json!({ "value_type": "string", "required": true }), 422),
            ("area", json!({ "value_type": "string", "allowed_values": ["a"] }), 422),
            (
                "area",
                json!({ "value_type": "single_select", "allowed_values": ["a"], "default_value": "b" }),
                422,
            ),
            (
                "area",
                json!({ "value_type": "single_select", "allowed_values": ["a"], "default_value": "a" }),
                200,
            ),
        ] {
            assert_eq!(send(&Method::PUT, name, &body), status, "{name} {body}");
        }
        assert_eq!(send(&Method::DELETE, "TIER", &Value::Null), 204);
        assert_eq!(send(&Method::DELETE, "tier", &Value::Null), 404);
        assert_eq!(world.repository("acme", "shop").unwrap()["properties"], json!({}));
    }
}
