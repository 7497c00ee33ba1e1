//! A file in repos/ belongs to the repository that it was first seen with, by its immutable id: a rename, or another
//! repository under an old name, is reported and loosens nothing.

use std::sync::Arc;

use beadle_engine::{Store, StoreError, note};
use beadle_github::Repository;

use crate::policy::{Layer, Policy, Standing};

/// Remembers which repository each file belongs to.
pub struct Overrides {
    store: Arc<dyn Store>,
    organisation: String,
}

impl Overrides {
    /// For one organisation.
    pub fn new(store: Arc<dyn Store>, organisation: &str) -> Self {
        Self { store, organisation: organisation.to_lowercase() }
    }

    fn of_file(&self, layer: &Layer) -> String {
        note("override", &[&self.organisation, &layer.file.to_lowercase()])
    }

    fn of_repository(&self, id: u64) -> String {
        note("override-of", &[&self.organisation, &id.to_string()])
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
            let Some(owner) = self.store.get(&self.of_file(layer)).await? else {
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
        let Some(file) = self.store.get(&self.of_repository(seen.id)).await? else {
            return Ok(Standing::default());
        };
        // A file that is gone from the policy, or was given to another repository, asks nothing of this one.
        let Some(layer) = policy.layers.iter().find(|layer| layer.file == file) else {
            return Ok(Standing::default());
        };
        if self.store.get(&self.of_file(layer)).await?.as_ref() != Some(&id) {
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
        self.store.put(&self.of_file(layer), &id.to_string()).await?;
        self.store.put(&self.of_repository(id), &layer.file).await
    }
}
