//! Simulates autolinks. A client can create and delete an autolink, but cannot change it.
//!
//! <https://docs.github.com/rest/repos/autolinks>

use serde_json::{Value, json};

use super::{Call, Reply, has_id};
use crate::github::world::World;

fn shown(prefix: &str, link: &Value) -> Value {
    json!({
        "id": link["id"], "key_prefix": prefix, "url_template": link["url_template"],
        "is_alphanumeric": link["is_alphanumeric"].as_bool().unwrap_or(true),
    })
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/autolinks`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let links = found["autolinks"].as_object().into_iter().flatten();
            Reply::json(200, links.map(|(prefix, link)| shown(prefix, link)).collect())
        }
        ("GET", [id]) => {
            let mut links = found["autolinks"].as_object().into_iter().flatten();
            match links.find(|(_, link)| has_id(link, id)) {
                Some((prefix, link)) => Reply::json(200, shown(prefix, link)),
                None => Reply::not_found(),
            }
        }
        ("POST", []) => {
            let text = |key: &str| call.body[key].as_str().unwrap_or_default();
            let (prefix, template) = (text("key_prefix"), text("url_template"));
            let fits =
                !prefix.is_empty() && template.contains("<num>") && found["autolinks"].get(prefix).is_none();
            if !fits {
                return Reply::invalid(
                    "Validation Failed: key_prefix already_exists, or url_template lacks <num>",
                );
            }
            let new = json!({
                "id": world.fresh_id(), "url_template": template,
                "is_alphanumeric": call.body["is_alphanumeric"].as_bool().unwrap_or(true),
            });
            world.edit(org, name, call.sender, |found| found["autolinks"][prefix] = new.clone());
            Reply::json(201, shown(prefix, &new))
        }
        ("DELETE", [id]) => {
            let mut links = found["autolinks"].as_object().into_iter().flatten();
            let Some((prefix, _)) = links.find(|(_, link)| has_id(link, id)) else {
                return Reply::not_found();
            };
            world.edit(org, name, call.sender, |found| {
                found["autolinks"].as_object_mut().and_then(|links| links.remove(prefix))
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}
