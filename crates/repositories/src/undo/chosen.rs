//! Chooses the values that an undo restores. The operator selects the values by their keys in the
//! policy. So an operator can undo only one setting. The keys have the form that waivers use.

use beadle_engine::Change;
use serde_json::Value;

use super::entries;
use super::past::section;
use super::paths::{entry_of, path_of};
use super::reversal::{self, Reversal};
use crate::policy::{parts, selects, selects_public_key, with_default_branch};

/// The aspect of deploy keys, and the name of the value that contains the public key.
const DEPLOY_KEYS: (&str, &str) = ("deploy_keys", "key");

/// Returns whether a change has a value that one of these keys selects. The name of the default
/// branch is not known here. So if a key names the default branch, the key selects the values of
/// all branches. Later, the planner of the undo leaves out the values of all branches except the
/// default branch.
pub fn touches(change: &Change<()>, keys: &[String]) -> bool {
    let keys = of_branch(keys, "*");
    let values = reversal::values(change);
    let public = reversal::written(change).into_iter().find(|(name, ..)| name == DEPLOY_KEYS.1);
    let public = public.and_then(|(_, before, after)| public_key(&before, &after).map(str::to_owned));
    values.iter().any(|(what, name)| is_selected(&keys, (&change.aspect, what, name), public.as_deref()))
}

/// Returns the values that one of these keys selects. `default_branch` is the name of the
/// repository's default branch.
pub(crate) fn chosen(all: &[Reversal], keys: &[String], default_branch: Option<&str>) -> Vec<Reversal> {
    let keys = default_branch.map_or_else(|| keys.to_vec(), |branch| of_branch(keys, branch));
    let public = |one: &Reversal| {
        let its = all.iter().find(|other| other.is_beside(one) && other.name == DEPLOY_KEYS.1);
        its.and_then(|its| public_key(&its.before, &its.after))
    };
    let is_chosen = |one: &&Reversal| is_selected(&keys, (&one.aspect, &one.what, &one.name), public(one));
    all.iter().filter(is_chosen).cloned().collect()
}

/// Returns the keys after this name has replaced the word `default` in each of them.
fn of_branch(keys: &[String], branch: &str) -> Vec<String> {
    keys.iter().map(|key| with_default_branch(key, branch)).collect()
}

/// Returns the public key of a deploy key that a change creates or deletes.
fn public_key<'a>(before: &'a Value, after: &'a Value) -> Option<&'a str> {
    after.as_str().or_else(|| before.as_str())
}

/// Returns whether one of these keys selects a value. `public` is the public key, if the value
/// belongs to a deploy key.
fn is_selected(keys: &[String], value: (&str, &str, &str), public: Option<&str>) -> bool {
    let (aspect, _, name) = value;
    let path = path(value);
    // A policy identifies a deploy key by its public key, but a plan identifies the deploy key by
    // its title.
    let by_key =
        public.filter(|_| aspect == DEPLOY_KEYS.0).map(|public| format!("{aspect}[{public}].{name}"));
    let is_public = |key: &String| by_key.as_deref().is_some_and(|path| selects_public_key(key, path));
    keys.iter().any(|key| selects(key, &path) || is_public(key))
}

/// Returns the path in the policy of each value that a change sets or removes, with the value after
/// the change. If a value has no path, the list contains the path of its entry or its section. If
/// the change removes an entry, the list contains the path of the entry.
pub(crate) fn value_paths(change: &Change<()>) -> Vec<(String, &Value)> {
    let aspect = change.aspect.as_str();
    // If the change renames a part, its fields appear twice: for the old name and for the new name.
    let after = change.fields.iter().cycle().map(|field| &field.after);
    let mut found = Vec::new();
    for ((what, name), after) in reversal::values(change).into_iter().zip(after) {
        let is_removed = after.is_null() && entries::is_primary(aspect, &name);
        let entry = entry_of(aspect, &what).filter(|entry| is_removed && parts(entry).is_some());
        found.push((entry.unwrap_or_else(|| path((aspect, &what, &name))), after));
    }
    found
}

/// Returns the path of a value in the policy. `value` contains the aspect, the part and the name of
/// the value. If the value has no path, returns the path of its entry or its section.
fn path((aspect, what, name): (&str, &str, &str)) -> String {
    let exact = match aspect {
        "custom_properties" => Some(format!("custom_properties[{name}]")),
        "environments" => inside_environment(what),
        _ => None,
    };
    let path = exact.or_else(|| path_of(aspect, what, name)).or_else(|| entry_of(aspect, what));
    // A name can contain characters that have a special meaning in a path.
    path.filter(|path| parts(path).is_some()).unwrap_or_else(|| section(aspect).to_owned())
}

/// Returns the path of a variable or a secret inside an environment. Returns `None` for the
/// environment itself.
fn inside_environment(what: &str) -> Option<String> {
    let (environment, inner) = entries::thing("environments", what)?.split_once(": ")?;
    let list = [("variable ", "variables"), ("secret ", "secrets")];
    let named = list.into_iter().find_map(|(kind, list)| Some((list, inner.strip_prefix(kind)?)));
    Some(match named {
        Some((list, name)) => format!("environments[{environment}].{list}[{name}]"),
        None => format!("environments[{environment}]"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(aspect: &str, what: &str, names: &[&str]) -> Change<()> {
        let fields = names.iter().map(
            |name| json!({ "name": name, "before": false, "after": true, "asked": null, "risk": "changes" }),
        );
        let change = json!({
            "aspect": aspect, "what": what, "fields": fields.collect::<Vec<_>>(), "mode": "enforce",
            "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    #[test]
    fn every_value_has_the_path_that_a_key_selects() {
        for (aspect, what, name, expected) in [
            ("settings", "", "has_wiki", "repository.has_wiki"),
            ("topics", "", "web", "repository.topics[web]"),
            ("teams", "team core", "permission", "teams[core].permission"),
            ("protection", "rule main", "enforce_admins", "branches[main].protection.enforce_admins"),
            ("protection", "rule main", "rule", "branches[main]"),
            ("custom_properties", "", "tier", "custom_properties[tier]"),
            ("environments", "environment prod", "environment", "environments[prod]"),
            ("environments", "environment prod: variable A", "value", "environments[prod].variables[A]"),
            ("environments", "environment prod: secret T", "value", "environments[prod].secrets[T]"),
            ("labels", "label a/b: c", "color", "labels[a/b: c].color"),
            ("labels", "label a]", "color", "labels"),
            ("files", "README.md", "content", "files"),
        ] {
            assert_eq!(path((aspect, what, name)), expected, "{aspect} {what} {name}");
        }
    }

    #[test]
    fn a_change_is_touched_if_a_key_selects_one_of_its_values() {
        let settings = change("settings", "", &["has_wiki", "has_issues"]);
        let main = change("protection", "rule main", &["enforce_admins"]);
        for (keys, expected) in [
            (vec!["repository.has_issues"], (true, false)),
            (vec!["repository.topics"], (false, false)),
            (vec!["branches.main"], (false, true)),
            (vec!["branches.default.enforce_admins"], (false, true)),
            (vec!["branches[release]", "repository"], (true, false)),
        ] {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            assert_eq!((touches(&settings, &keys), touches(&main, &keys)), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_deploy_key_is_chosen_by_its_whole_title_or_its_public_key() {
        let one = |title: &str, name: &str, value: Value| {
            let (aspect, what, name) =
                ("deploy_keys".to_owned(), format!("deploy key {title}"), name.to_owned());
            Reversal { aspect, what, name, before: Value::Null, after: value }
        };
        let all = [
            one("CI", "key", json!("ssh-ed25519 AAAA")),
            one("CI", "read_only", json!(true)),
            one("CI staging", "key", json!("ssh-ed25519 BBBB")),
        ];
        for (key, expected) in [
            ("deploy_keys[CI]", 2),
            ("deploy_keys[CI staging]", 1),
            ("deploy_keys[ssh-ed25519 AAAA]", 2),
            ("deploy_keys[ssh-ed25519 BBBB laptop]", 1),
            ("deploy_keys[ssh-ed25519]", 0),
            ("deploy_keys", 3),
        ] {
            assert_eq!(chosen(&all, &[key.to_owned()], None).len(), expected, "{key}");
        }
    }

    #[test]
    fn only_the_selected_values_of_a_change_are_chosen() {
        let one = |aspect: &str, what: &str, name: &str| {
            let (aspect, what, name) = (aspect.to_owned(), what.to_owned(), name.to_owned());
            Reversal { aspect, what, name, before: Value::Null, after: json!(true) }
        };
        let all = [
            one("settings", "", "has_wiki"),
            one("settings", "", "has_issues"),
            one("protection", "rule main", "enforce_admins"),
            one("protection", "rule trunk", "enforce_admins"),
        ];
        let names = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let chosen = chosen(&all, &keys, Some("trunk")).into_iter();
            chosen.map(|one| one.called()).collect::<Vec<String>>()
        };
        assert_eq!(names(&["repository.has_wiki"]), ["has_wiki"]);
        assert_eq!(names(&["branches.default"]), ["rule trunk: enforce_admins"]);
        assert_eq!(names(&["branches", "repository"]).len(), 4);
        assert_eq!(names(&["teams"]), Vec::<String>::new());
    }
}
