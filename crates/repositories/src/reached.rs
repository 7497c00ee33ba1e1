//! Which selective layers reached a repository last. A layer that reaches it no longer, or newly, because the repository
//! changed (its name, a property, a topic, a team) and not the policy: whoever administers the repository can bring that about.
//! What would be removed, weakened or exposed by it waits for an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::{Store, StoreError, note};
use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::policy::{Layer, LayerKind, Policy, Target};

/// Remembers which layers reached which repository.
pub struct Reached {
    store: Arc<dyn Store>,
    organisation: String,
}

/// What is remembered of one repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Memory {
    /// What it was called.
    name: String,
    /// The selections that held: a layer's file, or one of its cases, each with the digest of what it selects by.
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

/// What moved, and what to remember once nothing waits because of it.
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

/// One thing that a layer selects by, with its digest.
fn selections(layer: &Layer) -> Vec<(String, String)> {
    let mut all = Vec::new();
    if matches!(layer.kind, LayerKind::Suborg { .. } | LayerKind::Selected(_)) {
        all.push((layer.file.clone(), digest(&format!("{} {:?}", layer.file, layer.kind))));
    }
    for (at, case) in layer.cases.iter().enumerate() {
        all.push((format!("{}#{at}", layer.file), digest(&format!("{} {at} {:?}", layer.file, case.choice))));
    }
    all
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl Reached {
    /// For one organisation.
    pub fn new(store: Arc<dyn Store>, organisation: &str) -> Self {
        Self { store, organisation: organisation.to_lowercase() }
    }

    /// Compares what reaches a repository now with what reached it last.
    pub(crate) async fn moves(
        &self,
        policy: &Policy,
        target: &Target,
        seen: &Repository,
    ) -> Result<Moves, StoreError> {
        let all: BTreeMap<String, String> = policy.layers.iter().flat_map(selections).collect();
        if all.is_empty() {
            return Ok(Moves::default());
        }
        let note = note("reached", &[&self.organisation, &seen.id.to_string()]);
        let text = self.store.get(&note).await?;
        let before: Option<Memory> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut now = Memory {
            name: seen.name.clone(),
            held: BTreeMap::new(),
            known: all.values().cloned().collect(),
        };
        for (selection, digest) in &all {
            let file = selection.split('#').next().unwrap_or(selection);
            // While it is in doubt whether a layer reaches it, what was so before still is.
            let doubtful = target.in_doubt.iter().any(|other| other == file);
            let held_before = before.as_ref().is_some_and(|before| before.held.get(selection) == Some(digest));
            if target.holds(selection) || (doubtful && held_before) {
                now.held.insert(selection.clone(), digest.clone());
            }
        }
        let Some(before) = before else {
            let text = serde_json::to_string(&now).unwrap_or_default();
            self.store.put(&note, &text).await?;
            return Ok(Moves::default());
        };
        let mut moves = Moves::default();
        for (selection, digest) in &all {
            let (was, is) = (before.held.contains_key(selection), now.held.contains_key(selection));
            if was == is || !before.known.contains(digest) {
                continue;
            }
            let file = selection.split('#').next().unwrap_or(selection);
            let Some(layer) = policy.layers.iter().find(|layer| layer.file == file) else { continue };
            let because = if before.name == seen.name {
                "its name is the same, but its properties, topics, teams or visibility are not".to_owned()
            } else {
                format!("it was called {} before", before.name)
            };
            let how = if is { "reaches this repository only since" } else { "no longer reaches this repository:" };
            let join = if is { " then: " } else { " " };
            let why = format!("{file} {how}{join}{because}; approve it if that is meant");
            moves.moved.push(Moved { sections: layer.sections(), why });
        }
        if before != now {
            moves.note = serde_json::to_string(&now).ok().map(|text| (note, text));
        }
        Ok(moves)
    }

    /// Nothing waits because of what moved: from now on this is how it was.
    pub(crate) async fn settle(&self, moves: Moves) -> Result<(), StoreError> {
        match moves.note {
            Some((note, text)) => self.store.put(&note, &text).await,
            None => Ok(()),
        }
    }
}
