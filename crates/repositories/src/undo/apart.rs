//! Takes undone values out of changes that also have other values. Otherwise Beadle would only
//! observe the other values too, such as a protection that somebody switched off since the undo.

use beadle_engine::{Change, Field, Mode, Plan};

use super::memory::Undone;
use super::{entries, protection, reversal};
use crate::policy::check_waived_key;

/// Returns the paths of the undone values that share a change with other values. They are paths as
/// waivers have them. If no path can name a value, the value is not in the result.
pub(crate) fn shared<W>(undone: &Undone, plan: &Plan<W>) -> Vec<String> {
    let mut paths = Vec::new();
    for change in &plan.changes {
        let (own, others): (Vec<&Field>, Vec<&Field>) =
            change.fields.iter().partition(|field| undone.has(change, field));
        if !others.is_empty() {
            paths.extend(own.into_iter().filter_map(|field| path(change, field)));
        }
    }
    paths
}

/// Splits each change that has undone values and others. `others` is the plan of a policy without
/// the undone values. If it has no change that writes only a part of a change, the change stays as
/// it is.
pub(crate) fn split<W>(undone: &Undone, plan: &mut Plan<W>, mut others: Plan<W>) {
    for at in 0..plan.changes.len() {
        let change = &plan.changes[at];
        let is_undone = |field: &Field| undone.has(change, field);
        if !change.fields.iter().any(is_undone) || change.fields.iter().all(is_undone) {
            continue;
        }
        let is_part = |other: &Change<W>| {
            let mut fields = other.fields.iter();
            let is_same_part = other.aspect == change.aspect && other.what == change.what;
            is_same_part
                && !other.fields.is_empty()
                && fields.all(|field| change.fields.contains(field) && !is_undone(field))
        };
        let Some(place) = others.changes.iter().position(is_part) else { continue };
        let mut part = others.changes.swap_remove(place);
        part.after.clone_from(&change.after);
        let written = part.fields.clone();
        let mut rest = std::mem::replace(&mut plan.changes[at], part);
        rest.fields.retain(|field| !written.contains(field));
        rest.after.clear();
        // The write of this change sets all values of the whole change.
        rest.mode = Mode::Observe;
        plan.changes.push(rest);
    }
}

/// Returns the path of a value of a change in the policy.
fn path<W>(change: &Change<W>, field: &Field) -> Option<String> {
    let (what, name) = reversal::named(change, field);
    let path = match change.aspect.as_str() {
        "settings" => format!("repository.{name}"),
        "topics" => format!("repository.topics[{name}]"),
        "protection" => {
            let (pattern, key) = (what.strip_prefix("rule ")?, protection::key(&name)?);
            format!("branches[{pattern}].protection.{key}")
        }
        aspect @ ("actions" | "security" | "pages" | "interaction_limit" | "oidc_subject") => {
            format!("{aspect}.{name}")
        }
        aspect => {
            let thing = entries::thing(aspect, &what)?;
            format!("{aspect}[{thing}].{}", inside(aspect, &name))
        }
    };
    check_waived_key(&path).is_ok().then_some(path)
}

/// Returns the path of a value inside an entry of a list.
fn inside(list: &str, name: &str) -> String {
    let mut parts = name.splitn(3, '.');
    match (list, parts.next(), parts.next(), parts.next()) {
        ("rulesets", Some("rules"), Some(kind), None) => format!("rules[{kind}]"),
        ("rulesets", Some("rules"), Some(kind), Some(key)) => format!("rules[{kind}].parameters.{key}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn an_undone_value_leaves_the_change_that_it_shares() {
        let undone = undone("protection", "rule main", "enforce_admins");
        let mut plan = Plan::new("acme/shop");
        plan.changes =
            vec![change("protection", "rule main", &["enforce_admins", "required_linear_history"])];
        assert_eq!(shared(&undone, &plan), ["branches[main].protection.enforce_admins"]);
        let mut others = Plan::new("acme/shop");
        // A change with another value is not a part of the change, so nothing happens.
        others.changes = vec![change("protection", "rule main", &["allow_deletions"])];
        split(&undone, &mut plan, others.clone());
        assert_eq!(plan.changes.len(), 1);
        others.changes.push(change("protection", "rule main", &["required_linear_history"]));
        split(&undone, &mut plan, others);
        let split: Vec<(&str, Mode, u8)> =
            plan.changes.iter().map(|one| (one.fields[0].name.as_str(), one.mode, one.write)).collect();
        let expected = [("required_linear_history", Mode::Enforce, 1), ("enforce_admins", Mode::Observe, 2)];
        assert_eq!(split, expected);
        assert_eq!(shared(&undone, &plan), Vec::<String>::new());
    }
}
