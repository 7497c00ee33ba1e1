//! Removes the keys of waivers from the merged layers of a repository. Beadle does not compare a key
//! that the layers do not declare.
//!
//! | a waiver of | has this effect |
//! |---|---|
//! | a key | Beadle does not compare the key |
//! | a whole section or list | Beadle does not compare it |
//! | an entry of a section | Beadle does not compare the entry, and removes no entry of this section |
//! | an entry of a list inside a block | Beadle does not compare this list |

use beadle_engine::PolicyLocation;

use super::keys::{SECTIONS, lists};
use super::layers::{ListMode, ListModes};
use super::node::{Kind, Node};
use super::targeting::MergedLayers;
use super::waived_key::{BRANCHES, DEFAULT, EVERY, PROTECTION, parts};
use super::waiver::Waiver;
use crate::identity;

/// What is left of a value without a waived key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The value does not have the key.
    Same,
    /// The value is without the key now.
    Changed,
    /// Nothing is left of the value, so its block must be without it.
    Nothing,
}

/// Where a value is.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The root of the policy.
    Root,
    /// The section with this name, or the list `topics`.
    Section(&'a str),
    /// An entry of the section with this name.
    Entry(&'a str),
    /// Any other value. It has this key, or belongs to the list with this key.
    Inner(&'a str),
}

impl MergedLayers {
    /// Removes the keys of these waivers. Keeps the waivers that have an effect. A key can name the
    /// default branch by its name at GitHub or as `default`.
    pub(super) fn waive(&mut self, waivers: &[Waiver], default_branch: Option<&str>) {
        let Some(root) = &mut self.root else { return };
        let mut effective = Vec::new();
        for waiver in waivers {
            let asked = waiver.asked.as_ref().unwrap_or(&root.asked).clone();
            let keys = waiver.keys.iter().map(|key| as_declared(root, key, default_branch));
            let mut keys: Vec<String> = keys.collect();
            keys.retain(|key| waive_key(root, &mut self.list_modes, key, &asked));
            if !keys.is_empty() {
                effective.push(Waiver { keys, ..waiver.clone() });
            }
        }
        self.waivers = effective;
    }

    /// Returns whether a waiver exempts whether the repository is archived.
    pub(super) fn waives_archived(&self) -> bool {
        let is_archived = |key: &String| ["repository", "repository.archived"].contains(&key.as_str());
        self.waivers.iter().any(|waiver| waiver.keys.iter().any(is_archived))
    }
}

/// Returns the path of a key with the name that the policy gives to the default branch.
fn as_declared(root: &Node, path: &str, default_branch: Option<&str>) -> String {
    let (Some(parts), Some(branch)) = (parts(path), default_branch) else { return path.to_owned() };
    let [section, name, rest @ ..] = parts.as_slice() else { return path.to_owned() };
    let entries = root.get(BRANCHES).map(Node::items).unwrap_or_default();
    let has = |name: &str| entries.iter().any(|entry| entry.get("name").and_then(Node::text) == Some(name));
    let declared = match *name {
        _ if *section != BRANCHES || has(name) => return path.to_owned(),
        DEFAULT => branch,
        name if name == branch => DEFAULT,
        _ => return path.to_owned(),
    };
    let mut path = format!("{BRANCHES}[{declared}]");
    for part in rest {
        let (open, close) = if part.contains(['.', '[']) { ("[", "]") } else { (".", "") };
        path.extend([open, *part, close]);
    }
    path
}

/// Removes a key from the values of a repository. Returns whether this has an effect.
fn waive_key(root: &mut Node, modes: &mut ListModes, path: &str, asked: &PolicyLocation) -> bool {
    let Some(parts) = parts(path) else { return false };
    let mut kept = Vec::new();
    let left = walk(Place::Root, root, &parts, &mut kept);
    let has_effect = left != Left::Same || !kept.is_empty();
    for list in kept {
        modes.insert(list, ListMode { exclusive: false, asked: asked.clone() });
    }
    has_effect
}

/// Removes a key from a value. Adds to `kept` the sections from which Beadle must remove no entry.
fn walk(place: Place<'_>, node: &mut Node, parts: &[&str], kept: &mut Vec<String>) -> Left {
    let Some((&part, rest)) = parts.split_first() else { return Left::Nothing };
    let is_form = has_include(node);
    match (&mut node.kind, place) {
        (Kind::Map(entries), Place::Section(section)) if is_form => {
            let list = entries.iter_mut().find(|(key, _)| key.text() == Some("include"));
            list.map_or(Left::Same, |(_, list)| walk(Place::Section(section), list, parts, kept))
        }
        (Kind::Map(entries), _) => in_block(place, entries, (part, rest), kept),
        (Kind::List(items), Place::Section(section)) => in_section(section, items, (part, rest), kept),
        (Kind::List(items), Place::Inner(list) | Place::Entry(list)) => {
            in_list(list, items, (part, rest), kept)
        }
        _ => Left::Same,
    }
}

/// Returns whether the list of a section is in its key `include`.
fn has_include(section: &Node) -> bool {
    section.get("include").is_some_and(|list| matches!(list.kind, Kind::List(_)))
}

/// Returns where a key is in a block of keys.
fn position(entries: &[(Node, Node)], name: &str) -> Option<usize> {
    entries.iter().position(|(key, _)| key.text() == Some(name))
}

/// Removes a key from a block of keys.
fn in_block(
    place: Place<'_>,
    entries: &mut Vec<(Node, Node)>,
    (part, rest): (&str, &[&str]),
    kept: &mut Vec<String>,
) -> Left {
    if let Place::Entry(section) = place
        && is_required(section, part)
    {
        // Without this key, the entry would not be valid.
        return Left::Nothing;
    }
    let direct = position(entries, part);
    let Some(at) = direct.or_else(|| position(entries, PROTECTION)) else { return Left::Same };
    let Some((key, value)) = entries.get_mut(at) else { return Left::Same };
    let name = key.text().unwrap_or_default();
    let twin = match name {
        "contexts" => Some("checks"),
        "checks" => Some("contexts"),
        _ => None,
    };
    let below = match place {
        Place::Root => Place::Section(name),
        Place::Section("repository") if name == "topics" => Place::Section(name),
        _ => Place::Inner(name),
    };
    let left = if direct.is_some() {
        walk(below, value, rest, kept)
    } else {
        let all: Vec<&str> = std::iter::once(part).chain(rest.iter().copied()).collect();
        walk(below, value, &all, kept)
    };
    if left == Left::Nothing {
        entries.remove(at);
        // Both keys set the same list at GitHub.
        entries.retain(|(key, _)| twin.is_none() || key.text() != twin);
        // An empty block can have a meaning of its own, such as a branch without protection.
        return if entries.is_empty() { Left::Nothing } else { Left::Changed };
    }
    left
}

/// Removes an entry of a section, or a key of it.
fn in_section(
    section: &str,
    items: &mut Vec<Node>,
    (part, rest): (&str, &[&str]),
    kept: &mut Vec<String>,
) -> Left {
    let mut left = Left::Same;
    let mut is_entry_waived = rest.is_empty();
    let mut at = 0;
    items.retain_mut(|item| {
        let is_named = is_called(section, item, at, part);
        at += 1;
        if !is_named {
            return true;
        }
        match walk(Place::Entry(section), item, rest, kept) {
            Left::Same => true,
            Left::Changed => {
                left = Left::Changed;
                true
            }
            Left::Nothing => {
                (left, is_entry_waived) = (Left::Changed, true);
                false
            }
        }
    });
    // Beadle would remove the entry from GitHub, because the policy does not list it any more. The
    // entry can also be one that the policy never listed.
    let has_mode = section == "topics" || lists().contains(&section);
    if is_entry_waived && has_mode {
        kept.push(section.to_owned());
    }
    left
}

/// Removes a key from the entries of a list inside a block. GitHub replaces such a list as a whole,
/// so Beadle cannot leave one entry alone. Only a rule of a ruleset can lose some of its parameters.
fn in_list(list: &str, items: &mut [Node], (part, rest): (&str, &[&str]), kept: &mut Vec<String>) -> Left {
    if rest.is_empty() {
        return Left::Nothing;
    }
    let mut left = Left::Same;
    for (at, item) in items.iter_mut().enumerate() {
        if !is_called(list, item, at, part) {
            continue;
        }
        match walk(Place::Inner(list), item, rest, kept) {
            Left::Same => {}
            // Without its type, a rule would not be valid.
            Left::Changed if list == "rules" && rest != ["type"] => left = Left::Changed,
            Left::Changed | Left::Nothing => return Left::Nothing,
        }
    }
    left
}

/// Returns whether a part of a path names an entry of a list.
fn is_called(list: &str, item: &Node, at: usize, part: &str) -> bool {
    if part == EVERY {
        return true;
    }
    let folded = part.to_lowercase();
    match (&item.kind, identity::name(list, item)) {
        (Kind::Map(_), Some(name)) => {
            [&name.written, &name.key, &name.open].iter().any(|known| *known == part || **known == folded)
        }
        (Kind::Map(_) | Kind::List(_), _) => part == at.to_string(),
        _ => {
            // A number is compared with its text.
            let shown = item.text().map_or_else(|| item.json().to_string(), str::to_owned);
            shown.eq_ignore_ascii_case(part)
        }
    }
}

/// Returns whether an entry of a section must have a key.
fn is_required(section: &str, name: &str) -> bool {
    let section = SECTIONS.iter().find(|key| key.name == section);
    let keys = section.map(|key| key.shape.entry_keys()).unwrap_or_default();
    keys.iter().any(|key| key.name == name && key.is_required)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::Time;

    use super::*;
    use crate::policy::{OverrideStatus, Policy, Verdict, repository};

    const SETTINGS: &str = "
repository: { has_wiki: false, topics: [web, shop], archived: false }
teams:
  - { name: core, permission: admin }
  - { name: web, permission: push }
labels:
  exclusive: [{ name: bug, color: ff0000 }]
branches:
  - name: main
    protection:
      enforce_admins: true
      required_status_checks: { strict: true, contexts: [ci, lint] }
  - name: release
    protection: { enforce_admins: true }
";
    // The rulesets of settings.yml belong to the organisation.
    const SHOP: &str = "
rulesets:
  - name: main
    target: branch
    enforcement: active
    rules:
      - { type: deletion }
      - { type: pull_request, parameters: { required_approving_review_count: 2, dismiss_stale_reviews_on_push: true } }
";

    fn resolved(keys: &[&str]) -> MergedLayers {
        let files = [("settings.yml", SETTINGS), ("repos/shop.yml", SHOP)];
        let files = files.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
        let policy = Policy::from_sources(files, "admin", Path::new("policy"));
        let policy = policy.unwrap_or_else(|error| panic!("{error}"));
        let waiver = Waiver {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            repositories: vec!["shop".into()],
            until: Time(1),
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        };
        let status = OverrideStatus { waivers: vec![waiver], ..OverrideStatus::default() };
        let shop = repository(&Node::parse("test", "{ name: shop }").unwrap());
        match policy.resolve(&shop, &status) {
            Verdict::Reached(target) => target,
            Verdict::Skipped(why) => panic!("{why}"),
        }
    }

    fn json(target: &MergedLayers, pointer: &str) -> Option<serde_json::Value> {
        target.root.as_ref().unwrap().json().pointer(pointer).cloned()
    }

    /// Returns the section or the value at `pointer` without the key, and whether the section is
    /// additive.
    fn left(key: &str, pointer: &str, list: &str) -> (Option<serde_json::Value>, bool) {
        let target = resolved(&[key]);
        assert_eq!(target.waivers.len(), 1, "{key}");
        let is_additive = target.list_modes.get(list).is_some_and(|mode| !mode.exclusive);
        (json(&target, pointer), is_additive)
    }

    #[test]
    fn a_waived_key_is_not_declared() {
        let main = "/branches/0/protection";
        for (key, pointer, expected) in [
            (
                "repository.has_wiki",
                "/repository",
                serde_json::json!({ "topics": ["web", "shop"], "archived": null }),
            ),
            (
                "branches[main].protection.enforce_admins",
                main,
                serde_json::json!({ "required_status_checks": { "strict": true, "contexts": ["ci", "lint"] } }),
            ),
            (
                "branches.main.enforce_admins",
                main,
                serde_json::json!({ "required_status_checks": { "strict": true, "contexts": ["ci", "lint"] } }),
            ),
            (
                "branches[main].protection.required_status_checks.contexts[other]",
                main,
                serde_json::json!({ "enforce_admins": true, "required_status_checks": { "strict": true } }),
            ),
            (
                "branches[main].protection.required_status_checks",
                main,
                serde_json::json!({ "enforce_admins": true }),
            ),
            (
                "rulesets[main].rules[pull_request].parameters.required_approving_review_count",
                "/rulesets/0/rules",
                serde_json::json!([
                    { "type": "deletion" },
                    { "type": "pull_request", "parameters": { "dismiss_stale_reviews_on_push": true } },
                ]),
            ),
            (
                "rulesets[main].rules[deletion]",
                "/rulesets/0",
                serde_json::json!({ "name": "main", "target": "branch", "enforcement": "active" }),
            ),
        ] {
            assert_eq!(left(key, pointer, "teams"), (Some(expected), false), "{key}");
        }
    }

    #[test]
    fn checks_and_contexts_are_one_list() {
        let text = "branches: [{ name: main, protection: { required_status_checks: { strict: true, contexts: \
                    [ci], checks: [{ context: lint }] } } }]";
        for key in ["contexts[ci]", "checks[lint]", "checks"] {
            let mut root = Node::parse("settings.yml", text).unwrap();
            let (path, asked) = (format!("branches.main.required_status_checks.{key}"), root.asked.clone());
            assert!(waive_key(&mut root, &mut ListModes::new(), &path, &asked), "{key}");
            let checks = root.json().pointer("/branches/0/protection/required_status_checks").cloned();
            assert_eq!(checks, Some(serde_json::json!({ "strict": true })), "{key}");
        }
    }

    #[test]
    fn the_default_branch_has_two_names() {
        let text = "branches: [{ name: NAME, protection: { enforce_admins: true } }]";
        for (declared, key, expected) in [
            ("default", "branches.main.enforce_admins", "branches[default].enforce_admins"),
            ("main", "branches[default].protection", "branches[main].protection"),
            ("main", "branches[main].protection", "branches[main].protection"),
            ("default", "branches[release].protection", "branches[release].protection"),
            (
                "default",
                "branches[main].restrictions.users[a.b]",
                "branches[default].restrictions.users[a.b]",
            ),
            ("default", "teams[main]", "teams[main]"),
        ] {
            let root = Node::parse("settings.yml", &text.replace("NAME", declared)).unwrap();
            assert_eq!(as_declared(&root, key, Some("main")), expected, "{declared}");
        }
    }

    #[test]
    fn a_block_of_which_nothing_is_left_is_not_declared_as_empty() {
        let (release, _) = left("branches[release].protection.enforce_admins", "/branches/1", "branches");
        assert_eq!(release, Some(serde_json::json!({ "name": "release" })));
        let (branches, _) = left("branches[*].protection", "/branches", "branches");
        assert_eq!(branches, Some(serde_json::json!([{ "name": "main" }, { "name": "release" }])));
    }

    #[test]
    fn a_section_with_a_waived_entry_removes_nothing() {
        let web = serde_json::json!([{ "name": "web", "permission": "push" }]);
        assert_eq!(left("teams[Core]", "/teams", "teams"), (Some(web.clone()), true));
        assert_eq!(left("teams[core].name", "/teams", "teams"), (Some(web), true));
        let (teams, is_additive) = left("teams[contractors]", "/teams", "teams");
        assert_eq!((teams.unwrap().as_array().unwrap().len(), is_additive), (2, true));
        let (topics, is_additive) = left("repository.topics[web]", "/repository/topics", "topics");
        assert_eq!((topics, is_additive), (Some(serde_json::json!(["shop"])), true));
        let (labels, is_additive) = left("labels[bug]", "/labels/include", "labels");
        assert_eq!((labels, is_additive), (Some(serde_json::json!([])), true));
    }

    #[test]
    fn a_waived_value_of_an_entry_keeps_the_entry_and_the_mode() {
        let (teams, is_additive) = left("teams[core].permission", "/teams/0", "teams");
        assert_eq!((teams, is_additive), (Some(serde_json::json!({ "name": "core" })), false));
    }

    #[test]
    fn a_waived_section_is_not_declared() {
        assert_eq!(left("teams", "/teams", "teams"), (None, false));
        assert_eq!(left("repository", "/repository", "topics"), (None, false));
        assert!(resolved(&["repository.archived"]).waives_archived());
    }

    #[test]
    fn a_waiver_of_what_the_policy_does_not_declare_has_no_effect() {
        for key in ["teams[contractors].permission", "branches[other].protection", "autolinks", "teams["] {
            let target = resolved(&[key]);
            assert!(target.waivers.is_empty(), "{key}");
            assert_eq!(target.root, resolved(&[]).root, "{key}");
        }
    }
}
