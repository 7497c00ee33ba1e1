//! Simulates the GraphQL mutations. This file has the mutations that create, change and delete
//! branch protection rules.

use serde_json::{Map, Value, json};

use super::resolve::Object;
use super::root::find_rule;
use super::{Problem, git_mutate};
use crate::github::ids::Node;
use crate::github::protection;
use crate::github::world::World;

pub(super) fn mutate(world: &mut World, name: &str, input: &Value, sender: &str) -> Result<Object, Problem> {
    let unprocessable = |message: String| {
        // GitHub returns different kinds of errors for an unknown node id and for an invalid value.
        let is_missing = message.starts_with("Could not resolve to ");
        Problem { kind: if is_missing { "NOT_FOUND" } else { "UNPROCESSABLE" }, message }
    };
    let fields = input.as_object().cloned().unwrap_or_default();
    match name {
        "createBranchProtectionRule" => {
            let (repository, org, name) =
                repository(world, input["repositoryId"].as_str().unwrap_or_default())?;
            let pattern = input["pattern"].as_str().unwrap_or_default().to_owned();
            let known = world
                .repository(&org, &name)
                .is_some_and(|found| found["protection"].get(&pattern).is_some());
            if known {
                return Err(unprocessable(format!("Name already protected: {pattern}")));
            }
            let id = world.fresh_id();
            let mut rule = protection::empty(id);
            protection::apply_input(world, &mut rule, &fields).map_err(unprocessable)?;
            if let Some(found) = world.repository(&org, &name) {
                world.drop_powerless(&org, found, &mut rule);
            }
            world.edit(&org, &name, sender, |repository| repository["protection"][&pattern] = rule);
            Ok(payload("CreateBranchProtectionRulePayload", repository, pattern))
        }
        "updateBranchProtectionRule" => {
            let (repository, pattern) = rule(world, input)?;
            let (org, name) = writable(world, repository)?;
            let found = world.repository(&org, &name).map(|found| found["protection"][&pattern].clone());
            let mut changed = found.unwrap_or(Value::Null);
            protection::apply_input(world, &mut changed, &fields).map_err(unprocessable)?;
            if let Some(found) = world.repository(&org, &name) {
                world.drop_powerless(&org, found, &mut changed);
            }
            let renamed = input["pattern"].as_str().unwrap_or(&pattern).to_owned();
            let is_taken = world
                .repository(&org, &name)
                .is_some_and(|found| found["protection"].get(&renamed).is_some());
            if renamed != pattern && is_taken {
                return Err(unprocessable(format!("Name already protected: {renamed}")));
            }
            world.edit(&org, &name, sender, |repository| {
                if let Some(rules) = repository["protection"].as_object_mut() {
                    rules.remove(&pattern);
                    rules.insert(renamed.clone(), changed);
                }
            });
            Ok(payload("UpdateBranchProtectionRulePayload", repository, renamed))
        }
        "deleteBranchProtectionRule" => {
            let (repository, pattern) = rule(world, input)?;
            let (org, name) = writable(world, repository)?;
            world.edit(&org, &name, sender, |repository| {
                repository["protection"]
                    .as_object_mut()
                    .and_then(|rules: &mut Map<String, Value>| rules.remove(&pattern))
            });
            Ok(Object::Plain("DeleteBranchProtectionRulePayload", json!({ "clientMutationId": null })))
        }
        _ => git_mutate::mutate(world, name, input, sender),
    }
}

fn payload(name: &'static str, repository: u64, pattern: String) -> Object {
    Object::Payload(name, Box::new(Object::Rule { repository, pattern }))
}

fn not_found(id: &str) -> Problem {
    Problem {
        kind: "NOT_FOUND",
        message: format!("Could not resolve to a node with the global id of '{id}'"),
    }
}

fn repository(world: &World, node: &str) -> Result<(u64, String, String), Problem> {
    let Some(Node::Repository(id)) = Node::decode(node) else { return Err(not_found(node)) };
    if world.by_id(id).is_none() {
        return Err(not_found(node));
    }
    let (org, name) = writable(world, id)?;
    Ok((id, org, name))
}

fn writable(world: &World, id: u64) -> Result<(String, String), Problem> {
    let (org, repository) = world.by_id(id).ok_or_else(|| not_found(&id.to_string()))?;
    if repository["archived"] == json!(true) {
        let message = "Repository was archived so is read-only.".into();
        return Err(Problem { kind: "FORBIDDEN", message });
    }
    Ok((org.to_owned(), repository["name"].as_str().unwrap_or_default().to_owned()))
}

fn rule(world: &World, input: &Value) -> Result<(u64, String), Problem> {
    let node = input["branchProtectionRuleId"].as_str().unwrap_or_default();
    match Node::decode(node) {
        Some(Node::Rule(id)) => find_rule(world, id).ok_or_else(|| not_found(node)),
        _ => Err(not_found(node)),
    }
}
