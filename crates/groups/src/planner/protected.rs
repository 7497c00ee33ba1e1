//! Decides whether a group is protected. A directory can rename a group at any time, so a group stays
//! protected under its former names. The protection ends when no mapping protects any of these names.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Failure, Metadata, Note, Store};
use serde::{Deserialize, Serialize};

use super::GroupPlanner;
use crate::links::GroupLink;
use crate::mapping::{GroupKey, Mapping};
use crate::sources::SourceGroup;

/// The names that a source group had while a mapping protected it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct ProtectedNames(BTreeSet<String>);

impl Metadata for ProtectedNames {
    const KIND: &'static str = "protected";
    const IS_NEEDED: bool = true;
}

/// The former names that the store remembers. Without a store, Beadle remembers no names.
#[derive(Clone)]
pub(super) struct FormerNames {
    store: Option<Arc<dyn Store>>,
    /// False if the planner makes a preview, because a preview writes nothing.
    remembers: bool,
}

impl FormerNames {
    pub(super) fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store, remembers: true }
    }

    /// Returns a copy that reads the names, but does not remember further names.
    pub(super) fn for_preview(&self) -> Self {
        Self { remembers: false, ..self.clone() }
    }

    async fn remember(
        &self,
        note: &Note<ProtectedNames>,
        known: &mut ProtectedNames,
        name: &str,
    ) -> Result<(), Failure> {
        if let Some(store) = self.store.as_ref().filter(|_| self.remembers)
            && known.0.insert(name.to_owned())
        {
            note.put(store.as_ref(), known).await?;
        }
        Ok(())
    }
}

impl GroupPlanner {
    /// Returns whether a mapping protects at least one of these source groups. Beadle remembers the
    /// names of protected groups.
    pub(super) async fn is_protected(
        &self,
        group_key: &GroupKey,
        groups: &[(&Mapping, SourceGroup)],
    ) -> Result<bool, Failure> {
        let mut is_protected = false;
        for (mapping, group) in groups {
            is_protected |= self.protects(group_key, mapping, group).await?;
        }
        Ok(is_protected)
    }

    async fn protects(
        &self,
        group_key: &GroupKey,
        mapping: &Mapping,
        group: &SourceGroup,
    ) -> Result<bool, Failure> {
        let mappings = self.directory.mappings();
        let target = &self.directory.name;
        let is_its = |other: &&Mapping| {
            other.target == *target && other.source == mapping.source && !other.protected.is_empty()
        };
        let protecting: Vec<&Mapping> = mappings.all.iter().filter(is_its).collect();
        let is_protected = mapping.protects(&group.id, &group.name);
        let Some(store) = self.former_names.store.as_ref().filter(|_| !protecting.is_empty()) else {
            return Ok(is_protected);
        };
        let note = Note::<ProtectedNames>::of(&[target, &mapping.source, &group.id]);
        let link = Note::<GroupLink>::of(&[target, &group_key.to_string()]);
        let (known, link) = note.get_with(store.as_ref(), &link).await?;
        let mut known = known.unwrap_or_default();
        if is_protected {
            self.former_names.remember(&note, &mut known, &group.name).await?;
            return Ok(true);
        }
        // Versions before this note stored only the last name of a group with one source.
        let linked = link.filter(|_| matches!(group_key, GroupKey::One { .. })).map(|link| link.from);
        let protects = |name: &&String| {
            let is_by =
                |mapping: &&&Mapping| mapping.is_for(&group.id, name) && mapping.protects(&group.id, name);
            **name != group.name && protecting.iter().any(|mapping| is_by(&mapping))
        };
        let Some(former) = known.0.iter().chain(&linked).find(protects).cloned() else { return Ok(false) };
        tracing::info!(
            target,
            group = group.name,
            former,
            "the renamed group stays protected; add its new name or its id to `protected`"
        );
        self.former_names.remember(&note, &mut known, &former).await?;
        Ok(true)
    }
}
