//! Handles things that an undo deletes or creates completely. An undo deletes a thing only if the
//! thing still has the values that Beadle wrote. The change that deletes the thing contains these
//! values. So a second undo can revert the first undo: the second undo creates the thing again.

use std::collections::BTreeSet;

use beadle_engine::{Change, Field, Risk};
use beadle_github::{Known, Repository};
use serde_json::{Value, json};

use super::lists::ALL;
use super::reversal::{DELETED, Reversal, is_same, is_whole};
use crate::aspects::protection::declared;
use crate::import::Observed;
use crate::policy::known_rule;

/// The maximum length of the JSON text that contains all values of a deleted thing. Because of this
/// limit, journal entries and holds stay small.
const MOST: usize = 32_000;

/// Adds the present values of a thing to the change that deletes the thing.
pub(crate) fn show_deleted<W>(change: &mut Change<W>, observed: &Observed, seen: Option<&Repository>) {
    if let Some(values) = entry(change, observed) {
        // Without this field, the plan would show only one value of the deleted entry.
        let (before, after, risk) = (values, Value::Null, Risk::Changes);
        change.fields.push(Field { name: DELETED.to_owned(), before, after, asked: None, risk });
        return;
    }
    let Some(values) = live(change, observed, seen) else { return };
    for field in change.fields.iter_mut().filter(|field| is_whole(&field.name) && field.after.is_null()) {
        if !field.before.is_object() {
            field.before = json!({});
        }
        field.before[DELETED] = values.clone();
    }
}

/// Returns the list entry that a change deletes. Nobody can read the secret of a webhook. Beadle
/// therefore does not create a webhook again if the webhook had a secret.
fn entry<W>(change: &Change<W>, observed: &Observed) -> Option<Value> {
    const LISTS: [&str; 5] = ["labels", "milestones", "autolinks", "deploy_keys", "webhooks"];
    let is_simple = LISTS.contains(&change.aspect.as_str());
    let list = ALL.iter().find(|list| is_simple && list.list == change.aspect)?;
    let thing = change.what.strip_prefix(list.prefix)?;
    if list.list == "webhooks" && observed.sealed_webhooks.contains(thing) {
        return None;
    }
    let is_deleted = change.fields.iter().any(|field| field.name == list.primary && field.after.is_null());
    let mut entries = observed.lists.get(list.list)?.iter().filter(|_| is_deleted);
    entries.find(|entry| entry[list.id] == thing && entry.to_string().len() <= MOST).cloned()
}

/// Returns the values of the thing that a change deletes. The values have the form that a policy
/// uses. Returns `None` if Beadle does not know all values.
fn live<W>(change: &Change<W>, observed: &Observed, seen: Option<&Repository>) -> Option<Value> {
    let named = |list: &str, name: &str| {
        let mut entries = observed.lists.get(list)?.iter();
        entries.find(|entry| entry["name"] == name).cloned()
    };
    let values = match change.aspect.as_str() {
        "protection" => {
            let Known::Known(rules) = &seen?.protection else { return None };
            let pattern = change.what.strip_prefix("rule ")?;
            let (values, hidden) = declared(rules.iter().find(|rule| rule.pattern == pattern)?);
            hidden.is_empty().then_some(values)?
        }
        "rulesets" | "organisation_rulesets" => named("rulesets", change.what.strip_prefix("ruleset ")?)?,
        "environments" => named("environments", change.what.strip_prefix("environment ")?)?,
        _ => return None,
    };
    (values.to_string().len() <= MOST).then_some(values)
}

/// Returns how a thing has changed since Beadle created it. The function finds only the changes
/// that the journal shows. `primary` is the value that represents the thing's creation, and `live`
/// is the present entry of the thing. `all` contains all values that the undo restores.
pub(super) fn changed_since(
    list: &str,
    primary: &Reversal,
    live: &Value,
    all: &[Reversal],
) -> Option<String> {
    let is_own = |one: &&Reversal| one.is_beside(primary) && one.name != primary.name;
    let own: Vec<&Reversal> = all.iter().filter(is_own).collect();
    match list {
        // In plans, all custom properties together form one part.
        "custom_properties" => None,
        "environments" => environment(primary, live, all),
        "rulesets" => value(live, &own).or_else(|| ruleset(primary, live, &own)),
        _ => value(live, &own),
    }
}

/// Compares the values whose form is the same in a policy and in the journal.
fn value(live: &Value, own: &[&Reversal]) -> Option<String> {
    // A policy contains the ids of bypass actors, but not the values of secrets.
    let is_in_policy = |one: &&&Reversal| !matches!(one.name.as_str(), "secret" | "bypass_actors");
    let differs = |one: &&&Reversal| {
        let found = one.name.split('.').try_fold(live, |at, key| at.get(key));
        let is_comparable =
            |found: &&Value| std::mem::discriminant(*found) == std::mem::discriminant(&one.after);
        found.filter(is_comparable).is_some_and(|found| !is_same(&one.name, &one.after, found))
    };
    let changed = own.iter().filter(is_in_policy).find(differs)?;
    Some(format!("`{}`", changed.name))
}

/// Compares the types of the rules.
fn ruleset(primary: &Reversal, live: &Value, own: &[&Reversal]) -> Option<String> {
    let created = primary.after.as_array()?.iter().filter_map(Value::as_str);
    let mut expected: BTreeSet<&str> = created.collect();
    for one in own {
        let Some(kind) = one.name.strip_prefix("rules.").filter(|kind| !kind.contains('.')) else { continue };
        if one.after.is_null() {
            expected.remove(kind);
        } else {
            expected.insert(kind);
        }
    }
    // A policy does not contain rules of unknown types.
    expected.retain(|kind| known_rule(kind).is_some());
    let rules = live["rules"].as_array().into_iter().flatten();
    let found: BTreeSet<&str> = rules.filter_map(|rule| rule["type"].as_str()).collect();
    (found != expected).then(|| "the types of its rules".to_owned())
}

/// Compares the settings and the variables. The journal contains the ids of the reviewers, but a
/// policy contains their names. So the function can compare only the number of reviewers.
fn environment(primary: &Reversal, live: &Value, all: &[Reversal]) -> Option<String> {
    let after = |name: &str| {
        let changed = all.iter().find(|one| one.is_beside(primary) && one.name == name);
        changed.map_or(&primary.after[name], |one| &one.after)
    };
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let is_on = |value: &Value| *value == json!(true);
    let branches = |value: &Value| match &value["custom_branch_policies"] {
        Value::Bool(true) | Value::Array(_) => 2,
        _ => u8::from(is_on(&value["protected_branches"])),
    };
    for (name, is_as_written) in [
        ("wait_timer", number(after("wait_timer")) == number(&live["wait_timer"])),
        ("prevent_self_review", is_on(after("prevent_self_review")) == is_on(&live["prevent_self_review"])),
        ("reviewers", count(after("reviewers")) == count(&live["reviewers"])),
        (
            "deployment_branch_policy",
            branches(after("deployment_branch_policy")) == branches(&live["deployment_branch_policy"]),
        ),
    ] {
        if !is_as_written {
            return Some(format!("`{name}`"));
        }
    }
    for variable in live["variables"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().unwrap_or_default();
        let what = format!("{}: variable {name}", primary.what);
        let is_it = |one: &Reversal| {
            one.aspect == primary.aspect
                && one.what.eq_ignore_ascii_case(&what)
                && is_same(&one.name, &one.after, &variable["value"])
        };
        if !all.iter().any(is_it) {
            return Some(format!("its variable `{name}`"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_the_deletion_of_a_webhook_without_a_secret_has_its_values() {
        let urls = ["https://ci.example.com/", "https://sealed.example.com/"];
        let hooks = urls.map(|url| json!({ "url": url, "events": ["push"], "active": false })).to_vec();
        let observed = Observed {
            lists: BTreeMap::from([("webhooks", hooks.clone())]),
            sealed_webhooks: BTreeSet::from([urls[1].to_owned()]),
            ..Observed::default()
        };
        let shown = |url: &str, after: Value| {
            let field = json!({ "name": "events", "before": ["push"], "after": after, "asked": null, "risk": "removes" });
            let mut change: Change<()> = serde_json::from_value(json!({
                "aspect": "webhooks", "what": format!("webhook {url}"), "fields": [field], "mode": "enforce",
                "after": [], "write": null,
            }))
            .unwrap();
            show_deleted(&mut change, &observed, None);
            change.fields.into_iter().map(|field| (field.name, field.before)).collect::<Vec<_>>()
        };
        let events = ("events".to_owned(), json!(["push"]));
        assert_eq!(shown(urls[0], json!(null)), [events.clone(), (DELETED.to_owned(), hooks[0].clone())]);
        assert_eq!(shown(urls[0], json!(["fork"])), std::slice::from_ref(&events));
        assert_eq!(shown(urls[1], json!(null)), [events]);
    }

    fn one(aspect: &str, what: &str, name: &str, before: Value, after: Value) -> Reversal {
        Reversal { aspect: aspect.into(), what: what.into(), name: name.into(), before, after }
    }

    #[test]
    fn an_environment_is_as_beadle_created_it_or_not() {
        let body = json!({
            "wait_timer": 30, "prevent_self_review": true, "reviewers": [{ "type": "Team", "id": 5 }],
            "deployment_branch_policy": { "protected_branches": false, "custom_branch_policies": true },
        });
        let all = [
            one("environments", "environment prod", "environment", json!(null), body),
            one("environments", "environment prod", "wait_timer", json!(30), json!(10)),
            one("environments", "environment prod: variable region", "value", json!(null), json!("eu")),
        ];
        let live = || {
            json!({
                "name": "prod", "wait_timer": 10, "prevent_self_review": true,
                "reviewers": [{ "type": "Team", "slug": "core" }],
                "deployment_branch_policy": { "custom_branch_policies": ["main"] },
                "variables": [{ "name": "REGION", "value": "eu" }],
            })
        };
        let changed = |live: &Value| changed_since("environments", &all[0], live, &all);
        assert_eq!(changed(&live()), None);
        for (key, value, expected) in [
            ("wait_timer", json!(30), "`wait_timer`"),
            ("prevent_self_review", json!(null), "`prevent_self_review`"),
            ("reviewers", json!([]), "`reviewers`"),
            ("deployment_branch_policy", json!({ "protected_branches": true }), "`deployment_branch_policy`"),
            ("variables", json!([{ "name": "REGION", "value": "us" }]), "its variable `REGION`"),
            ("variables", json!([{ "name": "THEIRS", "value": "eu" }]), "its variable `THEIRS`"),
        ] {
            let mut live = live();
            live[key] = value;
            assert_eq!(changed(&live).as_deref(), Some(expected), "{key}");
        }
    }

    #[test]
    fn a_ruleset_is_as_beadle_created_it_or_not() {
        let what = "ruleset main";
        let all = [
            one("rulesets", what, "ruleset", json!(null), json!(["deletion", "creation"])),
            one("rulesets", what, "rules.creation", json!(true), json!(null)),
            one("rulesets", what, "enforcement", json!("active"), json!("evaluate")),
            one("rulesets", what, "conditions.ref_name.include", json!(["a"]), json!(["b"])),
        ];
        let live = |rules: Value, enforcement: &str, include: &str| {
            let conditions = json!({ "ref_name": { "include": [include] } });
            json!({ "name": "main", "enforcement": enforcement, "conditions": conditions, "rules": rules })
        };
        let changed = |live: &Value| changed_since("rulesets", &all[0], live, &all);
        let deletion = || json!([{ "type": "deletion" }]);
        assert_eq!(changed(&live(deletion(), "evaluate", "b")), None);
        for (live, expected) in [
            (live(deletion(), "active", "b"), "`enforcement`"),
            (live(deletion(), "evaluate", "c"), "`conditions.ref_name.include`"),
            (live(json!([]), "evaluate", "b"), "the types of its rules"),
            (
                live(json!([{ "type": "deletion" }, { "type": "update" }]), "evaluate", "b"),
                "the types of its rules",
            ),
        ] {
            assert_eq!(changed(&live).as_deref(), Some(expected), "{live}");
        }
    }

    #[test]
    fn a_webhook_that_somebody_changed_is_not_as_beadle_created_it() {
        let what = "webhook https://ci.example.com/";
        let all = [
            one("webhooks", what, "events", json!(null), json!(["push"])),
            one("webhooks", what, "active", json!(true), json!(false)),
        ];
        for (live, expected) in [
            (json!({ "active": false }), None),
            (json!({}), None),
            (json!({ "active": true }), Some("`active`")),
        ] {
            let changed = changed_since("webhooks", &all[0], &live, &all);
            assert_eq!(changed.as_deref(), expected, "{live}");
        }
    }
}
