//! Branches, commits, files and pull requests, as queries show them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::resolve::{Object, Resolved, text};
use crate::github::commits::{self, Commit};
use crate::github::world::World;

/// The first characters of a branch's node id. The next parts are the id of the repository and the
/// name of the branch.
const REF: &str = "REF_kgDO";

/// Returns the node id of a branch.
pub(super) fn ref_id(repository: u64, branch: &str) -> String {
    format!("{REF}{repository:08}_{branch}")
}

/// Returns the repository and the branch name from a node id.
pub(super) fn decode_ref(id: &str) -> Option<(u64, &str)> {
    let (repository, branch) = id.strip_prefix(REF)?.split_once('_')?;
    Some((repository.parse().ok()?, branch))
}

/// Returns the node id of a pull request.
pub(super) fn pull_id(pull: &Value) -> String {
    format!("PR_kwDO{:08}", pull["id"].as_u64().unwrap_or_default())
}

/// Returns a branch, or null if the repository does not have it.
pub(super) fn branch(found: &Value, repository: u64, name: &str) -> Resolved {
    match found["branches"].get(name) {
        Some(_) => Resolved::Object(Object::Ref { repository, name: name.to_owned() }),
        None => Resolved::Value(Value::Null),
    }
}

/// Returns the value of a field of a branch.
pub(super) fn reference(
    world: &World,
    repository: u64,
    name: &str,
    field: &str,
    arguments: &Map<String, Value>,
) -> Resolved {
    let Some((_, found)) = world.by_id(repository) else { return Resolved::Value(Value::Null) };
    match field {
        "id" => Resolved::Value(json!(ref_id(repository, name))),
        "name" => Resolved::Value(json!(name)),
        "target" => match commits::find(found, name) {
            Some(commit) => {
                Resolved::Object(Object::Json(json!({ "__typename": "Commit", "oid": commit.id })))
            }
            None => Resolved::Value(Value::Null),
        },
        "compare" => {
            let other = text(arguments, "headRef");
            match (commits::find(found, name), commits::find(found, other)) {
                (Some(base), Some(head)) => comparison(found, &base, &head),
                _ => Resolved::not_found(format!("Could not resolve to a Ref with the name '{other}'.")),
            }
        }
        "associatedPullRequests" => {
            let mut arguments = arguments.clone();
            arguments.insert("headRefName".into(), json!(name));
            // A branch of a fork is not a branch of this repository.
            let own = found["pulls"].as_object().into_iter().flatten();
            let own = own.filter(|(_, pull)| pull["fork"] != json!(true));
            let own: Map<String, Value> = own.map(|(number, pull)| (number.clone(), pull.clone())).collect();
            pulls(&json!({ "pulls": own }), &arguments)
        }
        _ => Resolved::unknown("Ref", field),
    }
}

/// Returns the ids of a commit and of all commits before it.
fn history<'a>(found: &'a Value, from: &Commit<'a>) -> Vec<String> {
    let mut ids = vec![from.id.clone()];
    let mut parent = from.parents.first().copied();
    while let Some(commit) = parent.and_then(|id| commits::find(found, id)) {
        ids.push(commit.id.clone());
        parent = commit.parents.first().copied();
    }
    ids
}

/// Returns the ids of the commits that `head` has and `base` does not have. The oldest commit comes
/// first.
pub(super) fn ahead<'a>(found: &'a Value, base: &Commit<'a>, head: &Commit<'a>) -> Vec<String> {
    let known: BTreeSet<String> = history(found, base).into_iter().collect();
    let mut ids: Vec<String> = history(found, head).into_iter().filter(|id| !known.contains(id)).collect();
    ids.reverse();
    ids
}

fn comparison<'a>(found: &'a Value, base: &Commit<'a>, head: &Commit<'a>) -> Resolved {
    let ids = ahead(found, base, head);
    let nodes: Vec<Value> =
        ids.iter().filter_map(|id| commits::find(found, id)).map(|commit| shown(&commit)).collect();
    let connection =
        json!({ "__typename": "ComparisonCommitConnection", "totalCount": ids.len(), "nodes": nodes });
    Resolved::Object(Object::Json(
        json!({ "__typename": "Comparison", "aheadBy": ids.len(), "commits": connection }),
    ))
}

/// Returns a commit. GitHub shows no user for the commit of an App.
fn shown(commit: &Commit<'_>) -> Value {
    let is_app = commit.author.ends_with("[bot]");
    let user = if is_app { Value::Null } else { json!({ "__typename": "User", "login": commit.author }) };
    let author = json!({ "__typename": "GitActor", "name": commit.author, "user": user });
    json!({ "__typename": "Commit", "oid": commit.id, "author": author })
}

/// Returns the object for an expression such as `HEAD:README.md`, or null.
pub(super) fn at_expression(found: &Value, expression: &str) -> Resolved {
    let Some((reference, path)) = expression.split_once(':') else { return Resolved::Value(Value::Null) };
    let Some(commit) = commits::find(found, reference) else { return Resolved::Value(Value::Null) };
    let files = commit.files();
    let folder = format!("{path}/");
    let object =
        |kind: &str, id: String| Resolved::Object(Object::Json(json!({ "__typename": kind, "oid": id })));
    match files.get(path) {
        Some(file) if file.is_submodule() => object("Commit", file.id()),
        Some(file) => object("Blob", file.id()),
        None if files.keys().any(|file| file.starts_with(&folder)) => object("Tree", commit.tree(path)),
        None => Resolved::Value(Value::Null),
    }
}

/// Returns the name of a pull request's head branch.
pub(super) fn head_branch(number: &str, pull: &Value) -> String {
    pull["branch"].as_str().map_or_else(|| format!("change-{number}"), str::to_owned)
}

/// Returns the pull requests that the arguments select. The newest pull request comes first.
pub(super) fn pulls(found: &Value, arguments: &Map<String, Value>) -> Resolved {
    let wanted = arguments.get("headRefName").and_then(Value::as_str);
    let all = found["pulls"].as_object().into_iter().flatten();
    let mut numbered: Vec<(u64, &String, &Value)> =
        all.filter_map(|(number, pull)| Some((number.parse().ok()?, number, pull))).collect();
    numbered.retain(|(_, number, pull)| wanted.is_none_or(|wanted| head_branch(number, pull) == wanted));
    // GraphQL accepts a single value in place of a list.
    let states = arguments.get("states").map(|states| match states {
        Value::Array(states) => states.clone(),
        state => vec![state.clone()],
    });
    numbered.retain(|(_, _, pull)| states.as_ref().is_none_or(|states| states.contains(&json!(state(pull)))));
    numbered.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
    let edges =
        numbered.into_iter().map(|(number, _, pull)| Edge::plain(Object::Json(pull_shown(number, pull))));
    page("PullRequestConnection", edges.collect(), arguments)
}

fn state(pull: &Value) -> &'static str {
    match (pull["merged"] == json!(true), pull["state"] == "open") {
        (true, _) => "MERGED",
        (false, true) => "OPEN",
        (false, false) => "CLOSED",
    }
}

fn pull_shown(number: u64, pull: &Value) -> Value {
    json!({
        "__typename": "PullRequest", "id": pull_id(pull), "number": number, "state": state(pull),
        "isCrossRepository": pull["fork"] == json!(true), "body": pull["body"].as_str().unwrap_or_default(),
        // The answer shows whether the author is the caller.
        "viewerDidAuthor": pull["user"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_names_a_file_a_folder_or_nothing() {
        let found = json!({
            "default_branch": "main", "branches": { "main": {} }, "contents": { "docs/a.md": "hello\n", "b": "x" },
        });
        let kind = |expression: &str| match at_expression(&found, expression) {
            Resolved::Object(Object::Json(shown)) => shown["__typename"].as_str().unwrap().to_owned(),
            _ => "nothing".to_owned(),
        };
        assert_eq!(kind("HEAD:docs/a.md"), "Blob");
        assert_eq!(kind("refs/heads/main:docs"), "Tree");
        for other in ["HEAD:docs/b.md", "gone:b", "HEAD"] {
            assert_eq!(kind(other), "nothing", "{other}");
        }
        let Resolved::Object(Object::Json(shown)) = at_expression(&found, "HEAD:docs/a.md") else {
            panic!("it is a file");
        };
        assert_eq!(shown["oid"], "ce013625030ba8dba906f756967f9e9ca394464a", "the id of git");
        assert_eq!(decode_ref(&ref_id(7, "a_b/c")), Some((7, "a_b/c")));
    }
}
