//! Simulates check runs. An App uses check runs to report results.
//!
//! <https://docs.github.com/rest/checks/runs>

use http::Method;
use serde_json::{Value, json};

use super::{Call, Reply, git, has_id, in_object, page};
use crate::github::world::{World, now};
use crate::github::{commits, shapes};

/// The keys of a body that the simulator stores.
const SETTABLE: &[&str] =
    &["name", "details_url", "external_id", "status", "started_at", "conclusion", "completed_at"];

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/check-runs`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let runs = found["check_runs"].as_array().cloned().unwrap_or_default();
    let place = |id: &str| runs.iter().position(|run| has_id(run, id));
    if call.method != Method::GET && world.acting(call.sender).is_none() {
        return Reply::message(403, "You must authenticate via a GitHub App.");
    }
    match (call.method.as_str(), rest) {
        ("POST", []) => {
            let sha = call.body["head_sha"].as_str().unwrap_or_default();
            if !git::is_commit(found, sha) {
                return Reply::invalid(&format!("No commit found for SHA: {sha}"));
            }
            let mut run =
                json!({ "id": world.fresh_id(), "head_sha": sha, "status": "queued", "app": call.sender });
            set(&mut run, call.body);
            let shown = shown(world, org, name, &run);
            world.edit(org, name, call.sender, |found| match found["check_runs"].as_array_mut() {
                Some(runs) => runs.push(run),
                None => found["check_runs"] = json!([run]),
            });
            Reply::json(201, shown)
        }
        ("GET", [id]) => match place(id) {
            Some(at) => Reply::json(200, shown(world, org, name, &runs[at])),
            None => Reply::not_found(),
        },
        ("GET", [id, "annotations"]) => match place(id) {
            Some(at) => {
                let all = runs[at]["annotations"].as_array().into_iter().flatten();
                page(call, all.map(annotation).collect())
            }
            None => Reply::not_found(),
        },
        ("PATCH", [id]) => {
            let Some(at) = place(id) else { return Reply::not_found() };
            let mut run = runs[at].clone();
            set(&mut run, call.body);
            let shown = shown(world, org, name, &run);
            world.edit(org, name, call.sender, |found| found["check_runs"][at] = run);
            Reply::json(200, shown)
        }
        _ => Reply::not_found(),
    }
}

/// Answers `GET /repos/{owner}/{repo}/commits/{ref}/check-runs`.
pub(super) fn of_commit(world: &World, call: &Call<'_>, org: &str, found: &Value, reference: &str) -> Reply {
    if !git::is_commit(found, reference) {
        return Reply::invalid(&format!("No commit found for SHA: {reference}"));
    }
    let name = found["name"].as_str().unwrap_or_default();
    let wanted =
        |key: &str| call.query.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str());
    let (named, status, app) = (wanted("check_name"), wanted("status"), wanted("app_id"));
    let commit = commits::find(found, reference).map(|commit| commit.id);
    let at_commit: Vec<&Value> = found["check_runs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|run| commit.as_deref().is_some_and(|commit| run["head_sha"] == commit))
        .collect();
    // GitHub shows the latest check run of each App and name. A call can request all check runs.
    let is_latest = |at: &usize| {
        let run = at_commit[*at];
        let same = |later: &&Value| later["name"] == run["name"] && later["app"] == run["app"];
        wanted("filter") == Some("all") || !at_commit[at + 1..].iter().any(same)
    };
    let rows = (0..at_commit.len()).filter(is_latest).map(|at| shown(world, org, name, at_commit[at]));
    let rows = rows.filter(|run| {
        named.is_none_or(|name| run["name"] == name)
            && status.is_none_or(|status| run["status"] == status)
            && app.is_none_or(|app| run["app"]["id"].as_u64() == app.parse().ok())
    });
    in_object(call, "check_runs", rows.collect())
}

/// Returns an annotation in REST's form.
fn annotation(given: &Value) -> Value {
    let mut shown = json!({
        "start_column": null, "end_column": null, "title": null, "raw_details": null,
        "blob_href": "https://github.com/",
    });
    for (key, value) in given.as_object().into_iter().flatten() {
        shown[key] = value.clone();
    }
    shown
}

/// Applies the body of a call to a check run. If the body has a conclusion, this also completes the
/// check run.
fn set(run: &mut Value, body: &Value) {
    for (key, value) in body.as_object().into_iter().flatten() {
        if SETTABLE.contains(&key.as_str()) {
            run[key] = value.clone();
        }
    }
    if let Some(output) = body["output"].as_object() {
        for key in ["title", "summary", "text"] {
            if let Some(text) = output.get(key) {
                run["output"][key] = text.clone();
            }
        }
        // GitHub adds the annotations to the earlier annotations.
        let mut all = run["annotations"].as_array().cloned().unwrap_or_default();
        all.extend(output.get("annotations").and_then(Value::as_array).into_iter().flatten().cloned());
        run["annotations"] = Value::Array(all);
    }
    let begins_again = body["status"].as_str().is_some_and(|status| status != "completed");
    if begins_again && body["conclusion"].is_null() {
        run["conclusion"] = Value::Null;
        run["completed_at"] = Value::Null;
    }
    if !run["conclusion"].is_null() {
        run["status"] = json!("completed");
    }
    for (key, is_due) in
        [("started_at", run["status"] != "queued"), ("completed_at", run["status"] == "completed")]
    {
        if is_due && run[key].is_null() {
            run[key] = json!(now());
        }
    }
}

fn shown(world: &World, org: &str, name: &str, run: &Value) -> Value {
    let id = run["id"].as_u64().unwrap_or_default();
    let url = format!("https://api.github.com/repos/{org}/{name}/check-runs/{id}");
    let web = format!("https://github.com/{org}/{name}/runs/{id}");
    let app = run["app"].as_str().and_then(|slug| world.acting(slug));
    let output = &run["output"];
    json!({
        "id": id, "node_id": format!("CR_kwDO{id:08}"), "head_sha": run["head_sha"], "name": run["name"],
        "external_id": run["external_id"], "url": url, "html_url": web,
        "details_url": run["details_url"].as_str().unwrap_or(&web),
        "status": run["status"], "conclusion": run["conclusion"],
        "started_at": run["started_at"], "completed_at": run["completed_at"],
        "output": {
            "title": output["title"], "summary": output["summary"], "text": output["text"],
            "annotations_count": run["annotations"].as_array().map_or(0, Vec::len),
            "annotations_url": format!("{url}/annotations"),
        },
        "check_suite": { "id": 1 }, "app": app.map(|app| shapes::app(world, &app)), "pull_requests": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::github::rest;

    /// Calls the simulator in the same way as its router does.
    fn call(world: &mut World, method: &Method, path: &str, body: &Value) -> Reply {
        let path = path.split('/').collect();
        rest::answer(world, &Call { method, path, query: &[], body, sender: "beadle-app", accept: "" })
    }

    fn world() -> World {
        World::from(json!({ "orgs": { "acme": { "repos": { "admin": { "branches": { "main": {} } } } } } }))
    }

    #[test]
    fn a_check_run_is_created_concluded_and_listed_at_its_commit() {
        let mut world = world();
        let new = json!({ "name": "policy", "head_sha": "1".repeat(40) });
        let reply = call(&mut world, &Method::POST, "repos/acme/admin/check-runs", &new);
        let run = reply.body.unwrap();
        assert_eq!(
            (reply.status, &run["status"], &run["completed_at"]),
            (201, &json!("queued"), &Value::Null)
        );
        // The state of this test has no `apps`, but the App of the simulator must still exist.
        assert_eq!(run["app"]["slug"], "beadle-app");
        let path = format!("repos/acme/admin/check-runs/{}", run["id"]);
        let done = json!({ "conclusion": "failure", "output": { "title": "t", "summary": "s" } });
        let run = call(&mut world, &Method::PATCH, &path, &done).body.unwrap();
        assert_eq!((&run["status"], &run["conclusion"]), (&json!("completed"), &json!("failure")));
        assert!(run["completed_at"].is_string());
        let listed = call(&mut world, &Method::GET, "repos/acme/admin/commits/main/check-runs", &Value::Null);
        let listed = listed.body.unwrap();
        assert_eq!((&listed["total_count"], &listed["check_runs"][0]["name"]), (&json!(1), &json!("policy")));
    }

    #[test]
    fn annotations_are_added_and_the_latest_check_run_of_a_name_is_listed() {
        let mut world = world();
        let runs = "repos/acme/admin/check-runs";
        let new = json!({ "name": "policy", "head_sha": "1".repeat(40) });
        let first = call(&mut world, &Method::POST, runs, &new).body.unwrap();
        let own = format!("{runs}/{}", first["id"]);
        let annotation = |line: u64| json!({ "path": "a.yml", "start_line": line, "end_line": line, "annotation_level": "failure", "message": "m" });
        for lines in [1..=50, 51..=60] {
            let annotations: Vec<Value> = lines.map(annotation).collect();
            let output = json!({ "title": "t", "summary": "s", "annotations": annotations });
            let done = json!({ "conclusion": "failure", "output": output });
            assert_eq!(call(&mut world, &Method::PATCH, &own, &done).status, 200);
        }
        let many: Vec<Value> = (1..=51).map(annotation).collect();
        let output = json!({ "title": "t", "summary": "s", "annotations": many });
        assert_eq!(call(&mut world, &Method::PATCH, &own, &json!({ "output": output })).status, 422);
        let output = json!({ "title": "t", "summary": "s".repeat(65_536) });
        assert_eq!(call(&mut world, &Method::PATCH, &own, &json!({ "output": output })).status, 422);
        let shown = call(&mut world, &Method::GET, &own, &Value::Null).body.unwrap();
        assert_eq!(shown["output"]["annotations_count"], 60);
        let second = call(&mut world, &Method::POST, runs, &new).body.unwrap();
        let listed = call(&mut world, &Method::GET, "repos/acme/admin/commits/main/check-runs", &Value::Null);
        let listed = listed.body.unwrap();
        assert_eq!((&listed["total_count"], &listed["check_runs"][0]["id"]), (&json!(1), &second["id"]));
    }

    #[test]
    fn a_check_run_of_an_unknown_commit_or_with_an_invalid_status_is_refused() {
        let mut world = world();
        let unknown = json!({ "name": "policy", "head_sha": "2".repeat(40) });
        assert_eq!(call(&mut world, &Method::POST, "repos/acme/admin/check-runs", &unknown).status, 422);
        let invalid = json!({ "name": "policy", "head_sha": "1".repeat(40), "conclusion": "fine" });
        assert_eq!(call(&mut world, &Method::POST, "repos/acme/admin/check-runs", &invalid).status, 422);
    }
}
