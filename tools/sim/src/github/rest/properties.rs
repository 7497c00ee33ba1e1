//! The values of custom properties.
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

/// Answers `GET /orgs/{org}/properties/schema` with the `property_definitions` of the state. If the
/// state lacks this key, every property that has a value in a repository is defined.
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
    let query = call.query.iter().find(|(name, _)| name == "repository_query");
    let terms = query.map_or("", |(_, query)| query.as_str()).split_whitespace();
    let terms: Option<Vec<(&str, &str)>> =
        terms.map(|term| term.strip_prefix("props.")?.split_once(':')).collect();
    // The simulator must not ignore a filter. Otherwise it would show repositories that GitHub
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
}
