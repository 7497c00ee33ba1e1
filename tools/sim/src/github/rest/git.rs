//! Branches, commits and trees. Each repository has only one commit, and all of its branches point
//! to that commit.
//!
//! <https://docs.github.com/rest/branches/branches>,
//! <https://docs.github.com/rest/commits/commits>,
//! <https://docs.github.com/rest/git/trees>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Call, Reply, page};
use crate::github::address;

/// Returns the id of the commit that every repository has.
pub(super) fn head() -> String {
    "1".repeat(40)
}

/// Returns the id of a file or a folder. The id of a file is computed from its text, and the id of
/// a folder from its path.
pub(super) fn id(kind: &str, text: &str) -> String {
    let digest = Sha256::digest(format!("{kind} {text}").as_bytes());
    digest.iter().take(20).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

fn empty() -> Reply {
    Reply::message(409, "Git Repository is empty.")
}

fn has_branches(found: &Value) -> bool {
    found["branches"].as_object().is_some_and(|branches| !branches.is_empty())
}

/// Returns whether a reference points to the repository's commit.
fn leads(found: &Value, reference: &str) -> bool {
    reference == head() || reference == "HEAD" || found["branches"].get(reference).is_some()
}

/// Returns whether a repository has the commit that a reference names.
pub(super) fn is_commit(found: &Value, reference: &str) -> bool {
    has_branches(found) && leads(found, reference)
}

fn commit(org: &str, name: &str) -> Value {
    let (head, root) = (head(), id("tree", ""));
    let api = format!("https://api.github.com/repos/{org}/{name}");
    let who = json!({ "name": "octocat", "email": "octocat@example.com", "date": "2026-01-01T00:00:00Z" });
    json!({
        "sha": head, "node_id": format!("C_kwDO{head}"), "url": format!("{api}/commits/{head}"),
        "html_url": format!("https://github.com/{org}/{name}/commit/{head}"),
        "comments_url": format!("{api}/commits/{head}/comments"),
        "author": null, "committer": null, "parents": [],
        "commit": {
            "author": who, "committer": who, "message": "Say what is there", "comment_count": 0,
            "tree": { "sha": root, "url": format!("{api}/git/trees/{root}") },
            "url": format!("{api}/git/commits/{head}"),
            "verification": {
                "verified": false, "reason": "unsigned", "payload": null, "signature": null, "verified_at": null,
            },
        },
    })
}

/// Answers `GET /repos/{owner}/{repo}/branches/{branch}`.
pub(super) fn branch(org: &str, found: &Value, branch: &str) -> Reply {
    if found["branches"].get(branch).is_none() {
        return Reply::message(404, "Branch not found");
    }
    let name = found["name"].as_str().unwrap_or_default();
    let segment = address::segment(branch);
    let url = format!("https://api.github.com/repos/{org}/{name}/branches/{segment}");
    let rule = &found["protection"][branch];
    let checks = &rule["required_status_checks"];
    let level = match (checks.is_object(), rule["enforce_admins"] == json!(true)) {
        (false, _) => "off",
        (true, false) => "non_admins",
        (true, true) => "everyone",
    };
    let checks = checks["checks"].as_array().cloned().unwrap_or_default();
    let contexts: Vec<&Value> = checks.iter().map(|check| &check["context"]).collect();
    let protection = json!({
        "enabled": rule.is_object(),
        "required_status_checks": { "enforcement_level": level, "contexts": contexts, "checks": checks },
    });
    let shown = json!({
        "name": branch, "commit": commit(org, name), "protected": rule.is_object(), "protection": protection,
        "_links": { "self": url, "html": format!("https://github.com/{org}/{name}/tree/{segment}") },
        "protection_url": format!("{url}/protection"),
    });
    Reply::json(200, shown)
}

/// Answers `GET /repos/{owner}/{repo}/commits`, and the same path followed by `/{ref}`.
pub(super) fn commits(call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    if !has_branches(found) {
        return empty();
    }
    match rest {
        [] => {
            let mut from = call.query.iter().filter(|(parameter, _)| parameter == "sha");
            if from.all(|(_, reference)| leads(found, reference)) {
                page(call, vec![commit(org, name)])
            } else {
                Reply::not_found()
            }
        }
        [reference] if leads(found, reference) => Reply::json(200, commit(org, name)),
        [reference] => Reply::invalid(&format!("No commit found for SHA: {reference}")),
        _ => Reply::not_found(),
    }
}

/// Answers `GET /repos/{owner}/{repo}/compare/{base}...{head}`. Both sides are always the same
/// commit.
pub(super) fn compare(org: &str, found: &Value, basehead: &str) -> Reply {
    let Some((base, head)) = basehead.split_once("...") else { return Reply::not_found() };
    if !is_commit(found, base) || !is_commit(found, head) {
        return Reply::not_found();
    }
    let name = found["name"].as_str().unwrap_or_default();
    let part = address::segment(basehead);
    let web = format!("https://github.com/{org}/{name}/compare/{part}");
    let commit = commit(org, name);
    let shown = json!({
        "url": format!("https://api.github.com/repos/{org}/{name}/compare/{part}"), "html_url": web,
        "permalink_url": web, "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "base_commit": commit, "merge_base_commit": commit, "status": "identical",
        "ahead_by": 0, "behind_by": 0, "total_commits": 0, "commits": [], "files": [],
    });
    Reply::json(200, shown)
}

/// Answers `GET /repos/{owner}/{repo}/git/trees/{tree_sha}`.
pub(super) fn tree(call: &Call<'_>, org: &str, found: &Value, asked: &str) -> Reply {
    if !has_branches(found) {
        return empty();
    }
    let name = found["name"].as_str().unwrap_or_default();
    let all = entries(found);
    let is_root = leads(found, asked) || asked == id("tree", "");
    let mut folders = all.iter().filter(|(_, file)| file.is_none()).map(|(path, _)| path);
    let folder = if is_root {
        String::new()
    } else if let Some(path) = folders.find(|path| id("tree", path) == asked) {
        format!("{path}/")
    } else {
        return Reply::not_found();
    };
    // GitHub returns the whole tree if the parameter `recursive` is present, whatever its value is.
    let deep = call.query.iter().any(|(parameter, _)| parameter == "recursive");
    let api = format!("https://api.github.com/repos/{org}/{name}/git");
    let rows = all.iter().filter_map(|(path, file)| {
        let below = path.strip_prefix(&folder).filter(|below| deep || !below.contains('/'))?;
        Some(if let Some(text) = file {
            let sha = id("blob", text);
            json!({
                "path": below, "mode": "100644", "type": "blob", "sha": sha, "size": text.len(),
                "url": format!("{api}/blobs/{sha}"),
            })
        } else {
            let sha = id("tree", path);
            json!({ "path": below, "mode": "040000", "type": "tree", "sha": sha, "url": format!("{api}/trees/{sha}") })
        })
    });
    let rows: Vec<Value> = rows.collect();
    let sha = id("tree", folder.trim_end_matches('/'));
    Reply::json(
        200,
        json!({ "sha": sha, "url": format!("{api}/trees/{sha}"), "truncated": false, "tree": rows }),
    )
}

/// Returns all files with their texts, and all folders, by path.
fn entries(found: &Value) -> BTreeMap<String, Option<&str>> {
    let mut all = BTreeMap::new();
    for (path, text) in found["contents"].as_object().into_iter().flatten() {
        for (at, _) in path.match_indices('/') {
            all.insert(path[..at].to_owned(), None);
        }
        all.insert(path.clone(), Some(text.as_str().unwrap_or_default()));
    }
    all
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn found() -> Value {
        json!({
            "name": "admin", "branches": { "main": {}, "next/one": {} },
            "protection": { "main": { "enforce_admins": true, "required_status_checks": {
                "strict": false, "checks": [{ "context": "test", "app_id": null }] } } },
            "contents": { "README.md": "a", ".github/settings.yml": "b", ".github/repos/shop.yml": "c" },
        })
    }

    fn asked(query: &[(String, String)], answer: impl Fn(&Call<'_>) -> Reply) -> Reply {
        let method = Method::GET;
        let call = Call {
            method: &method,
            path: Vec::new(),
            query,
            body: &Value::Null,
            sender: "beadle-app",
            accept: "",
        };
        answer(&call)
    }

    fn paths(reply: &Reply) -> Vec<String> {
        let tree = reply.body.as_ref().unwrap()["tree"].as_array().unwrap();
        tree.iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_tree_lists_one_level_or_all_of_them() {
        let found = found();
        let deep = [("recursive".to_owned(), "1".to_owned())];
        let of = |query: &[(String, String)], id: &str| asked(query, |call| tree(call, "acme", &found, id));
        assert_eq!(paths(&of(&[], "main")), [".github", "README.md"]);
        let folder = of(&[], "main").body.unwrap()["tree"][0]["sha"].clone();
        assert_eq!(paths(&of(&[], folder.as_str().unwrap())), ["repos", "settings.yml"]);
        let all = [".github", ".github/repos", ".github/repos/shop.yml", ".github/settings.yml", "README.md"];
        assert_eq!(paths(&of(&deep, &head())), all);
        assert_eq!(of(&[], "nothing").status, 404);
        assert_eq!(asked(&[], |call| tree(call, "acme", &json!({}), "main")).status, 409);
    }

    #[test]
    fn a_branch_shows_its_commit_and_whether_it_is_protected() {
        let found = found();
        let shown = branch("acme", &found, "main").body.unwrap();
        let checks = &shown["protection"]["required_status_checks"];
        assert_eq!(shown["commit"]["sha"], head());
        assert_eq!((&shown["protected"], &checks["enforcement_level"]), (&json!(true), &json!("everyone")));
        assert_eq!(checks["contexts"], json!(["test"]));
        let other = branch("acme", &found, "next/one").body.unwrap();
        assert_eq!(
            other["protection_url"],
            "https://api.github.com/repos/acme/admin/branches/next%2Fone/protection"
        );
        assert_eq!(other["protected"], json!(false));
        assert_eq!(branch("acme", &found, "gone").status, 404);
    }

    #[test]
    fn every_reference_leads_to_the_only_commit() {
        let found = found();
        let of = |rest: &[&str]| asked(&[], |call| commits(call, "acme", &found, rest));
        assert_eq!(of(&[]).body.unwrap()[0]["sha"], head());
        assert_eq!(of(&["main"]).body.unwrap()["sha"], head());
        assert_eq!(of(&["gone"]).status, 422);
        assert_eq!(asked(&[], |call| commits(call, "acme", &json!({}), &[])).status, 409);
        let compared = compare("acme", &found, "main...next/one").body.unwrap();
        assert_eq!((&compared["status"], &compared["files"]), (&json!("identical"), &json!([])));
        assert_eq!(compare("acme", &found, "main...gone").status, 404);
    }
}
