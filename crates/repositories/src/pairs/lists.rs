//! Tests random lists. The test covers every kind of list whose entries have identities. After an
//! apply, the plan must be empty. The test then adds, removes or changes a single entry at GitHub,
//! and the plan must show this difference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use beadle_sim::Sim;
use serde_json::{Map, Value, json};

use super::dice::{Dice, PROPERTIES, TEAMS, USERS};
use super::entries::{self, LISTS, Place};
use super::state::ORGANISATION;
use super::{ROUNDS, Stage, files, folder, simulated, state};
use crate::{Policy, Shard};

/// The lists of a repository. Each list comes with its place in the simulator's state.
const KEPT: &[(&str, &str)] = &[
    ("teams", "teams"),
    ("collaborators", "collaborators"),
    ("branches", "protection"),
    ("labels", "labels"),
    ("autolinks", "autolinks"),
    ("milestones", "milestones"),
    ("deploy_keys", "deploy_keys"),
    ("rulesets", "rulesets"),
    ("custom_properties", "properties"),
    ("webhooks", "hooks"),
    ("environments", "environments"),
    ("variables", "variables"),
];
/// The lists that this test skips because other tests cover them. Each list comes with the name of
/// the file that contains the other tests.
const ELSEWHERE: &[(&str, &str)] = &[
    ("code_security_configurations", "they are the organisation's: tests/e2e/organisation.rs"),
    ("required_reviewers", "aspects/rulesets/tests.rs"),
    ("secrets", "planner/tests/secrets.rs, because GitHub shows no values"),
    ("dependabot_secrets", "planner/tests/secrets.rs"),
    ("codespaces_secrets", "planner/tests/secrets.rs"),
    ("files", "planner/tests/files.rs, because a pull request changes them"),
];
/// The number of random lists for each kind of list.
const SEEDS: u64 = 4;

/// Completes an entry. The result contains a value for every key that a mutation can change.
/// Returns `None` if the entry contains the name of a thing that does not exist.
fn stated(section: &str, mut entry: Value) -> Option<Value> {
    for key in ["include", "exclude", "oldname", "secret"] {
        entry.as_object_mut()?.remove(key);
    }
    // This test does not use a child team, because a child team also has the access of its parent
    // team.
    let text = entry.to_string().to_lowercase();
    if text.contains("ghost") || text.contains("\"child\"") {
        return None;
    }
    match section {
        "teams" | "collaborators" if entry["permission"] == "auditor" => entry["permission"] = json!("push"),
        "branches" => {
            entry["protection"] = json!({ "enforce_admins": true, "required_linear_history": true });
        }
        "labels" => entry["color"] = json!("cc0000"),
        "milestones" => entry["state"] = json!("open"),
        "custom_properties" => entry["value"] = json!("gold"),
        "webhooks" => entry["active"] = json!(true),
        "environments" => entry["wait_timer"] = json!(7),
        _ => {}
    }
    Some(entry)
}

/// Returns a random list for a section of a repository.
fn list(dice: &mut Dice, section: &str, live: &Value) -> Vec<Value> {
    let made = entries::section(dice, section, Place::Repository, live);
    let inner =
        ["exclusive", "additive", "include", "add", "replace"].into_iter().find_map(|word| made.get(word));
    let items = inner.unwrap_or(&made).as_array().cloned().unwrap_or_default();
    items.into_iter().filter_map(|entry| stated(section, entry)).collect()
}

/// Returns a new entry. Neither the policy nor the live list contains this entry.
fn stranger(section: &str, names: &BTreeSet<String>, live: &Map<String, Value>) -> Option<(String, Value)> {
    let free = |pool: &[&str]| {
        let is_free = |name: &&&str| !live.keys().chain(names).any(|known| known.eq_ignore_ascii_case(name));
        pool.iter().find(is_free).map(|name| (*name).to_owned())
    };
    let url = "https://stranger.example.com/";
    Some(match section {
        "teams" => (free(TEAMS).filter(|name| name != "child")?, json!("admin")),
        "collaborators" => (free(USERS)?, json!("admin")),
        "custom_properties" => (free(PROPERTIES)?, json!("gold")),
        "labels" => ("stranger".to_owned(), json!({ "color": "ededed", "description": null })),
        "autolinks" => {
            ("MORE-".to_owned(), json!({ "url_template": "https://x/<num>", "is_alphanumeric": true }))
        }
        "milestones" => ("stranger".to_owned(), json!({ "state": "open", "description": null })),
        "deploy_keys" => {
            ("ssh-ed25519 STRANGER".to_owned(), json!({ "title": "stranger", "read_only": true }))
        }
        "rulesets" => {
            ("stranger".to_owned(), json!({ "enforcement": "active", "rules": [{ "type": "creation" }] }))
        }
        "webhooks" => {
            let config = json!({ "url": url, "content_type": "json", "insecure_ssl": "0" });
            (url.to_owned(), json!({ "active": true, "events": ["push"], "config": config }))
        }
        "environments" => ("stranger".to_owned(), json!({})),
        "variables" => ("STRANGER".to_owned(), json!("x")),
        // Beadle keeps unlisted rules, so an added rule is not a difference.
        _ => return None,
    })
}

/// Returns a copy of the entry in which one value is different.
fn changed(section: &str, entry: &Value) -> Value {
    let mut other = entry.clone();
    match section {
        "teams" | "collaborators" => other = json!(if entry == "pull" { "admin" } else { "pull" }),
        "branches" => other["enforce_admins"] = json!(false),
        "labels" => other["color"] = json!("123456"),
        "autolinks" => other["url_template"] = json!("https://elsewhere.example.com/<num>"),
        "rulesets" => {
            let is_active = entry["enforcement"] == "active";
            other["enforcement"] = json!(if is_active { "disabled" } else { "active" });
        }
        "milestones" => other["state"] = json!("closed"),
        "deploy_keys" => other["read_only"] = json!(entry["read_only"] == json!(false)),
        "custom_properties" | "variables" => other = json!("elsewhere"),
        "environments" => other["wait_timer"] = json!(9),
        _ => other["active"] = json!(false),
    }
    other
}

/// Returns copies of the list `live`. In each copy, one entry is added, removed or changed. Each
/// copy comes with a description of this difference.
fn mutations(section: &str, names: &BTreeSet<String>, live: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (name, entry) in live.iter().filter(|(name, _)| names.contains(&name.to_lowercase())) {
        let mut fewer = live.clone();
        fewer.remove(name);
        found.push((format!("without {name}"), Value::Object(fewer)));
        let mut other = live.clone();
        other.insert(name.clone(), changed(section, entry));
        found.push((format!("with another {name}"), Value::Object(other)));
    }
    if let Some((name, entry)) = stranger(section, names, live) {
        let mut more = live.clone();
        more.insert(name.clone(), entry);
        found.push((format!("with {name}"), Value::Object(more)));
    }
    found
}

async fn changes(stage: &Stage) -> Result<usize, String> {
    let (planner, _) = stage.parts()?;
    let whole = planner.organisation(ORGANISATION, &[], Shard::default(), &|_, _| {}).await;
    let whole = whole.map_err(|failure| failure.text)?;
    Ok(whole.plans.iter().map(|(_, plan)| plan.changes.len()).sum())
}

/// Tests one random list, and returns the number of tested mutations. Returns 0 if validation or
/// GitHub rejects the list, or if a part of the list is unknown.
async fn one(seed: u64, (section, key): (&str, &str), sim: &Arc<Sim>, path: &Path) -> Result<usize, String> {
    let mut dice = Dice::new(seed);
    let made = state::state(&mut dice);
    let live = &made.repositories[0];
    let wanted = list(&mut dice, section, &live.sections[section]);
    let id = LISTS.iter().find(|list| list.section == section).map(|list| list.id).unwrap_or_default();
    let branch = live.sections["repository"]["default_branch"].as_str().unwrap_or("main");
    let name = |entry: &Value| match entry[id].as_str().unwrap_or_default() {
        "default" => branch.to_owned(),
        name => name.to_lowercase(),
    };
    let names: BTreeSet<String> = wanted.iter().map(name).collect();
    let body = if section == "branches" { json!(wanted) } else { json!({ "exclusive": wanted }) };
    let text = json!({ section: body }).to_string();
    let sources = BTreeMap::from([(format!("repos/{}.yml", live.name), text.clone())]);
    let Ok(policy) = Policy::from_sources(sources, "admin", Path::new("policy")) else { return Ok(0) };
    let mut doc = made.doc.clone();
    if section == "deploy_keys" {
        // GitHub would refuse a deploy key that another repository already has.
        for (name, repository) in doc["orgs"][ORGANISATION]["repos"].as_object_mut().into_iter().flatten() {
            if *name != live.name {
                repository["deploy_keys"] = json!({});
            }
        }
    }
    sim.begin_with(doc);
    let mut stage = Stage::open(sim, path, policy)?;
    for n in 0.. {
        let round = stage.round().await?;
        if !round.refusals.is_empty() || round.doubts.values().any(|aspects| !aspects.is_empty()) {
            return Ok(0);
        }
        if round.calls == 0 && round.held == 0 {
            break;
        }
        if n == ROUNDS {
            return Err(format!("it does not rest: {text}\n{:#?}", round.made));
        }
    }
    if changes(&stage).await? > 0 {
        return Err(format!("the second plan is not empty: {text}"));
    }
    let settled = sim.state();
    let kept = &settled["orgs"][ORGANISATION]["repos"][&live.name][key];
    let mutations = mutations(section, &names, &kept.as_object().cloned().unwrap_or_default());
    for (what, list) in &mutations {
        let mut doc = settled.clone();
        doc["orgs"][ORGANISATION]["repos"][&live.name][key] = list.clone();
        sim.begin_with(doc);
        stage.token = sim.token();
        if changes(&stage).await? == 0 {
            return Err(format!("{section} {what} is not found\nthe policy: {text}\nlive: {list:#}"));
        }
    }
    Ok(mutations.len())
}

#[tokio::test(start_paused = true)]
async fn each_removal_addition_and_change_of_an_entry_is_found() {
    let (sim, folder) = (simulated().await, folder());
    let mut failures = Vec::new();
    for (section, key) in KEPT {
        let mut tried = 0;
        for seed in 0..SEEDS {
            let path = folder.path().join(format!("{section}-{seed}.db"));
            match one(seed, (*section, *key), &sim, &path).await {
                Ok(count) => tried += count,
                Err(why) => failures.push(format!("{section}, seed {seed}: {why}")),
            }
        }
        if tried == 0 {
            failures.push(format!("no list of {section} was tried"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Finds the lists in a value, and adds their keys to `found`. The function ignores empty lists.
fn filled(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if value.as_array().is_some_and(|items| !items.is_empty()) {
                    found.insert(key.clone());
                }
                filled(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| filled(item, found)),
        _ => {}
    }
}

#[test]
fn every_kind_of_list_that_has_an_identity_is_made() {
    let mut made = BTreeSet::new();
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let state = state::state(&mut dice);
        for file in files::files(&mut dice, &state).values() {
            filled(file, &mut made);
        }
    }
    let is_elsewhere = |key: &str| ELSEWHERE.iter().any(|(known, _)| *known == key);
    for key in crate::identity::keys(true) {
        assert!(made.contains(key) || is_elsewhere(key), "no random policy has entries of `{key}`");
    }
    for key in crate::identity::keys(false) {
        assert!(KEPT.iter().any(|(section, _)| *section == key) || is_elsewhere(key), "`{key}` is not tried");
    }
}
