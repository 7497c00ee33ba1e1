//! The controls of a repository. There are two kinds of controls. One kind is a single value that
//! the policy declares for the repository. The other kind is the rule that a list at GitHub must
//! not contain undeclared entries.

use beadle_engine::PolicyLocation;
use beadle_github::Repository;
use serde_json::Value;

use super::explain::{path_without_secrets, without_secrets};
use super::files::Policy;
use super::keys::{SECTIONS, lists};
use super::leaves::leaves;
use super::shape::{Key, Shape, Status};
use super::targeting::MergedLayers;
use super::waived_key::parts;
use super::wants::Desired;
use crate::aspects;

/// The value of a control that forbids undeclared entries in a list.
pub(crate) const NO_OTHERS: &str = "no other entries";

/// One value that the policy declares for a repository.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeclaredControl {
    /// The path of the value, such as `branches[main].protection.enforce_admins`.
    pub(crate) path: String,
    /// The value. For a control that forbids undeclared entries in a list, the value is
    /// [`NO_OTHERS`].
    pub(crate) value: Value,
    /// The line that sets the value.
    pub(crate) asked: PolicyLocation,
}

impl Policy {
    /// Returns those declared values of a repository that Beadle compares. `desired` contains the
    /// values for the aspects. If a waiver exempts a key, the merged layers do not contain this
    /// key. So the result does not contain the key either.
    pub(crate) fn controls(
        &self,
        target: &MergedLayers,
        repository: &Repository,
        desired: &Desired,
    ) -> Vec<DeclaredControl> {
        let Some(root) = self.declared(target, repository) else { return Vec::new() };
        let compared = leaves(&root).into_iter().filter(|leaf| is_compared(&leaf.path, desired, repository));
        let values = compared.map(|leaf| DeclaredControl {
            value: without_secrets(&leaf.path, leaf.value),
            path: path_without_secrets(&leaf.path),
            asked: leaf.asked,
        });
        let mut controls: Vec<DeclaredControl> = values.collect();
        let topics = root.get("repository").and_then(|node| node.get("topics"));
        let topics = topics.map(|node| ("topics", "repository.topics".to_owned(), node));
        let sections = lists().into_iter();
        let sections = sections.filter_map(|name| Some((name, name.to_owned(), root.get(name)?)));
        for (name, path, node) in sections.chain(topics) {
            // If the list is empty, `controls` already contains this control.
            if node.is_null() || !is_exclusive(target, name) || controls.iter().any(|one| one.path == path) {
                continue;
            }
            controls.push(DeclaredControl { path, value: NO_OTHERS.into(), asked: node.asked.clone() });
        }
        controls
    }
}

/// Returns whether Beadle compares a key with the repository. A report must not show a key as met
/// if Beadle does not compare the key.
fn is_compared(path: &str, desired: &Desired, repository: &Repository) -> bool {
    let Some(names) = parts(path) else { return true };
    match names.as_slice() {
        ["repository", "topics", ..] => desired.topics.is_some(),
        ["repository", "security", key, ..] => {
            desired.security.as_ref().is_some_and(|node| node.get(key).is_some())
        }
        // If layers set both `private` and `visibility`, Beadle compares only one of these keys.
        // Beadle also does not compare the keys for the creation of a repository.
        ["repository", key, ..] => {
            let is_setting = desired.settings.iter().any(|want| want.key == *key);
            is_setting && aspects::settings::is_compared(desired, repository, key)
        }
        ["rulesets", name, "rules", "required_status_checks", ..] => {
            !aspects::rulesets::leaves_out_checks(desired, repository, name) && is_carried(SECTIONS, &names)
        }
        names => is_carried(SECTIONS, names),
    }
}

/// Returns whether Beadle applies a key of a block. This is only true if Beadle applies every key
/// on the path to this key.
fn is_carried(keys: &[Key], names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else { return true };
    let known = keys.iter().find(|key| key.name == *name);
    known.is_some_and(|key| key.status == Status::Carried && is_carried_below(&key.shape, rest))
}

fn is_carried_below(shape: &Shape, names: &[&str]) -> bool {
    let Some((_, rest)) = names.split_first() else { return true };
    match shape {
        Shape::Map(keys) => is_carried(keys, names),
        // In an entry of a list, the first part of the path is the name of the entry.
        Shape::List(entry) => is_carried_below(entry, rest),
        Shape::Layered(inner, _) | Shape::Named(inner) | Shape::OrNull(inner) => {
            is_carried_below(inner, names)
        }
        Shape::Either(one, other) => is_carried_below(one, names) || is_carried_below(other, names),
        _ => true,
    }
}

/// Returns whether Beadle removes undeclared entries from a list.
fn is_exclusive(target: &MergedLayers, list: &str) -> bool {
    let mode = target.list_modes.get(list).map(|mode| mode.exclusive);
    mode.unwrap_or(!aspects::secrets::SECTIONS.contains(&list))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_github::{Known, Ruleset};
    use serde_json::json;

    use super::*;
    use crate::policy::{Node, OverrideStatus, Verdict, repository};

    /// Returns the controls of the repository `shop`. Each control comes with its value and its
    /// line.
    fn controls(files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        controls_of("{ name: shop }", files)
    }

    /// Returns the controls of a repository. Each control comes with its value and its line.
    fn controls_of(shop: &str, files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        controls_at(&repository(&Node::parse("test", shop).unwrap()), files)
    }

    fn controls_at(shop: &Repository, files: &[(&str, &str)]) -> Vec<(String, String, String)> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(files, "admin", Path::new("policy"));
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        let Verdict::Reached(target) = policy.resolve(shop, &OverrideStatus::default()) else { panic!() };
        let desired = policy.desired(&target, shop);
        let controls = policy.controls(&target, shop, &desired).into_iter();
        controls.map(|one| (one.path, one.value.to_string(), one.asked.to_string())).collect()
    }

    fn paths(text: &str) -> Vec<String> {
        controls(&[("settings.yml", text)]).into_iter().map(|(path, ..)| path).collect()
    }

    #[test]
    fn each_value_is_a_control_and_so_is_each_list_without_other_entries() {
        let settings = "repository:\n  has_wiki: false\n  topics: [a]\nteams: [{ name: core, permission: admin }]\n\
                        labels:\n  additive: [{ name: bug, color: ff0000 }]\n";
        let own = "repository:\n  has_wiki: true\n";
        let found = controls(&[("settings.yml", settings), ("repos/shop.yml", own)]);
        let found: Vec<(&str, &str, &str)> =
            found.iter().map(|(path, value, line)| (path.as_str(), value.as_str(), line.as_str())).collect();
        for expected in [
            ("repository.has_wiki", "true", "repos/shop.yml:2"),
            ("repository.topics[a]", "true", "settings.yml:3"),
            ("repository.topics", "\"no other entries\"", "settings.yml:3"),
            ("teams[core].permission", "\"admin\"", "settings.yml:4"),
            ("teams", "\"no other entries\"", "settings.yml:4"),
            ("labels[bug].color", "\"ff0000\"", "settings.yml:6"),
        ] {
            assert!(found.contains(&expected), "{expected:?}: {found:#?}");
        }
        assert!(!found.iter().any(|(path, ..)| *path == "labels"), "{found:#?}");
    }

    #[test]
    fn a_key_that_beadle_does_not_compare_is_no_control() {
        let settings =
            "repository: { private: true, has_downloads: true }\napp_installations: [{ app_slug: x }]\n";
        let own = "repository: { visibility: private, force_create: true, auto_init: true }\n";
        let found = controls(&[("settings.yml", settings), ("repos/shop.yml", own)]);
        let found: Vec<&str> = found.iter().map(|(path, ..)| path.as_str()).collect();
        assert_eq!(found, ["repository.visibility"]);
        assert_eq!(paths("repository: { has_wiki: false }\n"), ["repository.has_wiki"]);
    }

    #[test]
    fn a_rule_for_checks_that_beadle_leaves_out_is_no_control() {
        let ruleset = "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: deletion\n  - type: \
                       required_status_checks\n    parameters: { strict_required_status_checks_policy: true, \
                       required_status_checks: [{ context: '{{EXTERNALLY_DEFINED}}' }] }\n";
        let live = |rules: Value| Ruleset {
            id: 7,
            name: "main".to_owned(),
            updated_at: String::new(),
            body: json!({ "rules": rules }),
            is_veiled: false,
        };
        for (rulesets, is_control) in [
            (Vec::new(), false),
            (vec![live(json!([{ "type": "deletion" }]))], false),
            (vec![live(json!([{ "type": "required_status_checks" }]))], true),
        ] {
            let mut shop = repository(&Node::parse("test", "{ name: shop }").unwrap());
            shop.rulesets = Known::Known(rulesets);
            let found = controls_at(&shop, &[("repos/shop.yml", ruleset)]);
            let has = |part: &str| found.iter().any(|(path, ..)| path.contains(part));
            assert_eq!(has("strict_required_status_checks_policy"), is_control, "{found:?}");
            assert!(has("rules[deletion]"), "{found:?}");
        }
    }

    #[test]
    fn a_setting_that_the_repository_cannot_have_is_no_control() {
        let settings = "repository: { allow_forking: false, has_wiki: true, \
                        allow_squash_merge: false, squash_merge_commit_title: PR_TITLE }\n";
        for (visibility, has_forking) in [("public", false), ("private", true)] {
            let shop = format!("{{ name: shop, visibility: {visibility} }}");
            let found = controls_of(&shop, &[("settings.yml", settings)]);
            let has = |key: &str| found.iter().any(|(path, ..)| *path == format!("repository.{key}"));
            assert!(has("has_wiki") && has("allow_squash_merge"), "{found:?}");
            assert_eq!(has("allow_forking"), has_forking, "{visibility}");
            assert!(!has("squash_merge_commit_title"), "{found:?}");
        }
    }
}
