//! Webhooks of a repository. GitHub never shows their secrets. A PATCH without a secret removes the
//! secret.
//!
//! <https://docs.github.com/rest/repos/webhooks>

use serde_json::{Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::world::World;

fn shown(org: &str, name: &str, hook: &Value) -> Value {
    let id = hook["id"].as_u64().unwrap_or_default();
    let api = format!("https://api.github.com/repos/{org}/{name}/hooks/{id}");
    let mut config = hook["config"].clone();
    if config["secret"].is_string() {
        config["secret"] = json!("********");
    } else if let Some(config) = config.as_object_mut() {
        config.remove("secret");
    }
    json!({
        "type": "Repository", "id": id, "name": "web", "active": hook["active"].as_bool().unwrap_or(true),
        "events": hook["events"], "config": config, "url": api,
        "test_url": format!("{api}/test"), "ping_url": format!("{api}/pings"), "deliveries_url": format!("{api}/deliveries"),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "last_response": { "code": null, "status": "unused", "message": null },
    })
}

fn merged(old: &Value, body: &Value) -> Value {
    let mut hook = old.clone();
    for key in ["active", "events"] {
        if let Some(value) = body.get(key) {
            hook[key] = value.clone();
        }
    }
    let listed = |key: &str| body[key].as_array().cloned().unwrap_or_default();
    let (added, removed) = (listed("add_events"), listed("remove_events"));
    if let Some(events) = hook["events"].as_array_mut() {
        for event in added {
            if !events.contains(&event) {
                events.push(event);
            }
        }
        events.retain(|event| !removed.contains(event));
    }
    if let Some(config) = body.get("config") {
        hook["config"] = json!({ "content_type": "form", "insecure_ssl": "0" });
        for (key, value) in config.as_object().into_iter().flatten() {
            let number = key == "insecure_ssl" && value.is_number();
            hook["config"][key] = if number { json!(value.to_string()) } else { value.clone() };
        }
    }
    hook
}

/// Answers calls whose path begins with `/repos/{owner}/{repo}/hooks`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let hooks = found["hooks"].as_object().cloned().unwrap_or_default();
    let place = |id: &str| hooks.iter().find(|(_, hook)| has_id(hook, id));
    match (call.method.as_str(), rest) {
        ("GET", []) => page(call, hooks.values().map(|hook| shown(org, name, hook)).collect()),
        ("GET", [id]) => match place(id) {
            Some((_, hook)) => Reply::json(200, shown(org, name, hook)),
            None => Reply::not_found(),
        },
        ("POST", []) => {
            let Some(url) = call.body["config"]["url"].as_str() else {
                return Reply::invalid("Validation Failed: config.url");
            };
            if hooks.contains_key(url) {
                return Reply::invalid("Validation Failed: Hook already exists on this repository");
            }
            let new = json!({ "id": world.fresh_id(), "active": true, "events": ["push"] });
            let new = merged(&new, call.body);
            world.edit(org, name, call.sender, |found| found["hooks"][url] = new.clone());
            Reply::json(201, shown(org, name, &new))
        }
        ("PATCH", [id]) => {
            let Some((old, hook)) = place(id) else { return Reply::not_found() };
            let changed = merged(hook, call.body);
            let url = changed["config"]["url"].as_str().unwrap_or(old).to_owned();
            world.edit(org, name, call.sender, |found| {
                found["hooks"].as_object_mut().and_then(|hooks| hooks.remove(old));
                found["hooks"][url] = changed.clone();
            });
            Reply::json(200, shown(org, name, &changed))
        }
        ("PATCH", [id, "config"]) => {
            let Some((url, hook)) = place(id) else { return Reply::not_found() };
            let mut changed = hook.clone();
            for (key, value) in call.body.as_object().into_iter().flatten() {
                changed["config"][key] = value.clone();
            }
            world.edit(org, name, call.sender, |found| found["hooks"][url] = changed.clone());
            Reply::json(200, shown(org, name, &changed)["config"].clone())
        }
        ("DELETE", [id]) => match place(id) {
            Some((url, _)) => {
                world.edit(org, name, call.sender, |found| {
                    found["hooks"].as_object_mut().and_then(|hooks| hooks.remove(url))
                });
                Reply::empty(204)
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}
