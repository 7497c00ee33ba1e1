//! A file in repos/ belongs to the repository that it was first seen with, by its immutable id: a rename, or another
//! repository under an old name, is reported and loosens nothing.

use std::sync::Arc;

use beadle_engine::{Store, StoreError};
use beadle_github::Repository;

use crate::policy::{Layer, Policy};

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
        format!("override:{}:{}", self.organisation, layer.file.to_lowercase())
    }

    fn of_repository(&self, id: u64) -> String {
        format!("override-of:{}:{id}", self.organisation)
    }

    /// The sections whose files belong to another repository, or were this one's under another name, each with why.
    pub(crate) async fn doubts(
        &self,
        policy: &Policy,
        seen: &Repository,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let full = seen.full_name();
        if let Some(layer) = policy.file_of(&seen.name) {
            let id = seen.id.to_string();
            return match self.store.get(&self.of_file(layer)).await? {
                Some(owner) if owner == id => Ok(Vec::new()),
                None => {
                    self.adopt(layer, seen.id).await?;
                    Ok(Vec::new())
                }
                Some(owner) => {
                    let file = &layer.file;
                    let why = format!("{file} belongs to repository {owner}, which had this name before");
                    Ok(sections(layer, &format!("{why}; if it is for {full} now, say `beadle adopt {full}`")))
                }
            };
        }
        let Some(file) = self.store.get(&self.of_repository(seen.id)).await? else { return Ok(Vec::new()) };
        // A file that is gone from the policy asks for nothing any more, on purpose.
        let layer = policy.layers.iter().find(|layer| layer.file == file);
        Ok(layer.map_or_else(Vec::new, |layer| {
            sections(
                layer,
                &format!("{file} was this repository's before it was renamed to {full}; rename the file too"),
            )
        }))
    }

    /// Gives a file to a repository.
    pub async fn adopt(&self, layer: &Layer, id: u64) -> Result<(), StoreError> {
        self.store.put(&self.of_file(layer), &id.to_string()).await?;
        self.store.put(&self.of_repository(id), &layer.file).await
    }
}

fn sections(layer: &Layer, why: &str) -> Vec<(String, String)> {
    let sections = layer.root.entries().iter().filter_map(|(key, _)| key.text());
    sections.map(|section| (section.to_owned(), why.to_owned())).collect()
}
