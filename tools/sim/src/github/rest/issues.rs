//! Issues, and the comments on issues and pull requests. At GitHub, every pull request is also an
//! issue. In the state, an entry of `issues` with `"pull_request": true` is a pull request.
//!
//! <https://docs.github.com/rest/issues/issues>, <https://docs.github.com/rest/issues/comments>

use serde_json::{Value, json};

use super::{Call, Reply, has_id, page};
use crate::github::shapes;
use crate::github::world::{World, now};

/// The time in the answer if an entry of the state has no time.
const UNDATED: &str = "2026-01-01T00:00:00Z";

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/issues`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let issues = found["issues"].as_array().cloned().unwrap_or_default();
    let place =
        |number: &str| issues.iter().position(|issue| issue["number"].as_u64() == number.parse().ok());
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let state =
                call.query.iter().find(|(key, _)| key == "state").map_or("open", |(_, state)| state.as_str());
            let labels = call.query.iter().find(|(key, _)| key == "labels");
            let labels: Vec<&str> = labels.iter().flat_map(|(_, labels)| labels.split(',')).collect();
            let rows = issues.iter().filter(|issue| state == "all" || state_of(issue) == state);
            let rows = rows.filter(|issue| labels.iter().all(|label| has_label(issue, label)));
            page(call, rows.map(|issue| shown(world, org, found, issue)).collect())
        }
        ("POST", []) => {
            let labels = call.body["labels"].as_array().into_iter().flatten();
            let labels: Vec<&Value> =
                labels.map(|label| if label.is_object() { &label["name"] } else { label }).collect();
            let last = issues.iter().filter_map(|issue| issue["number"].as_u64()).max().unwrap_or_default();
            let issue = json!({
                "id": world.fresh_id(), "number": last + 1, "title": call.body["title"], "body": call.body["body"],
                "labels": labels, "user": call.sender, "created_at": now(), "comments": [],
            });
            let shown = shown(world, org, found, &issue);
            world.edit(org, name, call.sender, |found| match found["issues"].as_array_mut() {
                Some(issues) => issues.push(issue),
                None => found["issues"] = json!([issue]),
            });
            Reply::json(201, shown)
        }
        ("GET", ["comments"]) => {
            let since = call.query.iter().find(|(key, _)| key == "since").map(|(_, since)| since.as_str());
            let of = |issue: &Value| {
                let comments = issue["comments"].as_array().cloned().unwrap_or_default();
                comments.iter().map(|one| comment_of(world, org, name, issue, one)).collect::<Vec<_>>()
            };
            let mut rows: Vec<Value> = issues.iter().flat_map(of).collect();
            rows.retain(|row| since.is_none_or(|since| row["updated_at"].as_str() >= Some(since)));
            rows.sort_by_key(|row| row["id"].as_u64());
            page(call, rows)
        }
        ("GET", [number]) => match place(number) {
            Some(at) => Reply::json(200, shown(world, org, found, &issues[at])),
            None => Reply::not_found(),
        },
        ("PATCH", [number]) => {
            let Some(at) = place(number) else { return Reply::not_found() };
            let mut changed = issues[at].clone();
            for (key, value) in call.body.as_object().into_iter().flatten() {
                if ["title", "body", "labels", "state", "state_reason"].contains(&key.as_str()) {
                    changed[key] = value.clone();
                }
            }
            let is_closed = state_of(&changed) == "closed";
            changed["closed_at"] = if is_closed { json!(now()) } else { Value::Null };
            let shown = shown(world, org, found, &changed);
            world.edit(org, name, call.sender, |found| found["issues"][at] = changed);
            Reply::json(200, shown)
        }
        ("GET", [number, "comments"]) => match place(number) {
            Some(at) => {
                let comments = issues[at]["comments"].as_array().into_iter().flatten();
                page(
                    call,
                    comments.map(|comment| comment_of(world, org, name, &issues[at], comment)).collect(),
                )
            }
            None => Reply::not_found(),
        },
        ("PATCH", ["comments", id]) => {
            let of = |issue: &Value| issue["comments"].as_array()?.iter().position(|one| has_id(one, id));
            let place = issues.iter().enumerate().find_map(|(at, issue)| Some((at, of(issue)?)));
            let Some((at, comment)) = place else { return Reply::not_found() };
            let mut changed = issues[at]["comments"][comment].clone();
            changed["body"] = call.body["body"].clone();
            let shown = comment_of(world, org, name, &issues[at], &changed);
            world.edit(org, name, call.sender, |found| found["issues"][at]["comments"][comment] = changed);
            Reply::json(200, shown)
        }
        ("POST", [number, "comments"]) => {
            let Some(at) = place(number) else { return Reply::not_found() };
            let comment = json!({
                "id": world.fresh_id(), "body": call.body["body"], "user": call.sender, "created_at": now(),
            });
            let shown = comment_of(world, org, name, &issues[at], &comment);
            world.edit(org, name, call.sender, |found| {
                let comments = &mut found["issues"][at]["comments"];
                match comments.as_array_mut() {
                    Some(comments) => comments.push(comment),
                    None => *comments = json!([comment]),
                }
            });
            Reply::json(201, shown)
        }
        _ => Reply::not_found(),
    }
}

/// Returns whether an issue has a label. GitHub ignores case when it compares labels.
fn has_label(issue: &Value, wanted: &str) -> bool {
    let mut labels = issue["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    labels.any(|label| label.eq_ignore_ascii_case(wanted))
}

fn state_of(issue: &Value) -> &str {
    issue["state"].as_str().unwrap_or("open")
}

/// Returns the author of an issue or a comment. If the entry in the state has no author, returns a
/// default author.
fn author(world: &World, entry: &Value) -> Value {
    shapes::sender(world, entry["user"].as_str().unwrap_or("octocat"))
}

fn dated(entry: &Value) -> &str {
    entry["created_at"].as_str().unwrap_or(UNDATED)
}

fn shown(world: &World, org: &str, found: &Value, issue: &Value) -> Value {
    let name = found["name"].as_str().unwrap_or_default();
    let (id, number) =
        (issue["id"].as_u64().unwrap_or_default(), issue["number"].as_u64().unwrap_or_default());
    let repository = format!("https://api.github.com/repos/{org}/{name}");
    let api = format!("{repository}/issues/{number}");
    let is_pull = issue["pull_request"] == json!(true);
    let web = format!("https://github.com/{org}/{name}/{}/{number}", if is_pull { "pull" } else { "issues" });
    let labels = issue["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // If an issue gets a label that does not exist, GitHub creates the label.
    let labels: Vec<Value> = labels
        .map(|label| json!({ "name": label, "color": found["labels"][label]["color"].as_str().unwrap_or("ededed") }))
        .collect();
    let app = issue["user"].as_str().and_then(|user| world.acting(user));
    let mut shown = json!({
        "performed_via_github_app": app.map(|app| shapes::app(world, &app)),
        "id": id, "node_id": format!("I_kwDO{id:08}"), "number": number, "title": issue["title"],
        "body": issue["body"], "state": state_of(issue), "user": author(world, issue), "labels": labels,
        "url": api, "repository_url": repository, "labels_url": format!("{api}/labels{{/name}}"),
        "comments_url": format!("{api}/comments"), "events_url": format!("{api}/events"), "html_url": web,
        "assignee": null, "assignees": [], "milestone": null, "locked": false, "author_association": "NONE",
        "comments": issue["comments"].as_array().map_or(0, Vec::len),
        "created_at": dated(issue), "updated_at": dated(issue), "closed_at": issue["closed_at"],
    });
    if is_pull {
        shown["pull_request"] = json!({
            "url": format!("{repository}/pulls/{number}"), "html_url": web,
            "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        });
    }
    shown
}

fn comment_of(world: &World, org: &str, name: &str, issue: &Value, comment: &Value) -> Value {
    let id = comment["id"].as_u64().unwrap_or_default();
    let api = format!("https://api.github.com/repos/{org}/{name}/issues");
    let part = if issue["pull_request"] == json!(true) { "pull" } else { "issues" };
    let number = &issue["number"];
    let app = comment["user"].as_str().and_then(|user| world.acting(user));
    json!({
        "id": id, "node_id": format!("IC_kwDO{id:08}"), "body": comment["body"], "user": author(world, comment),
        "url": format!("{api}/comments/{id}"), "issue_url": format!("{api}/{number}"),
        "html_url": format!("https://github.com/{org}/{name}/{part}/{number}#issuecomment-{id}"),
        "author_association": "NONE", "created_at": dated(comment),
        "updated_at": comment["updated_at"].as_str().unwrap_or_else(|| dated(comment)),
        "performed_via_github_app": app.map(|app| shapes::app(world, &app)),
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::github::rest;

    fn call(world: &mut World, method: &Method, path: &str, body: &Value) -> Reply {
        let path = path.split('/').collect();
        rest::answer(world, &Call { method, path, query: &[], body, sender: "beadle-app", accept: "" })
    }

    #[test]
    fn the_comments_of_a_repository_are_listed_since_a_time_in_the_order_of_their_ids() {
        let comment =
            |id: u64, at: &str| json!({ "id": id, "user": "octocat", "body": "b", "created_at": at });
        let mut edited = comment(9, "2026-01-02T00:00:00Z");
        edited["updated_at"] = json!("2026-01-05T00:00:00Z");
        let first = json!({ "id": 5, "number": 3, "comments": [edited, comment(7, "2026-01-02T00:00:00Z")] });
        let second = json!({ "id": 6, "number": 4, "comments": [comment(8, "2026-01-04T00:00:00Z")] });
        let repository = json!({ "issues": [first, second] });
        let mut world = World::from(
            json!({ "users": { "octocat": {} }, "orgs": { "acme": { "repos": { "admin": repository } } } }),
        );
        let query = [("since".to_owned(), "2026-01-03T00:00:00Z".to_owned())];
        let path = "repos/acme/admin/issues/comments".split('/').collect();
        let asked =
            Call { method: &Method::GET, path, query: &query, body: &Value::Null, sender: "a", accept: "" };
        let listed = rest::answer(&mut world, &asked).body.unwrap();
        let ids: Vec<_> =
            listed.as_array().unwrap().iter().map(|row| (&row["id"], &row["updated_at"])).collect();
        let (eight, nine) = (json!("2026-01-04T00:00:00Z"), json!("2026-01-05T00:00:00Z"));
        assert_eq!(ids, [(&json!(8), &eight), (&json!(9), &nine)]);
    }

    #[test]
    fn an_issue_is_created_by_the_apps_bot_and_listed() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "admin": {} } } } }));
        let new = json!({ "title": "failed", "body": "why", "labels": ["bug", { "name": "policy" }] });
        let reply = call(&mut world, &Method::POST, "repos/acme/admin/issues", &new);
        let issue = reply.body.unwrap();
        assert_eq!((reply.status, &issue["number"], &issue["user"]["type"]), (201, &json!(1), &json!("Bot")));
        assert_eq!(issue["labels"][1]["name"], "policy");
        let listed = call(&mut world, &Method::GET, "repos/acme/admin/issues", &Value::Null).body.unwrap();
        assert_eq!(listed[0]["title"], "failed");
        assert_eq!(call(&mut world, &Method::POST, "repos/acme/admin/issues", &json!({})).status, 422);
    }

    #[test]
    fn an_issue_is_closed_and_no_longer_listed() {
        let issues =
            json!([{ "id": 5, "number": 3, "title": "held", "labels": ["beadle"], "user": "beadle-app" }]);
        let mut world =
            World::from(json!({ "orgs": { "acme": { "repos": { "admin": { "issues": issues } } } } }));
        let path = "repos/acme/admin/issues";
        let listed = call(&mut world, &Method::GET, path, &Value::Null).body.unwrap();
        assert_eq!(listed[0]["performed_via_github_app"]["slug"], "beadle-app");
        let closed = json!({ "state": "closed", "state_reason": "completed", "body": "recovered" });
        let reply = call(&mut world, &Method::PATCH, "repos/acme/admin/issues/3", &closed);
        let issue = reply.body.unwrap();
        assert_eq!((reply.status, &issue["state"], &issue["title"]), (200, &json!("closed"), &json!("held")));
        assert!(issue["closed_at"].is_string());
        let listed = call(&mut world, &Method::GET, path, &Value::Null).body.unwrap();
        assert_eq!(listed, json!([]));
        let wrong = json!({ "state": "done" });
        assert_eq!(call(&mut world, &Method::PATCH, "repos/acme/admin/issues/3", &wrong).status, 422);
    }

    #[test]
    fn a_pull_request_accepts_comments() {
        let issues = json!([{ "id": 5, "number": 3, "title": "change", "pull_request": true }]);
        let mut world =
            World::from(json!({ "orgs": { "acme": { "repos": { "admin": { "issues": issues } } } } }));
        let path = "repos/acme/admin/issues/3/comments";
        let said = call(&mut world, &Method::POST, path, &json!({ "body": "fine" })).body.unwrap();
        assert!(said["html_url"].as_str().unwrap().contains("/acme/admin/pull/3#issuecomment-"));
        let listed = call(&mut world, &Method::GET, path, &Value::Null).body.unwrap();
        assert_eq!((&listed[0]["body"], listed.as_array().unwrap().len()), (&json!("fine"), 1));
        assert_eq!(listed[0]["performed_via_github_app"]["slug"], "beadle-app");
        let own = format!("repos/acme/admin/issues/comments/{}", listed[0]["id"]);
        let changed = call(&mut world, &Method::PATCH, &own, &json!({ "body": "better" }));
        assert_eq!((changed.status, &changed.body.unwrap()["body"]), (200, &json!("better")));
        let listed = call(&mut world, &Method::GET, path, &Value::Null).body.unwrap();
        assert_eq!((&listed[0]["body"], listed.as_array().unwrap().len()), (&json!("better"), 1));
        let long = json!({ "body": "x".repeat(65_537) });
        assert_eq!(call(&mut world, &Method::PATCH, &own, &long).status, 422);
        let gone = "repos/acme/admin/issues/comments/1";
        assert_eq!(call(&mut world, &Method::PATCH, gone, &json!({ "body": "better" })).status, 404);
        assert_eq!(call(&mut world, &Method::POST, path, &json!({})).status, 422);
        let shown = call(&mut world, &Method::GET, "repos/acme/admin/issues/3", &Value::Null).body.unwrap();
        assert_eq!((&shown["comments"], shown["pull_request"].is_object()), (&json!(1), true));
    }
}
