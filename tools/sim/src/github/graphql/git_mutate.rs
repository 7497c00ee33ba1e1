//! Simulates the GraphQL mutations of branches, commits and pull requests.
//!
//! <https://docs.github.com/graphql/reference/mutations#createcommitonbranch>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::Problem;
use super::git::{ahead, decode_ref, head_branch, pull_id, ref_id};
use super::resolve::Object;
use crate::github::commits::{self, find};
use crate::github::ids::Node;
use crate::github::world::World;

/// A repository: its id, its organisation, its name, and its state.
type Found = (u64, String, String, Value);

pub(super) fn mutate(world: &mut World, name: &str, input: &Value, sender: &str) -> Result<Object, Problem> {
    match name {
        "createRef" => create_ref(world, input, sender),
        "updateRef" => update_ref(world, input, sender),
        "deleteRef" => delete_ref(world, input, sender),
        "createCommitOnBranch" => commit(world, input, sender),
        "createPullRequest" => open(world, input, sender),
        "updatePullRequest" => update(world, input, sender),
        _ => Err(Problem {
            kind: "undefinedField",
            message: format!("Field '{name}' doesn't exist on type 'Mutation'"),
        }),
    }
}

fn unprocessable(message: impl Into<String>) -> Problem {
    Problem { kind: "UNPROCESSABLE", message: message.into() }
}

fn not_found(id: &str) -> Problem {
    Problem {
        kind: "NOT_FOUND",
        message: format!("Could not resolve to a node with the global id of '{id}'"),
    }
}

fn text<'a>(input: &'a Value, key: &str) -> &'a str {
    input[key].as_str().unwrap_or_default()
}

fn writable(world: &World, id: u64, node: &str) -> Result<Found, Problem> {
    let (org, found) = world.by_id(id).ok_or_else(|| not_found(node))?;
    if found["archived"] == json!(true) {
        let message = "Repository was archived so is read-only.".into();
        return Err(Problem { kind: "FORBIDDEN", message });
    }
    Ok((id, org.to_owned(), text(found, "name").to_owned(), found.clone()))
}

fn repository(world: &World, node: &str) -> Result<Found, Problem> {
    match Node::decode(node) {
        Some(Node::Repository(id)) => writable(world, id, node),
        _ => Err(not_found(node)),
    }
}

/// Returns the repository and the name of a branch that exists.
fn branch(world: &World, node: &str) -> Result<(Found, String), Problem> {
    let (id, name) = decode_ref(node).ok_or_else(|| not_found(node))?;
    let found = writable(world, id, node)?;
    if found.3["branches"].get(name).is_none() {
        return Err(not_found(node));
    }
    Ok((found, name.to_owned()))
}

fn answer(name: &'static str, key: &str, value: Value) -> Object {
    let mut shown = json!({ "__typename": name, "clientMutationId": null });
    shown[key] = value;
    Object::Json(shown)
}

fn ref_shown(repository: u64, branch: &str) -> Value {
    json!({ "__typename": "Ref", "id": ref_id(repository, branch), "name": branch })
}

fn pull_shown(pull: &Value) -> Value {
    json!({ "__typename": "PullRequest", "id": pull_id(pull) })
}

/// Returns the number of commits that a branch has and another branch lacks.
fn count_ahead(found: &Value, base: &str, head: &str) -> usize {
    match (find(found, base), find(found, head)) {
        (Some(base), Some(head)) => ahead(found, &base, &head).len(),
        _ => 0,
    }
}

/// Updates the open pull requests of a branch. GitHub closes a pull request if its branch is gone,
/// or if the branch has no commit that the base branch lacks.
fn follow(found: &mut Value, branch: &str) {
    let Some(mut pulls) = found["pulls"].as_object().cloned() else { return };
    for (number, pull) in &mut pulls {
        if pull["state"] != "open" || head_branch(number, pull) != branch {
            continue;
        }
        match find(found, branch) {
            Some(head) if count_ahead(found, text(pull, "base"), branch) > 0 => {
                pull["head"] = json!(head.id);
                pull["contents"] = head.contents().clone();
            }
            _ => pull["state"] = json!("closed"),
        }
    }
    found["pulls"] = Value::Object(pulls);
}

fn create_ref(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let (id, org, name, found) = repository(world, text(input, "repositoryId"))?;
    let Some(branch) = text(input, "name").strip_prefix("refs/heads/").filter(|branch| !branch.is_empty())
    else {
        return Err(unprocessable("Reference name must start with 'refs/heads/' in the simulator"));
    };
    if found["branches"].get(branch).is_some() {
        return Err(unprocessable(format!(
            "A ref named \"refs/heads/{branch}\" already exists in the repository."
        )));
    }
    let commit = commit_named(&found, text(input, "oid"))?;
    world.edit(&org, &name, sender, |found| found["branches"][branch] = json!({ "commit": commit }));
    Ok(answer("CreateRefPayload", "ref", ref_shown(id, branch)))
}

fn commit_named(found: &Value, oid: &str) -> Result<String, Problem> {
    let known = find(found, oid).filter(|_| oid.len() == 40);
    known.map(|commit| commit.id).ok_or_else(|| unprocessable("Object does not exist"))
}

fn update_ref(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let ((id, org, name, found), branch) = branch(world, text(input, "refId"))?;
    let commit = commit_named(&found, text(input, "oid"))?;
    if input["force"] != json!(true) && count_ahead(&found, &commit, &branch) > 0 {
        return Err(unprocessable("Update is not a fast forward"));
    }
    world.edit(&org, &name, sender, |found| {
        found["branches"][&branch] = json!({ "commit": commit });
        follow(found, &branch);
    });
    Ok(answer("UpdateRefPayload", "ref", ref_shown(id, &branch)))
}

fn delete_ref(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let ((_, org, name, found), branch) = branch(world, text(input, "refId"))?;
    if found["default_branch"] == json!(branch) {
        return Err(unprocessable("Cannot delete the default branch"));
    }
    world.edit(&org, &name, sender, |found| {
        if let Some(branches) = found["branches"].as_object_mut() {
            branches.remove(&branch);
        }
        follow(found, &branch);
    });
    Ok(Object::Json(json!({ "__typename": "DeleteRefPayload", "clientMutationId": null })))
}

/// Returns the files of a commit, by path. GitHub refuses a path that is invalid in git.
fn additions(before: &Value, input: &Value) -> Result<Map<String, Value>, Problem> {
    let mut contents = before.as_object().cloned().unwrap_or_default();
    for addition in input["fileChanges"]["additions"].as_array().into_iter().flatten() {
        let path = text(addition, "path");
        let is_part = |part: &str| !["", ".", ".."].contains(&part) && !part.eq_ignore_ascii_case(".git");
        let is_folder = contents.keys().any(|other| other.starts_with(&format!("{path}/")));
        let is_below_file = path.match_indices('/').any(|(at, _)| contents.contains_key(&path[..at]));
        if !path.split('/').all(is_part) || is_folder || is_below_file {
            return Err(unprocessable(format!(
                "A path was requested for addition that is not valid: {path}"
            )));
        }
        let decoded = STANDARD.decode(text(addition, "contents")).ok();
        let Some(content) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Err(unprocessable("contents must be Base64 of a text in the simulator"));
        };
        contents.insert(path.to_owned(), json!(content));
    }
    Ok(contents)
}

fn commit(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let ((_, org, name, found), branch) = branch(world, text(&input["branch"], "id"))?;
    let head = find(&found, &branch).ok_or_else(|| unprocessable("The branch has no commit"))?;
    let expected = text(input, "expectedHeadOid");
    if head.id != expected {
        return Err(Problem {
            kind: "STALE_DATA",
            message: format!(
                "Expected branch to point to \"{expected}\" but it did not.  Pull and try again."
            ),
        });
    }
    if found["protection"][&branch]["required_pull_request_reviews"].is_object() {
        return Err(unprocessable("Changes must be made through a pull request."));
    }
    let contents = Value::Object(additions(head.contents(), input)?);
    let (author, message) = (format!("{sender}[bot]"), text(&input["message"], "headline").to_owned());
    let parent = head.id.clone();
    let made = world.edit(&org, &name, sender, |found| {
        if found["default_branch"] == json!(branch) && found["branches"][&branch]["commit"].is_null() {
            found["contents"] = contents;
            found["commit"] = json!({ "author": author, "message": message });
            commits::complete(found);
            return commits::head(found);
        }
        let id = commits::add(found, &author, &message, &parent, &contents);
        found["branches"][&branch] = json!({ "commit": id });
        follow(found, &branch);
        id
    });
    let shown = json!({ "__typename": "Commit", "oid": made });
    Ok(answer("CreateCommitOnBranchPayload", "commit", shown))
}

fn open(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let (_, org, name, found) = repository(world, text(input, "repositoryId"))?;
    let (base, branch) = (text(input, "baseRefName"), text(input, "headRefName"));
    let is_branch = |name: &str| found["branches"].get(name).is_some();
    if !is_branch(base) || !is_branch(branch) {
        return Err(unprocessable("Head ref must be a branch, Base ref must be a branch"));
    }
    if count_ahead(&found, base, branch) == 0 {
        return Err(unprocessable(format!("No commits between {base} and {branch}")));
    }
    let pulls = found["pulls"].as_object().cloned().unwrap_or_default();
    if pulls.iter().any(|(number, pull)| pull["state"] == "open" && head_branch(number, pull) == branch) {
        return Err(unprocessable(format!("A pull request already exists for {org}:{branch}.")));
    }
    let issues =
        found["issues"].as_array().into_iter().flatten().filter_map(|issue| issue["number"].as_u64());
    let known = pulls.keys().filter_map(|number| number.parse::<u64>().ok()).chain(issues);
    let number = known.max().unwrap_or(0) + 1;
    let head = find(&found, branch).ok_or_else(|| unprocessable("Head sha can't be blank"))?;
    let pull = json!({
        "id": world.fresh_id(), "branch": branch, "base": base, "state": "open", "merged": false, "fork": false,
        "user": sender, "title": input["title"], "body": input["body"], "head": head.id,
        "contents": head.contents(),
    });
    world.edit(&org, &name, sender, |found| {
        if !found["pulls"].is_object() {
            found["pulls"] = json!({});
        }
        found["pulls"][number.to_string()] = pull.clone();
    });
    Ok(answer("CreatePullRequestPayload", "pullRequest", pull_shown(&pull)))
}

fn update(world: &mut World, input: &Value, sender: &str) -> Result<Object, Problem> {
    let node = text(input, "pullRequestId");
    let repositories = world.doc["orgs"].as_object().into_iter().flatten();
    let mut repositories = repositories.flat_map(|(_, org)| org["repos"].as_object().into_iter().flatten());
    let found = repositories.find_map(|(_, found)| {
        let (number, pull) = found["pulls"].as_object()?.iter().find(|(_, pull)| pull_id(pull) == node)?;
        Some((found["id"].as_u64()?, number.clone(), pull.clone()))
    });
    let (id, number, mut pull) = found.ok_or_else(|| not_found(node))?;
    let (_, org, name, _) = writable(world, id, node)?;
    for key in ["title", "body"] {
        if !input[key].is_null() {
            pull[key] = input[key].clone();
        }
    }
    match input["state"].as_str() {
        Some(_) if pull["merged"] == json!(true) => {
            return Err(unprocessable("The pull request is already merged"));
        }
        Some(state) => pull["state"] = json!(state.to_lowercase()),
        None => {}
    }
    world.edit(&org, &name, sender, |found| found["pulls"][&number] = pull.clone());
    Ok(answer("UpdatePullRequestPayload", "pullRequest", pull_shown(&pull)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(world: &mut World, name: &str, input: &Value) -> Result<Value, &'static str> {
        match mutate(world, name, input, "beadle-app") {
            Ok(Object::Json(shown)) => Ok(shown),
            Ok(other) => panic!("{other:?}"),
            Err(problem) => Err(problem.kind),
        }
    }

    #[test]
    fn a_commit_needs_the_present_head_and_a_valid_path() {
        let shop = json!({ "id": 101, "branches": { "main": {} }, "contents": { "a/b": "1" } });
        let mut world = World::from(json!({ "orgs": { "acme": { "repos": { "shop": shop } } } }));
        let head = commits::head(world.repository("acme", "shop").unwrap());
        let repository = Node::Repository(101).encode();
        let new = json!({ "repositoryId": repository, "name": "refs/heads/next", "oid": head });
        let branch = asked(&mut world, "createRef", &new).unwrap()["ref"]["id"].clone();
        assert_eq!(asked(&mut world, "createRef", &new), Err("UNPROCESSABLE"), "it exists");
        let open = json!({
            "repositoryId": repository, "baseRefName": "main", "headRefName": "next", "title": "x", "body": "y",
        });
        assert_eq!(asked(&mut world, "createPullRequest", &open), Err("UNPROCESSABLE"), "no commits");
        let commit = |onto: &str, path: &str| {
            json!({
                "branch": { "id": branch }, "expectedHeadOid": onto, "message": { "headline": "x" },
                "fileChanges": { "additions": [{ "path": path, "contents": STANDARD.encode("2") }] },
            })
        };
        let stale = "2".repeat(40);
        for (onto, path, kind) in [
            (stale.as_str(), "x", "STALE_DATA"),
            (head.as_str(), "../x", "UNPROCESSABLE"),
            (head.as_str(), "x/.git/y", "UNPROCESSABLE"),
            (head.as_str(), "a", "UNPROCESSABLE"),
            (head.as_str(), "a/b/c", "UNPROCESSABLE"),
        ] {
            let refused = asked(&mut world, "createCommitOnBranch", &commit(onto, path));
            assert_eq!(refused, Err(kind), "{path}");
        }
        assert!(asked(&mut world, "createCommitOnBranch", &commit(head.as_str(), "x")).is_ok());
        assert!(asked(&mut world, "createPullRequest", &open).is_ok());
        assert_eq!(asked(&mut world, "createPullRequest", &open), Err("UNPROCESSABLE"), "one is open");
        assert!(asked(&mut world, "deleteRef", &json!({ "refId": branch })).is_ok());
        let shop = world.repository("acme", "shop").unwrap();
        assert_eq!((&shop["pulls"]["1"]["state"], &shop["contents"]["x"]), (&json!("closed"), &Value::Null));
    }
}
