//! Simulates milestones. In the simulator, the number of a milestone is also its id.
//!
//! <https://docs.github.com/rest/issues/milestones>

use serde_json::{Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::world::World;

fn shown(org: &str, repository: &str, title: &str, milestone: &Value) -> Value {
    let id = milestone["id"].as_u64().unwrap_or_default();
    let url = format!("https://api.github.com/repos/{org}/{repository}/milestones/{id}");
    json!({
        "url": url, "html_url": format!("https://github.com/{org}/{repository}/milestone/{id}"),
        "labels_url": format!("{url}/labels"), "id": id, "node_id": format!("MI_kwDO{id:08}"), "number": id,
        "title": title, "description": milestone["description"], "creator": null,
        "state": milestone["state"].as_str().unwrap_or("open"), "open_issues": 0, "closed_issues": 0,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "closed_at": null,
        "due_on": kept_date(&milestone["due_on"]),
    })
}

/// Returns a date as GitHub keeps it: the start of the day in California.
fn kept_date(value: &Value) -> Value {
    value
        .as_str()
        .and_then(|text| text.get(..10))
        .map_or(Value::Null, |day| json!(format!("{day}T08:00:00Z")))
}

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/milestones`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let all = || found["milestones"].as_object().into_iter().flatten();
    let is_taken = |title: &str| all().any(|(known, _)| known == title);
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let state = call.query.iter().find(|(key, _)| key == "state").map_or("open", |(_, state)| state);
            let rows = all().map(|(title, milestone)| shown(org, name, title, milestone));
            page(call, rows.filter(|row| state == "all" || row["state"] == state).collect())
        }
        ("POST", []) => {
            let title = call.body["title"].as_str().unwrap_or_default();
            if title.is_empty() || is_taken(title) {
                return Reply::invalid("Validation Failed: title is missing, or already_exists");
            }
            let new = json!({
                "id": world.fresh_id(), "state": call.body["state"].as_str().unwrap_or("open"),
                "description": call.body["description"], "due_on": kept_date(&call.body["due_on"]),
            });
            world.edit(org, name, call.sender, |found| found["milestones"][title] = new.clone());
            Reply::json(201, shown(org, name, title, &new))
        }
        (method, [number]) => {
            let Some((title, old)) = all().find(|(_, milestone)| has_id(milestone, number)) else {
                return Reply::not_found();
            };
            match method {
                "GET" => Reply::json(200, shown(org, name, title, old)),
                "PATCH" => {
                    let new_title = call.body["title"].as_str().unwrap_or(title);
                    if new_title != title && is_taken(new_title) {
                        return Reply::invalid("Validation Failed: title already_exists");
                    }
                    let mut new = old.clone();
                    for key in ["state", "description"] {
                        if let Some(value) = call.body.get(key) {
                            new[key] = value.clone();
                        }
                    }
                    if let Some(due) = call.body.get("due_on") {
                        new["due_on"] = kept_date(due);
                    }
                    world.edit(org, name, call.sender, |found| {
                        found["milestones"].as_object_mut().and_then(|all| all.remove(title));
                        found["milestones"][new_title] = new.clone();
                    });
                    Reply::json(200, shown(org, name, new_title, &new))
                }
                "DELETE" => {
                    world.edit(org, name, call.sender, |found| {
                        found["milestones"].as_object_mut().and_then(|all| all.remove(title))
                    });
                    Reply::empty(204)
                }
                _ => Reply::not_found(),
            }
        }
        _ => Reply::not_found(),
    }
}
