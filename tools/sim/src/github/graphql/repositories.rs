//! Simulates the fields of repositories.

use serde_json::{Map, Value, json};

use super::connection::{Edge, page};
use super::git;
use super::resolve::{Object, Resolved, text};
use crate::github::commits;
use crate::github::ids::Node;
use crate::github::world::World;

/// The simple GraphQL fields of a repository. Each entry has the field and the REST key of the same
/// value.
const FIELDS: &[(&str, &str)] = &[
    ("databaseId", "id"),
    ("name", "name"),
    ("isArchived", "archived"),
    ("isFork", "fork"),
    ("isPrivate", "private"),
    ("description", "description"),
    ("homepageUrl", "homepage"),
    ("hasIssuesEnabled", "has_issues"),
    ("hasProjectsEnabled", "has_projects"),
    ("hasWikiEnabled", "has_wiki"),
    ("hasDiscussionsEnabled", "has_discussions"),
    ("isTemplate", "is_template"),
    ("squashMergeAllowed", "allow_squash_merge"),
    ("mergeCommitAllowed", "allow_merge_commit"),
    ("rebaseMergeAllowed", "allow_rebase_merge"),
    ("autoMergeAllowed", "allow_auto_merge"),
    ("deleteBranchOnMerge", "delete_branch_on_merge"),
    ("allowUpdateBranch", "allow_update_branch"),
    ("squashMergeCommitTitle", "squash_merge_commit_title"),
    ("squashMergeCommitMessage", "squash_merge_commit_message"),
    ("mergeCommitTitle", "merge_commit_title"),
    ("mergeCommitMessage", "merge_commit_message"),
    ("forkingAllowed", "allow_forking"),
    ("webCommitSignoffRequired", "web_commit_signoff_required"),
    ("createdAt", "created_at"),
    ("hasVulnerabilityAlertsEnabled", "vulnerability_alerts"),
];

pub(super) fn permission(text: &str) -> String {
    match text {
        "triage" => "TRIAGE".into(),
        "push" | "write" => "WRITE".into(),
        "maintain" => "MAINTAIN".into(),
        "admin" => "ADMIN".into(),
        // The role is `pull` or a custom role. GraphQL shows the base role of a custom role. In the
        // simulator, the base role is always `pull`.
        _ => "READ".into(),
    }
}

/// Returns the sources of a person's permission: the repository, or the role of an owner in the
/// organisation.
fn sources(world: &World, org: &str, login: &str, role: &Value) -> Vec<(&'static str, String)> {
    let mut sources = vec![("Repository", role.as_str().unwrap_or_default().to_owned())];
    let owners = world.org(org).map(|org| org["owners"].clone()).unwrap_or_default();
    if owners.as_array().is_some_and(|owners| owners.contains(&json!(login))) {
        sources.insert(0, ("Organization", "admin".into()));
    }
    sources
}

/// The maximum length of a file's text in GraphQL, in bytes. GraphQL truncates a longer text.
const LONGEST_TEXT: usize = 512 * 1024;

/// Returns a file by its id. The text of a long file is truncated.
fn blob(repository: &Value, id: &str) -> Resolved {
    let Some(text) = commits::blob(repository, id) else { return Resolved::Value(Value::Null) };
    let end = (0..=text.len().min(LONGEST_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    let is_binary = text.contains('\0');
    let shown = if is_binary { None } else { text.get(..end.unwrap_or(0)) };
    let blob = json!({
        "oid": id, "byteSize": text.len(), "text": shown, "isBinary": is_binary,
        "isTruncated": text.len() > LONGEST_TEXT,
    });
    Resolved::Object(Object::Plain("Blob", blob))
}

pub(super) fn repository(world: &World, id: u64, field: &str, arguments: &Map<String, Value>) -> Resolved {
    let Some((org, repository)) = world.by_id(id) else { return Resolved::Value(Value::Null) };
    if let Some((_, key)) = FIELDS.iter().find(|(name, _)| *name == field) {
        return Resolved::Value(repository[*key].clone());
    }
    match field {
        "id" => Resolved::Value(json!(Node::Repository(id).encode())),
        "nameWithOwner" => {
            Resolved::Value(json!(format!("{org}/{}", repository["name"].as_str().unwrap_or_default())))
        }
        "owner" => Resolved::Object(Object::Organisation(org.to_owned())),
        "visibility" => {
            Resolved::Value(json!(repository["visibility"].as_str().unwrap_or_default().to_uppercase()))
        }
        "defaultBranchRef" => {
            let name = repository["default_branch"].as_str().unwrap_or_default();
            // A repository without commits has no default branch.
            git::branch(repository, id, name)
        }
        "ref" => {
            let name = text(arguments, "qualifiedName").trim_start_matches("refs/heads/");
            git::branch(repository, id, name)
        }
        "object" => match arguments.get("expression").and_then(Value::as_str) {
            Some(expression) => git::at_expression(repository, expression),
            None => blob(repository, text(arguments, "oid")),
        },
        "pullRequests" => git::pulls(repository, arguments),
        "repositoryTopics" => {
            let topics = repository["topics"].as_array().into_iter().flatten();
            let topics =
                topics.filter_map(|topic| Some(Edge::plain(Object::Topic(topic.as_str()?.to_owned()))));
            page("RepositoryTopicConnection", topics.collect(), arguments)
        }
        "labels" => {
            let labels = repository["labels"].as_object().into_iter().flatten();
            let labels = labels.map(|(name, label)| {
                let color = label["color"].as_str().unwrap_or("ededed");
                let shown = json!({ "name": name, "color": color, "description": label["description"] });
                Edge::plain(Object::Plain("Label", shown))
            });
            page("LabelConnection", labels.collect(), arguments)
        }
        "deployKeys" => {
            let keys = repository["deploy_keys"].as_object().into_iter().flatten();
            let keys = keys.map(|(key, entry)| {
                let is_read_only = entry["read_only"] != json!(false);
                let shown = json!({ "key": key, "title": entry["title"], "readOnly": is_read_only });
                Edge::plain(Object::Plain("DeployKey", shown))
            });
            page("DeployKeyConnection", keys.collect(), arguments)
        }
        "milestones" => {
            let milestones = repository["milestones"].as_object().into_iter().flatten();
            let milestones = milestones.map(|(title, milestone)| {
                let state = milestone["state"].as_str().unwrap_or("open").to_uppercase();
                let shown = json!({
                    "number": milestone["id"], "title": title, "description": milestone["description"],
                    "state": state, "dueOn": milestone["due_on"],
                });
                Edge::plain(Object::Plain("Milestone", shown))
            });
            page("MilestoneConnection", milestones.collect(), arguments)
        }
        "rulesets" => {
            let rulesets = repository["rulesets"].as_object().into_iter().flatten();
            let rulesets =
                rulesets.map(|(name, _)| Edge::plain(Object::Ruleset { repository: id, name: name.clone() }));
            page("RepositoryRulesetConnection", rulesets.collect(), arguments)
        }
        "collaborators" => {
            let people = repository["collaborators"].as_object().into_iter().flatten();
            let people = people.map(|(login, role)| Edge {
                type_name: "RepositoryCollaboratorEdge",
                node: Object::User(login.clone()),
                permission: Some(permission(role.as_str().unwrap_or_default())),
                sources: sources(world, org, login, role),
            });
            page("RepositoryCollaboratorConnection", people.collect(), arguments)
        }
        "branchProtectionRules" => {
            let rules = repository["protection"].as_object().into_iter().flatten();
            let rules = rules
                .map(|(pattern, _)| Edge::plain(Object::Rule { repository: id, pattern: pattern.clone() }));
            page("BranchProtectionRuleConnection", rules.collect(), arguments)
        }
        _ => Resolved::unknown("Repository", field),
    }
}
