//! Reads the sections of the organisation itself.

use beadle_engine::{Class, Failure};
use beadle_github::{Path, Reader};
use serde_json::{Map, Value, json};

use super::organization;
use super::rulesets::ruleset;
use crate::policy::entry_keys;

const CONFIGURATIONS: &str = "code_security_configurations";

/// Returns the sections of `settings.yml` that belong to the organisation. Adds a note for each
/// section that Beadle could not read.
pub(super) async fn read(reader: &Reader, notes: &mut Vec<String>) -> Result<Map<String, Value>, Failure> {
    let mut sections = Map::new();
    let lists = [
        ("rulesets", rulesets(reader).await),
        (CONFIGURATIONS, configurations(reader).await),
        ("custom_repository_roles", organization::repository_roles(reader).await),
    ];
    for (name, read) in lists {
        match read {
            Ok(entries) if entries.is_empty() => {}
            Ok(entries) => {
                sections.insert(name.to_owned(), Value::Array(entries));
            }
            Err(failure) if matches!(failure.class, Class::RateLimited { .. } | Class::Fatal) => {
                return Err(failure);
            }
            Err(failure) => {
                notes.push(format!("{name} of the organisation are not imported: {}", failure.text));
            }
        }
    }
    let own = Box::pin(organization::section(reader, notes)).await?;
    if !own.is_empty() {
        sections.insert("organization".to_owned(), Value::Object(own));
    }
    Ok(sections)
}

/// Returns the rulesets of the organisation in the form of a policy.
pub(crate) async fn rulesets(reader: &Reader) -> Result<Vec<Value>, Failure> {
    let rows = reader.list_of_organisation("rulesets?per_page=100", &["id", "name"]).await?;
    let mut entries = Vec::new();
    // GitHub's list also contains the rulesets of the enterprise.
    for row in rows.iter().filter(|row| row["source_type"] == "Organization") {
        let Some(id) = row["id"].as_u64() else { continue };
        entries.push(ruleset(&reader.of_organisation(Path::at("rulesets").id(id)).await?));
    }
    entries.sort_by_key(|entry| entry["name"].to_string());
    Ok(entries)
}

async fn configurations(reader: &Reader) -> Result<Vec<Value>, Failure> {
    const PATH: &str = "code-security/configurations";
    let rows = reader.list_of_organisation(Path::at(PATH).query("per_page", 100), &["id", "name"]).await?;
    let own: Vec<&Value> = rows.iter().filter(|row| row["target_type"] == "organization").collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let defaults = reader.of_organisation(Path::at(PATH).then("defaults")).await?;
    let mut entries = Vec::new();
    for row in own {
        let mut entry = json!({});
        // GitHub shows `default_for_new_repos` in the answer to a different request, and does not
        // show `attach_to` at all.
        let fields =
            entry_keys(CONFIGURATIONS).filter(|key| !["default_for_new_repos", "attach_to"].contains(key));
        for key in fields {
            // The import also writes the values `not_set`. If the policy omitted these values and
            // Beadle had to create the configuration again, the new configuration would turn off
            // most of the omitted features.
            if row[key].is_string() || row[key].is_object() {
                entry[key] = row[key].clone();
            }
        }
        // GitHub shows one row for each kind of new repository, or one row for all kinds together.
        let is_it = |default: &&Value| default["configuration"]["id"] == row["id"];
        let rows = defaults.as_array().into_iter().flatten().filter(is_it);
        let kinds: Vec<&str> = rows
            .filter_map(|default| default["default_for_new_repos"].as_str())
            .filter(|kind| *kind != "none")
            .collect();
        match kinds.as_slice() {
            [] => {}
            [kind] => entry["default_for_new_repos"] = json!(kind),
            _ => entry["default_for_new_repos"] = json!("all"),
        }
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry["name"].to_string());
    Ok(entries)
}
