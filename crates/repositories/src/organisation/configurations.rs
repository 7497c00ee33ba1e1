//! Plans and writes the code security configurations of an organisation. A configuration sets the
//! security features of many repositories. GitHub can attach a configuration to repositories, and a
//! configuration can be the default for new repositories. Beadle does not use the switch "enable
//! for all", because no API shows whether this switch is on.
//!
//! <https://docs.github.com/rest/code-security/configurations>

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Below, IndexRow, Method, Path, Visibility};
use serde_json::{Map, Value, json};

use super::aspect::{ADMINISTRATION, Context, OrganisationAspect, OrganisationPlanner, Section};
use super::features::{risk, turns_off};
use crate::aspects::{AspectPlan, Stage, Step, WriteTarget, field};
use crate::policy::Node;
use crate::policy::shape::{Shape, key, required};
use crate::policy::shapes::{NAME, OPTIONAL_BOOL, OPTIONAL_TEXT};

/// The aspect for an organisation's code security configurations.
pub(super) const CONFIGURATIONS: OrganisationAspect = OrganisationAspect {
    name: "code_security_configurations",
    section: "code_security_configurations",
    sections: &[key(
        "code_security_configurations",
        Shape::List(&ENTRY),
        "Code security configurations of the organisation. Others stay.",
    )],
    keys: &[],
    permissions: &[ADMINISTRATION],
    events: &[],
    planner: &Configurations,
};

const ENABLED: Shape = Shape::OneOf(&["enabled", "disabled", "not_set"]);

const ENTRY: Shape = Shape::Map(&[
    required(key("name", NAME, "The name of the configuration.")),
    key("description", Shape::Text, "A description."),
    key(
        "advanced_security",
        Shape::OneOf(&["enabled", "disabled", "code_security", "secret_protection"]),
        "GitHub Advanced Security.",
    ),
    key("dependency_graph", ENABLED, "The dependency graph."),
    key("dependency_graph_autosubmit_action", ENABLED, "Submits dependencies automatically."),
    key(
        "dependency_graph_autosubmit_action_options",
        Shape::Map(&[key("labeled_runners", Shape::Bool, "Whether labelled runners submit dependencies.")]),
        "Options of the automatic submission of dependencies.",
    ),
    key("dependabot_alerts", ENABLED, "Dependabot alerts."),
    key("dependabot_security_updates", ENABLED, "Dependabot security updates."),
    key("dependabot_delegated_alert_dismissal", ENABLED, "A dismissal of alerts needs an approval."),
    key("code_scanning_default_setup", ENABLED, "Code scanning by default setup."),
    key(
        "code_scanning_default_setup_options",
        Shape::Map(&[
            key(
                "runner_type",
                Shape::OneOf(&["standard", "labeled", "not_set"]),
                "The kind of runners that scan.",
            ),
            key("runner_label", OPTIONAL_TEXT, "With `labeled`: the label of these runners."),
        ]),
        "Options of default setup.",
    ),
    key(
        "code_scanning_options",
        Shape::Map(&[key(
            "allow_advanced",
            OPTIONAL_BOOL,
            "Whether repositories with advanced setup can have the configuration.",
        )]),
        "Options of code scanning.",
    ),
    key("code_scanning_delegated_alert_dismissal", ENABLED, "A dismissal of alerts needs an approval."),
    key("secret_scanning", ENABLED, "Secret scanning."),
    key("secret_scanning_push_protection", ENABLED, "Push protection."),
    key("secret_scanning_delegated_bypass", ENABLED, "A bypass of push protection needs an approval."),
    key("secret_scanning_validity_checks", ENABLED, "Asks providers whether secrets are valid."),
    key("secret_scanning_non_provider_patterns", ENABLED, "Finds secrets of no provider."),
    key("secret_scanning_generic_secrets", ENABLED, "Finds generic secrets."),
    key("secret_scanning_delegated_alert_dismissal", ENABLED, "A dismissal of alerts needs an approval."),
    key(
        "secret_scanning_extended_metadata",
        ENABLED,
        "Whether GitHub shows more details of a secret that it found.",
    ),
    key("private_vulnerability_reporting", ENABLED, "Private vulnerability reporting."),
    key(
        "enforcement",
        Shape::OneOf(&["enforced", "unenforced"]),
        "Whether repositories must keep the configuration.",
    ),
    key(
        "default_for_new_repos",
        Shape::OneOf(&["all", "none", "private_and_internal", "public"]),
        "The new repositories that get the configuration.",
    ),
    key(
        "attach_to",
        Shape::OneOf(&["all", "public", "private_or_internal"]),
        "The repositories to attach the configuration to. Attached repositories stay attached.",
    ),
]);

struct Configurations;

const PATH: &str = "code-security/configurations";
/// The policy keys that are not fields of a request body at GitHub.
const OWN: &[&str] = &["default_for_new_repos", "attach_to"];
/// The maximum number of repositories in one call.
const BATCH: usize = 250;

enum Write {
    Create(Value),
    Update { id: u64, body: Value },
    Default { id: Id, value: String },
    Attach { id: Id, repositories: Vec<u64> },
}

/// A configuration in a step, identified by its id or by its name. If an earlier step of the same
/// run creates the configuration, the plan contains only the name.
#[derive(Clone)]
enum Id {
    Known(u64),
    Named(String),
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Create(body) => to.send(Method::POST, PATH, Some(body.clone())).await,
            Self::Update { id, body } => {
                to.send(Method::PATCH, Below::at(PATH).id(*id), Some(body.clone())).await
            }
            Self::Default { id, value } => {
                let id = find(to, id).await?;
                let body = json!({ "default_for_new_repos": value });
                to.send(Method::PUT, Below::at(PATH).id(id).then("defaults"), Some(body)).await
            }
            Self::Attach { id, repositories } => {
                let id = find(to, id).await?;
                let body = json!({ "scope": "selected", "selected_repository_ids": repositories });
                to.send(Method::POST, Below::at(PATH).id(id).then("attach"), Some(body)).await
            }
        }
    }

    fn unshown(&self) -> Option<String> {
        match self {
            Self::Create(body) => Some(body.to_string()),
            Self::Update { .. } | Self::Default { .. } | Self::Attach { .. } => None,
        }
    }
}

async fn find(to: &WriteTarget, id: &Id) -> Result<u64, Failure> {
    match id {
        Id::Known(id) => Ok(*id),
        Id::Named(name) => to.configuration(name).await,
    }
}

#[async_trait]
impl OrganisationPlanner for Configurations {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let all = context
            .reader
            .list_of_organisation(Path::at(PATH).query("per_page", 100), &["id", "name"])
            .await?;
        let defaults = context.reader.of_organisation(Path::at(PATH).then("defaults")).await?;
        for want in section.node.items() {
            let Some(name) = want.get("name").and_then(Node::text) else { continue };
            let found =
                all.iter().find(|known| known["name"] == name && known["target_type"] == "organization");
            if let Some(found) = found {
                let from = plan.changes.len();
                change(want, name, found, plan);
                // A change of a configuration affects every repository that has this configuration.
                // So such a change can affect all repositories.
                context.reach(plan, from, None).await?;
            } else {
                create(want, name, plan);
            }
            let id = found.and_then(|found| found["id"].as_u64()).map(Id::Known);
            let id = id.unwrap_or_else(|| Id::Named(name.to_owned()));
            if let Some(node) = want.get("default_for_new_repos") {
                default(&id, node, name, &defaults, plan);
            }
            if let Some(node) = want.get("attach_to") {
                attach(context, &id, (want, node, found), (name, &all), plan).await?;
            }
        }
        Ok(())
    }
}

fn body(want: &Node) -> Map<String, Value> {
    let entries = want.entries().iter().filter_map(|(key, value)| Some((key.text()?, value)));
    let entries = entries.filter(|(key, _)| !OWN.contains(key));
    entries.map(|(key, value)| (key.to_owned(), value.json())).collect()
}

fn create(want: &Node, name: &str, plan: &mut AspectPlan) {
    let mut body = body(want);
    body.entry("description").or_insert_with(|| json!(name)); // GitHub requires a description
    let fields = vec![field("new configuration", Value::Null, json!(true), Some(&want.asked), Risk::Adds)];
    plan.change(format!("configuration {name}"), fields, Write::Create(Value::Object(body)));
}

/// Returns the declared value. If the value is a block, the function adds the keys that exist only
/// in GitHub's block.
fn whole(seen: &Value, wanted: Value) -> Value {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => {
            let mut whole = seen.clone();
            whole.extend(wanted);
            Value::Object(whole)
        }
        (_, wanted) => wanted,
    }
}

/// Returns whether the value at GitHub is the declared value. If the declared value is a block, the
/// function compares only the keys of this block. A key with the value null is the same as a
/// missing key.
fn is_kept(seen: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(wanted) => wanted.iter().all(|(key, value)| seen[key] == *value),
        wanted => seen == wanted,
    }
}

fn change(want: &Node, name: &str, found: &Value, plan: &mut AspectPlan) {
    let Some(id) = found["id"].as_u64() else { return };
    for guarded in [false, true] {
        let (mut fields, mut changed) = (Vec::new(), Map::new());
        for (key, after) in body(want) {
            let before = &found[&key];
            let risk = risk(&key, before, &after);
            if !is_kept(before, &after) && risk.is_guarded() == guarded {
                let asked = want.get(&key).map(|node| &node.asked);
                fields.push(field(&key, before.clone(), after.clone(), asked, risk));
                changed.insert(key, whole(before, after));
            }
        }
        if !fields.is_empty() {
            let write = Write::Update { id, body: Value::Object(changed) };
            plan.change(format!("configuration {name}"), fields, write);
        }
    }
}

/// Returns the kinds of new repositories that a value of `default_for_new_repos` selects. Each kind
/// has at most one default configuration at GitHub.
fn kinds(value: &Value) -> &'static [&'static str] {
    match value.as_str() {
        Some("all") => &["private_and_internal", "public"],
        Some("private_and_internal") => &["private_and_internal"],
        Some("public") => &["public"],
        _ => &[],
    }
}

fn default(id: &Id, node: &Node, name: &str, defaults: &Value, plan: &mut AspectPlan) {
    let is_own = |row: &&Value| matches!(id, Id::Known(id) if row["configuration"]["id"] == *id);
    let (own, others): (Vec<&Value>, Vec<&Value>) =
        defaults.as_array().into_iter().flatten().partition(is_own);
    let selected = |row: &&Value| kinds(&row["default_for_new_repos"]);
    let before: BTreeSet<&str> = own.iter().flat_map(selected).copied().collect();
    let wanted = node.json();
    let after: BTreeSet<&str> = kinds(&wanted).iter().copied().collect();
    if before == after {
        return;
    }
    let shown = match before.first().copied() {
        None => "none",
        Some(kind) if before.len() == 1 => kind,
        Some(_) => "all",
    };
    // The change is a weakening if some kinds of new repositories would no longer get the
    // configuration.
    let risk = if before.is_subset(&after) { Risk::Changes } else { Risk::Weakens };
    let asked = Some(&node.asked);
    let mut fields = vec![field("default_for_new_repos", json!(shown), wanted.clone(), asked, risk)];
    // This change replaces the present default configuration. The present configuration might be
    // stricter than the new one.
    for row in others {
        for kind in selected(&row).iter().filter(|kind| after.contains(*kind) && !before.contains(*kind)) {
            let what = format!("default of new {} repositories", kind.replace('_', " "));
            let loser = row["configuration"]["name"].clone();
            fields.push(field(&what, loser, json!(name), asked, Risk::Weakens));
        }
    }
    let value = wanted.as_str().unwrap_or("none").to_owned();
    plan.change_at(
        Stage::Security,
        format!("configuration {name}"),
        fields,
        Write::Default { id: id.clone(), value },
    );
}

fn belongs(scope: &str, row: &IndexRow) -> bool {
    match scope {
        "public" => row.visibility == Some(Visibility::Public),
        "private_or_internal" => row.visibility.is_some_and(|visibility| visibility != Visibility::Public),
        _ => true,
    }
}

async fn attach(
    context: &Context<'_>,
    id: &Id,
    (want, node, live): (&Node, &Node, Option<&Value>),
    (name, all): (&str, &[Value]),
    plan: &mut AspectPlan,
) -> Result<(), Failure> {
    let scope = node.text().unwrap_or("all");
    let known = if let Id::Known(id) = id { Some(*id) } else { None };
    let mut attached = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for other in all.iter().filter_map(|other| other["id"].as_u64()) {
        let path = Path::at(PATH).id(other).then("repositories?per_page=100");
        for row in context.reader.list_of_organisation(path, &["repository"]).await? {
            let Some(repository) = row["repository"]["id"].as_u64() else { continue };
            match row["status"].as_str() {
                Some("detached" | "removed" | "removed_by_enterprise") => {}
                Some("failed") if known == Some(other) => {
                    let name = row["repository"]["name"].as_str().unwrap_or_default();
                    let why = format!(
                        "GitHub could not attach the configuration to {name}; the repository may need a licence"
                    );
                    plan.cannot_resolve_part(name, why);
                    // GitHub failed to attach the configuration to this repository. Beadle treats
                    // the repository as attached, so that Beadle does not try again in every run.
                    attached.insert(repository);
                }
                _ if known == Some(other) => {
                    attached.insert(repository);
                }
                _ => {
                    elsewhere.insert(repository);
                }
            }
        }
    }
    let index = context.index().await?;
    let missing = |row: &&IndexRow| !row.archived && belongs(scope, row) && !attached.contains(&row.id);
    // A repository in `taken` loses its present configuration. The present configuration might be
    // stricter than the new one.
    let (taken, new): (Vec<&IndexRow>, Vec<&IndexRow>) =
        index.iter().filter(missing).partition(|row| elsewhere.contains(&row.id));
    // Even if a repository has no configuration yet, the new configuration might turn off a feature
    // of the repository.
    let first = if turns_off(&body(want), live) { Risk::Weakens } else { Risk::Adds };
    for (rows, risk) in [(new, first), (taken, Risk::Weakens)] {
        for batch in rows.chunks(BATCH) {
            let names: Vec<&str> = batch.iter().map(|row| row.name.as_str()).collect();
            let fields = vec![field("attached to", Value::Null, json!(names), Some(&node.asked), risk)];
            let repositories = batch.iter().map(|row| row.id).collect();
            let write = Write::Attach { id: id.clone(), repositories };
            let from = plan.changes.len();
            plan.change_at(Stage::Security, format!("configuration {name}"), fields, write);
            context.reach(plan, from, u32::try_from(batch.len()).ok()).await?;
        }
    }
    Ok(())
}
