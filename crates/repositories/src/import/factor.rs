//! Divides the values of repositories into files in the way a person would do it. `settings.yml`
//! contains the values that most repositories share. A layer contains the values that are common to
//! repositories with the same topic, property or team. A file in repos/ contains the values of a
//! single repository.
//!
//! The result declares exactly the live values, so its plan is empty:
//!
//! - A repository's value can differ from the value in `settings.yml`. In this case, a layer or the
//!   repository's file overrides the value in `settings.yml`.
//! - A layer sets a value only if every repository in the layer has this value.
//! - A file contains an entry of a list only if every repository that the file applies to has this
//!   entry. Taken together, all files that apply to a repository therefore contain exactly the
//!   repository's entries.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::label::{Label, Members, all_but, labels};
use super::observed::{Content, Observed};
use super::units::{LISTS, List, Sharing, UNITS, Unit};

/// The contents of the files.
#[derive(Debug, Default)]
pub(super) struct Factored {
    /// The content of `settings.yml`.
    pub(super) settings: Content,
    /// The visibility of most repositories, if it would expose new repositories. `settings.yml`
    /// must not set such a visibility.
    pub(super) unsaid: Option<String>,
    /// The layers, with their selectors.
    pub(super) layers: Vec<(Label, Content)>,
    /// The contents of the files in repos/, in the order of the repositories.
    pub(super) repositories: Vec<Content>,
}

/// The part of a policy that a fact belongs to: a unit or a list.
#[derive(Clone, Copy)]
enum Part {
    Unit(&'static Unit),
    List(&'static List),
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Unit(unit) => unit.name,
            Self::List(list) => list.name,
        }
    }
}

/// A value that some repositories have. At least one of these repositories does not get the value
/// from `settings.yml`.
struct Fact {
    part: Part,
    /// If the fact is about a unit, the keys that a file must set, with their values. If the fact
    /// is about a list, one entry of the list.
    value: Value,
    /// The repositories that are allowed to get the value from a layer.
    reach: Members,
    /// The repositories that have the value at GitHub, although no file sets the value for them
    /// yet.
    left: Members,
}

/// Divides the values of all repositories. If `is_whole` is false, `all` contains only some of the
/// organisation's repositories. The function then makes no shared files.
pub(super) fn factor(all: &[Observed], is_whole: bool) -> Factored {
    let mut made = Factored { repositories: vec![Content::default(); all.len()], ..Factored::default() };
    let mut facts = Vec::new();
    for unit in UNITS {
        shared_unit(unit, all, is_whole, &mut made, &mut facts);
    }
    for list in LISTS {
        shared_entries(list, all, is_whole, &mut made, &mut facts);
    }
    if is_whole {
        explain(all, &mut facts, &mut made);
    }
    for fact in &facts {
        for at in &fact.left {
            if let Some(content) = made.repositories.get_mut(*at) {
                add(content, fact);
            }
        }
    }
    for (one, content) in all.iter().zip(&mut made.repositories) {
        let lists =
            one.additive.iter().filter(|list| one.lists.get(**list).is_some_and(|list| !list.is_empty()));
        for list in lists {
            content.additive.insert(*list);
            content.lists.entry(*list).or_default();
        }
    }
    made
}

fn add(content: &mut Content, fact: &Fact) {
    match (fact.part, &fact.value) {
        (Part::Unit(unit), Value::Object(values)) => {
            content.values.insert(unit.name, values.clone());
        }
        (Part::Unit(_), _) => {}
        (Part::List(list), entry) => content.lists.entry(list.name).or_default().push(entry.clone()),
    }
}

/// Returns the keys whose values differ from `base`.
fn beyond(values: &Map<String, Value>, base: &Map<String, Value>) -> Map<String, Value> {
    let differ = values.iter().filter(|(key, value)| base.get(*key) != Some(*value));
    differ.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Returns the value that occurs in more than half of `values`.
fn most<'a, T>(values: &[&'a T], key: impl Fn(&T) -> String) -> Option<&'a T> {
    let mut counts: BTreeMap<String, (usize, &'a T)> = BTreeMap::new();
    for value in values.iter().copied() {
        counts.entry(key(value)).or_insert((0, value)).0 += 1;
    }
    counts.into_values().find(|(count, _)| count * 2 > values.len()).map(|(_, value)| value)
}

fn text_of(values: &Map<String, Value>) -> String {
    Value::Object(values.clone()).to_string()
}

/// Puts a unit into `settings.yml` if enough repositories share its value. Adds a fact for each
/// other value.
fn shared_unit(
    unit: &'static Unit,
    all: &[Observed],
    is_whole: bool,
    made: &mut Factored,
    facts: &mut Vec<Fact>,
) {
    let values: Vec<&Map<String, Value>> = all.iter().filter_map(|one| one.values.get(unit.name)).collect();
    let is_known = all.iter().all(|one| !one.unknown.contains_key(unit.name));
    let usual = unit.usual();
    let shared = most(&values, text_of).filter(|_| is_whole && values.len() > 1);
    let is_said = match unit.sharing {
        Sharing::Most => true,
        Sharing::All => shared.is_some_and(|shared| values.iter().all(|value| *value == shared)),
        Sharing::Careful => {
            shared.is_some_and(|shared| shared.get(unit.name).is_some_and(|value| value == "private"))
        }
    };
    // The value that a repository gets if no layer and no file in repos/ sets the unit.
    let base = match (unit.sharing, shared) {
        (Sharing::Careful, Some(shared)) => {
            if !is_said {
                let value = shared.get(unit.name).and_then(Value::as_str);
                made.unsaid = value.map(str::to_owned);
            }
            shared.clone()
        }
        // Without a shared value, the file of each repository sets its own value.
        (Sharing::Careful, None) => Map::new(),
        (_, Some(shared)) if is_said && is_known => shared.clone(),
        _ => usual.clone(),
    };
    let said = beyond(&base, &usual);
    if is_said && !said.is_empty() {
        made.settings.values.insert(unit.name, said);
    }
    let mut found: BTreeMap<String, (Map<String, Value>, Members)> = BTreeMap::new();
    for (at, one) in all.iter().enumerate() {
        let Some(value) = one.values.get(unit.name).filter(|value| **value != base) else { continue };
        let entry = found.entry(text_of(value)).or_insert_with(|| (beyond(value, &base), Members::new()));
        entry.1.insert(at);
    }
    let is_free =
        |one: &Observed| !one.values.contains_key(unit.name) && !one.unknown.contains_key(unit.name);
    let free: Members = all.iter().enumerate().filter(|(_, one)| is_free(one)).map(|(at, _)| at).collect();
    facts.extend(found.into_values().map(|(values, left)| Fact {
        part: Part::Unit(unit),
        value: Value::Object(values),
        reach: left.union(&free).copied().collect(),
        left,
    }));
}

/// Returns whether an entry in another file can override every key of the entry `base`.
fn overrides(entry: &Value, base: &Value) -> bool {
    let (Value::Object(entry), Value::Object(base)) = (entry, base) else { return false };
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
    base.iter().all(|(key, value)| is_scalar(value) && entry.get(key).is_some_and(is_scalar))
}

/// Puts the common entries of all repositories into `settings.yml`. Adds a fact for each other
/// entry.
fn shared_entries(
    list: &'static List,
    all: &[Observed],
    is_whole: bool,
    made: &mut Factored,
    facts: &mut Vec<Fact>,
) {
    let tables: Vec<BTreeMap<String, &Value>> = all
        .iter()
        .map(|one| {
            one.lists.get(list.name).into_iter().flatten().map(|entry| (list.id_of(entry), entry)).collect()
        })
        .collect();
    let mut base: BTreeMap<String, &Value> = BTreeMap::new();
    let first = tables.first().filter(|_| is_whole && list.is_in_settings && tables.len() > 1);
    for id in first.into_iter().flat_map(BTreeMap::keys) {
        let entries: Option<Vec<&Value>> = tables.iter().map(|table| table.get(id).copied()).collect();
        let Some(entries) = entries else { continue };
        let Some(shared) = most(&entries, Value::to_string) else { continue };
        let fits = |entry: &&Value| **entry == *shared || (list.can_override && overrides(entry, shared));
        if entries.iter().all(fits) {
            base.insert(id.clone(), shared);
        }
    }
    if !base.is_empty() {
        made.settings.lists.insert(list.name, base.values().map(|entry| (*entry).clone()).collect());
    }
    let mut found: BTreeMap<String, (&Value, Members)> = BTreeMap::new();
    for (at, table) in tables.iter().enumerate() {
        for (id, entry) in table {
            if base.get(id) != Some(entry) {
                found.entry(entry.to_string()).or_insert_with(|| (*entry, Members::new())).1.insert(at);
            }
        }
    }
    facts.extend(found.into_values().map(|(entry, left)| Fact {
        part: Part::List(list),
        value: entry.clone(),
        reach: left.clone(),
        left,
    }));
}

/// A selector, the matching repositories, and the facts that are true for all these repositories.
struct Candidate {
    label: Label,
    members: Members,
    facts: Vec<usize>,
    /// The number of values that the files of single repositories can omit if this layer exists.
    /// Each new layer can only make this number smaller.
    gain: usize,
}

impl Candidate {
    /// Returns each fact that at least two repositories would get from the layer. Each fact comes
    /// with the number of these repositories.
    fn explained(&self, facts: &[Fact]) -> Vec<(usize, usize)> {
        let counted = self.facts.iter().filter_map(|at| {
            let fact = facts.get(*at).filter(|fact| self.members.is_subset(&fact.reach))?;
            let left = fact.left.intersection(&self.members).count();
            (left > 1).then_some((*at, left))
        });
        counted.collect()
    }

    fn measure(&mut self, facts: &[Fact]) {
        self.gain = self.explained(facts).iter().map(|(_, left)| left).sum();
    }
}

/// Makes one layer for each selector whose layer sets at least one fact for two or more
/// repositories. The function starts with the selector whose layer sets the most values.
fn explain(all: &[Observed], facts: &mut [Fact], made: &mut Factored) {
    let mut selectors = labels(all);
    for fact in facts.iter() {
        if let Some(label) = all_but(all, &fact.reach) {
            selectors.entry(label).or_insert_with(|| fact.reach.clone());
        }
    }
    let mut holds: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); all.len()];
    for (at, fact) in facts.iter().enumerate() {
        // A file for several repositories must not set a value that can expose a repository.
        if matches!(fact.part, Part::Unit(unit) if unit.sharing == Sharing::Careful) {
            continue;
        }
        for member in &fact.reach {
            if let Some(of) = holds.get_mut(*member) {
                of.insert(at);
            }
        }
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for (label, members) in selectors {
        let fewest = members.iter().filter_map(|at| holds.get(*at)).min_by_key(|facts| facts.len());
        let of_all = fewest.into_iter().flatten().copied().filter(|at| {
            let fact = facts.get(*at);
            fact.is_some_and(|fact| label.may_set(fact.part.name()) && members.is_subset(&fact.reach))
        });
        let mut candidate = Candidate { facts: of_all.collect(), label, members, gain: 0 };
        candidate.measure(facts);
        candidates.push(candidate);
    }
    loop {
        // The selectors have a fixed order. If several selectors have the same gain, the first of
        // them wins.
        let best = candidates.iter_mut().rev().max_by_key(|candidate| candidate.gain);
        let Some(best) = best.filter(|best| best.gain > 0) else { return };
        let before = best.gain;
        best.measure(facts);
        if best.gain < before {
            continue;
        }
        let mut content = Content::default();
        for (at, _) in best.explained(facts) {
            let Some(fact) = facts.get_mut(at) else { continue };
            add(&mut content, fact);
            fact.left.retain(|member| !best.members.contains(member));
            if let Part::Unit(unit) = fact.part {
                // This layer might also apply to repositories that have another fact about the same
                // unit. No other layer must set a second value for these repositories.
                let is_other =
                    |other: &Fact| matches!(other.part, Part::Unit(part) if part.name == unit.name);
                for (_, other) in facts.iter_mut().enumerate().filter(|(i, fact)| *i != at && is_other(fact))
                {
                    other.reach.retain(|member| !best.members.contains(member));
                }
            }
        }
        made.layers.push((best.label.clone(), content));
        best.measure(facts);
    }
}
