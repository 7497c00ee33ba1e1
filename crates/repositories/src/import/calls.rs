//! Reads the parts of a repository that GitHub shows only for one repository at a time.

use beadle_engine::{Class, Failure};
use beadle_github::{Known, Path, Reader, Repository, Visibility};
use futures::future::{OptionFuture, join_all};
use serde_json::{Map, Value, json};

use super::interactions;
use super::live::ordered;
use super::noted::{known, set};
use super::observed::Observed;
use super::pages;
use super::rulesets::ruleset;
use super::workflows;
use crate::aspects::webhooks::shown;

/// Adds to `observed` the parts of a repository that Beadle must read with separate calls.
pub(super) async fn read(reader: &Reader, seen: &Repository, observed: &mut Observed) -> Result<(), Failure> {
    let is_public = seen.visibility == Visibility::Public;
    let alerts = seen.vulnerability_alerts.is_none().then(|| reader.below(seen, "vulnerability-alerts"));
    let reports = is_public.then(|| reader.below(seen, "private-vulnerability-reporting"));
    let rows = seen.rulesets.value().map(Vec::as_slice).unwrap_or_default();
    let rulesets = rows.iter().map(|row| reader.below(seen, Path::at("rulesets").id(row.id)));
    let (permissions, token, alerts, fixes, reports, scanning, links, hooks, rulesets) = futures::join!(
        reader.below(seen, "actions/permissions"),
        reader.below(seen, "actions/permissions/workflow"),
        OptionFuture::from(alerts),
        reader.below(seen, "automated-security-fixes"),
        OptionFuture::from(reports),
        reader.below(seen, "code-scanning/default-setup"),
        reader.list_below(seen, "autolinks", &["id", "key_prefix"]),
        reader.list_anew_below(seen, "hooks?per_page=100", &["id"]),
        join_all(rulesets),
    );
    match known(permissions, ACTIONS, observed)? {
        Some(Some(permissions)) if permissions["enabled"].is_boolean() => {
            actions(reader, seen, &permissions, observed).await?;
        }
        Some(_) => {
            for unit in ACTIONS {
                observed.unknown.insert(*unit, String::new());
            }
        }
        None => {}
    }
    if let Some(token) = known(token, TOKEN, observed)? {
        let token = token.unwrap_or_default();
        for key in TOKEN {
            set(observed, key, key, &token[*key]);
        }
    }
    Box::pin(workflows::read(reader, seen, observed)).await?;
    pages::read(reader, seen, observed).await?;
    interactions::read(reader, seen, observed).await?;
    let alerts = match (seen.vulnerability_alerts, alerts) {
        (Some(on), _) => Ok(Some(json!({ "enabled": on }))),
        (None, Some(read)) => read,
        (None, None) => Ok(None),
    };
    let alerts = known(alerts, &["dependabot"], observed)?;
    let fixes = known(fixes, &["dependabot"], observed)?;
    if let (Some(alerts), Some(fixes)) = (alerts, fixes) {
        let values = [
            ("dependabot_alerts", is_on(alerts.as_ref())),
            ("dependabot_security_updates", is_on(fixes.as_ref())),
        ];
        let values = values.into_iter().map(|(key, on)| (key.to_owned(), json!(on)));
        observed.values.insert("dependabot", values.collect());
    }
    if let Some(read) = reports
        && let Some(reports) = known(read, &["private_vulnerability_reporting"], observed)?
    {
        let on = json!(is_on(reports.as_ref()));
        set(observed, "private_vulnerability_reporting", "private_vulnerability_reporting", &on);
    }
    code_scanning(scanning, observed)?;
    autolinks(links, observed)?;
    webhooks(hooks, observed)?;
    let mut entries = Vec::new();
    match &seen.rulesets {
        Known::Known(_) => {}
        Known::Unknown(unsure) => {
            observed.unknown.insert("rulesets", unsure.why.clone());
        }
        Known::NotAsked => {
            observed.unknown.insert("rulesets", "Beadle did not read this part".to_owned());
        }
    }
    for read in rulesets {
        match known(read, &["rulesets"], observed)? {
            Some(Some(whole)) => entries.push(ruleset(&whole)),
            Some(None) => {
                let why = "somebody deleted a ruleset while Beadle read it";
                observed.unknown.insert("rulesets", why.to_owned());
            }
            None => {}
        }
    }
    if !observed.unknown.contains_key("rulesets") {
        observed.lists.insert("rulesets", entries);
    }
    Ok(())
}

const ACTIONS: &[&str] = &["actions_enabled", "allowed_actions", "sha_pinning_required"];
const TOKEN: &[&str] = &["default_workflow_permissions", "can_approve_pull_request_reviews"];
const SELECTED: &[&str] = &["github_owned_allowed", "verified_allowed", "patterns_allowed"];

/// Returns whether a security feature is on. GitHub answers with an empty body, a block, or the
/// status 404.
fn is_on(read: Option<&Value>) -> bool {
    read.is_some_and(|read| read.is_null() || read["enabled"] == json!(true))
}

async fn actions(
    reader: &Reader,
    seen: &Repository,
    permissions: &Value,
    observed: &mut Observed,
) -> Result<(), Failure> {
    set(observed, "actions_enabled", "enabled", &permissions["enabled"]);
    if permissions["enabled"] != json!(true) {
        // While Actions are off, the other values of the Actions permissions have no effect.
        return Ok(());
    }
    // If an older GitHub server does not show this setting, Beadle assumes that the setting is off.
    let pinning = json!(permissions["sha_pinning_required"] == json!(true));
    set(observed, "sha_pinning_required", "sha_pinning_required", &pinning);
    let allowed = &permissions["allowed_actions"];
    set(observed, "allowed_actions", "allowed_actions", allowed);
    if *allowed != "selected" {
        return Ok(());
    }
    let read = reader.below(seen, "actions/permissions/selected-actions").await;
    if let Some(Some(selected)) = known(read, &["allowed_actions"], observed)? {
        let Some(values) = observed.values.get_mut("allowed_actions") else { return Ok(()) };
        for key in SELECTED {
            let value = ordered(&selected[*key]);
            if !value.is_null() && value != json!([]) {
                values.insert((*key).to_owned(), value);
            }
        }
    } else {
        observed.values.remove("allowed_actions");
        let why = "GitHub does not show the selected actions";
        observed.unknown.entry("allowed_actions").or_insert_with(|| why.to_owned());
    }
    Ok(())
}

fn code_scanning(read: Result<Option<Value>, Failure>, observed: &mut Observed) -> Result<(), Failure> {
    const UNIT: &str = "code_scanning_default_setup";
    // If the repository has no licence, GitHub refuses to show the setup. Beadle then imports no
    // setup.
    let read = match read {
        Err(failure) if failure.class == Class::Rejected => Ok(None),
        read => read,
    };
    let Some(read) = known(read, &[UNIT], observed)? else { return Ok(()) };
    let Some(setup) = read else {
        observed.unknown.insert(UNIT, String::new());
        return Ok(());
    };
    let mut value = Map::from_iter([("state".to_owned(), json!("not-configured"))]);
    if setup["state"] == "configured" {
        value.insert("state".into(), json!("configured"));
        let usual = [("query_suite", "default"), ("threat_model", "remote"), ("runner_type", "standard")];
        for (key, usual) in usual {
            if setup[key].is_string() && setup[key] != usual {
                value.insert(key.into(), setup[key].clone());
            }
        }
        if setup["runner_label"].is_string() {
            value.insert("runner_label".into(), setup["runner_label"].clone());
        }
        if setup["languages"].as_array().is_some_and(|languages| !languages.is_empty()) {
            value.insert("languages".into(), ordered(&setup["languages"]));
        }
    }
    observed.values.insert(UNIT, Map::from_iter([(UNIT.to_owned(), Value::Object(value))]));
    Ok(())
}

fn autolinks(read: Result<Vec<Value>, Failure>, observed: &mut Observed) -> Result<(), Failure> {
    let Some(rows) = known(read, &["autolinks"], observed)? else { return Ok(()) };
    let entry = |row: &Value| {
        let mut entry = json!({ "key_prefix": row["key_prefix"], "url_template": row["url_template"] });
        if row["is_alphanumeric"] == json!(false) {
            entry["is_alphanumeric"] = json!(false);
        }
        entry
    };
    observed.lists.insert("autolinks", rows.iter().map(entry).collect());
    Ok(())
}

/// Adds the webhooks of a repository or an organisation to `observed`.
pub(super) fn webhooks(read: Result<Vec<Value>, Failure>, observed: &mut Observed) -> Result<(), Failure> {
    let Some(rows) = known(read, &["webhooks"], observed)? else { return Ok(()) };
    let mut entries = Vec::new();
    for row in &rows {
        let config = &row["config"];
        let Some(url) = config["url"].as_str() else {
            observed.unknown.insert("webhooks", "GitHub shows a webhook without its address".to_owned());
            return Ok(());
        };
        if rows.iter().filter(|other| other["config"]["url"] == url).count() > 1 {
            // An entry of the policy identifies a webhook only by its address. So the policy cannot
            // have several webhooks with the same address. If the import made the list exclusive,
            // Beadle would remove these webhooks.
            observed.additive.insert("webhooks");
            let note =
                format!("webhooks: several webhooks have the address {}, so they are not listed", shown(url));
            if !observed.notes.contains(&note) {
                observed.notes.push(note);
            }
            continue;
        }
        if shown(url) != url {
            observed.additive.insert("webhooks");
            let note =
                format!("webhooks: the address {} may contain a secret, so it is not listed", shown(url));
            observed.notes.push(note);
            continue;
        }
        let mut entry = json!({ "url": url });
        if row["events"] != json!(["push"]) {
            entry["events"] = if row["events"].is_array() { ordered(&row["events"]) } else { json!([]) };
        }
        if row["active"] == json!(false) {
            entry["active"] = json!(false);
        }
        if config["content_type"] == "form" {
            entry["content_type"] = json!("form");
        }
        if config["insecure_ssl"] == "1" || config["insecure_ssl"] == json!(1) {
            entry["insecure_ssl"] = json!(true);
        }
        if !config["secret"].is_null() {
            observed.sealed_webhooks.insert(url.to_owned());
            let note = format!(
                "webhooks: {url} has a secret that GitHub does not show; to set it, add `secret` with a name from \
                 [org.secrets]"
            );
            observed.notes.push(note);
        }
        entries.push(entry);
    }
    observed.lists.insert("webhooks", entries);
    Ok(())
}
