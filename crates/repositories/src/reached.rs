//! Stores which layers applied to a repository in the previous run. Only layers with selectors
//! count. A repository can leave or enter a layer although the policy did not change. The cause is
//! that the repository's name, a property, a topic or a team has changed. Such a change of layers
//! is called a move. An administrator of the repository can cause a move. Each removal, weakening
//! and exposure from a move therefore waits for an operator. Beadle settles a move separately for
//! each section. If one section is unknown or waits for an approval, Beadle can still settle the
//! other sections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::{Metadata, Note, Store, StoreError, note};
use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::facts::{Facts, asked_name};
use crate::policy::{Desired, Layer, LayerKind, MergedLayers, Node, Policy, holds};

/// Stores which layers applied to each repository.
#[derive(Clone)]
pub struct Reached {
    store: Arc<dyn Store>,
    organisation: String,
    /// True if Beadle only reads its memory, and stores nothing new.
    looks_only: bool,
}

/// Returns the name of the stored note about a repository. If `id` is empty, the function returns
/// the common prefix of these names.
pub(crate) fn note_of(organisation: &str, id: &str) -> String {
    note(Memory::KIND, &[organisation, id])
}

/// Beadle's memory of one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// The name of the repository in the previous run.
    name: String,
    /// The facts that the selectors of layers can use.
    #[serde(default)]
    facts: Facts,
    /// The selections that contained the repository. A selection is a layer's file, or one of its
    /// cases. The value is the digest of the selectors.
    held: BTreeMap<String, String>,
    /// The digests of all selections of the policy.
    known: BTreeSet<String>,
    /// The moves that are not settled yet. The key is the name of the selection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    open: BTreeMap<String, Moved>,
}

impl Metadata for Memory {
    const KIND: &'static str = "reached";
    // Without this memory, Beadle would not find out that a change is the effect of a move. So the
    // change would not wait for an operator.
    const IS_NEEDED: bool = true;
}

/// A move. A layer now applies to a repository, or no longer applies to it, although the policy did
/// not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// The digest of the selectors. If the digest is different now, the policy has changed.
    digest: String,
    /// The sections of the layer that Beadle has not settled yet for this move.
    pub(crate) sections: BTreeSet<String>,
    /// The reason why the changes in these sections need an approval.
    pub(crate) why: String,
}

/// The moves of a repository, and the facts that Beadle must store about the repository.
#[derive(Default)]
pub(crate) struct Moves {
    /// The moves. The key is the name of the selection.
    moved: BTreeMap<String, Moved>,
    /// The unknown sections, and the sections with a change that waits for an approval.
    waiting: BTreeSet<String>,
    memory: Option<Next>,
}

/// The old and the new memory of a repository, and the note that stores them.
struct Next {
    note: Note<Memory>,
    before: Memory,
    now: Memory,
}

impl Moves {
    /// Returns a move that affects one of the sections for which `owns` returns `true`.
    pub(crate) fn of(&self, owns: impl Fn(&str) -> bool) -> Option<&Moved> {
        self.moved.values().find(|moved| moved.sections.iter().any(|section| owns(section)))
    }

    /// Records that Beadle must not settle moves in the sections for which `owns` returns `true`.
    /// These sections are unknown, or have a change that waits for an approval.
    pub(crate) fn wait(&mut self, owns: impl Fn(&str) -> bool) {
        let sections = self.moved.values().flat_map(|moved| &moved.sections);
        let sections: Vec<String> = sections.filter(|section| owns(section)).cloned().collect();
        self.waiting.extend(sections);
    }

    /// Returns whether the repository differs from Beadle's memory, or has moves that are not
    /// settled.
    pub(crate) fn is_news(&self) -> bool {
        !self.moved.is_empty() || self.memory.as_ref().is_some_and(|next| next.before != next.now)
    }

    /// Returns the moves that are not settled yet. The sections of an unsettled move wait for an
    /// approval.
    fn open(moved: BTreeMap<String, Moved>, waiting: &BTreeSet<String>) -> BTreeMap<String, Moved> {
        let rest = moved.into_iter().map(|(selection, mut moved)| {
            moved.sections.retain(|section| waiting.contains(section));
            (selection, moved)
        });
        rest.filter(|(_, moved)| !moved.sections.is_empty()).collect()
    }
}

/// The lists whose entries can select repositories. Each list comes with the key that contains the
/// name of an entry.
const LISTS: [(&str, &str); 2] = [("teams", "name"), ("collaborators", "username")];

/// A selection of repositories: a layer, one case of a layer, or a list entry that has `include` or
/// `exclude`.
struct Selection<'a> {
    /// The name of the selection in Beadle's memory.
    name: String,
    /// The digest of the selectors. If the policy changes the selection, this digest changes.
    digest: String,
    layer: &'a Layer,
    /// The file or the case that contains the list's entry. This file or case must also apply to
    /// the repository.
    base: String,
    /// The list entry that selects repositories. `None` for a layer or a case.
    entry: Option<Entry<'a>>,
}

/// A list entry that applies only to some repositories.
struct Entry<'a> {
    list: &'static str,
    who: &'a str,
    node: &'a Node,
}

impl Selection<'_> {
    /// Returns whether the selection contains a repository.
    fn holds(&self, target: &MergedLayers, seen: &Repository) -> bool {
        target.holds(&self.base) && self.entry.as_ref().is_none_or(|entry| holds(entry.node, seen))
    }

    /// Returns the sections that can change if a repository enters or leaves the selection.
    fn sections(&self) -> BTreeSet<String> {
        match &self.entry {
            Some(entry) => BTreeSet::from([entry.list.to_owned()]),
            None => self.layer.sections(),
        }
    }

    /// Returns the name of the selection for messages.
    fn called(&self) -> String {
        match &self.entry {
            Some(entry) => format!("{} (`{}` in `{}`)", self.layer.file, entry.who, entry.list),
            None => self.layer.file.clone(),
        }
    }
}

/// Returns all selections in a layer.
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

/// Returns the merged layers of a repository for an assumed state. In this state, each selection
/// still contains the same repositories as in the previous run. If the policy contains a new
/// selection, the function uses the repositories that this selection contains now.
fn as_before(
    policy: &Policy,
    target: &MergedLayers,
    all: &[Selection<'_>],
    before: &Memory,
    now: &Memory,
) -> MergedLayers {
    target.as_if(policy, |selection| {
        let is_known = all.iter().any(|one| one.name == selection && before.known.contains(&one.digest));
        let memory = if is_known { before } else { now };
        memory.held.contains_key(selection)
    })
}

/// Returns the earlier moves that are not settled yet. If the selectors have changed after a move,
/// the move is not in the result.
fn carried(before: &Memory, all: &[Selection<'_>]) -> BTreeMap<String, Moved> {
    let is_there = |selection: &str, moved: &Moved| {
        all.iter().any(|one| one.name == selection && one.digest == moved.digest)
    };
    let open = before.open.iter().filter(|(selection, moved)| is_there(selection, moved));
    open.map(|(selection, moved)| (selection.clone(), moved.clone())).collect()
}

impl Reached {
    /// Creates the memory for the repositories of one organisation.
    pub fn new(store: Arc<dyn Store>, organisation: &str) -> Self {
        Self { store, organisation: organisation.to_lowercase(), looks_only: false }
    }

    /// Makes this value read-only: from now on, it stores nothing new.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    fn note(&self, id: u64) -> Note<Memory> {
        Note::of(&[&self.organisation, &id.to_string()])
    }

    async fn keep(&self, note: &Note<Memory>, memory: &Memory) -> Result<(), StoreError> {
        if self.looks_only { Ok(()) } else { note.put(self.store.as_ref(), memory).await }
    }

    /// Compares the present layers of a repository with its layers in the previous run. If a
    /// difference comes from a change that the policy itself declared, the difference is not a
    /// move.
    pub(crate) async fn moves(
        &self,
        policy: &Policy,
        target: &MergedLayers,
        seen: &Repository,
        desired: &Desired,
    ) -> Result<Moves, StoreError> {
        let all: Vec<Selection<'_>> = policy.layers.iter().flat_map(selections).collect();
        if all.is_empty() {
            return Ok(Moves::default());
        }
        let note = self.note(seen.id);
        let before = note.get(self.store.as_ref()).await?;
        let mut now = Memory {
            name: seen.name.clone(),
            facts: Facts::of(seen, before.as_ref().map(|before| &before.facts)),
            held: BTreeMap::new(),
            known: all.iter().map(|one| one.digest.clone()).collect(),
            open: BTreeMap::new(),
        };
        for one in &all {
            // If Beadle cannot evaluate a layer, it assumes that the layer applies to the same
            // repositories as in the previous run.
            let doubtful = target.undecided_files.contains(&one.layer.file);
            let held_before =
                before.as_ref().is_some_and(|before| before.held.get(&one.name) == Some(&one.digest));
            if one.holds(target, seen) || (doubtful && held_before) {
                now.held.insert(one.name.clone(), one.digest.clone());
            }
        }
        let Some(before) = before else {
            self.keep(&note, &now).await?;
            return Ok(Moves::default());
        };
        let mut moved = carried(&before, &all);
        let is_renamed_as_asked = before.name == now.name || asked_name(desired) == Some(now.name.as_str());
        // The code uses only the declarations of the layers that applied in the previous run.
        // Otherwise, a layer that now applies to the repository for the first time could justify
        // its own move.
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
                "its name is the same, but its properties, topics, teams or visibility changed".to_owned()
            } else {
                format!("it was called {} before", before.name)
            };
            let how = if is { "now reaches this repository" } else { "no longer reaches this repository" };
            let why = format!("{} {how}: {because}; approve the change if it is intended", one.called());
            let (digest, sections) = (one.digest.clone(), one.sections());
            moved.insert(one.name.clone(), Moved { digest, sections, why });
        }
        let memory = Some(Next { note, before, now });
        Ok(Moves { moved, waiting: BTreeSet::new(), memory })
    }

    /// Stores the observed facts and the moves that are not settled.
    pub(crate) async fn settle(&self, moves: Moves) -> Result<(), StoreError> {
        let Some(Next { note, before, mut now }) = moves.memory else { return Ok(()) };
        now.open = Moves::open(moves.moved, &moves.waiting);
        if now == before {
            return Ok(());
        }
        self.keep(&note, &now).await
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn a_memory_of_a_newer_version_does_not_count_as_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let reached = Reached::new(Arc::new(store), "Acme");
        let (note, newer) = (reached.note(7), r#"{"layers":{"suborgs/pay.yml":"d"}}"#);
        assert_eq!(note.name(), note_of("acme", "7"));
        reached.store.put(note.name(), newer).await.unwrap();
        let read = note.get(reached.store.as_ref()).await;
        assert!(matches!(read, Err(StoreError::Newer { .. })), "{read:?}");
    }

    fn moved(sections: &[&str]) -> Moved {
        let sections = sections.iter().map(|section| (*section).to_owned()).collect();
        Moved { digest: "d".into(), sections, why: "it was called pay before".into() }
    }

    #[test]
    fn a_section_that_stays_unknown_keeps_no_other_section_open() {
        let mut moves = Moves::default();
        moves.moved.insert("suborgs/pay.yml".into(), moved(&["teams", "branches"]));
        moves.moved.insert("suborgs/web.yml".into(), moved(&["labels"]));
        assert!(moves.of(|section| section == "branches").is_some());
        assert!(moves.of(|section| section == "webhooks").is_none());
        moves.wait(|section| section == "teams");
        let open = Moves::open(moves.moved, &moves.waiting);
        assert_eq!(open, BTreeMap::from([("suborgs/pay.yml".to_owned(), moved(&["teams"]))]));
        let moves = Moves { moved: open, ..Moves::default() };
        assert!(moves.of(|section| section == "branches").is_none(), "that one is settled");
        assert!(moves.is_news(), "and the other one is looked at each time");
        assert!(Moves::open(moves.moved, &moves.waiting).is_empty(), "until it is known");
    }

    #[test]
    fn a_memory_of_an_earlier_version_has_no_open_moves() {
        let memory: Memory = serde_json::from_str(r#"{"name":"pay","held":{},"known":[]}"#).unwrap();
        assert!(memory.open.is_empty());
        assert!(!serde_json::to_string(&memory).unwrap().contains("open"));
        let open = BTreeMap::from([("suborgs/pay.yml".to_owned(), moved(&["teams"]))]);
        let memory = Memory { open, ..memory };
        assert!(carried(&memory, &[]).is_empty(), "the policy has no such layer any more");
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    }
}
