//! Puts the earlier values of branch protection rules into a policy file. For each of these rules,
//! the file contains only the earlier values. Beadle does not change the other values of the rule.

use beadle_github::{Known, Repository};
use serde_json::{Map, Value, json};

use super::reversal::{Reversal, deleted, is_same};
use crate::aspects::protection::{declared, shown};

const REVIEWS: &str = "required_pull_request_reviews";
const CHECKS: &str = "required_status_checks";
const ENVIRONMENTS: &str = "required_deployment_environments";
const CHECK_LIST: &str = "required_status_checks.checks list";
const CHANGED: &str = "somebody changed the rule since";

/// Returns the path of a value inside the protection of a branch. A whole rule has no path.
pub(super) fn key(name: &str) -> Option<String> {
    let (block, key) = match name {
        "rule" => return None,
        "dismissal_restrictions" | "dismissal_restrictions to list" => (REVIEWS, "dismissal_restrictions"),
        "bypass_pull_request_allowances list" => (REVIEWS, "bypass_pull_request_allowances"),
        "required_approving_review_count"
        | "dismiss_stale_reviews"
        | "require_code_owner_reviews"
        | "require_last_push_approval" => (REVIEWS, name),
        CHECK_LIST => (CHECKS, "checks"),
        _ => {
            let list = name.strip_suffix(" to list").or_else(|| name.strip_suffix(" list"));
            return Some(list.unwrap_or(name).to_owned());
        }
    };
    Some(format!("{block}.{key}"))
}

/// Puts the earlier value of a rule into the rule's entry of `branches`. `all` contains all values
/// that the undo restores.
pub(super) fn put(
    entries: &mut Vec<Value>,
    one: &Reversal,
    all: &[Reversal],
    seen: &Repository,
) -> Result<(), String> {
    let pattern = one.what.strip_prefix("rule ").ok_or("Beadle cannot restore this part of the rule")?;
    if pattern == "default" {
        return Err("in a policy, `default` means the default branch".to_owned());
    }
    let whole = all.iter().find(|other| other.is_beside(one) && other.name == "rule");
    if let Some(whole) = whole {
        if let Some(values) = deleted(whole, all) {
            return create_again(entries, pattern, values, seen);
        }
        if !whole.before.is_null() {
            return Err("the journal does not have the values that the rule had".to_owned());
        }
        if is_changed(pattern, whole, all, seen) {
            return Err(CHANGED.to_owned());
        }
        if !entries.iter().any(|entry| entry["name"] == pattern) {
            entries.push(json!({ "name": pattern, "protection": null }));
        }
        return Ok(());
    }
    if !entries.iter().any(|entry| entry["name"] == pattern) {
        entries.push(json!({ "name": pattern, "protection": {} }));
    }
    let entry = entries.iter_mut().find(|entry| entry["name"] == pattern);
    let has_list = |list: &str| all.iter().any(|other| other.is_beside(one) && other.name == list);
    match entry.and_then(|entry| entry["protection"].as_object_mut()) {
        Some(rule) => value(rule, one, &has_list),
        None => Ok(()),
    }
}

/// Creates a rule again. The values come from the journal.
fn create_again(
    entries: &mut Vec<Value>,
    pattern: &str,
    values: &Value,
    seen: &Repository,
) -> Result<(), String> {
    let Known::Known(rules) = &seen.protection else {
        return Err("Beadle cannot read the present rules".to_owned());
    };
    let live = rules.iter().find(|rule| rule.pattern == pattern);
    // If the rule already has these values, the undo is already complete.
    if live.is_some_and(|rule| declared(rule).0 != *values) {
        return Err("somebody created the rule again with other values".to_owned());
    }
    if !entries.iter().any(|entry| entry["name"] == pattern) {
        entries.push(json!({ "name": pattern, "protection": values }));
    }
    Ok(())
}

/// Checks a rule that Beadle created. Returns whether this rule now has a value that Beadle did not
/// write. `whole` is the value that represents the rule's creation. `all` contains all values that
/// the undo restores.
fn is_changed(pattern: &str, whole: &Reversal, all: &[Reversal], seen: &Repository) -> bool {
    let Known::Known(rules) = &seen.protection else { return true };
    let Some(rule) = rules.iter().find(|rule| rule.pattern == pattern) else { return false };
    let Some(live) = shown(rule) else { return true };
    let is_on = |flag: &str| live.iter().any(|(name, value)| name == flag && *value == json!(true));
    live.iter().any(|(name, value)| {
        let written = all.iter().find(|other| other.is_beside(whole) && other.name == *name);
        match written.map(|written| &written.after) {
            // If Beadle did not bind a check to an App, GitHub chooses the App.
            Some(after) if name == CHECK_LIST => !is_same(name, &contexts(after), &contexts(value)),
            Some(after) => !is_same(name, after, value),
            None => !is_same(name, &Value::Null, value) && !is_of_github(name, value, &is_on),
        }
    })
}

/// Returns `true` if a value of a new rule does not count as a change, because GitHub chose the
/// value or the value has no effect. `is_on` returns whether a flag of the rule is on.
fn is_of_github(name: &str, value: &Value, is_on: &dyn Fn(&str) -> bool) -> bool {
    match name {
        "required_approving_review_count" => {
            value.as_u64().is_some_and(|count| count <= 1) || !is_on(REVIEWS)
        }
        "required_status_checks.strict" => true,
        CHECK_LIST => !is_on(CHECKS),
        "restrictions to list" => !is_on("restrictions"),
        "dismissal_restrictions to list" => !is_on(REVIEWS) || !is_on("dismissal_restrictions"),
        "required_deployment_environments list" => !is_on(ENVIRONMENTS),
        "dismiss_stale_reviews"
        | "require_code_owner_reviews"
        | "require_last_push_approval"
        | "dismissal_restrictions"
        | "bypass_pull_request_allowances list" => !is_on(REVIEWS),
        _ => false,
    }
}

/// Returns the names of required checks, without their Apps.
fn contexts(list: &Value) -> Value {
    texts(list).map(|text| text.rsplit_once(" (app ").map_or(text, |(context, _)| context)).collect()
}

/// Sets one value of a rule. `has_list` returns whether the undo also restores a list.
fn value(
    rule: &mut Map<String, Value>,
    one: &Reversal,
    has_list: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let is_on = one.before == json!(true);
    let name = one.name.as_str();
    match name {
        REVIEWS | CHECKS if is_on => {
            block(rule, name);
        }
        REVIEWS | CHECKS | "restrictions" if !is_on => {
            rule.insert(name.to_owned(), Value::Null);
        }
        "dismissal_restrictions" if !is_on => {
            // With an empty block, everybody with write access can dismiss reviews.
            if let Some(block) = block(rule, REVIEWS) {
                block.insert(name.to_owned(), json!({}));
            }
        }
        "restrictions" | "dismissal_restrictions" => {
            if !has_list(&format!("{name} to list")) {
                return Err("the journal does not have the list of allowed people, teams and Apps".to_owned());
            }
        }
        "required_status_checks.strict" => set(rule, CHECKS, "strict", json!(is_on)),
        CHECK_LIST => set(rule, CHECKS, "checks", checks(&one.before)),
        "required_approving_review_count" => set(rule, REVIEWS, name, number(&one.before)),
        "dismiss_stale_reviews" | "require_code_owner_reviews" | "require_last_push_approval" => {
            set(rule, REVIEWS, name, json!(is_on));
        }
        "dismissal_restrictions to list" => {
            set(rule, REVIEWS, "dismissal_restrictions", actors(&one.before));
        }
        "bypass_pull_request_allowances list" => {
            set(rule, REVIEWS, "bypass_pull_request_allowances", actors(&one.before));
        }
        "restrictions to list" => {
            rule.entry("restrictions").or_insert_with(|| actors(&one.before));
        }
        "force_push_allowances list" => {
            rule.insert("force_push_allowances".to_owned(), actors(&one.before));
        }
        ENVIRONMENTS if !is_on => {
            rule.insert(ENVIRONMENTS.to_owned(), json!([]));
        }
        ENVIRONMENTS => {
            if !has_list(&format!("{ENVIRONMENTS} list")) {
                return Err("the journal does not have the list of environments".to_owned());
            }
        }
        "required_deployment_environments list" => {
            rule.entry(ENVIRONMENTS).or_insert_with(|| one.before.clone());
        }
        _ => {
            rule.insert(name.to_owned(), json!(is_on));
        }
    }
    Ok(())
}

/// Returns a block of a rule. Returns `None` if the undo turns the block off.
fn block<'a>(rule: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    rule.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

fn set(rule: &mut Map<String, Value>, name: &str, key: &str, value: Value) {
    if let Some(block) = block(rule, name) {
        block.entry(key).or_insert(value);
    }
}

fn number(before: &Value) -> Value {
    if before.is_number() { before.clone() } else { json!(0) }
}

/// Returns the entries of a list as texts.
fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Returns a list of actors, such as `team core`, in the form that a policy uses.
fn actors(list: &Value) -> Value {
    let of = |kind: &str| {
        let names = texts(list).filter_map(|actor| actor.split_once(' '));
        names.filter(|(found, _)| *found == kind).map(|(_, name)| name).collect::<Vec<_>>()
    };
    let mut made = json!({ "users": of("user"), "teams": of("team") });
    let apps = of("app");
    if !apps.is_empty() {
        made["apps"] = json!(apps);
    }
    made
}

/// Returns a list of required checks in the form that a policy uses.
fn checks(list: &Value) -> Value {
    let check = |text: &str| match text.rsplit_once(" (app ") {
        Some((context, app)) => {
            let app = app.trim_end_matches(')').parse::<u64>().ok();
            json!({ "context": context, "app_id": app })
        }
        None => json!({ "context": text, "app_id": null }),
    };
    texts(list).map(check).collect()
}
