//! The state is one JSON document in the form of GitHub's REST objects. This module also has the
//! searches that all calls need.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::github::commits;
use crate::github::defaults;
use crate::github::events::{self, Event};
use crate::github::ids::Node;
use crate::github::{APP_ID, APP_SLUG};

/// The state of the simulated GitHub.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) doc: Value,
    /// Maps the id of a repository to its organisation and its name.
    index: HashMap<u64, (String, String)>,
    /// The earlier names of renamed repositories. The map key is the organisation and the name,
    /// both in lower case. The value is the id of the repository.
    moved: HashMap<(String, String), u64>,
    next_id: u64,
    /// The events that still need webhooks.
    pub(crate) outbox: Vec<Event>,
    /// The Apps from manifests whose codes are still unused. The map key is the code.
    pub(crate) pending_apps: HashMap<String, Value>,
}

/// Returns a new repository in REST's form, with default values.
pub(crate) fn new_repository(id: u64, name: &str, created_at: &str) -> Value {
    let mut repository = json!({
        "id": id,
        "name": name,
        "description": null,
        "homepage": null,
        "visibility": "private",
        "private": true,
        "fork": false,
        "archived": false,
        "disabled": false,
        "is_template": false,
        "default_branch": "main",
        "created_at": created_at,
        "has_issues": true,
        "has_projects": true,
        "has_wiki": true,
        "has_discussions": false,
        "has_pull_requests": true,
        "pull_request_creation_policy": "all",
        "allow_squash_merge": true,
        "allow_merge_commit": true,
        "allow_rebase_merge": true,
        "allow_auto_merge": false,
        "delete_branch_on_merge": false,
        "allow_update_branch": false,
        "use_squash_pr_title_as_default": false,
        "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
        "squash_merge_commit_message": "COMMIT_MESSAGES",
        "merge_commit_title": "MERGE_MESSAGE",
        "merge_commit_message": "PR_TITLE",
        "allow_forking": false,
        "web_commit_signoff_required": false,
    });
    repository["security_and_analysis"] = security();
    for (key, value) in lists().as_object().into_iter().flatten() {
        repository[key] = value.clone();
    }
    repository
}

/// Returns the security features of a new repository.
fn security() -> Value {
    json!({
        "advanced_security": { "status": "disabled" },
        "code_security": { "status": "disabled" },
        "secret_scanning": { "status": "disabled" },
        "secret_scanning_push_protection": { "status": "disabled" },
        "secret_scanning_non_provider_patterns": { "status": "disabled" },
        "secret_scanning_ai_detection": { "status": "disabled" },
        "secret_scanning_validity_checks": { "status": "disabled" },
        "secret_scanning_delegated_alert_dismissal": { "status": "disabled" },
        "secret_scanning_delegated_bypass": { "status": "disabled" },
    })
}

/// Returns some keys of a new repository, such as the branches and the teams. These keys are not
/// settings. All these keys are empty.
fn lists() -> Value {
    json!({
        "topics": [],
        "branches": {},
        "protection": {},
        "teams": {},
        "collaborators": {},
        "invitations": [],
        "contents": {},
        "labels": {},
        "milestones": {},
        "autolinks": {},
        "deploy_keys": {},
        "rulesets": {},
        "actions": {
            "enabled": true, "allowed_actions": "all", "sha_pinning_required": false,
            "github_owned_allowed": true, "verified_allowed": false, "patterns_allowed": [],
            "default_workflow_permissions": "read", "can_approve_pull_request_reviews": false,
            "access_level": "none", "artifact_and_log_retention_days": 90,
            "fork_pr_contributor_approval": "first_time_contributors",
            "fork_pr_workflows_private_repos": {
                "run_workflows_from_fork_pull_requests": false, "send_write_tokens_to_workflows": false,
                "send_secrets_and_variables": false, "require_approval_for_fork_pr_workflows": false,
            },
        },
        "oidc_subject": { "use_default": true, "include_claim_keys": [], "use_immutable_subject": false },
        "pages": null,
        "interaction_limit": null,
        "vulnerability_alerts": false,
        "automated_security_fixes": false,
        "private_vulnerability_reporting": false,
        "immutable_releases": false,
        "code_scanning": { "state": "not-configured", "languages": [], "query_suite": "default" },
        "hooks": {},
        "properties": {},
        "environments": {},
        "variables": {},
        "secrets": {},
        "dependabot_secrets": {},
        "codespaces_secrets": {},
        "workflows": {},
        "runs": [],
    })
}

impl World {
    /// Creates a state without organisations.
    pub(crate) fn new() -> Self {
        Self::from(json!({ "orgs": {}, "users": {}, "apps": {} }))
    }

    pub(crate) fn from(doc: Value) -> Self {
        let mut world = Self {
            doc,
            index: HashMap::new(),
            moved: HashMap::new(),
            next_id: 1_000,
            outbox: Vec::new(),
            pending_apps: HashMap::new(),
        };
        world.complete();
        world
    }

    /// Adds the default values that the state lacks, and updates the indexes for searches.
    pub(crate) fn complete(&mut self) {
        let largest = largest_id(&self.doc);
        self.complete_some(largest, |_, _| true);
    }

    /// Adds the default values that the state lacks after a merge patch, and updates the indexes
    /// for searches. The repositories outside the patch are already complete. This function skips
    /// these repositories, because there can be thousands of them.
    pub(crate) fn complete_after(&mut self, patch: &Value) {
        let is_named = |org: &str, name: &str| patch["orgs"][org]["repos"].get(name).is_some();
        self.complete_some(largest_id(patch), is_named);
    }

    /// Adds the default values that the state lacks. Skips the repositories that `is_looked_at`
    /// rejects. `largest` is the largest id that can be new in the state.
    fn complete_some(&mut self, largest: u64, is_looked_at: impl Fn(&str, &str) -> bool) {
        for part in ["orgs", "users", "apps"] {
            if !self.doc[part].is_object() {
                self.doc[part] = json!({});
            }
        }
        self.next_id = self.next_id.max(largest);
        let mut next = self.next_id;
        let mut fresh = || {
            next += 1;
            next
        };
        let now = now();
        for (login, org) in entries_mut(&mut self.doc["orgs"]) {
            default(org, "login", json!(login));
            default(org, "id", json!(null));
            if org["id"].is_null() {
                org["id"] = json!(fresh());
            }
            default(org, "members", json!([]));
            default(org, "owners", json!([]));
            default(org, "invitations", json!([]));
            default(org, "blocks", json!([]));
            default(org, "custom_roles", json!([]));
            for part in [
                "teams",
                "repos",
                "rulesets",
                "security_configurations",
                "hooks",
                "variables",
                "secrets",
                "dependabot_secrets",
                "codespaces_secrets",
                "repository_roles",
            ] {
                default(org, part, json!({}));
            }
            for (part, mut usual) in [
                ("settings", defaults::settings()),
                ("actions", defaults::actions()),
                ("oidc_subject", defaults::oidc_subject()),
                ("organization_roles", defaults::roles()),
                ("runner_groups", defaults::runner_groups()),
            ] {
                default(org, part, json!({}));
                for (key, value) in entries_mut(&mut usual) {
                    default(&mut org[part], key, value.take());
                }
            }
            for part in [
                "rulesets",
                "security_configurations",
                "hooks",
                "repository_roles",
                "organization_roles",
                "runner_groups",
            ] {
                for (_, entry) in entries_mut(&mut org[part]) {
                    identify(entry, &mut fresh);
                }
            }
            for (address, hook) in entries_mut(&mut org["hooks"]) {
                default(&mut hook["config"], "url", json!(address));
            }
            for (slug, team) in entries_mut(&mut org["teams"]) {
                default(team, "slug", json!(slug));
                default(team, "name", json!(slug));
                if team["id"].is_null() {
                    team["id"] = json!(fresh());
                }
                default(team, "description", Value::Null);
                default(team, "parent", Value::Null);
                default(team, "members", json!({}));
                default(team, "invitations", json!([]));
            }
            for (name, repository) in entries_mut(&mut org["repos"]) {
                if !is_looked_at(login, name) {
                    continue;
                }
                let id = repository["id"].as_u64().unwrap_or_else(&mut fresh);
                let Value::Object(defaults) = new_repository(id, name, &now) else { continue };
                let given = repository.as_object().cloned().unwrap_or_default();
                let mut whole = defaults;
                // A document can have only one of the keys `visibility` and `private`. The
                // simulator derives the other key.
                if let Some(visibility) = given.get("visibility") {
                    whole.insert("private".into(), json!(visibility != "public"));
                } else if given.get("private") == Some(&json!(false)) {
                    whole.insert("visibility".into(), json!("public"));
                }
                whole.extend(given);
                whole.insert("id".into(), json!(id));
                whole.insert("name".into(), json!(name));
                *repository = Value::Object(whole);
                commits::complete(repository);
                for part in ["labels", "milestones", "autolinks", "deploy_keys", "rulesets", "hooks"] {
                    for (_, entry) in entries_mut(&mut repository[part]) {
                        identify(entry, &mut fresh);
                    }
                }
                for (_, environment) in entries_mut(&mut repository["environments"]) {
                    identify(environment, &mut fresh);
                    default(environment, "wait_timer", json!(0));
                    default(environment, "prevent_self_review", json!(false));
                    default(environment, "deployment_branch_policy", Value::Null);
                    for list in ["reviewers", "branch_policies", "gates"] {
                        default(environment, list, json!([]));
                    }
                    default(environment, "variables", json!({}));
                    default(environment, "secrets", json!({}));
                    for list in ["branch_policies", "gates"] {
                        let entries = environment[list].as_array_mut().into_iter().flatten();
                        entries.for_each(|entry| identify(entry, &mut fresh));
                    }
                }
                // In a document, the name of a webhook's entry can be the address of the webhook.
                for (address, hook) in entries_mut(&mut repository["hooks"]) {
                    default(&mut hook["config"], "url", json!(address));
                }
                crate::github::pulls::complete(repository, &mut fresh);
                for (_, rule) in entries_mut(&mut repository["protection"]) {
                    crate::github::protection::complete(rule, &mut fresh);
                }
            }
        }
        for part in ["users", "apps"] {
            for (name, entry) in entries_mut(&mut self.doc[part]) {
                if entry["id"].is_null() {
                    entry["id"] = json!(fresh());
                }
                default(entry, if part == "users" { "login" } else { "slug" }, json!(name));
            }
        }
        self.next_id = next;
        self.reindex();
    }

    pub(crate) fn reindex(&mut self) {
        let before = std::mem::take(&mut self.index);
        let orgs = self.doc["orgs"].as_object().into_iter().flatten();
        for (login, org) in orgs {
            for (name, repository) in org["repos"].as_object().into_iter().flatten() {
                if let Some(id) = repository["id"].as_u64() {
                    self.index.insert(id, (login.clone(), name.clone()));
                }
            }
        }
        for (id, (org, name)) in before {
            if self.index.get(&id).is_some_and(|now| *now != (org.clone(), name.clone())) {
                self.moved.insert((org, name.to_lowercase()), id);
            }
        }
    }

    /// Returns the id of the repository that had this name before it was renamed.
    pub(crate) fn moved(&self, org: &str, name: &str) -> Option<u64> {
        let org = self.org(org)?["login"].as_str()?;
        let id = self.moved.get(&(org.to_owned(), name.to_lowercase())).copied()?;
        self.index.contains_key(&id).then_some(id)
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Returns the organisation with this login. The case of the login does not matter.
    pub(crate) fn org(&self, login: &str) -> Option<&Value> {
        find(&self.doc["orgs"], login)
    }

    pub(crate) fn org_mut(&mut self, login: &str) -> Option<&mut Value> {
        find_mut(&mut self.doc["orgs"], login)
    }

    pub(crate) fn repository(&self, org: &str, name: &str) -> Option<&Value> {
        find(&self.org(org)?["repos"], name)
    }

    pub(crate) fn by_id(&self, id: u64) -> Option<(&str, &Value)> {
        let (org, name) = self.index.get(&id)?;
        Some((org, self.repository(org, name)?))
    }

    /// Returns the repositories of an organisation. The oldest repository comes first.
    pub(crate) fn repositories(&self, org: &str) -> Vec<&Value> {
        let repositories = self.org(org).and_then(|org| org["repos"].as_object()).into_iter().flatten();
        let mut repositories: Vec<&Value> = repositories.map(|(_, repository)| repository).collect();
        repositories.sort_by_cached_key(|repository| {
            (repository["created_at"].as_str().unwrap_or_default().to_owned(), repository["id"].as_u64())
        });
        repositories
    }

    pub(crate) fn team(&self, org: &str, slug: &str) -> Option<&Value> {
        find(&self.org(org)?["teams"], slug)
    }

    pub(crate) fn user(&self, login: &str) -> Option<&Value> {
        find(&self.doc["users"], login)
    }

    pub(crate) fn app(&self, slug: &str) -> Option<&Value> {
        find(&self.doc["apps"], slug)
    }

    /// Returns the App with this slug. If the state lacks `apps`, the App of the simulator still
    /// exists.
    pub(crate) fn acting(&self, slug: &str) -> Option<Value> {
        let own = || json!({ "id": APP_ID, "slug": APP_SLUG });
        self.app(slug).cloned().or_else(|| (slug == APP_SLUG).then(own))
    }

    /// Returns the actor with a node id, in the form that a branch protection rule uses: the name
    /// of the actor's list, and the actor's name in this list.
    pub(crate) fn actor(&self, node: &str) -> Option<(&'static str, String)> {
        let by_id = |map: &Value, id: u64, name: &str| {
            let mut entries = map.as_object()?.values();
            entries.find(|entry| entry["id"].as_u64() == Some(id))?[name].as_str().map(str::to_owned)
        };
        match Node::decode(node)? {
            Node::User(id) => Some(("users", by_id(&self.doc["users"], id, "login")?)),
            Node::App(id) => Some(("apps", by_id(&self.doc["apps"], id, "slug")?)),
            Node::Team(id) => {
                let mut orgs = self.doc["orgs"].as_object()?.values();
                Some(("teams", orgs.find_map(|org| by_id(&org["teams"], id, "slug"))?))
            }
            _ => None,
        }
    }

    /// Changes a repository with `edit`, and records the webhooks of the change.
    pub(crate) fn edit<T>(
        &mut self,
        org: &str,
        name: &str,
        sender: &str,
        edit: impl FnOnce(&mut Value) -> T,
    ) -> Option<T> {
        let before = self.repository(org, name)?.clone();
        let repositories = &mut self.org_mut(org)?["repos"];
        let repository = find_mut(repositories, name)?;
        let result = edit(repository);
        let after = repository.clone();
        let (old, new) = (before["name"].clone(), after["name"].clone());
        if old != new
            && let (Some(map), Some(old), Some(new)) =
                (repositories.as_object_mut(), old.as_str(), new.as_str())
        {
            map.remove(old);
            map.insert(new.to_owned(), after.clone());
            self.reindex();
        }
        let told = events::of_change(self, org, Some(&before), Some(&after), sender);
        self.outbox.extend(told);
        Some(result)
    }

    pub(crate) fn insert_repository(&mut self, org: &str, repository: &Value, sender: &str) -> Option<()> {
        let name = repository["name"].as_str()?.to_owned();
        self.org_mut(org)?["repos"].as_object_mut()?.insert(name, repository.clone());
        self.complete();
        let told = events::of_change(self, org, None, Some(repository), sender);
        self.outbox.extend(told);
        Some(())
    }

    pub(crate) fn remove_repository(&mut self, org: &str, name: &str, sender: &str) -> Option<()> {
        let before = self.repository(org, name)?.clone();
        let key = before["name"].as_str()?.to_owned();
        self.org_mut(org)?["repos"].as_object_mut()?.remove(&key);
        self.reindex();
        let told = events::of_change(self, org, Some(&before), None, sender);
        self.outbox.extend(told);
        Some(())
    }
}

/// Sets the id of an entry in a list, if the entry lacks one.
fn identify(entry: &mut Value, fresh: &mut impl FnMut() -> u64) {
    if entry["id"].is_null() {
        entry["id"] = json!(fresh());
    }
}

/// Returns the present time in the form that GitHub uses.
pub(crate) fn now() -> String {
    format!("{:.0}", jiff::Timestamp::now())
}

fn largest_id(value: &Value) -> u64 {
    match value {
        Value::Object(map) => {
            let own = map.get("id").and_then(Value::as_u64).unwrap_or(0);
            map.values().map(largest_id).max().unwrap_or(0).max(own)
        }
        Value::Array(items) => items.iter().map(largest_id).max().unwrap_or(0),
        _ => 0,
    }
}

fn default(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.entry(key).or_insert(value);
    }
}

fn entries_mut(value: &mut Value) -> impl Iterator<Item = (&String, &mut Value)> {
    value.as_object_mut().into_iter().flatten()
}

/// Returns the entry with this name. The case of the name does not matter.
pub(crate) fn find<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let map: &Map<String, Value> = map.as_object()?;
    map.get(name)
        .or_else(|| map.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

pub(crate) fn find_mut<'a>(map: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let map = map.as_object_mut()?;
    let key = map.keys().find(|other| other.eq_ignore_ascii_case(name))?.clone();
    map.get_mut(&key)
}
