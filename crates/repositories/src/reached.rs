//! Remembers which selective layers reached a repository last. A repository can leave or enter a
//! layer because it changed (its name, a property, a topic, a team), and not the policy. The
//! repository's own administrator can cause that, so each removal, weakening and exposure because
//! of it waits for an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::{Store, StoreError, note};
use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::facts::{Facts, asked_name};
use crate::policy::{Desired, Layer, LayerKind, Node, Policy, Target, holds};

/// Remembers which layers reached which repository.
pub struct Reached {
    store: Arc<dyn Store>,
    organisation: String,
    /// Only looks at what is remembered.
    looks_only: bool,
}

/// The memory of one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// The former name.
    name: String,
    /// The facts that layers can select by.
    #[serde(default)]
    facts: Facts,
    /// The selections that held: a layer's file, or one of its cases, each with the digest of what
    /// it selects by.
    held: BTreeMap<String, String>,
    /// Digests of every selection of the policy.
    known: BTreeSet<String>,
}

/// A layer that reaches a repository otherwise than before, although the policy did not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The sections that the layer speaks of.
    pub(crate) sections: BTreeSet<String>,
    /// Why what is asked differently now has to be approved.
    pub(crate) why: String,
}

/// The layers that moved, and the new memory for the time when no change waits because of them.
#[derive(Default)]
pub(crate) struct Moves {
    pub(crate) moved: Vec<Moved>,
    note: Option<(String, String)>,
}

impl Moves {
    /// A change waits because of what moved: until it is over, what was before is remembered.
    pub(crate) fn wait(&mut self) {
        self.note = None;
    }

    /// Whether what is remembered differs from what is seen.
    pub(crate) fn is_news(&self) -> bool {
        self.note.is_some()
    }
}

/// The lists whose entries may name the repositories that they are for, and the key of an entry's
/// name.
const LISTS: [(&str, &str); 2] = [("teams", "name"), ("collaborators", "username")];

/// Something that selects repositories: a layer, one of its cases, or an entry of its lists with
/// `include` or `exclude`.
struct Selection<'a> {
    /// Its name in the memory.
    name: String,
    /// The digest of the properties that it selects by.
    digest: String,
    layer: &'a Layer,
    /// The layer's file, or one of its cases, that must reach the repository.
    base: String,
    /// The entry, with its list and its name.
    entry: Option<Entry<'a>>,
}

/// An entry of a list that is for some repositories only.
struct Entry<'a> {
    list: &'static str,
    who: &'a str,
    node: &'a Node,
}

impl Selection<'_> {
    /// Whether it selects a repository.
    fn holds(&self, target: &Target, seen: &Repository) -> bool {
        target.holds(&self.base) && self.entry.as_ref().is_none_or(|entry| holds(entry.node, seen))
    }

    /// The sections that it decides.
    fn sections(&self) -> BTreeSet<String> {
        match &self.entry {
            Some(entry) => BTreeSet::from([entry.list.to_owned()]),
            None => self.layer.sections(),
        }
    }

    /// The name for reports.
    fn called(&self) -> String {
        match &self.entry {
            Some(entry) => format!("{} (`{}` in `{}`)", self.layer.file, entry.who, entry.list),
            None => self.layer.file.clone(),
        }
    }
}

/// Everything by which a layer selects.
fn selections(layer: &Layer) -> Vec<Selection<'_>> {
    let file = &layer.file;
    let mut all = Vec::new();
    let whole = |name: String, by: &str| Selection {
        base: name.clone(),
        name,
        digest: digest(by),
        layer,
        entry: None,
    };
    if matches!(layer.kind, LayerKind::Suborg { .. } | LayerKind::Selected(_)) {
        all.push(whole(file.clone(), &format!("{file} {:?}", layer.kind)));
    }
    let mut roots = vec![(file.clone(), &layer.root)];
    for (at, case) in layer.cases.iter().enumerate() {
        all.push(whole(format!("{file}#{at}"), &format!("{file} {at} {:?}", case.choice)));
        roots.push((format!("{file}#{at}"), &case.root));
    }
    for (base, root) in roots {
        for (list, key) in LISTS {
            for node in root.get(list).map(Node::items).unwrap_or_default() {
                let globs = |key: &str| node.get(key).map(Node::texts).unwrap_or_default();
                let (include, exclude) = (globs("include"), globs("exclude"));
                let Some(who) = node.get(key).and_then(Node::text) else { continue };
                if include.is_empty() && exclude.is_empty() {
                    continue;
                }
                let name = format!("{base}~{list}~{}", who.to_lowercase());
                let digest = digest(&format!("{name} {include:?} {exclude:?}"));
                let entry = Some(Entry { list, who, node });
                all.push(Selection { name, digest, layer, base: base.clone(), entry });
            }
        }
    }
    all
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// What would be asked of a repository if what reached it before still did. A selection that the policy did not have before
/// counts as it is now.
fn as_before(
    policy: &Policy,
    target: &Target,
    all: &[Selection<'_>],
    before: &Memory,
    now: &Memory,
) -> Target {
    target.as_if(policy, |selection| {
        let is_known = all.iter().any(|one| one.name == selection && before.known.contains(&one.digest));
        let memory = if is_known { before } else { now };
        memory.held.contains_key(selection)
    })
}

impl Reached {
    /// For one organisation.
    pub fn new(store: Arc<dyn Store>, organisation: &str) -> Self {
        Self { store, organisation: organisation.to_lowercase(), looks_only: false }
    }

    /// From now on remembers nothing new.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    async fn keep(&self, note: &str, text: &str) -> Result<(), StoreError> {
        if self.looks_only { Ok(()) } else { self.store.put(note, text).await }
    }

    /// Compares what reaches a repository now with what reached it last. What changed because the
    /// policy itself asks for it moves nothing.
    pub(crate) async fn moves(
        &self,
        policy: &Policy,
        target: &Target,
        seen: &Repository,
        desired: &Desired,
    ) -> Result<Moves, StoreError> {
        let all: Vec<Selection<'_>> = policy.layers.iter().flat_map(selections).collect();
        if all.is_empty() {
            return Ok(Moves::default());
        }
        let note = note("reached", &[&self.organisation, &seen.id.to_string()]);
        let text = self.store.get(&note).await?;
        let before: Option<Memory> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut now = Memory {
            name: seen.name.clone(),
            facts: Facts::of(seen),
            held: BTreeMap::new(),
            known: all.iter().map(|one| one.digest.clone()).collect(),
        };
        for one in &all {
            // While it is in doubt whether a layer reaches it, what was so before still is.
            let doubtful = target.in_doubt.contains(&one.layer.file);
            let held_before =
                before.as_ref().is_some_and(|before| before.held.get(&one.name) == Some(&one.digest));
            if one.holds(target, seen) || (doubtful && held_before) {
                now.held.insert(one.name.clone(), one.digest.clone());
            }
        }
        let Some(before) = before else {
            let text = serde_json::to_string(&now).unwrap_or_default();
            self.keep(&note, &text).await?;
            return Ok(Moves::default());
        };
        let mut moves = Moves::default();
        let is_renamed_as_asked = before.name == now.name || asked_name(desired) == Some(now.name.as_str());
        // What a layer asks for explains nothing by which the layer itself comes and goes: the policy has to have asked for it
        // already while the layers of before held.
        let is_asked = is_renamed_as_asked
            && before.facts.differ_only_as_asked(&now.facts, desired)
            && before.facts.differ_only_as_asked(
                &now.facts,
                &policy.desired(&as_before(policy, target, &all, &before, &now), seen),
            );
        for one in all.iter().filter(|_| !is_asked) {
            let (was, is) = (before.held.contains_key(&one.name), now.held.contains_key(&one.name));
            if was == is || !before.known.contains(&one.digest) {
                continue;
            }
            let because = if before.name == seen.name {
                "its name is the same, but its properties, topics, teams or visibility are not".to_owned()
            } else {
                format!("it was called {} before", before.name)
            };
            let how =
                if is { "reaches this repository only since" } else { "no longer reaches this repository:" };
            let join = if is { " then: " } else { " " };
            let why = format!("{} {how}{join}{because}; approve the change if it is right", one.called());
            moves.moved.push(Moved { sections: one.sections(), why });
        }
        if before != now {
            moves.note = serde_json::to_string(&now).ok().map(|text| (note, text));
        }
        Ok(moves)
    }

    /// Nothing waits because of what moved: from now on this is how it was.
    pub(crate) async fn settle(&self, moves: Moves) -> Result<(), StoreError> {
        match moves.note {
            Some((note, text)) => self.keep(&note, &text).await,
            None => Ok(()),
        }
    }
}
