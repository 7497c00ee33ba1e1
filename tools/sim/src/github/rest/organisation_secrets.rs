//! The secrets of an organisation for Actions, Dependabot and Codespaces. GitHub never shows their
//! values. In the state, the secrets are a map from the name to `value`, `visibility`,
//! `repositories` (ids) and `updated_at`.
//!
//! <https://docs.github.com/rest/actions/secrets>

use serde_json::{Map, Value, json};

use super::in_object;
use super::organisation_variables::{repositories, stranger};
use super::secrets::{opened, public_key};
use super::variables::refused_name;
use super::{Call, Reply};
use crate::github::world::World;

fn shown(org: &str, product: &str, name: &str, secret: &Value) -> Value {
    let at = secret["updated_at"].as_str().unwrap_or("2026-01-01T00:00:00Z");
    let mut shown = json!({
        "name": name, "visibility": secret["visibility"],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": at,
    });
    if secret["visibility"] == "selected" {
        let url = format!("https://api.github.com/orgs/{org}/{product}/secrets/{name}/repositories");
        shown["selected_repositories_url"] = json!(url);
    }
    shown
}

/// Answers calls with a path that begins with `/orgs/{org}/{product}/secrets`.
pub(super) fn answer(
    world: &mut World,
    call: &Call<'_>,
    (org, product): (&str, &str),
    rest: &[&str],
) -> Reply {
    let key = match product {
        "dependabot" => "dependabot_secrets",
        "codespaces" => "codespaces_secrets",
        _ => "secrets",
    };
    let known = world.org(org).and_then(|org| org[key].as_object().cloned());
    let mut known: Map<String, Value> = known.unwrap_or_default();
    let name = rest.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    let found = known.get(&name).cloned();
    let reply = match (call.method.as_str(), rest, found) {
        ("GET", [], _) => {
            let rows = known.iter().map(|(name, secret)| shown(org, product, name, secret)).collect();
            return in_object(call, "secrets", rows);
        }
        ("GET", ["public-key"], _) => return public_key(),
        ("GET", [_], Some(secret)) => return Reply::json(200, shown(org, product, &name, &secret)),
        ("GET", [_, "repositories"], Some(secret)) if secret["visibility"] == "selected" => {
            return repositories(world, call, org, &secret["repositories"]);
        }
        (_, [_, "repositories"], Some(_)) => {
            return Reply::message(409, "Conflict: the visibility is not `selected`");
        }
        ("PUT", [_], found) => {
            let ids = &call.body["selected_repository_ids"];
            let refusal = refused_name(&name).or_else(|| stranger(world, org, ids));
            if let Some(refusal) = refusal {
                return refusal;
            }
            if !ids.is_null() && call.body["visibility"] != "selected" {
                return Reply::invalid("Validation Failed: the visibility is not `selected`");
            }
            let value = match opened(call.body) {
                Ok(value) => value,
                Err(why) => return Reply::invalid(&format!("Validation Failed: {why}")),
            };
            let ids = if ids.is_null() { json!([]) } else { ids.clone() };
            // Clocks in tests are simulated, so the time of a write is not the real time.
            let secret = json!({
                "value": value, "visibility": call.body["visibility"], "repositories": ids,
            });
            known.insert(name, secret);
            if found.is_none() { Reply::json(201, json!({})) } else { Reply::empty(204) }
        }
        ("DELETE", [_], Some(_)) => {
            known.remove(&name);
            Reply::empty(204)
        }
        _ => return Reply::not_found(),
    };
    if let Some(org) = world.org_mut(org) {
        org[key] = Value::Object(known);
    }
    reply
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use crypto_box::PublicKey;
    use crypto_box::aead::OsRng;
    use http::Method;

    use super::*;

    fn send(world: &mut World, method: &Method, rest: &[&str], body: &Value) -> Reply {
        let path = ["orgs", "acme", "actions", "secrets"].iter().chain(rest).copied().collect();
        let call = Call { method, path, query: &[], body, sender: "octocat", accept: "" };
        answer(world, &call, ("acme", "actions"), rest)
    }

    /// Returns a body with a sealed value.
    fn sealed(world: &mut World, reach: &Value) -> Value {
        let key = send(world, &Method::GET, &["public-key"], &Value::Null).body.unwrap();
        let public = STANDARD.decode(key["key"].as_str().unwrap()).unwrap();
        let public = PublicKey::from(<[u8; 32]>::try_from(public.as_slice()).unwrap());
        let mut body = reach.clone();
        body["key_id"] = key["key_id"].clone();
        body["encrypted_value"] = json!(STANDARD.encode(public.seal(&mut OsRng, b"value").unwrap()));
        body
    }

    #[test]
    fn what_github_refuses_is_refused() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": { "id": 7 } } } } }));
        let all = sealed(&mut world, &json!({ "visibility": "all" }));
        for (name, status) in [("token", 201), ("TOKEN", 204), ("1st", 422), ("github_x", 422)] {
            assert_eq!(send(&mut world, &Method::PUT, &[name], &all).status, status, "{name}");
        }
        let unsealed = json!({ "visibility": "all", "encrypted_value": "dmFsdWU=", "key_id": "1" });
        assert_eq!(send(&mut world, &Method::PUT, &["token"], &unsealed).status, 422);
        assert_eq!(send(&mut world, &Method::GET, &["token", "repositories"], &Value::Null).status, 409);
        for (visibility, id, status) in [("selected", 8, 422), ("all", 7, 422), ("selected", 7, 204)] {
            let reach = json!({ "visibility": visibility, "selected_repository_ids": [id] });
            let body = sealed(&mut world, &reach);
            assert_eq!(send(&mut world, &Method::PUT, &["token"], &body).status, status, "{reach}");
        }
        let rows = send(&mut world, &Method::GET, &["token", "repositories"], &Value::Null).body.unwrap();
        assert_eq!((&rows["total_count"], &rows["repositories"][0]["name"]), (&json!(1), &json!("shop")));
        let shown = send(&mut world, &Method::GET, &["token"], &Value::Null).body.unwrap();
        assert!(shown["name"] == "TOKEN" && shown.get("value").is_none(), "{shown}");
        assert_eq!(send(&mut world, &Method::DELETE, &["token"], &Value::Null).status, 204);
        assert_eq!(send(&mut world, &Method::DELETE, &["token"], &Value::Null).status, 404);
    }
}
