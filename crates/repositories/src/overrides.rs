//! A file in repos/ belongs to the repository that it was first seen with, by its immutable id: a rename, or another
//! repository under an old name, is reported and loosens nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::{Failure, Store, StoreError, note};
use beadle_github::{Reader, Repository};

use crate::policy::{Layer, LayerKind, Policy, Standing};

/// Remembers which repository each file belongs to.
pub struct Overrides {
    store: Option<Arc<dyn Store>>,
    /// What is remembered without a store, or of a plan that is only looked at, for as long as the process runs.
    here: Mutex<BTreeMap<String, String>>,
    organisation: String,
    /// Only looks at what the store remembers.
    looks_only: bool,
}

impl Overrides {
    /// For one organisation.
    pub fn new(store: Option<Arc<dyn Store>>, organisation: &str) -> Self {
        Self { store, here: Mutex::default(), organisation: organisation.to_lowercase(), looks_only: false }
    }

    /// From now on the store remembers nothing new.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    async fn get(&self, note: &str) -> Result<Option<String>, StoreError> {
        let here = self.here.lock().unwrap_or_else(PoisonError::into_inner).get(note).cloned();
        match &self.store {
            Some(store) if here.is_none() => store.get(note).await,
            _ => Ok(here),
        }
    }

    async fn put(&self, note: String, value: &str) -> Result<(), StoreError> {
        if let Some(store) = self.store.as_ref().filter(|_| !self.looks_only) {
            return store.put(&note, value).await;
        }
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        here.insert(note, value.to_owned());
        Ok(())
    }

    fn of_file(&self, layer: &Layer) -> String {
        note("override", &[&self.organisation, &layer.file.to_lowercase()])
    }

    /// The prefix of the notes of all files.
    fn of_files(&self) -> String {
        note("override", &[&self.organisation, ""])
    }

    fn of_repository(&self, id: u64) -> String {
        note("override-of", &[&self.organisation, &id.to_string()])
    }

    /// Asks GitHub to which repository each file in repos/ belongs for which none is remembered: a job has no store, but
    /// GitHub remembers the former names of a repository.
    pub(crate) async fn follow(&self, policy: &Policy, reader: &Reader) -> Result<(), Failure> {
        let files = self.ownerless(policy).await?;
        let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let found = reader.repositories_called(&names).await?;
        for ((_, layer), id) in files.into_iter().zip(found) {
            if let Some(id) = id {
                self.adopt(layer, id).await?;
            }
        }
        Ok(())
    }

    /// The files in repos/ for which no repository is remembered, each with its name.
    async fn ownerless<'a>(&self, policy: &'a Policy) -> Result<Vec<(&'a str, &'a Layer)>, StoreError> {
        let mut known: BTreeSet<String> =
            self.here.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        if let Some(store) = &self.store {
            known.extend(store.notes(&self.of_files()).await?.into_iter().map(|(note, _)| note));
        }
        let files = policy.layers.iter().filter_map(|layer| match &layer.kind {
            LayerKind::Repository(name) => Some((name.as_str(), layer)),
            _ => None,
        });
        Ok(files.filter(|(_, layer)| !known.contains(&self.of_file(layer))).collect())
    }

    /// How the files in repos/ stand to a repository.
    pub(crate) async fn of<'a>(
        &self,
        policy: &'a Policy,
        seen: &Repository,
    ) -> Result<Standing<'a>, StoreError> {
        let full = seen.full_name();
        let id = seen.id.to_string();
        if let Some(layer) = policy.file_of(&seen.name) {
            let Some(owner) = self.get(&self.of_file(layer)).await? else {
                self.adopt(layer, seen.id).await?;
                return Ok(Standing::default());
            };
            if owner == id {
                return Ok(Standing::default());
            }
            let file = &layer.file;
            let why = format!("{file} belongs to repository {owner}, which had this name before");
            let why = format!("{why}; if it is for {full} now, say `beadle adopt {full}`");
            return Ok(Standing { waits: Some((layer, why)), own: None });
        }
        let Some(file) = self.get(&self.of_repository(seen.id)).await? else {
            return Ok(Standing::default());
        };
        // A file that is gone from the policy, or was given to another repository, asks nothing of this one.
        // As everywhere else, the case of a file's name makes no difference.
        let is_it = |layer: &&Layer| layer.file.to_lowercase() == file.to_lowercase();
        let Some(layer) = policy.layers.iter().find(is_it) else {
            return Ok(Standing::default());
        };
        if self.get(&self.of_file(layer)).await?.as_ref() != Some(&id) {
            return Ok(Standing::default());
        }
        if layer.given_name().is_some_and(|given| given.eq_ignore_ascii_case(&seen.name)) {
            // The file itself gave it this name.
            return Ok(Standing { waits: None, own: Some(layer) });
        }
        let why =
            format!("{file} was this repository's before it was renamed to {full}; rename the file too");
        Ok(Standing { waits: Some((layer, why)), own: None })
    }

    /// Gives a file to a repository.
    pub async fn adopt(&self, layer: &Layer, id: u64) -> Result<(), StoreError> {
        // The file's note last: without it the file is given again at the next look, so that a kill leaves no repository
        // whose file is forgotten at its next rename.
        self.put(self.of_repository(id), &layer.file).await?;
        self.put(self.of_file(layer), &id.to_string()).await
    }
}
