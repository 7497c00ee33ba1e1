//! Webhooks of a repository or an organisation. GitHub never shows their secrets. A PATCH without a
//! secret removes the secret.
//!
//! <https://docs.github.com/rest/repos/webhooks>, <https://docs.github.com/rest/orgs/webhooks>

use serde_json::{Map, Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::world::World;

/// The repository or the organisation that has the webhooks.
struct Owner {
    /// The value of `type` in a webhook.
    kind: &'static str,
    /// The API address of the list of webhooks.
    api: String,
}

fn shown(owner: &Owner, hook: &Value) -> Value {
    let id = hook["id"].as_u64().unwrap_or_default();
    let api = format!("{}/{id}", owner.api);
    let mut config = hook["config"].clone();
    if config["secret"].is_string() {
        config["secret"] = json!("********");
    } else if let Some(config) = config.as_object_mut() {
        config.remove("secret");
    }
    let mut shown = json!({
        "type": owner.kind, "id": id, "name": "web", "active": hook["active"].as_bool().unwrap_or(true),
        "events": hook["events"], "config": config, "url": api,
        "ping_url": format!("{api}/pings"), "deliveries_url": format!("{api}/deliveries"),
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    });
    if owner.kind == "Repository" {
        shown["test_url"] = json!(format!("{api}/test"));
        shown["last_response"] = json!({ "code": null, "status": "unused", "message": null });
    }
    shown
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

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/hooks`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let owner = Owner { kind: "Repository", api: format!("https://api.github.com/repos/{org}/{name}/hooks") };
    let mut hooks = found["hooks"].as_object().cloned().unwrap_or_default();
    let reply = handle(world, call, &owner, &mut hooks, rest);
    if call.method.as_str() != "GET" && reply.status < 300 {
        world.edit(org, name, call.sender, |found| found["hooks"] = Value::Object(hooks));
    }
    reply
}

/// Answers calls with a path that begins with `/orgs/{org}/hooks`.
pub(super) fn of_organisation(world: &mut World, call: &Call<'_>, org: &str, rest: &[&str]) -> Reply {
    let owner = Owner { kind: "Organization", api: format!("https://api.github.com/orgs/{org}/hooks") };
    let known = world.org(org).and_then(|org| org["hooks"].as_object().cloned());
    let mut hooks = known.unwrap_or_default();
    if call.method.as_str() == "POST" && call.body["name"] != "web" {
        return Reply::invalid("Validation Failed: name must be `web`");
    }
    let reply = handle(world, call, &owner, &mut hooks, rest);
    if let Some(known) = world.org_mut(org).filter(|_| reply.status < 300) {
        known["hooks"] = Value::Object(hooks);
    }
    reply
}

/// Returns the webhook that has this id, with its address.
fn find(hooks: &Map<String, Value>, id: &str) -> Option<(String, Value)> {
    let found = hooks.iter().find(|(_, hook)| has_id(hook, id));
    found.map(|(url, hook)| (url.clone(), hook.clone()))
}

/// Answers a call, and changes the webhooks.
fn handle(
    world: &mut World,
    call: &Call<'_>,
    owner: &Owner,
    hooks: &mut Map<String, Value>,
    rest: &[&str],
) -> Reply {
    match (call.method.as_str(), rest) {
        ("GET", []) => page(call, hooks.values().map(|hook| shown(owner, hook)).collect()),
        ("GET", [id]) => match find(hooks, id) {
            Some((_, hook)) => Reply::json(200, shown(owner, &hook)),
            None => Reply::not_found(),
        },
        ("POST", []) => {
            let Some(url) = call.body["config"]["url"].as_str() else {
                return Reply::invalid("Validation Failed: config.url");
            };
            if hooks.contains_key(url) {
                let kind = owner.kind.to_lowercase();
                return Reply::invalid(&format!("Validation Failed: Hook already exists on this {kind}"));
            }
            let new = json!({ "id": world.fresh_id(), "active": true, "events": ["push"] });
            let new = merged(&new, call.body);
            hooks.insert(url.to_owned(), new.clone());
            Reply::json(201, shown(owner, &new))
        }
        ("PATCH", [id]) => {
            let Some((old, hook)) = find(hooks, id) else { return Reply::not_found() };
            let changed = merged(&hook, call.body);
            let url = changed["config"]["url"].as_str().unwrap_or(&old).to_owned();
            hooks.remove(&old);
            hooks.insert(url, changed.clone());
            Reply::json(200, shown(owner, &changed))
        }
        ("PATCH", [id, "config"]) => {
            let Some((url, mut changed)) = find(hooks, id) else { return Reply::not_found() };
            for (key, value) in call.body.as_object().into_iter().flatten() {
                changed["config"][key] = value.clone();
            }
            hooks.insert(url, changed.clone());
            Reply::json(200, shown(owner, &changed)["config"].clone())
        }
        ("DELETE", [id]) => match find(hooks, id) {
            Some((url, _)) => {
                hooks.remove(&url);
                Reply::empty(204)
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}
