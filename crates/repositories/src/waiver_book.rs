//! The waivers of an organisation: those of the policy, and those of `beadle waive` in the store.

use std::sync::Arc;

use beadle_engine::{Clock, Metadata, Note, Store, StoreError};

use crate::policy::{Policy, Waiver, WaiverRules};

impl Metadata for Waiver {
    const KIND: &'static str = "waiver";
    const IS_NEEDED: bool = true;
}

/// Returns the note with a waiver of `beadle waive`, by the code of the waiver. With an empty `id`,
/// returns the prefix of the names of all such notes.
pub fn stored_waiver(organisation: &str, id: &str) -> Note<Waiver> {
    Note::of(&[&organisation.to_lowercase(), id])
}

/// Returns the waivers of `beadle waive` for one organisation, including those that are not in
/// force.
pub async fn stored_waivers(store: &dyn Store, organisation: &str) -> Result<Vec<Waiver>, StoreError> {
    let stored = stored_waiver(organisation, "").list(store).await?;
    Ok(stored.into_iter().map(|(_, waiver)| waiver).collect())
}

/// Finds the waivers that cover a repository.
#[derive(Clone)]
pub(crate) struct WaiverBook {
    store: Option<Arc<dyn Store>>,
    organisation: String,
    clock: Clock,
    rules: Arc<WaiverRules>,
    /// The paths of keys that are exempt in every repository.
    without: Vec<String>,
}

impl WaiverBook {
    /// Creates the book of an organisation, with the default limits and only the waivers of the
    /// policy.
    pub(crate) fn new(organisation: &str, clock: &Clock) -> Self {
        Self {
            store: None,
            organisation: organisation.to_owned(),
            clock: clock.clone(),
            rules: Arc::default(),
            without: Vec::new(),
        }
    }

    /// Exempts the keys with these paths too, in every repository and regardless of the limits.
    pub(crate) fn without(&self, paths: Vec<String>) -> Self {
        Self { without: paths, ..self.clone() }
    }

    /// Adds the waivers in a store.
    pub(crate) fn stored_in(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Sets the limits of the configuration.
    pub(crate) fn limited_by(self, rules: WaiverRules) -> Self {
        Self { rules: Arc::new(rules), ..self }
    }

    /// Returns the keys that no waiver may exempt.
    pub(crate) fn never(&self) -> &[String] {
        &self.rules.never
    }

    /// Returns the waivers in force that cover the repository with this name. Reads the store each
    /// time, because a run right after `beadle waive` must know the new waiver.
    pub(crate) async fn of(&self, policy: &Policy, repository: &str) -> Result<Vec<Waiver>, StoreError> {
        let stored = match &self.store {
            Some(store) => stored_waivers(store.as_ref(), &self.organisation).await?,
            None => Vec::new(),
        };
        let now = self.clock.now();
        let all = policy.waivers.iter().chain(&stored);
        let covers = |waiver: &&Waiver| waiver.covers(repository) && waiver.is_in_force(&self.rules, now);
        let mut found: Vec<Waiver> = all.filter(covers).cloned().collect();
        if !self.without.is_empty() {
            found.push(Waiver {
                keys: self.without.clone(),
                repositories: vec![repository.to_owned()],
                until: now,
                reason: String::new(),
                owner: String::new(),
                asked: None,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn a_waiver_that_this_version_cannot_read_is_an_error_and_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let store: &dyn Store = &store;
        let newer =
            r#"{"keys":["topics"],"repositories":["*"],"until":7,"reason":"x","owner":"ann","ticket":"A-1"}"#;
        store.put(stored_waiver("acme", "a").name(), newer).await.unwrap();
        assert_eq!(stored_waivers(store, "acme").await.unwrap().len(), 1, "it has only a further field");
        store.put(stored_waiver("acme", "b").name(), r#"{"paths":["topics"]}"#).await.unwrap();
        let error = stored_waivers(store, "acme").await.unwrap_err().to_string();
        assert!(error.contains("cannot read the note `waiver:acme:b`"), "{error}");
    }
}
