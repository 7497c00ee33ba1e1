//! Which selective layers reached a repository last. A layer that reaches it no longer, or newly, because the repository
//! changed (its name, a property, a topic, a team) and not the policy: whoever administers the repository can bring that about.
//! What would be removed, weakened or exposed by it waits for an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::{Store, StoreError, note};
use beadle_github::Repository;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::aspects::properties::comparable;
use crate::policy::{Desired, Layer, LayerKind, Node, Policy, Target};

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
    /// What layers can select by: its visibility, topics, teams and properties.
    #[serde(default)]
    facts: BTreeMap<String, String>,
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

/// What layers can select a repository by, besides its name.
fn facts(seen: &Repository) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::from([("visibility".to_owned(), seen.visibility.as_str().to_owned())]);
    let topics = seen.topics.as_ref().and_then(|topics| topics.as_ref().ok()).into_iter().flatten();
    facts.extend(topics.map(|topic| (format!("topic {topic}"), String::new())));
    let teams = seen.teams.as_ref().and_then(|teams| teams.as_ref().ok()).into_iter().flatten();
    facts.extend(teams.map(|team| (format!("team {}", team.slug), String::new())));
    let properties = seen.properties.as_ref().and_then(|properties| properties.as_ref().ok()).into_iter().flatten();
    facts.extend(properties.map(|(name, value)| (format!("property {name}"), comparable(value).to_string())));
    facts
}

impl Memory {
    /// Whether each fact that differs is now as the policy asks for it.
    fn differs_only_as_asked(&self, now: &Self, desired: &Desired) -> bool {
        let setting = |key: &str| desired.settings.iter().find(|want| want.key == key)?.value.as_str();
        let names: BTreeSet<&String> = self.facts.keys().chain(now.facts.keys()).collect();
        let mut differ = names.into_iter().filter(|name| self.facts.get(*name) != now.facts.get(*name));
        let is_asked = |name: &String| {
            let value = now.facts.get(name);
            match name.split_once(' ') {
                Some(("topic", topic)) => match &desired.topics {
                    Some(wanted) => wanted.items.iter().any(|item| item.eq_ignore_ascii_case(topic)) == value.is_some(),
                    None => false,
                },
                Some(("team", slug)) => match &desired.teams {
                    Some(wanted) => {
                        wanted.items.iter().any(|team| team.slug.eq_ignore_ascii_case(slug)) == value.is_some()
                    }
                    None => false,
                },
                Some((_, property)) => {
                    let entries = desired.sections.get("custom_properties").map(|section| section.items());
                    let wanted = entries.unwrap_or_default().iter().find(|want| {
                        want.get("name").and_then(Node::text).is_some_and(|name| name.eq_ignore_ascii_case(property))
                    });
                    let wanted = wanted.map(|want| comparable(&want.get("value").map_or(Value::Null, Node::json)));
                    wanted.is_some_and(|wanted| match value {
                        Some(value) => wanted.to_string() == *value,
                        None => wanted.is_null(),
                    })
                }
                None => value.map(String::as_str) == setting("visibility"),
            }
        };
        let renamed_as_asked = self.name == now.name || setting("name") == Some(now.name.as_str());
        renamed_as_asked && differ.all(is_asked)
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

    /// Compares what reaches a repository now with what reached it last. What changed because the policy itself asks for it moves
    /// nothing.
    pub(crate) async fn moves(
        &self,
        policy: &Policy,
        target: &Target,
        seen: &Repository,
        desired: &Desired,
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
            facts: facts(seen),
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
        let is_asked = before.differs_only_as_asked(&now, desired);
        for (selection, digest) in all.iter().filter(|_| !is_asked) {
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
