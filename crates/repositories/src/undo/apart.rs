//! Splits changes that contain both restored values and other values. Without the split, Beadle
//! would not write the other values. For example, Beadle would not repair a protection that
//! somebody switched off after the undo.

use std::collections::BTreeSet;

use beadle_engine::{Change, Field, Plan};

use super::memory::Undone;
use super::paths::path_of;
use super::reversal;

/// The aspects whose writes replace a whole list, ruleset or block at GitHub. If two changes affect
/// the same list, the second write also sets the values of the first change.
const WHOLE: [&str; 5] = ["topics", "rulesets", "organisation_rulesets", "environments", "actions"];

/// Returns the paths of the restored values that are in the same change as other values. The paths
/// have the form that waivers use. If a value has no path in this form, the value is not in the
/// result.
pub(crate) fn shared<W>(undone: &Undone, plan: &Plan<W>) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for change in plan.changes.iter().filter(|change| is_mixed(undone, plan, change)) {
        for other in plan.changes.iter().filter(|other| is_beside(other, change)) {
            let own = other.fields.iter().filter(|field| undone.has(other, field));
            paths.extend(own.filter_map(|field| path(other, field)));
        }
    }
    paths.into_iter().collect()
}

/// Splits mixed changes. A mixed change would replace restored values and also write other values.
/// `others` is the plan of a policy without the restored values. If no change of `others` is part
/// of a mixed change, Beadle only observes the mixed change.
pub(crate) fn split<W>(undone: &Undone, plan: &mut Plan<W>, mut others: Plan<W>) {
    let places = 0..plan.changes.len();
    let mixed: Vec<usize> = places.filter(|at| is_mixed(undone, plan, &plan.changes[*at])).collect();
    for at in mixed {
        let change = &plan.changes[at];
        let is_part = |other: &Change<W>| {
            let is_own = |field: &Field| change.fields.contains(field) && !undone.has(change, field);
            is_beside(other, change) && !other.fields.is_empty() && other.fields.iter().all(is_own)
        };
        let Some(place) = others.changes.iter().position(is_part) else {
            plan.changes[at].observe_undone();
            continue;
        };
        let mut part = others.changes.swap_remove(place);
        part.after.clone_from(&change.after);
        let written = part.fields.clone();
        let mut rest = std::mem::replace(&mut plan.changes[at], part);
        rest.fields.retain(|field| !written.contains(field));
        if !rest.fields.is_empty() {
            rest.after.clear();
            // If Beadle wrote this change, the write would set all values of the mixed change.
            rest.observe_undone();
            plan.changes.push(rest);
        }
    }
}

/// Returns whether a change would replace restored values and also write other values.
fn is_mixed<W>(undone: &Undone, plan: &Plan<W>, change: &Change<W>) -> bool {
    let has_undone = |one: &Change<W>| one.fields.iter().any(|field| undone.has(one, field));
    let has_others = change.fields.iter().any(|field| !undone.has(change, field));
    let is_whole = WHOLE.contains(&change.aspect.as_str());
    let mut beside = plan.changes.iter().filter(|other| is_beside(other, change));
    has_others && (has_undone(change) || (is_whole && beside.any(has_undone)))
}

/// Returns whether two changes affect the same part of the same aspect.
fn is_beside<W>(one: &Change<W>, other: &Change<W>) -> bool {
    one.aspect == other.aspect && one.what == other.what
}

/// Returns the path that a changed value has in the policy.
fn path<W>(change: &Change<W>, field: &Field) -> Option<String> {
    let (what, name) = reversal::named(change, field);
    path_of(&change.aspect, &what, &name)
}

#[cfg(test)]
mod tests {
    use beadle_engine::Mode;
    use serde_json::json;

    use super::*;

    fn change(aspect: &str, what: &str, names: &[&str]) -> Change<u8> {
        let fields = names.iter().map(
            |name| json!({ "name": name, "before": false, "after": true, "asked": null, "risk": "changes" }),
        );
        let change = json!({
            "aspect": aspect, "what": what, "fields": fields.collect::<Vec<_>>(), "mode": "enforce",
            "after": [], "write": names.len(),
        });
        serde_json::from_value(change).unwrap()
    }

    fn undone(aspect: &str, what: &str, name: &str) -> Undone {
        let value = json!({ "aspect": aspect, "what": what, "name": name });
        serde_json::from_value(json!({ "at": 0, "by": "mona", "values": [value] })).unwrap()
    }

    #[test]
    fn the_path_of_a_value_is_the_one_that_a_waiver_names() {
        for (aspect, what, name, expected) in [
            ("settings", "", "has_wiki", Some("repository.has_wiki")),
            ("topics", "", "web", Some("repository.topics[web]")),
            ("protection", "rule main", "enforce_admins", Some("branches[main].protection.enforce_admins")),
            (
                "protection",
                "rule release/*",
                "dismiss_stale_reviews",
                Some("branches[release/*].protection.required_pull_request_reviews.dismiss_stale_reviews"),
            ),
            ("protection", "rule main", "new rule", None),
            ("labels", "label bug", "color", Some("labels[bug].color")),
            ("rulesets", "ruleset main", "rules.deletion", Some("rulesets[main].rules[deletion]")),
            ("files", "README.md", "content", None),
        ] {
            let change = change(aspect, what, &[name]);
            assert_eq!(path(&change, &change.fields[0]).as_deref(), expected, "{aspect} {name}");
        }
    }

    fn plan(changes: Vec<Change<u8>>) -> Plan<u8> {
        Plan { changes, ..Plan::new("acme/shop") }
    }

    fn shown(plan: &Plan<u8>) -> Vec<(&str, Mode, u8)> {
        plan.changes.iter().map(|one| (one.fields[0].name.as_str(), one.mode, one.write)).collect()
    }

    #[test]
    fn an_undone_value_leaves_the_change_that_it_shares() {
        let undone = undone("protection", "rule main", "enforce_admins");
        let of_rule = |names: &[&str]| change("protection", "rule main", names);
        let mut plan = plan(vec![of_rule(&["enforce_admins", "required_linear_history"])]);
        assert_eq!(shared(&undone, &plan), ["branches[main].protection.enforce_admins"]);
        let others = self::plan(vec![of_rule(&["allow_deletions"]), of_rule(&["required_linear_history"])]);
        split(&undone, &mut plan, others);
        let expected = [("required_linear_history", Mode::Enforce, 1), ("enforce_admins", Mode::Observe, 2)];
        assert_eq!(shown(&plan), expected);
        assert_eq!([false, true], [plan.changes[0].undone, plan.changes[1].undone]);
        assert_eq!(shared(&undone, &plan), Vec::<String>::new());
    }

    #[test]
    fn without_a_write_of_the_others_the_whole_change_is_only_observed() {
        let undone = undone("protection", "rule main", "enforce_admins");
        let of_rule = |names: &[&str]| change("protection", "rule main", names);
        let mut plan = plan(vec![of_rule(&["enforce_admins", "required_linear_history"])]);
        // This change writes a value that is not in the plan.
        split(&undone, &mut plan, self::plan(vec![of_rule(&["allow_deletions"])]));
        assert_eq!(shown(&plan), [("enforce_admins", Mode::Observe, 2)]);
    }

    #[test]
    fn a_write_of_a_whole_ruleset_brings_no_undone_value_back() {
        let of_environment = |name: &str| change("environments", "environment prod", &[name]);
        let mut plan_of_environment =
            plan(vec![of_environment("prevent_self_review"), of_environment("wait_timer")]);
        let restored = undone("environments", "environment prod", "prevent_self_review");
        split(&restored, &mut plan_of_environment, plan(Vec::new()));
        assert_eq!(plan_of_environment.changes[1].mode, Mode::Observe, "its write sets the other value too");
        let undone = undone("rulesets", "ruleset main", "enforcement");
        let of_ruleset = |name: &str| change("rulesets", "ruleset main", &[name]);
        let all = || plan(vec![of_ruleset("enforcement"), of_ruleset("rules.deletion")]);
        assert_eq!(shared(&undone, &all()), ["rulesets[main].enforcement"]);
        let mut alone = all();
        split(&undone, &mut alone, plan(Vec::new()));
        assert!(alone.changes[1].undone, "the reason is the undo");
        assert_eq!(alone.changes[1].mode, Mode::Observe);
        let mut own = all();
        split(&undone, &mut own, plan(vec![of_ruleset("rules.deletion")]));
        assert_eq!((own.changes.len(), own.changes[1].mode), (2, Mode::Enforce));
        let mut other =
            plan(vec![of_ruleset("enforcement"), change("rulesets", "ruleset b", &["enforcement"])]);
        split(&undone, &mut other, plan(Vec::new()));
        assert_eq!(other.changes[1].mode, Mode::Enforce, "another ruleset");
    }
}
