//! Interaction limits. A limit never ends by itself in the simulator. To end a limit, a test sets
//! the state to null.
//!
//! <https://docs.github.com/rest/interactions/repos>

use serde_json::{Value, json};

use super::{Call, Reply};
use crate::github::world::World;

/// Answers calls to `/repos/{owner}/{repo}/interaction-limits`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let of_owner = world.org(org).and_then(|org| org["interaction_limit"].as_str()).map(str::to_owned);
    let shown = |limit: &Value, origin: &str| json!({ "limit": limit, "origin": origin, "expires_at": "2099-01-01T00:00:00Z" });
    match (call.method.as_str(), of_owner) {
        ("GET", Some(limit)) => Reply::json(200, shown(&json!(limit), "organization")),
        ("GET", None) if found["interaction_limit"].is_null() => Reply::json(200, json!({})),
        ("GET", None) => Reply::json(200, shown(&found["interaction_limit"], "repository")),
        (_, Some(_)) => Reply::message(409, "Conflict: the organization has an interaction limit"),
        ("PUT", None) if found["visibility"] != "public" => {
            Reply::invalid("Interaction limits can only be set on public repositories.")
        }
        ("PUT", None) => {
            let limit = call.body["limit"].clone();
            world.edit(org, name, call.sender, |found| found["interaction_limit"] = limit.clone());
            Reply::json(200, shown(&limit, "repository"))
        }
        ("DELETE", None) => {
            world.edit(org, name, call.sender, |found| found["interaction_limit"] = Value::Null);
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}
