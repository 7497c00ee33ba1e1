//! Groups equal changes of several plans, so that a person reads each kind of change only once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::key::Key;
use crate::plan::{Change, Plan, Risk, Unknown, Waiting, Waived};

/// A change of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupedChange<'a> {
    /// The name that people use for the key of the plan, such as `acme/widgets`.
    pub subject: &'a str,
    /// The change.
    pub change: &'a Change<()>,
}

/// Groups the changes of plans. If `kind` returns the same result for several changes, these
/// changes are in one group, in the order of the plans. If `kind` returns `None` for a change, the
/// change is in no group.
pub fn group_changes<'a, K: Ord>(
    plans: impl IntoIterator<Item = (&'a Key, &'a Plan<()>)>,
    kind: impl Fn(&Change<()>) -> Option<K>,
) -> BTreeMap<K, Vec<GroupedChange<'a>>> {
    let changes = plans.into_iter().flat_map(|(_, plan)| {
        plan.changes.iter().map(move |change| GroupedChange { subject: &plan.subject, change })
    });
    grouped(changes, |one| kind(one.change))
}

/// Returns the names of the plans with these changes. The changes are in the order of the plans.
pub fn subjects_of<'a>(changes: &[GroupedChange<'a>]) -> Vec<&'a str> {
    let mut subjects: Vec<&'a str> = changes.iter().map(|one| one.subject).collect();
    subjects.dedup();
    subjects
}

/// Returns the number of repositories that the changes affect. A repository counts once for each
/// change.
pub fn reaches_of(changes: &[GroupedChange<'_>]) -> u64 {
    changes.iter().map(|one| u64::from(one.change.reaches)).sum()
}

/// Returns the first names, and the number of the other names, such as `a, b, c and 167 more`.
pub fn examples(names: &[&str], most: usize) -> String {
    let shown = names.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A part of an undo's plan: everything that the plans of exactly these keys have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UndoPart<'a> {
    /// The keys, each with the name that people use for the key. The list has at least one key, and
    /// all keys have the same kind.
    pub subjects: Vec<(&'a Key, &'a str)>,
    /// The changes. The changes that give access come first.
    pub changes: Vec<&'a Change<()>>,
    /// The parts that could not be read or resolved.
    pub unknowns: Vec<&'a Unknown>,
    /// The values that the undo does not restore, or restores only in part.
    pub waits: Vec<&'a Waiting>,
    /// The exempt keys of the policy whose values the undo restores.
    pub waived: Vec<&'a Waived>,
    /// The reasons why Beadle skips the keys.
    pub skipped: Vec<&'a str>,
}

impl<'a> UndoPart<'a> {
    /// Returns the names of the keys.
    pub fn names(&self) -> Vec<&'a str> {
        self.subjects.iter().map(|(_, subject)| *subject).collect()
    }

    /// Returns the place of the part in the list of an undo. A part without changes comes last.
    fn place(&self) -> usize {
        self.changes.iter().map(|change| change.undo_place()).min().unwrap_or(Risk::OF_UNDO.len())
    }
}

/// Divides the plans of an undo into parts. The parts that give access come first, and then the
/// parts with the most keys.
pub fn undo_parts<'a>(plans: impl IntoIterator<Item = (&'a Key, &'a Plan<()>)>) -> Vec<UndoPart<'a>> {
    let mut all: Vec<Placed<'a>> = Vec::new();
    for (key, plan) in plans {
        let items = plan.changes.iter().map(Item::Change);
        let items = items.chain(plan.unknowns.iter().map(Item::Unknown));
        let items = items.chain(plan.waits.iter().map(Item::Waiting));
        let items = items.chain(plan.waived.iter().map(Item::Waived));
        let items = items.chain(plan.skipped.iter().map(|why| Item::Skipped(why)));
        for item in items {
            all.push(Placed { at: all.len(), key, subject: &plan.subject, item });
        }
    }
    let equal = grouped(all, |one| Some((one.key.kind().to_owned(), content(one.item))));
    let of_keys = |items: &Vec<Placed<'a>>| {
        let mut keys: Vec<&'a Key> = items.iter().map(|one| one.key).collect();
        keys.dedup();
        Some(keys)
    };
    let mut parts: Vec<(usize, UndoPart<'a>)> =
        grouped(equal.into_values(), of_keys).into_values().map(part).collect();
    parts.sort_by_key(|(at, part)| (part.place(), Reverse(part.subjects.len()), *at));
    parts.into_iter().map(|(_, part)| part).collect()
}

/// An item of the plan of one key.
struct Placed<'a> {
    /// The position among all items.
    at: usize,
    key: &'a Key,
    subject: &'a str,
    item: Item<'a>,
}

#[derive(Clone, Copy)]
enum Item<'a> {
    Change(&'a Change<()>),
    Unknown(&'a Unknown),
    Waiting(&'a Waiting),
    Waived(&'a Waived),
    Skipped(&'a str),
}

/// Returns the part with these items, and the position of its first item. Each element of the list
/// contains equal items, one for each key.
fn part(mut equal: Vec<Vec<Placed<'_>>>) -> (usize, UndoPart<'_>) {
    let at = |items: &Vec<Placed<'_>>| items.first().map_or(0, |one| one.at);
    equal.sort_by_key(at);
    let mut part = UndoPart::default();
    let first = equal.first().map_or(0, at);
    for items in equal {
        if part.subjects.is_empty() {
            part.subjects = items.iter().map(|one| (one.key, one.subject)).collect();
            part.subjects.dedup();
        }
        match items.first().map(|one| one.item) {
            Some(Item::Change(change)) => part.changes.push(change),
            Some(Item::Unknown(unknown)) => part.unknowns.push(unknown),
            Some(Item::Waiting(wait)) => part.waits.push(wait),
            Some(Item::Waived(waived)) => part.waived.push(waived),
            Some(Item::Skipped(why)) => part.skipped.push(why),
            None => {}
        }
    }
    part.changes.sort_by_key(|change| change.undo_place());
    (first, part)
}

/// Returns a text that is the same for equal items, and different for all other items.
fn content(item: Item<'_>) -> String {
    match item {
        Item::Change(change) => {
            let Change { aspect, what, mode, stop, reaches, .. } = change;
            let mut text = format!("change\0{aspect}\0{what}\0{mode}\0{stop:?}\0{reaches}");
            for field in &change.fields {
                let (name, before, after, risk) = (&field.name, &field.before, &field.after, field.risk);
                let _ = write!(text, "\0{name}\0{before}\0{after}\0{risk}"); // this cannot fail
            }
            text
        }
        Item::Unknown(unknown) => format!("unknown\0{}\0{:?}\0{}", unknown.aspect, unknown.part, unknown.why),
        Item::Waiting(wait) => format!("waiting\0{}\0{}", wait.aspect, wait.why),
        Item::Waived(waived) => {
            let Waived { key, until, reason, owner, .. } = waived;
            format!("waived\0{key}\0{until}\0{reason}\0{owner}")
        }
        Item::Skipped(why) => format!("skipped\0{why}"),
    }
}

/// Groups items by their kind. Leaves out the items without a kind.
fn grouped<T, K: Ord>(
    items: impl IntoIterator<Item = T>,
    kind: impl Fn(&T) -> Option<K>,
) -> BTreeMap<K, Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    for item in items {
        if let Some(kind) = kind(&item) {
            groups.entry(kind).or_default().push(item);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::change;

    fn plan(n: u64, changes: Vec<Change<()>>) -> (Key, Plan<()>) {
        (Key::new("repository", "acme", n), Plan { changes, ..Plan::new(format!("acme/r{n}")) })
    }

    fn team(name: &str, risk: Risk) -> Change<()> {
        change("teams", &format!("team {name}"), &[risk])
    }

    /// For each part of an undo, returns the names of the part's keys, and the things that the
    /// part's changes affect.
    fn parts(plans: &[(Key, Plan<()>)]) -> Vec<(String, Vec<&str>)> {
        let mut shown = Vec::new();
        for part in undo_parts(plans.iter().map(|(key, plan)| (key, plan))) {
            let changed: Vec<&str> = part.changes.iter().map(|change| change.what.as_str()).collect();
            shown.push((examples(&part.names(), 2), changed));
        }
        shown
    }

    #[test]
    fn the_first_names_and_the_number_of_the_others_are_one_text() {
        assert_eq!(examples(&["a", "b", "c", "d"], 3), "a, b, c and 1 more");
        assert_eq!(examples(&["a", "b"], 3), "a, b");
        assert_eq!(examples(&[], 3), "");
    }

    #[test]
    fn equal_changes_of_several_keys_are_one_part() {
        let mut plans: Vec<(Key, Plan<()>)> =
            (0..4).map(|n| plan(n, vec![team("wiki", Risk::Changes), team("web", Risk::Adds)])).collect();
        plans.push(plan(4, vec![team("web", Risk::Adds), team("own", Risk::Removes)]));
        plans.push(plan(5, vec![team("all", Risk::Exposes)]));
        plans.push(plan(6, Vec::new()));
        assert_eq!(
            parts(&plans),
            [
                ("acme/r5".to_owned(), vec!["team all"]),
                ("acme/r0, acme/r1 and 3 more".to_owned(), vec!["team web"]),
                ("acme/r4".to_owned(), vec!["team own"]),
                ("acme/r0, acme/r1 and 2 more".to_owned(), vec!["team wiki"]),
            ]
        );
    }

    #[test]
    fn the_common_changes_of_the_same_keys_are_together_and_what_gives_access_comes_first() {
        let changes = || vec![team("b", Risk::Removes), team("c", Risk::Adds), team("a", Risk::Adds)];
        let plans = [plan(0, changes()), plan(1, changes())];
        let expected = ("acme/r0, acme/r1".to_owned(), vec!["team c", "team a", "team b"]);
        assert_eq!(parts(&plans), [expected]);
    }

    #[test]
    fn changes_with_another_value_mode_or_kind_of_key_are_different_parts() {
        let own = || team("a", Risk::Adds);
        let mut value = own();
        value.fields[0].after = json!("push");
        let mut before = own();
        before.fields[0].before = json!("push");
        let skipped = Change { mode: crate::mode::Mode::Observe, ..own() };
        for other in [value, before, skipped] {
            assert_eq!(parts(&[plan(0, vec![own()]), plan(1, vec![other.clone()])]).len(), 2, "{other:?}");
        }
        let (_, of_organisation) = plan(1, vec![own()]);
        let organisation = (Key::new("organisation", "acme", 1), of_organisation);
        assert_eq!(parts(&[plan(0, vec![own()]), organisation]).len(), 2);
        // The order of the writes differs, but the changes are equal.
        let later = Change { after: vec![0], ..own() };
        assert_eq!(parts(&[plan(0, vec![own()]), plan(1, vec![later])]).len(), 1);
    }

    #[test]
    fn what_an_undo_leaves_alone_is_grouped_too() {
        let wait = Waiting { aspect: "secrets".into(), why: "secret TOKEN is not restored".into() };
        let mut plans = vec![plan(0, Vec::new()), plan(1, vec![team("a", Risk::Adds)])];
        for (_, plan) in &mut plans {
            plan.waits.push(wait.clone());
        }
        plans[0].1.skipped = Some("archived".into());
        let all = plans.iter().map(|(key, plan)| (key, plan));
        let parts: Vec<(usize, usize, usize, usize)> = undo_parts(all)
            .iter()
            .map(|part| (part.subjects.len(), part.changes.len(), part.waits.len(), part.skipped.len()))
            .collect();
        assert_eq!(parts, [(1, 1, 0, 0), (2, 0, 1, 0), (1, 0, 0, 1)]);
    }

    #[test]
    fn a_group_has_the_changes_of_one_kind_in_the_order_of_the_plans() {
        let wide = Change { reaches: 60, ..team("a", Risk::Removes) };
        let plans = [
            plan(2, vec![team("a", Risk::Removes), team("a", Risk::Removes)]),
            plan(1, vec![wide, team("b", Risk::Adds)]),
        ];
        let kind = |change: &Change<()>| change.risks().is_guarded().then(|| change.what.clone());
        let groups = group_changes(plans.iter().map(|(key, plan)| (key, plan)), kind);
        let found: Vec<_> =
            groups.iter().map(|(kind, all)| (kind.as_str(), subjects_of(all), reaches_of(all))).collect();
        assert_eq!(found, [("team a", vec!["acme/r2", "acme/r1"], 62)]);
    }
}
