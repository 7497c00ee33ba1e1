//! Branches, commits, trees and blobs.
//!
//! <https://docs.github.com/rest/branches/branches>,
//! <https://docs.github.com/rest/commits/commits>,
//! <https://docs.github.com/rest/git/trees>,
//! <https://docs.github.com/rest/git/blobs>,
//! <https://docs.github.com/rest/git/refs>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Call, Reply, page, wants_raw};
use crate::github::address;
use crate::github::commits::{self, Commit, File, find, has_branches, head};
use crate::github::shapes;
use crate::github::world::World;

/// The maximum number of entries in a recursive tree. A longer tree is truncated.
const MOST_ENTRIES: u64 = 100_000;

fn empty() -> Reply {
    Reply::message(409, "Git Repository is empty.")
}

/// Returns whether a repository has the commit of a reference.
pub(super) fn is_commit(found: &Value, reference: &str) -> bool {
    find(found, reference).is_some()
}

fn shown(org: &str, name: &str, commit: &Commit<'_>) -> Value {
    let (head, root) = (&commit.id, commit.tree(""));
    let api = format!("https://api.github.com/repos/{org}/{name}");
    let web = format!("https://github.com/{org}/{name}/commit");
    let email = format!("{}@example.com", commit.author);
    let who = json!({ "name": commit.author, "email": email, "date": "2026-01-01T00:00:00Z" });
    let parents = commit.parents.iter().map(
        |id| json!({ "sha": id, "url": format!("{api}/commits/{id}"), "html_url": format!("{web}/{id}") }),
    );
    json!({
        "sha": head, "node_id": format!("C_kwDO{head}"), "url": format!("{api}/commits/{head}"),
        "html_url": format!("{web}/{head}"),
        "comments_url": format!("{api}/commits/{head}/comments"),
        "author": null, "committer": null, "parents": parents.collect::<Vec<_>>(),
        "commit": {
            "author": who, "committer": who, "message": commit.message, "comment_count": 0,
            "tree": { "sha": root, "url": format!("{api}/git/trees/{root}") },
            "url": format!("{api}/git/commits/{head}"),
            "verification": {
                "verified": false, "reason": "unsigned", "payload": null, "signature": null, "verified_at": null,
            },
        },
    })
}

/// Returns a commit with the accounts of the author and the committer. The author and the committer
/// have the same account. The account is null if the state has no person or App with the name of
/// the author.
fn with_accounts(world: &World, org: &str, name: &str, commit: &Commit<'_>) -> Value {
    let account = match commit.author.strip_suffix("[bot]") {
        Some(slug) if world.acting(slug).is_some() => shapes::sender(world, slug),
        None if world.user(commit.author).is_some() => shapes::user(world, commit.author),
        _ => Value::Null,
    };
    let mut shown = shown(org, name, commit);
    shown["author"] = account.clone();
    shown["committer"] = account;
    shown
}

/// Answers `GET /repos/{owner}/{repo}/branches/{branch}`.
pub(super) fn branch(org: &str, found: &Value, branch: &str) -> Reply {
    let commit = found["branches"].get(branch).and_then(|_| find(found, branch));
    let Some(commit) = commit else { return Reply::message(404, "Branch not found") };
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
    let answer = json!({
        "name": branch, "commit": shown(org, name, &commit), "protected": rule.is_object(), "protection": protection,
        "_links": { "self": url, "html": format!("https://github.com/{org}/{name}/tree/{segment}") },
        "protection_url": format!("{url}/protection"),
    });
    Reply::json(200, answer)
}

/// Answers `POST /repos/{owner}/{repo}/git/refs`. The simulator creates branches only.
pub(super) fn create_ref(world: &mut World, call: &Call<'_>, org: &str, found: &Value) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let (full, sha) = (call.body["ref"].as_str().unwrap_or_default(), &call.body["sha"]);
    let Some(branch) = full.strip_prefix("refs/heads/").filter(|branch| !branch.is_empty()) else {
        return Reply::invalid("Reference name must start with 'refs/heads/' in the simulator");
    };
    if !has_branches(found) {
        return empty();
    }
    if !sha.as_str().is_some_and(|sha| sha.len() == 40 && is_commit(found, sha)) {
        return Reply::invalid("Object does not exist");
    }
    if found["branches"].get(branch).is_some() {
        return Reply::invalid("Reference already exists");
    }
    let at = if *sha == head(found) { json!({}) } else { json!({ "commit": sha }) };
    world.edit(org, name, call.sender, |found| found["branches"][branch] = at);
    let api = format!("https://api.github.com/repos/{org}/{name}/git");
    let segments: Vec<String> = branch.split('/').map(address::segment).collect();
    let answer = json!({
        "ref": full, "node_id": format!("REF_{}", commits::id("ref", full)),
        "url": format!("{api}/refs/heads/{}", segments.join("/")),
        "object": { "type": "commit", "sha": sha, "url": format!("{api}/commits/{}", sha.as_str().unwrap_or_default()) },
    });
    Reply::json(201, answer)
}

/// Answers `GET /repos/{owner}/{repo}/commits`, and the same path followed by `/{ref}`.
pub(super) fn commits(world: &World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    if !has_branches(found) {
        return empty();
    }
    match rest {
        [] => {
            let from = call.query.iter().find(|(parameter, _)| parameter == "sha");
            let mut next = find(found, from.map_or("HEAD", |(_, reference)| reference.as_str()));
            if next.is_none() {
                return Reply::not_found();
            }
            let mut rows = Vec::new();
            while let Some(commit) = next {
                rows.push(with_accounts(world, org, name, &commit));
                next = commit.parents.first().and_then(|parent| find(found, parent));
            }
            page(call, rows)
        }
        [reference] => match find(found, reference) {
            Some(commit) => Reply::json(200, with_accounts(world, org, name, &commit)),
            None => Reply::invalid(&format!("No commit found for SHA: {reference}")),
        },
        _ => Reply::not_found(),
    }
}

/// Answers `GET /repos/{owner}/{repo}/compare/{base}...{head}`. The simulator compares a commit
/// only with itself. For two different commits, the simulator reports a difference without any
/// files.
pub(super) fn compare(org: &str, found: &Value, basehead: &str) -> Reply {
    let Some((base, head)) = basehead.split_once("...") else { return Reply::not_found() };
    let (Some(base), Some(head)) = (find(found, base), find(found, head)) else { return Reply::not_found() };
    let name = found["name"].as_str().unwrap_or_default();
    let part = address::segment(basehead);
    let web = format!("https://github.com/{org}/{name}/compare/{part}");
    let status = if base.id == head.id { "identical" } else { "diverged" };
    let Some(began) = merge_base(found, &base, &head) else { return Reply::not_found() };
    let (commit, began) = (shown(org, name, &base), shown(org, name, &began));
    let answer = json!({
        "url": format!("https://api.github.com/repos/{org}/{name}/compare/{part}"), "html_url": web,
        "permalink_url": web, "diff_url": format!("{web}.diff"), "patch_url": format!("{web}.patch"),
        "base_commit": commit, "merge_base_commit": began, "status": status,
        "ahead_by": 0, "behind_by": 0, "total_commits": 0, "commits": [], "files": [],
    });
    Reply::json(200, answer)
}

/// Returns the last commit that two commits have in common. Each commit has at most one parent.
fn merge_base<'a>(found: &'a Value, base: &Commit<'a>, head: &Commit<'a>) -> Option<Commit<'a>> {
    let line = |from: &Commit<'a>| {
        let parent = |commit: &Commit<'a>| find(found, commit.parents.first()?);
        std::iter::successors(find(found, &from.id), parent)
    };
    let of_base: Vec<String> = line(base).map(|commit| commit.id).collect();
    line(head).find(|commit| of_base.contains(&commit.id))
}

/// Answers `GET /repos/{owner}/{repo}/git/trees/{tree_sha}`. If a test needs a truncated tree, it
/// can set `tree_limit` in the state.
pub(super) fn tree(call: &Call<'_>, org: &str, found: &Value, asked: &str) -> Reply {
    if !has_branches(found) {
        return empty();
    }
    let name = found["name"].as_str().unwrap_or_default();
    let Some((commit, folder)) = folder(found, asked) else { return Reply::not_found() };
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    // GitHub returns the whole tree if the parameter `recursive` is present, with any value.
    let deep = call.query.iter().any(|(parameter, _)| parameter == "recursive");
    let api = format!("https://api.github.com/repos/{org}/{name}/git");
    let all = entries(&commit);
    let rows = all.iter().filter_map(|(path, file)| {
        let below = path.strip_prefix(&prefix).filter(|below| deep || !below.contains('/'))?;
        Some(match file {
            Some(file) if file.is_submodule() => {
                json!({ "path": below, "mode": file.mode, "type": "commit", "sha": file.text })
            }
            Some(file) => {
                let sha = file.id();
                json!({
                    "path": below, "mode": file.mode, "type": "blob", "sha": sha, "size": file.text.len(),
                    "url": format!("{api}/blobs/{sha}"),
                })
            }
            None => {
                let sha = commit.tree(path);
                json!({ "path": below, "mode": "040000", "type": "tree", "sha": sha, "url": format!("{api}/trees/{sha}") })
            }
        })
    });
    let mut rows: Vec<Value> = rows.collect();
    let most = usize::try_from(found["tree_limit"].as_u64().unwrap_or(MOST_ENTRIES)).unwrap_or(usize::MAX);
    let is_cut = deep && rows.len() > most;
    if is_cut {
        rows.truncate(most);
    }
    let sha = commit.tree(&folder);
    Reply::json(
        200,
        json!({ "sha": sha, "url": format!("{api}/trees/{sha}"), "truncated": is_cut, "tree": rows }),
    )
}

/// Answers `GET /repos/{owner}/{repo}/git/blobs/{file_sha}`.
pub(super) fn blob(call: &Call<'_>, org: &str, found: &Value, sha: &str) -> Reply {
    let Some(text) = commits::blob(found, sha) else { return Reply::not_found() };
    if wants_raw(call.accept) {
        return Reply::raw(text);
    }
    let name = found["name"].as_str().unwrap_or_default();
    let answer = json!({
        "sha": sha, "node_id": format!("B_kwDO{sha}"), "size": text.len(), "encoding": "base64",
        "url": format!("https://api.github.com/repos/{org}/{name}/git/blobs/{sha}"),
        "content": STANDARD.encode(text),
    });
    Reply::json(200, answer)
}

/// Returns a commit and the path of a folder in it. `asked` is a reference, a commit or the id of a
/// tree. The path of the root is empty.
fn folder<'a>(found: &'a Value, asked: &str) -> Option<(Commit<'a>, String)> {
    if let Some(commit) = find(found, asked) {
        return Some((commit, String::new()));
    }
    let recorded = found["commits"].as_object().into_iter().flatten().map(|(id, _)| id.clone());
    recorded.chain([head(found)]).find_map(|id| {
        let commit = find(found, &id)?;
        let folders = entries(&commit).into_iter().filter(|(_, file)| file.is_none()).map(|(path, _)| path);
        let path = folders.chain([String::new()]).find(|path| commit.tree(path) == asked)?;
        Some((commit, path))
    })
}

/// Returns all files, and all folders, by path.
fn entries<'a>(commit: &Commit<'a>) -> BTreeMap<String, Option<File<'a>>> {
    let mut all = BTreeMap::new();
    for (path, file) in commit.files() {
        for (at, _) in path.match_indices('/') {
            all.insert(path[..at].to_owned(), None);
        }
        all.insert(path.to_owned(), Some(file));
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
        assert_eq!(paths(&of(&deep, &head(&found))), all);
        assert_eq!(of(&[], "nothing").status, 404);
        assert_eq!(asked(&[], |call| tree(call, "acme", &json!({}), "main")).status, 409);
    }

    #[test]
    fn a_branch_shows_its_commit_and_whether_it_is_protected() {
        let found = found();
        let shown = branch("acme", &found, "main").body.unwrap();
        let checks = &shown["protection"]["required_status_checks"];
        assert_eq!(shown["commit"]["sha"], head(&found));
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
    fn every_branch_leads_to_the_last_commit() {
        let found = found();
        let of = |rest: &[&str]| asked(&[], |call| commits(&World::new(), call, "acme", &found, rest));
        assert_eq!(of(&[]).body.unwrap()[0]["sha"], head(&found));
        assert_eq!(of(&["main"]).body.unwrap()["sha"], head(&found));
        assert_eq!(of(&["gone"]).status, 422);
        assert_eq!(asked(&[], |call| commits(&World::new(), call, "acme", &json!({}), &[])).status, 409);
        let compared = compare("acme", &found, "main...next/one").body.unwrap();
        assert_eq!((&compared["status"], &compared["files"]), (&json!("identical"), &json!([])));
        assert_eq!(compare("acme", &found, "main...gone").status, 404);
    }
}
