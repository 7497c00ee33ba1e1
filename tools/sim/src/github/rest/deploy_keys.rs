//! Simulates deploy keys. A client can add and delete a deploy key, but cannot change it.
//!
//! <https://docs.github.com/rest/deploy-keys/deploy-keys>

use serde_json::{Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::world::{World, now};

/// The kinds of keys that GitHub accepts.
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn shown(org: &str, repository: &str, key: &str, entry: &Value) -> Value {
    let id = entry["id"].as_u64().unwrap_or_default();
    json!({
        "id": id, "key": key, "title": entry["title"], "read_only": entry["read_only"] != json!(false),
        "url": format!("https://api.github.com/repos/{org}/{repository}/keys/{id}"),
        "verified": true, "enabled": true, "created_at": entry["created_at"].as_str().unwrap_or("2026-01-01T00:00:00Z"),
        "added_by": null, "last_used": null,
    })
}

/// Returns whether any repository has a key. GitHub accepts each key only once.
fn is_in_use(world: &World, key: &str) -> bool {
    let organisations = world.doc["orgs"].as_object().into_iter().flatten();
    let mut repositories = organisations.flat_map(|(_, org)| org["repos"].as_object().into_iter().flatten());
    repositories.any(|(_, repository)| repository["deploy_keys"].get(key).is_some())
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/keys`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let keys = || found["deploy_keys"].as_object().into_iter().flatten();
    match (call.method.as_str(), rest) {
        ("GET", []) => page(call, keys().map(|(key, entry)| shown(org, name, key, entry)).collect()),
        ("GET", [id]) => match keys().find(|(_, entry)| has_id(entry, id)) {
            Some((key, entry)) => Reply::json(200, shown(org, name, key, entry)),
            None => Reply::not_found(),
        },
        ("POST", []) => {
            // GitHub does not keep the comment of a key.
            let words = call.body["key"].as_str().unwrap_or_default().split_whitespace().take(2);
            let words: Vec<&str> = words.collect();
            let key = words.join(" ");
            if words.len() < 2 || !KINDS.contains(&words[0]) {
                return Reply::invalid(
                    "Validation Failed: key is invalid. You must supply a key in OpenSSH public key format",
                );
            }
            if is_in_use(world, &key) {
                return Reply::invalid("Validation Failed: key is already in use");
            }
            let title = call.body["title"].as_str().unwrap_or(&key);
            let new = json!({
                "id": world.fresh_id(), "title": title, "read_only": call.body["read_only"] == json!(true),
                "created_at": now(),
            });
            world.edit(org, name, call.sender, |found| found["deploy_keys"][&key] = new.clone());
            Reply::json(201, shown(org, name, &key, &new))
        }
        ("DELETE", [id]) => {
            let Some((key, _)) = keys().find(|(_, entry)| has_id(entry, id)) else {
                return Reply::not_found();
            };
            world.edit(org, name, call.sender, |found| {
                found["deploy_keys"].as_object_mut().and_then(|keys| keys.remove(key))
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}
