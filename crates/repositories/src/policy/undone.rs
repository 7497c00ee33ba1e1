//! Finds layers whose selection changes because of other files. Such a layer selects repositories
//! by a value, and other files remove this value from exactly these repositories. The first apply
//! adds the layer's values, and the second apply removes these values again. `rest.rs` finds two
//! other cases: a file that has this effect on itself, and files that have this effect on each
//! other in a circle. All findings are warnings, because the files do not show whether a repository
//! has the value.

use std::collections::BTreeMap;

use super::layers::{Layer, ListModes, drop_modes, without_plugins};
use super::meeting::{Part, parts};
use super::merge::{merge, settle};
use super::node::Node;
use super::problem::{Problem, Severity};
use super::rest::{Effect, Fact, Pick, effect, is_listed, picks};

/// Finds the layers that no longer apply to their repositories after an apply. Other files cause
/// this effect. `files` contains the parsed files. `layers` must be sorted by rank. `disabled`
/// contains the sections that Beadle does not apply.
pub(super) fn undone(files: &BTreeMap<String, Node>, layers: &[Layer], disabled: &[String]) -> Vec<Problem> {
    let parts = parts(layers);
    let mut problems: Vec<Problem> = Vec::new();
    for part in &parts {
        let Some(layer) = part.layer else { continue };
        let picks = files.get(&layer.file).map(|root| picks(root, part.case)).unwrap_or_default();
        if picks.is_empty() {
            continue;
        }
        let Some((root, list_modes)) = certain(&parts, part) else { continue };
        for pick in picks.iter().filter(|pick| !pick.fact.is_disabled(disabled)) {
            let Some(effect) = effect(&root, pick) else { continue };
            // `rest.rs` checks the layer itself, and the other entries of its `first_match`.
            let is_own = layer.file == *effect.at.asked.file;
            let applies = effect.matches != pick.is_excepted;
            if is_own || applies || is_kept(files, pick, &effect, &root, &list_modes) {
                continue;
            }
            let problem = problem(pick, &effect);
            // The conditions of a file also apply to each entry of the file's `first_match`. So the
            // same problem can occur twice.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// Returns the values that are certain for every repository of a part, and the modes of the lists.
fn certain(parts: &[Part<'_>], part: &Part<'_>) -> Option<(Node, ListModes)> {
    let mut merged: Option<Node> = None;
    let mut list_modes = ListModes::new();
    let mut above: Vec<(i64, String)> = Vec::new();
    for wide in parts.iter().filter(|wide| wide.covers(part)) {
        let (Some(layer), Some(root)) = (wide.layer, wide.root) else { continue };
        let below = above.iter().filter(|(rank, _)| *rank < layer.rank);
        let names: Vec<String> = below.map(|(_, name)| name.clone()).collect();
        let root = without_plugins(root, &names);
        let mut modes = wide.list_modes();
        drop_modes(&mut modes, &names);
        list_modes.extend(modes);
        above.extend(layer.disabled_above.iter().map(|name| (layer.rank, name.clone())));
        merged = Some(match merged {
            Some(under) => merge(&under, &root),
            None => root,
        });
    }
    merged.map(|mut root| {
        settle(&mut root);
        (root, list_modes)
    })
}

/// Returns whether Beadle keeps the value of a condition. Beadle keeps the value if the list of the
/// value is additive. Beadle also keeps the value if any file sets the value, because this file
/// might apply to the repositories.
fn is_kept(
    files: &BTreeMap<String, Node>,
    pick: &Pick<'_>,
    found: &Effect<'_>,
    root: &Node,
    list_modes: &ListModes,
) -> bool {
    if !found.is_written {
        let section = match pick.fact {
            Fact::Visibility => return false,
            Fact::Topic => "topics",
            Fact::Team => "teams",
            Fact::Property(_) => "custom_properties",
        };
        let is_additive = list_modes.get(section).is_some_and(|mode| !mode.exclusive);
        // If an unlisted entry matches a pattern in `exclude`, Beadle keeps this entry.
        let has_patterns = root.get(section).is_some_and(|list| list.get("exclude").is_some());
        return is_additive || has_patterns || is_listed(files, pick);
    }
    let keeps = |root: &Node| {
        effect(root, pick).is_some_and(|effect| effect.is_written && effect.matches != pick.is_excepted)
    };
    files.values().any(|root| {
        let cases = root.get("first_match").map(Node::items).unwrap_or_default();
        keeps(root) || cases.iter().any(keeps)
    })
}

fn problem(pick: &Pick<'_>, effect: &Effect<'_>) -> Problem {
    let what = match (effect.is_written, pick.is_excepted) {
        (true, true) => "this value matches the `except`",
        (true, false) => "this value does not match the selector",
        (false, _) => "this list removes the value of the selector",
    };
    let text = format!(
        "{what} at {}: one apply writes the values of that file, and the next apply removes them again",
        pick.at.asked
    );
    let problem = Problem::error(effect.at.asked.clone(), effect.at.column, text);
    let hint = "set the value in the file that selects by it, or select by a value that no file sets";
    problem.severity(Severity::Warning).hint(hint)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::files::Policy;

    /// Returns the warnings about layers that no longer apply to their repositories. Each warning
    /// has the form `file:line message`.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        let policy = Policy::from_sources(sources, "admin", Path::new("policy")).unwrap();
        let own = policy.remarks.iter().filter(|problem| problem.message.contains("the next apply"));
        own.map(|problem| format!("{} {}", problem.asked, problem.message)).collect()
    }

    /// The values that a layer sets for its repositories.
    const LABELS: &str = "labels: [{ name: a, color: cc0000 }]\n";

    #[test]
    fn a_layer_whose_repositories_another_file_takes_away_is_a_warning_with_both_lines() {
        for (selector, other) in [
            ("select: { topic: infra }\n", "repository:\n  topics: [rust]\n"),
            ("select: { topic: infra }\n", "repository:\n  topics: { exclusive: [rust] }\n"),
            ("select: { team: core }\n", "# core is not here\nteams: [{ name: infra, permission: pull }]\n"),
            (
                "select: { property: { tier: gold } }\n",
                "# none\ncustom_properties: [{ name: owner, value: web }]\n",
            ),
            ("select: { property: { tier: gold } }\n", "custom_properties:\n- { name: Tier, value: lead }\n"),
            ("select: { property: { tier: gold } }\n", "custom_properties:\n- { name: tier, value: null }\n"),
            ("select: { visibility: public }\n", "repository:\n  visibility: private\n"),
            ("except: { visibility: private }\n", "repository:\n  visibility: private\n"),
            ("except: { topic: infra }\n", "repository:\n  topics: { additive: [infra] }\n"),
        ] {
            let layer = format!("{selector}{LABELS}");
            let found = found(&[("settings.yml", other), ("layers/a.yml", layer.as_str())]);
            let [message] = found.as_slice() else { panic!("{selector} {other}: {found:?}") };
            assert!(message.starts_with("settings.yml:2 "), "{message}");
            assert!(message.contains("at layers/a.yml:1: "), "{message}");
        }
    }

    #[test]
    fn a_suborg_whose_team_the_policy_removes_is_a_warning() {
        let settings = ("settings.yml", "teams: [{ name: infra, permission: pull }]\n");
        let suborg = format!("suborgteams: [core]\n{LABELS}");
        assert_eq!(found(&[settings, ("suborgs/a.yml", suborg.as_str())]).len(), 1);
        let listed = format!("{suborg}teams: [{{ name: core, permission: push }}]\n");
        assert_eq!(found(&[settings, ("suborgs/a.yml", listed.as_str())]), Vec::<String>::new());
    }

    #[test]
    fn an_entry_of_first_match_is_checked_with_its_own_selector() {
        let settings = ("settings.yml", "repository: { topics: [rust] }\n");
        let layer = "first_match:\n- select: { topic: infra }\n  labels: [{ name: a, color: cc0000 }]\n";
        let found = found(&[settings, ("layers/a.yml", layer)]);
        assert!(matches!(found.as_slice(), [one] if one.contains("at layers/a.yml:2: ")), "{found:?}");
    }

    #[test]
    fn a_layer_that_keeps_its_repositories_is_fine() {
        let topic = format!("select: {{ topic: infra }}\n{LABELS}");
        let own = format!("{topic}repository: {{ topics: [infra] }}\n");
        let public = format!("select: {{ visibility: public }}\n{LABELS}");
        let rust = "repository: { topics: [rust] }\n";
        for files in [
            vec![
                ("settings.yml", "repository: { topics: { additive: [rust] } }\n"),
                ("layers/a.yml", topic.as_str()),
            ],
            vec![("settings.yml", "repository: { topics: [infra] }\n"), ("layers/a.yml", topic.as_str())],
            vec![("settings.yml", rust), ("layers/a.yml", own.as_str())],
            // If the file does not apply to the same repositories, the file's list does not remove
            // anything from these repositories.
            vec![("repos/shop.yml", rust), ("layers/a.yml", topic.as_str())],
            vec![
                ("layers/b.yml", "select: { name: 'web-*' }\nrepository: { topics: [rust] }\n"),
                ("layers/a.yml", topic.as_str()),
            ],
            vec![
                ("settings.yml", "repository: { topics: [rust] }\ndisable_plugins: [topics]\n"),
                ("layers/a.yml", topic.as_str()),
            ],
            // Another layer makes some repositories public.
            vec![
                ("settings.yml", "repository: { visibility: private }\n"),
                ("layers/docs.yml", "select: { name: 'docs-*' }\nrepository: { visibility: public }\n"),
                ("layers/a.yml", public.as_str()),
            ],
        ] {
            assert_eq!(found(&files), Vec::<String>::new(), "{files:?}");
        }
    }
}
