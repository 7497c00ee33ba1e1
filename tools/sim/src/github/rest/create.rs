//! New repositories.
//!
//! <https://docs.github.com/rest/repos/repos#create-an-organization-repository>,
//! <https://docs.github.com/rest/repos/repos#create-a-repository-using-a-template>,
//! <https://docs.github.com/rest/repos/forks#create-a-fork>

use serde_json::{Value, json};

use super::{Call, Reply, set};
use crate::github::shapes;
use crate::github::world::{World, new_repository, now};

/// Returns the name that GitHub gives a repository if a client asks for `name`. GitHub removes
/// `.git` from the end, and replaces invalid characters. Returns `None` if GitHub refuses the name.
pub(super) fn kept_name(asked: &Value) -> Option<String> {
    let asked = asked.as_str()?;
    let bare = asked.strip_suffix(".git").unwrap_or(asked);
    let fits = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    let name: String = bare.chars().map(|c| if fits(c) { c } else { '-' }).collect();
    let is_refused = ["", ".", ".."].contains(&name.as_str()) || name.len() > 100;
    (!is_refused && !name.to_lowercase().ends_with(".wiki")).then_some(name)
}

/// Answers `POST /orgs/{org}/repos`.
pub(super) fn in_organisation(world: &mut World, call: &Call<'_>, org: &str) -> Reply {
    let Some(name) = kept_name(&call.body["name"]) else {
        return Reply::invalid("Repository creation failed.");
    };
    let name = name.as_str();
    if world.repository(org, name).is_some() {
        return Reply::invalid("Repository creation failed: name already exists on this account");
    }
    let mut repository = new_repository(world.fresh_id(), name, &now());
    set(&mut repository, call.body);
    repository["name"] = json!(name);
    if call.body["auto_init"] == json!(true) {
        repository["branches"]["main"] = json!({});
    }
    world.insert_repository(org, &repository, call.sender);
    Reply::json(201, shapes::repository(world, org, &repository, true))
}

/// Answers `POST /repos/{template_owner}/{template_repo}/generate`. GitHub copies the files of the
/// branches, and nothing else. Without `private`, the new repository is public.
pub(super) fn from_template(world: &mut World, call: &Call<'_>, template: &Value) -> Reply {
    if template["is_template"] != json!(true) {
        return Reply::invalid("Validation Failed: the repository is not a template");
    }
    let owner = call.body["owner"].as_str().unwrap_or_default();
    let owner = world.org(owner).and_then(|org| org["login"].as_str()).map(str::to_owned);
    let (Some(owner), Some(name)) = (owner, kept_name(&call.body["name"])) else { return Reply::not_found() };
    let name = name.as_str();
    if world.repository(&owner, name).is_some() {
        return Reply::invalid("Could not clone: Name already exists on this account");
    }
    let mut repository = new_repository(world.fresh_id(), name, &now());
    set(&mut repository, &json!({ "private": call.body["private"] == json!(true) }));
    let default = template["default_branch"].as_str().unwrap_or_default();
    let copied = template["branches"].as_object().into_iter().flatten();
    let copied = copied.filter(|(branch, _)| *branch == default || call.body["include_all_branches"] == true);
    repository["branches"] = copied.map(|(branch, at)| (branch.clone(), at.clone())).collect();
    for part in ["default_branch", "contents"] {
        repository[part] = template[part].clone();
    }
    world.insert_repository(&owner, &repository, call.sender);
    Reply::json(201, shapes::repository(world, &owner, &repository, true))
}

/// Answers `POST /repos/{owner}/{repo}/forks`. The fork of a public repository is public.
pub(super) fn fork(world: &mut World, call: &Call<'_>, parent: &Value) -> Reply {
    let owner = call.body["organization"].as_str().unwrap_or_default();
    let Some(owner) = world.org(owner).and_then(|org| org["login"].as_str()).map(str::to_owned) else {
        return Reply::not_found();
    };
    let asked = if call.body["name"].is_null() { &parent["name"] } else { &call.body["name"] };
    let Some(name) = kept_name(asked) else {
        return Reply::invalid("Validation Failed: the name is invalid");
    };
    if world.repository(&owner, &name).is_some() {
        return Reply::invalid("Validation Failed: name already exists on this account");
    }
    if parent["visibility"] != "public" && parent["allow_forking"] != json!(true) {
        return Reply::message(403, "The repository exists, but forking is disabled.");
    }
    let mut repository = new_repository(world.fresh_id(), &name, &now());
    set(&mut repository, &json!({ "private": parent["visibility"] != "public" }));
    repository["fork"] = json!(true);
    let default = parent["default_branch"].as_str().unwrap_or_default();
    let copied = parent["branches"].as_object().into_iter().flatten();
    let copied = copied.filter(|(branch, _)| *branch == default || call.body["default_branch_only"] != true);
    repository["branches"] = copied.map(|(branch, at)| (branch.clone(), at.clone())).collect();
    for part in ["default_branch", "contents"] {
        repository[part] = parent[part].clone();
    }
    world.insert_repository(&owner, &repository, call.sender);
    Reply::json(202, shapes::repository(world, &owner, &repository, true))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::github::rest;

    fn post(world: &mut World, path: &[&str], body: &Value) -> Reply {
        let (method, path) = (&Method::POST, path.to_vec());
        rest::answer(world, &Call { method, path, query: &[], body, sender: "beadle-app", accept: "" })
    }

    #[test]
    fn a_template_gives_its_files_and_a_name_is_given_once() {
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": {
            "base": { "is_template": true, "branches": { "main": {}, "next": {} }, "labels": {} },
            "shop": {},
        } } } }));
        let path = ["repos", "acme", "base", "generate"];
        let body = json!({ "owner": "acme", "name": "new", "private": true });
        let made = post(&mut world, &path, &body);
        assert_eq!(made.status, 201);
        let new = world.repository("acme", "new").unwrap();
        assert_eq!(new["branches"], json!({ "main": {} }));
        assert_eq!(new["visibility"], "private");
        assert_eq!(post(&mut world, &path, &body).status, 422, "the name is taken");
        let all = json!({ "owner": "acme", "name": "all", "include_all_branches": true });
        assert_eq!(post(&mut world, &path, &all).status, 201);
        let all = world.repository("acme", "all").unwrap();
        assert_eq!(all["branches"].as_object().unwrap().len(), 2);
        assert_eq!(all["visibility"], "public", "GitHub's default");
        let path = ["repos", "acme", "shop", "generate"];
        assert_eq!(post(&mut world, &path, &json!({ "owner": "acme", "name": "x" })).status, 422);
        let path = ["repos", "acme", "shop", "forks"];
        assert_eq!(post(&mut world, &path, &json!({ "organization": "acme", "name": "f" })).status, 403);
        let path = ["repos", "acme", "all", "forks"];
        let fork = json!({ "organization": "acme", "name": "f", "default_branch_only": true });
        assert_eq!(post(&mut world, &path, &fork).status, 202);
        let forked = world.repository("acme", "f").unwrap();
        assert_eq!((&forked["visibility"], &forked["fork"]), (&json!("public"), &json!(true)));
        let path = ["orgs", "acme", "repos"];
        assert_eq!(post(&mut world, &path, &json!({ "name": "shop" })).status, 422);
        for refused in ["", "..", "shop.wiki", "shop.git"] {
            assert_eq!(post(&mut world, &path, &json!({ "name": refused })).status, 422, "{refused}");
        }
        assert_eq!(post(&mut world, &path, &json!({ "name": "a b.git" })).status, 201);
        assert!(world.repository("acme", "a-b").is_some(), "GitHub makes a valid name of it");
    }
}
