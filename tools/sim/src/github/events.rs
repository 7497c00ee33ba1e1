//! Creates the webhooks of a change, with their payloads. As at GitHub, most settings cause no
//! webhook.

use serde_json::{Value, json};

use crate::github::world::World;
use crate::github::{commits, shapes};

/// An event that needs a webhook.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    pub(crate) payload: Value,
    pub(crate) repository_id: Option<u64>,
    /// True if only the webhook of an organisation gets the event, and not an App.
    pub(crate) organisation_only: bool,
}

pub(super) struct Told<'a> {
    pub(super) world: &'a World,
    pub(super) org: &'a str,
    pub(super) sender: &'a str,
    pub(super) events: Vec<Event>,
}

impl Told<'_> {
    pub(super) fn add(&mut self, name: &'static str, action: Option<&str>, repository: &Value, more: &Value) {
        let mut payload = json!({
            "organization": organisation(self.world, self.org),
            "sender": shapes::sender(self.world, self.sender),
        });
        if repository.is_object() {
            payload["repository"] = shapes::repository(self.world, self.org, repository, true);
        }
        if let Some(org) = self.world.org(self.org) {
            payload["installation"] =
                json!({ "id": shapes::installation_id(org), "node_id": "MDIzOkludGVncmF0aW9u" });
        }
        if let Some(action) = action {
            payload["action"] = json!(action);
        }
        for (key, value) in more.as_object().into_iter().flatten() {
            payload[key] = value.clone();
        }
        let organisation_only = name == "repository" && action == Some("deleted");
        self.events.push(Event {
            name,
            payload,
            repository_id: repository["id"].as_u64(),
            organisation_only,
        });
    }
}

fn organisation(world: &World, login: &str) -> Value {
    let Some(org) = world.org(login) else { return Value::Null };
    let whole = shapes::organisation(world, org);
    let keys = [
        "login",
        "id",
        "node_id",
        "url",
        "repos_url",
        "events_url",
        "hooks_url",
        "issues_url",
        "members_url",
        "public_members_url",
        "avatar_url",
        "description",
    ];
    keys.iter().map(|key| ((*key).to_owned(), whole[*key].clone())).collect()
}

/// Returns the events that a change of a repository causes.
pub(crate) fn of_change(
    world: &World,
    org: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    sender: &str,
) -> Vec<Event> {
    let mut told = Told { world, org, sender, events: Vec::new() };
    match (before, after) {
        (None, Some(after)) => told.add("repository", Some("created"), after, &json!({})),
        (Some(before), None) => told.add("repository", Some("deleted"), before, &json!({})),
        (Some(before), Some(after)) if before != after => {
            settings(&mut told, before, after);
            teams(&mut told, before, after);
            members(&mut told, before, after);
            rules(&mut told, before, after);
            rulesets(&mut told, before, after);
            labels(&mut told, before, after);
            properties(&mut told, before, after);
            branches(&mut told, before, after);
            files(&mut told, before, after);
        }
        _ => {}
    }
    told.events
}

fn settings(told: &mut Told<'_>, before: &Value, after: &Value) {
    let changed = |key: &str| before[key] != after[key];
    if changed("name") {
        let changes = json!({ "changes": { "repository": { "name": { "from": before["name"] } } } });
        told.add("repository", Some("renamed"), after, &changes);
    }
    if changed("visibility") {
        let public = after["visibility"] == "public";
        told.add("repository", Some(if public { "publicized" } else { "privatized" }), after, &json!({}));
        if public {
            told.add("public", None, after, &json!({}));
        }
    }
    if changed("archived") {
        let action = if after["archived"] == json!(true) { "archived" } else { "unarchived" };
        told.add("repository", Some(action), after, &json!({}));
    }
    let mut changes = json!({});
    for key in ["description", "homepage", "default_branch", "topics"] {
        if changed(key) {
            changes[key] = json!({ "from": before[key] });
        }
    }
    if changes != json!({}) {
        told.add("repository", Some("edited"), after, &json!({ "changes": changes }));
    }
}

fn action(old: Option<&Value>, new: Option<&Value>) -> &'static str {
    match (old, new) {
        (None, _) => "created",
        (_, None) => "deleted",
        _ => "edited",
    }
}

fn ruleset(name: &str, source_type: &str, source: &str, ruleset: &Value) -> Value {
    let mut shown = json!({
        "name": name, "source_type": source_type, "source": source, "node_id": format!("RRS_lACq{}", ruleset["id"]),
        "_links": { "self": { "href": "https://api.github.com/" }, "html": { "href": "https://github.com/" } },
    });
    for (key, value) in ruleset.as_object().into_iter().flatten() {
        shown[key] = value.clone();
    }
    shown
}

fn rulesets(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (name, old, new) in differences(&before["rulesets"], &after["rulesets"]) {
        let source = format!("{}/{}", told.org, after["name"].as_str().unwrap_or_default());
        let shown = ruleset(name, "Repository", &source, new.or(old).unwrap_or(&Value::Null));
        told.add(
            "repository_ruleset",
            Some(action(old, new)),
            after,
            &json!({ "repository_ruleset": shown }),
        );
    }
}

/// Returns the events for changed rulesets of an organisation. These events contain no repository.
pub(crate) fn of_rulesets(
    world: &World,
    org: &str,
    before: &serde_json::Map<String, Value>,
    after: &serde_json::Map<String, Value>,
    sender: &str,
) -> Vec<Event> {
    let (before, after) = (Value::Object(before.clone()), Value::Object(after.clone()));
    let mut told = Told { world, org, sender, events: Vec::new() };
    for (name, old, new) in differences(&before, &after) {
        let shown = ruleset(name, "Organization", org, new.or(old).unwrap_or(&Value::Null));
        told.add(
            "repository_ruleset",
            Some(action(old, new)),
            &Value::Null,
            &json!({ "repository_ruleset": shown }),
        );
    }
    told.events
}

fn labels(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (name, old, new) in differences(&before["labels"], &after["labels"]) {
        let label = new.or(old).unwrap_or(&Value::Null);
        let id = label["id"].as_u64().unwrap_or_default();
        let shown = json!({
            "id": id, "node_id": format!("LA_kwDO{id:08}"), "name": name, "color": label["color"],
            "description": label["description"], "default": false, "url": "https://api.github.com/",
        });
        told.add("label", Some(action(old, new)), after, &json!({ "label": shown }));
    }
}

fn properties(told: &mut Told<'_>, before: &Value, after: &Value) {
    let (old, new) = (&before["properties"], &after["properties"]);
    if old != new {
        let list = |values: &Value| {
            let values = values.as_object().into_iter().flatten();
            values.map(|(name, value)| json!({ "property_name": name, "value": value })).collect::<Vec<_>>()
        };
        let more = json!({ "new_property_values": list(new), "old_property_values": list(old) });
        told.add("custom_property_values", Some("updated"), after, &more);
    }
}

/// Returns all keys whose values differ. Each key comes with its value before and after the change.
pub(super) fn differences<'a>(
    before: &'a Value,
    after: &'a Value,
) -> Vec<(&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let keys = before.as_object().into_iter().chain(after.as_object()).flatten().map(|(key, _)| key.as_str());
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    let pairs = keys.into_iter().map(|key| (key, before.get(key), after.get(key)));
    pairs.filter(|(_, before, after)| before != after).collect()
}

fn teams(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (slug, old, new) in differences(&before["teams"], &after["teams"]) {
        let Some(team) = told.world.team(told.org, slug) else { continue };
        let permission = new.or(old).and_then(Value::as_str).unwrap_or("pull");
        let team = json!({ "team": shapes::team(told.world, told.org, team, Some(permission)) });
        match (old, new) {
            (None, _) => {
                told.add("team", Some("added_to_repository"), after, &team);
                told.add("team_add", None, after, &team);
            }
            (_, None) => told.add("team", Some("removed_from_repository"), after, &team),
            _ => {
                let mut more = team;
                more["changes"] = json!({ "repository": { "permissions": { "from": {} } } });
                told.add("team", Some("edited"), after, &more);
            }
        }
    }
}

fn members(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (login, old, new) in differences(&before["collaborators"], &after["collaborators"]) {
        let member = json!({ "member": shapes::user(told.world, login) });
        let action = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "edited",
        };
        told.add("member", Some(action), after, &member);
    }
}

fn rules(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (pattern, old, new) in differences(&before["protection"], &after["protection"]) {
        let rule = rule(after, pattern, new.or(old).unwrap_or(&Value::Null));
        match (old, new) {
            (None, _) => told.add("branch_protection_rule", Some("created"), after, &json!({ "rule": rule })),
            (_, None) => told.add("branch_protection_rule", Some("deleted"), after, &json!({ "rule": rule })),
            _ => told.add(
                "branch_protection_rule",
                Some("edited"),
                after,
                &json!({ "rule": rule, "changes": {} }),
            ),
        }
    }
}

fn rule(repository: &Value, pattern: &str, rule: &Value) -> Value {
    let level = |on: bool| if on { "everyone" } else { "off" };
    let reviews = &rule["required_pull_request_reviews"];
    let on = |key: &str| rule[key].as_bool().unwrap_or(false);
    json!({
        "id": rule["id"], "repository_id": repository["id"], "name": pattern,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        "pull_request_reviews_enforcement_level": level(reviews.is_object()),
        "required_approving_review_count": reviews["required_approving_review_count"].as_i64().unwrap_or(0),
        "dismiss_stale_reviews_on_push": reviews["dismiss_stale_reviews"].as_bool().unwrap_or(false),
        "require_code_owner_review": reviews["require_code_owner_reviews"].as_bool().unwrap_or(false),
        "require_last_push_approval": reviews["require_last_push_approval"].as_bool().unwrap_or(false),
        "authorized_dismissal_actors_only": reviews["dismissal_restrictions"].is_object(),
        "ignore_approvals_from_contributors": false,
        "required_status_checks": rule["required_status_checks"]["checks"].as_array().into_iter().flatten()
            .map(|check| check["context"].clone()).collect::<Vec<_>>(),
        "required_status_checks_enforcement_level": level(rule["required_status_checks"].is_object()),
        "strict_required_status_checks_policy": rule["required_status_checks"]["strict"].as_bool().unwrap_or(false),
        "signature_requirement_enforcement_level": level(on("required_signatures")),
        "linear_history_requirement_enforcement_level": level(on("required_linear_history")),
        "admin_enforced": on("enforce_admins"),
        "allow_force_pushes_enforcement_level": level(on("allow_force_pushes")),
        "allow_deletions_enforcement_level": level(on("allow_deletions")),
        "merge_queue_enforcement_level": "off",
        "required_deployments_enforcement_level": level(rule["required_deployment_environments"].is_array()),
        "required_conversation_resolution_level": level(on("required_conversation_resolution")),
        "authorized_actors_only": rule["restrictions"].is_object(),
        "authorized_actor_names": [],
    })
}

fn branches(told: &mut Told<'_>, before: &Value, after: &Value) {
    for (name, old, new) in differences(&before["branches"], &after["branches"]) {
        if old.is_none() && new.is_some() {
            push(told, after, name, ("", &Value::Null));
            let more = json!({
                "ref": name, "ref_type": "branch", "master_branch": after["default_branch"], "description": null,
                "pusher_type": "user",
            });
            told.add("create", None, after, &more);
        }
    }
}

/// Reports changed files as one commit on the default branch.
fn files(told: &mut Told<'_>, before: &Value, after: &Value) {
    let branch = after["default_branch"].as_str().unwrap_or_default();
    let has_branch = |found: &Value| found["branches"].get(branch).is_some();
    let changed = differences(&before["contents"], &after["contents"]);
    // If the default branch is new, its first files belong to the event of the new branch.
    if changed.is_empty() || !has_branch(before) || !has_branch(after) {
        return;
    }
    let mut commit = json!({ "added": [], "removed": [], "modified": [] });
    for (path, old, new) in changed {
        let kind = match (old, new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "modified",
        };
        if let Some(paths) = commit[kind].as_array_mut() {
            paths.push(json!(path));
        }
    }
    let head = commits::head(after);
    let name = after["name"].as_str().unwrap_or_default();
    let made = commits::find(after, &head);
    let author = made.as_ref().map_or(told.sender, |commit| commit.author);
    let message = made.as_ref().map_or("Change files", |commit| commit.message);
    let who = json!({ "name": author, "email": "octocat@example.com", "username": author });
    commit["id"] = json!(head);
    commit["tree_id"] = json!(head);
    commit["distinct"] = json!(true);
    commit["message"] = json!(message);
    commit["timestamp"] = json!("2026-01-01T00:00:00Z");
    commit["url"] = json!(format!("https://github.com/{}/{name}/commit/{head}", told.org));
    commit["author"] = who.clone();
    commit["committer"] = who;
    let parent = commits::head(before);
    push(told, after, branch, (parent.as_str(), &commit));
}

/// Adds the event of a push to a branch. `before` is the earlier commit of the branch, and `commit`
/// is the new commit. If `commit` is null, the branch is new.
fn push(told: &mut Told<'_>, after: &Value, branch: &str, (before, commit): (&str, &Value)) {
    let is_new = commit.is_null();
    let commits: Vec<&Value> = if is_new { Vec::new() } else { vec![commit] };
    let more = json!({
        "ref": format!("refs/heads/{branch}"),
        "before": if is_new { "0".repeat(40) } else { before.to_owned() }, "after": commits::head(after),
        "created": is_new, "deleted": false, "forced": false, "base_ref": null,
        "compare": "https://github.com/", "commits": commits, "head_commit": commit,
        "pusher": { "name": told.sender },
    });
    told.add("push", None, after, &more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_files_makes_a_push_with_one_commit() {
        let before = json!({ "name": "admin", "default_branch": "main", "branches": { "main": {} },
            "contents": { "a.yml": "1", "b.yml": "1" } });
        let mut after = before.clone();
        after["contents"] = json!({ "a.yml": "2", "c.yml": "1" });
        let world = World::from(json!({ "orgs": { "acme": {} } }));
        let told = of_change(&world, "acme", Some(&before), Some(&after), "octocat");
        assert_eq!(told.iter().map(|event| event.name).collect::<Vec<_>>(), ["push"]);
        let push = &told[0].payload;
        assert_eq!((&push["ref"], &push["created"]), (&json!("refs/heads/main"), &json!(false)));
        let commit = &push["commits"][0];
        assert_eq!(commit["modified"], json!(["a.yml"]));
        assert_eq!((&commit["added"], &commit["removed"]), (&json!(["c.yml"]), &json!(["b.yml"])));
        assert_eq!(&push["head_commit"], commit);
    }
}
