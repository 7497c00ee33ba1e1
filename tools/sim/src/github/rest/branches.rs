//! Branches: their list, their protection, and their renames.
//!
//! <https://docs.github.com/rest/branches>

use serde_json::{Value, json};

use super::{Call, Reply, git, page};
use crate::github::world::World;
use crate::github::{address, commits, protection};

/// Answers calls with a path that begins with `/repos/{owner}/{repo}/branches`.
pub(super) fn answer(world: &mut World, call: &Call<'_>, org: &str, found: &Value, rest: &[&str]) -> Reply {
    let name = found["name"].as_str().unwrap_or_default();
    let method = call.method.as_str();
    if let ("GET", []) = (method, rest) {
        let branches = found["branches"].as_object().into_iter().flatten();
        let rows = branches.map(|(branch, _)| {
            let segment = address::segment(branch);
            let url = format!("https://api.github.com/repos/{org}/{name}/commits/{segment}");
            let protected = found["protection"].get(branch).is_some();
            let commit = commits::find(found, branch).map(|commit| commit.id);
            json!({ "name": branch, "commit": { "sha": commit, "url": url }, "protected": protected })
        });
        return page(call, rows.collect());
    }
    if let ("GET", [branch]) = (method, rest) {
        return git::branch(org, found, branch);
    }
    if let ("POST", [branch, "rename"]) = (method, rest) {
        return rename(world, call, org, found, branch);
    }
    let [branch, "protection"] = rest else { return Reply::not_found() };
    let branch = (*branch).to_owned();
    if found["branches"].get(&branch).is_none() {
        return Reply::message(404, "Branch not found");
    }
    let segment = address::segment(&branch);
    let url = format!("https://api.github.com/repos/{org}/{name}/branches/{segment}/protection");
    let rule = found["protection"].get(&branch);
    match method {
        "GET" => match rule {
            Some(rule) => Reply::json(200, protection::to_rest(world, org, rule, &url)),
            None => Reply::message(404, "Branch not protected"),
        },
        "PUT" => {
            let id = rule.and_then(|rule| rule["id"].as_u64()).unwrap_or_else(|| world.fresh_id());
            match protection::from_rest(id, call.body) {
                Ok(mut rule) => {
                    world.drop_powerless(org, found, &mut rule);
                    let shown = protection::to_rest(world, org, &rule, &url);
                    world.edit(org, name, call.sender, |found| found["protection"][branch] = rule);
                    Reply::json(200, shown)
                }
                Err(message) => Reply::invalid(&format!("Invalid request.\n\n{message}")),
            }
        }
        "DELETE" => {
            world.edit(org, name, call.sender, |found| {
                found["protection"].as_object_mut().and_then(|rules| rules.remove(&branch))
            });
            Reply::empty(204)
        }
        _ => Reply::not_found(),
    }
}

/// Answers `POST /repos/{owner}/{repo}/branches/{branch}/rename`. If the branch is the default
/// branch, the repository's setting also changes. If the pattern of a protection rule is exactly
/// the old name, the pattern becomes the new name.
fn rename(world: &mut World, call: &Call<'_>, org: &str, found: &Value, old: &str) -> Reply {
    if found["branches"].get(old).is_none() {
        return Reply::message(404, "Branch not found");
    }
    let new = call.body["new_name"].as_str().unwrap_or_default();
    if new.is_empty() || found["branches"].get(new).is_some() {
        return Reply::invalid("Validation Failed: new_name is missing, or already_exists");
    }
    let name = found["name"].as_str().unwrap_or_default();
    let mut changed = found.clone();
    for part in ["branches", "protection"] {
        if let Some(map) = changed[part].as_object_mut()
            && let Some(entry) = map.remove(old)
        {
            map.insert(new.to_owned(), entry);
        }
    }
    if changed["default_branch"] == old {
        changed["default_branch"] = json!(new);
    }
    let mut reply = git::branch(org, &changed, new);
    reply.status = 201;
    world.edit(org, name, call.sender, |found| *found = changed);
    reply
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::github::rest;

    fn call(world: &mut World, method: &Method, path: &[&str], body: &Value) -> Reply {
        let path = path.to_vec();
        rest::answer(world, &Call { method, path, query: &[], body, sender: "beadle-app", accept: "" })
    }

    #[test]
    fn the_default_branch_and_its_protection_follow_a_rename_and_a_webhook_is_sent() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": {
            "branches": { "main": {}, "next": {} }, "protection": { "main": { "enforce_admins": true } },
        } } } } }));
        let path = ["repos", "acme", "shop", "branches", "main", "rename"];
        let taken = call(&mut world, &Method::POST, &path, &json!({ "new_name": "next" }));
        assert_eq!(taken.status, 422);
        assert_eq!(call(&mut world, &Method::POST, &path, &json!({})).status, 422);
        let reply = call(&mut world, &Method::POST, &path, &json!({ "new_name": "trunk" }));
        let shown = reply.body.unwrap();
        assert_eq!((reply.status, &shown["name"], &shown["protected"]), (201, &json!("trunk"), &json!(true)));
        let shop = world.repository("acme", "shop").unwrap();
        assert_eq!(shop["default_branch"], "trunk");
        assert!(shop["branches"].get("main").is_none() && shop["protection"].get("main").is_none());
        let edited = world.outbox.iter().find(|event| event.payload["action"] == "edited").unwrap();
        assert_eq!(edited.name, "repository");
        assert_eq!(edited.payload["changes"]["default_branch"]["from"], "main");
        assert_eq!(edited.payload["sender"]["type"], "Bot");
    }

    #[test]
    fn a_new_branch_needs_a_commit_and_a_free_name() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": {
            "branches": { "main": {} }, "contents": { "a": "1" },
        } } } } }));
        let head =
            call(&mut world, &Method::GET, &["repos", "acme", "shop", "branches", "main"], &Value::Null);
        let head = head.body.unwrap()["commit"]["sha"].clone();
        let path = ["repos", "acme", "shop", "git", "refs"];
        let unknown = json!({ "ref": "refs/heads/next", "sha": "2".repeat(40) });
        assert_eq!(call(&mut world, &Method::POST, &path, &unknown).status, 422);
        let next = json!({ "ref": "refs/heads/next", "sha": head });
        assert_eq!(call(&mut world, &Method::POST, &path, &next).status, 201);
        assert_eq!(call(&mut world, &Method::POST, &path, &next).status, 422, "the name is taken");
        assert!(world.repository("acme", "shop").unwrap()["branches"].get("next").is_some());
    }

    #[test]
    fn addresses_of_branches_with_blanks_are_uris() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": {
            "branches": { "a \u{e4}": {} }, "protection": { "a \u{e4}": {} },
        } } } } }));
        let listed = call(&mut world, &Method::GET, &["repos", "acme", "shop", "branches"], &Value::Null);
        let url = listed.body.unwrap()[0]["commit"]["url"].clone();
        assert_eq!(url, "https://api.github.com/repos/acme/shop/commits/a%20%C3%A4");
        let path = ["repos", "acme", "shop", "branches", "a \u{e4}", "protection"];
        let url = call(&mut world, &Method::GET, &path, &Value::Null).body.unwrap()["url"].clone();
        assert_eq!(url, "https://api.github.com/repos/acme/shop/branches/a%20%C3%A4/protection");
    }
}
