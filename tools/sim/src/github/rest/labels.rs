//! Simulates labels. The case of a label's name does not matter.
//!
//! <https://docs.github.com/rest/issues/labels>

use serde_json::{Value, json};

use super::{Call, Reply, page};
use crate::github::address;
use crate::github::world::{World, find};

fn shown(org: &str, repository: &str, name: &str, label: &Value) -> Value {
    let id = label["id"].as_u64().unwrap_or_default();
    let segment = address::segment(name);
    json!({
        "id": id, "node_id": format!("LA_kwDO{id:08}"), "name": name,
        "url": format!("https://api.github.com/repos/{org}/{repository}/labels/{segment}"),
        "color": label["color"].as_str().unwrap_or("ededed"), "description": label["description"], "default": false,
    })
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/labels`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let known = |label: &str| {
        let labels = found["labels"].as_object().into_iter().flatten();
        labels.into_iter().map(|(name, _)| name.clone()).find(|name| name.eq_ignore_ascii_case(label))
    };
    let wrong = |body: &Value| {
        let color = body["color"].as_str().unwrap_or("ededed");
        let fine = color.len() == 6 && color.bytes().all(|byte| byte.is_ascii_hexdigit());
        let short = body["description"].as_str().is_none_or(|text| text.chars().count() <= 100);
        (!fine || !short).then(|| Reply::invalid("Validation Failed: color or description"))
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let labels = found["labels"].as_object().into_iter().flatten();
            page(call, labels.map(|(label, value)| shown(org, name, label, value)).collect())
        }
        ("GET", [label]) => match known(label) {
            Some(label) => Reply::json(200, shown(org, name, &label, &found["labels"][&label])),
            None => Reply::not_found(),
        },
        ("POST", []) => {
            let label = call.body["name"].as_str().unwrap_or_default();
            if label.is_empty() || known(label).is_some() {
                return Reply::invalid("Validation Failed: name is missing, or already_exists");
            }
            if let Some(refusal) = wrong(call.body) {
                return refusal;
            }
            let new = json!({
                "id": world.fresh_id(), "color": call.body["color"].as_str().unwrap_or("ededed"),
                "description": call.body["description"],
            });
            world.edit(org, name, call.sender, |found| found["labels"][label] = new.clone());
            Reply::json(201, shown(org, name, label, &new))
        }
        ("PATCH", [label]) => {
            let Some(old) = known(label) else { return Reply::not_found() };
            let new = call.body["new_name"].as_str().unwrap_or(&old).to_owned();
            if known(&new).is_some_and(|other| other != old) {
                return Reply::invalid("Validation Failed: name already_exists");
            }
            if let Some(refusal) = wrong(call.body) {
                return refusal;
            }
            let mut changed = find(&found["labels"], label).cloned().unwrap_or_default();
            for key in ["color", "description"] {
                if let Some(value) = call.body.get(key) {
                    changed[key] = value.clone();
                }
            }
            world.edit(org, name, call.sender, |found| {
                found["labels"].as_object_mut().and_then(|labels| labels.remove(&old));
                found["labels"][&new] = changed.clone();
            });
            Reply::json(200, shown(org, name, &new, &changed))
        }
        ("DELETE", [label]) => match known(label) {
            Some(label) => {
                world.edit(org, name, call.sender, |found| {
                    found["labels"].as_object_mut().and_then(|labels| labels.remove(&label))
                });
                Reply::empty(204)
            }
            None => Reply::not_found(),
        },
        _ => Reply::not_found(),
    }
}
