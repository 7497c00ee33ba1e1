//! Finds contradictions between files. Every finding is a warning, because the files alone do not
//! show whether they apply to the same repository. This also depends on renames, skipped
//! repositories and `first_match`. When Beadle plans a repository, it looks for contradictions
//! again (`MergedLayers::contradict`).

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::PolicyLocation;

use super::{METHODS, PAIRS, found, off};
use crate::policy::layers::{Layer, LayerKind};
use crate::policy::meeting::{Part, parts};
use crate::policy::merge::{has_edits, merge, settle};
use crate::policy::node::{Kind, Node};
use crate::policy::problem::{Problem, Severity};

/// Finds contradictions between layers that might apply to the same repository. `layers` must be
/// sorted by rank.
pub(in crate::policy) fn across(layers: &[Layer], disabled: &[String]) -> Vec<Problem> {
    let parts = parts(layers);
    let values: Vec<Option<Node>> = parts.iter().map(relevant).collect();
    let with_values: Vec<usize> = (0..parts.len()).filter(|at| values[*at].is_some()).collect();
    if with_values.len() < 2 {
        return Vec::new();
    }
    let mut shared: Vec<usize> = Vec::new();
    let mut single: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for at in &with_values {
        match parts[*at].single_name() {
            Some(name) => single.entry(name).or_default().push(*at),
            None => shared.push(*at),
        }
    }
    // Returns the parts that certainly apply to every repository that the part `at` applies to. A
    // policy can have thousands of files in repos/. Each of these files can cover only the parts
    // for its own repository.
    let covering = |at: usize| -> Vec<usize> {
        let part = &parts[at];
        let own = part.single_name().and_then(|name| single.get(name)).into_iter().flatten();
        let wide = shared.iter().chain(own).copied();
        let mut covering: Vec<usize> = wide.filter(|wide| parts[*wide].covers(part)).collect();
        covering.sort_unstable();
        covering
    };
    let covered: Vec<Vec<usize>> = (0..parts.len()).map(covering).collect();
    let ranks = layers.iter().map(|layer| (layer.file.as_str(), layer.rank)).collect();
    let (tried, seen, problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let mut search = Search { values: &values, ranks, disabled, tried, seen, problems };
    let classes = classes(&parts, &values, &covered);
    // The pairs of classes (see [`classes`]) whose parts do not contradict each other.
    let mut clean: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (members, class) in covered.iter().zip(&classes) {
        let pair = (*class, *class);
        if !clean.contains(&pair) && search.look(members.clone(), true) {
            clean.insert(pair);
        }
    }
    let can_meet = |one: usize, two: usize| {
        // If each of two files applies to a single repository, these are two different
        // repositories.
        let is_single = parts[one].is_single() && parts[two].is_single();
        !is_single && !parts[one].is_apart_from(&parts[two])
    };
    let together = |members: &[usize]| -> Vec<usize> {
        members.iter().flat_map(|at| covered[*at].iter().copied()).collect()
    };
    for one in &with_values {
        let later = if parts[*one].is_single() { &shared } else { &with_values };
        for two in later.iter().filter(|two| *two > one) {
            let pair = (classes[*one], classes[*two]);
            let is_covered = || covered[*two].contains(one) || covered[*one].contains(two);
            let is_done = clean.contains(&pair) || is_covered();
            if !is_done && can_meet(*one, *two) && search.look(together(&[*one, *two]), false) {
                clean.insert(pair);
            }
        }
    }
    // For the merge methods, Beadle compares three files, because each file can turn off one of the
    // three methods. For all other contradictions, Beadle compares two files.
    let methods = |at: &usize| {
        let repository = values[*at].as_ref()?.get("repository")?;
        let off = off(repository).map(|value| value.is_some());
        off.contains(&true).then_some((*at, off))
    };
    let methods: Vec<(usize, [bool; 3])> = with_values.iter().filter_map(methods).collect();
    for (at, (one, first)) in methods.iter().enumerate() {
        for (place, (two, second)) in methods.iter().enumerate().skip(at + 1) {
            if first == second || !can_meet(*one, *two) {
                continue;
            }
            for (three, third) in &methods[place + 1..] {
                let are_all = (0..METHODS.len()).all(|n| first[n] || second[n] || third[n]);
                if are_all && can_meet(*two, *three) && can_meet(*one, *three) {
                    search.look(together(&[*one, *two, *three]), false);
                }
            }
        }
    }
    search.problems
}

/// Returns a number for each part. Two parts with the same number have equal values and ranks, and
/// the parts that cover them have equal values and ranks too. Any other part therefore contradicts
/// both parts or neither of them. These numbers make the check faster, because thousands of files
/// in repos/ often set the same few values.
fn classes(parts: &[Part<'_>], values: &[Option<Node>], covered: &[Vec<usize>]) -> Vec<usize> {
    let mut alike: BTreeMap<(i64, String), usize> = BTreeMap::new();
    let mut kinds = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let content = match (&values[at], part.layer) {
            // The JSON of an edit does not show what the edit removes.
            (Some(values), Some(layer)) if part.is_single() && !has_edits(values) => {
                Some((layer.rank, values.json().to_string()))
            }
            _ => None,
        };
        kinds.push(content.map_or(at, |content| *alike.entry(content).or_insert(at)));
    }
    let mut classes: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
    let class = |(at, members): (usize, &Vec<usize>)| {
        let kinds = members.iter().map(|member| kinds[*member]).collect();
        *classes.entry(kinds).or_insert(at)
    };
    covered.iter().enumerate().map(class).collect()
}

struct Search<'a> {
    values: &'a [Option<Node>],
    ranks: BTreeMap<&'a str, i64>,
    disabled: &'a [String],
    tried: BTreeSet<Vec<usize>>,
    /// The contradictions that are already reported. For each contradiction, the set contains the
    /// lines of its values.
    seen: BTreeSet<Vec<String>>,
    problems: Vec<Problem>,
}

impl Search<'_> {
    /// Looks for contradictions between parts that apply to the same repository. `is_certain` is
    /// true if the parts certainly apply to the same repository. Otherwise, the parts might apply
    /// to the same repository. Returns true if the parts certainly have no contradiction.
    fn look(&mut self, mut members: Vec<usize>, is_certain: bool) -> bool {
        members.sort_unstable();
        members.dedup();
        if !self.tried.insert(members.clone()) {
            return false;
        }
        let nodes = members.into_iter().filter_map(|at| self.values[at].clone());
        let Some(mut root) = nodes.reduce(|under, over| merge(&under, &over)) else { return true };
        settle(&mut root);
        let rank = |asked: &PolicyLocation| self.ranks.get(&*asked.file).copied().unwrap_or_default();
        let contradictions = found(&root, &rank);
        let is_clean = contradictions.is_empty();
        for contradiction in contradictions {
            let places: Vec<String> = contradiction.places().into_iter().map(ToString::to_string).collect();
            let Some(value) = contradiction.values.first() else { continue };
            if contradiction.is_disabled(self.disabled) || !self.seen.insert(places) {
                continue;
            }
            let why = contradiction.why();
            let problem = |text: String| {
                Problem::error(value.asked.clone(), value.column, text).severity(Severity::Warning)
            };
            let hint = "narrow a selector, or set the value in a layer of a higher rank";
            self.problems.push(if is_certain {
                problem(why).hint(contradiction.hint.clone().unwrap_or_else(|| hint.to_owned()))
            } else {
                let text = format!(
                    "these values contradict each other in a repository that all these files reach: {why}"
                );
                problem(text).hint(hint)
            });
        }
        is_clean
    }
}

/// Returns those values of a part that can contradict values of other parts. Returns `None` if the
/// part has no such values.
fn relevant(part: &Part<'_>) -> Option<Node> {
    let (layer, root) = (part.layer?, part.root?);
    let kept = root.entries().iter().filter_map(|(key, value)| {
        let value = match key.text()? {
            "repository" => settings(value)?,
            "security" | "autolinks" => value.clone(),
            // Beadle does not merge a ruleset of the organisation with rulesets of repositories.
            "rulesets" if !matches!(layer.kind, LayerKind::Organisation) => value.clone(),
            _ => return None,
        };
        Some((key.clone(), value))
    });
    block(root, kept.collect())
}

fn settings(repository: &Node) -> Option<Node> {
    let is_relevant = |key: &str| {
        METHODS.contains(&key)
            || ["topics", "security"].contains(&key)
            || PAIRS.iter().any(|(title, message, ..)| [*title, *message].contains(&key))
    };
    let kept = repository.entries().iter().filter(|(key, _)| key.text().is_some_and(is_relevant));
    block(repository, kept.cloned().collect())
}

fn block(at: &Node, entries: Vec<(Node, Node)>) -> Option<Node> {
    let node = Node { asked: at.asked.clone(), column: at.column, kind: Kind::Map(entries) };
    (!node.entries().is_empty()).then_some(node)
}
