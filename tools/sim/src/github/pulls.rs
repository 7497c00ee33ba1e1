//! The pull requests of repositories. In the state, `pulls.<number>` of a repository has the files
//! of the head in `contents`. A pull request can also have the `base` branch, the `state`,
//! `merged`, the `user` and `fork` (the head is in a fork). A change of the files makes a commit,
//! like a push. `reviews` is a list, and each entry has its `user` and its `state`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::github::commits;

/// Adds the default values of pull requests, and makes a commit for each head with changed files.
/// Every pull request is also an issue.
pub(crate) fn complete(repository: &mut Value, fresh: &mut impl FnMut() -> u64) {
    let Some(mut pulls) = repository.get("pulls").and_then(Value::as_object).cloned() else { return };
    for (number, pull) in &mut pulls {
        let Ok(number) = number.parse::<u64>() else { continue };
        let files = repository["contents"].clone();
        for (key, value) in [
            ("base", repository["default_branch"].clone()),
            ("state", json!("open")),
            ("merged", json!(false)),
            ("fork", json!(false)),
            ("user", json!("octocat")),
            ("title", json!("Change the files")),
            ("contents", files),
        ] {
            if pull.get(key).is_none() {
                pull[key] = value;
            }
        }
        if pull["id"].is_null() {
            pull["id"] = json!(fresh());
        }
        push(repository, number, pull);
        // A patch that merges a pull request also changes the files of the repository.
        if pull["merged"] == json!(true) && pull["merge_commit"].is_null() {
            pull["state"] = json!("closed");
            pull["merge_commit"] = repository["head_commit"].clone();
        }
        add_issue(repository, number, pull, fresh);
    }
    repository["pulls"] = Value::Object(pulls);
}

/// Makes a commit if the files of the head changed.
fn push(repository: &mut Value, number: u64, pull: &mut Value) {
    let known = pull["head"].as_str().map(|head| &repository["commits"][head]["contents"]);
    if known.is_some_and(|known| *known == pull["contents"]) {
        return;
    }
    let parent = pull["head"].as_str().or(repository["head_commit"].as_str());
    let files = pull["contents"].as_object().into_iter().flatten();
    let blobs: BTreeMap<String, &String> = files.map(|(path, file)| (blob(file), path)).collect();
    let new = json!({
        "author": pull["user"], "message": format!("Change the files of pull request {number}"),
        "parents": parent.iter().collect::<Vec<_>>(), "contents": pull["contents"], "blobs": blobs,
    });
    let head = commits::id("commit", &new.to_string());
    if !repository["commits"].is_object() {
        repository["commits"] = json!({});
    }
    repository["commits"][&head] = new;
    pull["head"] = json!(head);
}

/// Returns the id of a file. The file is a text, or an object with `mode` and `text`.
fn blob(file: &Value) -> String {
    let text = file["text"].as_str().or(file.as_str()).unwrap_or_default();
    if file["mode"] == "160000" { text.to_owned() } else { commits::id("blob", text) }
}

fn add_issue(repository: &mut Value, number: u64, pull: &Value, fresh: &mut impl FnMut() -> u64) {
    let state = pull["state"].clone();
    let mut issues = repository["issues"].as_array().cloned().unwrap_or_default();
    match issues.iter_mut().find(|issue| issue["number"] == json!(number)) {
        Some(issue) => issue["state"] = state,
        None => issues.push(json!({
            "id": fresh(), "number": number, "title": pull["title"], "state": state, "user": pull["user"],
            "pull_request": true, "comments": [],
        })),
    }
    repository["issues"] = Value::Array(issues);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_files_of_a_pull_request_is_a_push_to_its_head() {
        let mut next = 0;
        let mut fresh = || {
            next += 1;
            next
        };
        let mut found = json!({
            "default_branch": "main", "branches": { "main": {} }, "contents": { "a": "1" },
            "pulls": { "7": { "contents": { "a": "2" } } },
        });
        complete(&mut found, &mut fresh);
        let first = found["pulls"]["7"]["head"].as_str().unwrap().to_owned();
        assert_eq!(
            (&found["pulls"]["7"]["base"], &found["issues"][0]["number"]),
            (&json!("main"), &json!(7))
        );
        complete(&mut found, &mut fresh);
        assert_eq!(found["pulls"]["7"]["head"], first.as_str(), "nothing has changed");
        found["pulls"]["7"]["contents"]["a"] = json!("3");
        found["pulls"]["7"]["state"] = json!("closed");
        complete(&mut found, &mut fresh);
        let second = commits::find(&found, found["pulls"]["7"]["head"].as_str().unwrap()).unwrap();
        assert_eq!((second.files()["a"].text, second.parents.as_slice()), ("3", [first.as_str()].as_slice()));
        assert_eq!(commits::blob(&found, &commits::id("blob", "3")), Some("3"));
        let issues = found["issues"].as_array().unwrap();
        assert_eq!((issues.len(), &issues[0]["state"]), (1, &json!("closed")));
    }
}
