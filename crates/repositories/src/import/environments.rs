//! Reads the environments and the variables of a repository.

use beadle_engine::Failure;
use beadle_github::{Path, Reader, Repository};
use serde_json::{Value, json};

use super::noted::known;
use super::observed::Observed;
use crate::aspects::environments::{Deployers, Observed as Environment};

/// Adds the environments and the variables of a repository to `observed`.
pub(super) async fn read(reader: &Reader, seen: &Repository, observed: &mut Observed) -> Result<(), Failure> {
    let (environments, variables) = futures::join!(
        reader.rows_below(seen, "environments", "environments", &["name"]),
        reader.rows_below(seen, "actions/variables", "variables", &["name", "value"]),
    );
    if let Some(rows) = known(variables, &["variables"], observed)? {
        observed.lists.insert("variables", rows.iter().map(variable).collect());
    }
    let Some(rows) = known(environments, &["environments"], observed)? else { return Ok(()) };
    let mut entries = Vec::new();
    for row in &rows {
        let Some(environment) = Environment::read(row) else {
            let why = "GitHub shows only a part of an environment's settings";
            observed.unknown.insert("environments", why.to_owned());
            return Ok(());
        };
        let read = entry(reader, seen, &environment).await;
        let Some(read) = known(read, &["environments"], observed)? else { return Ok(()) };
        entries.push(read);
    }
    observed.lists.insert("environments", entries);
    Ok(())
}

/// Returns an App's rule in the form of a policy.
fn rule(row: &Value) -> Value {
    let app = &row["app"];
    if app["slug"].is_string() { json!({ "app": app["slug"] }) } else { json!({ "app_id": app["id"] }) }
}

fn variable(row: &Value) -> Value {
    json!({ "name": row["name"], "value": row["value"] })
}

/// Returns an environment in the form of a policy.
async fn entry(reader: &Reader, seen: &Repository, environment: &Environment) -> Result<Value, Failure> {
    let name = environment.name.as_str();
    let path = |list: &'static str| Path::at("environments").value(name).then(list);
    let mut entry = json!({ "name": name });
    if environment.wait_timer > 0 {
        entry["wait_timer"] = json!(environment.wait_timer);
    }
    if !environment.reviewers.is_empty() {
        let reviewers = environment.reviewers.iter().map(|reviewer| {
            let key = if reviewer.kind == "Team" { "slug" } else { "login" };
            match &reviewer.name {
                Some(name) => json!({ "type": reviewer.kind, key: name }),
                None => json!({ "type": reviewer.kind, "id": reviewer.id }),
            }
        });
        entry["reviewers"] = reviewers.collect();
        if environment.prevent_self_review {
            entry["prevent_self_review"] = json!(true);
        }
    }
    match environment.deployers {
        Deployers::All => {}
        Deployers::Protected => entry["deployment_branch_policy"] = json!({ "protected_branches": true }),
        Deployers::Matching => {
            let list = path("deployment-branch-policies");
            let rows = reader.rows_below(seen, list, "branch_policies", &["id", "name"]).await?;
            let patterns = rows.iter().map(|row| match row["type"].as_str() {
                Some("tag") => json!({ "name": row["name"], "type": "tag" }),
                _ => row["name"].clone(),
            });
            let patterns: Vec<Value> = patterns.collect();
            entry["deployment_branch_policy"] = json!({ "custom_branch_policies": patterns });
        }
    }
    let rules = reader.below(seen, path("deployment_protection_rules")).await?.unwrap_or_default();
    let rules = rules["custom_deployment_protection_rules"].as_array().into_iter().flatten();
    let rules: Vec<Value> = rules.map(rule).collect();
    if !rules.is_empty() {
        entry["deployment_protection_rules"] = json!(rules);
    }
    let variables = reader.rows_below(seen, path("variables"), "variables", &["name", "value"]).await?;
    if !variables.is_empty() {
        entry["variables"] = variables.iter().map(variable).collect();
    }
    Ok(entry)
}
