//! The waivers of an organisation: those of the policy, and those of `beadle waive` in the store.

use std::sync::Arc;

use beadle_engine::{Clock, Metadata, Note, Store, StoreError, Time};

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

/// Returns the same waivers as [`stored_waivers`], for people: an unreadable waiver hides no other
/// waiver. The second list names each unreadable waiver, such as `the waiver 8f0c1d2e of acme`.
pub async fn readable_waivers(
    store: &dyn Store,
    organisation: &str,
) -> Result<(Vec<Waiver>, Vec<String>), StoreError> {
    let (stored, unreadable) = stored_waiver(organisation, "").list_readable(store).await?;
    let name = |code: String| format!("the waiver {code} of {organisation}");
    let waivers = stored.into_iter().map(|(_, waiver)| waiver).collect();
    Ok((waivers, unreadable.into_iter().map(name).collect()))
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
    /// The waivers of an earlier policy. If this is set, the book ignores each waiver of the policy
    /// that is new compared with them.
    base: Option<Arc<Vec<Waiver>>>,
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
            base: None,
        }
    }

    /// Exempts the keys with these paths too, in every repository and regardless of the limits.
    pub(crate) fn without(&self, paths: Vec<String>) -> Self {
        Self { without: paths, ..self.clone() }
    }

    /// Ignores the waivers of the policy that are new compared with those of an earlier policy.
    pub(crate) fn without_new(&self, base: Vec<Waiver>) -> Self {
        Self { base: Some(Arc::new(base)), ..self.clone() }
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
        let (mut found, _) = self.split(policy, repository);
        found.extend(self.covering(&stored, repository).into_iter().cloned());
        if !self.without.is_empty() {
            found.push(Waiver {
                keys: self.without.clone(),
                repositories: vec![repository.to_owned()],
                until: self.clock.now(),
                reason: String::new(),
                owner: String::new(),
                asked: None,
            });
        }
        Ok(found)
    }

    /// Returns the ignored waivers in force that cover the repository with this name. Each waiver
    /// has only its ignored keys.
    pub(crate) fn new_of(&self, policy: &Policy, repository: &str) -> Vec<Waiver> {
        self.split(policy, repository).1
    }

    /// Returns the waivers in force of the policy that cover a repository, and the ignored ones.
    /// Each key decides for itself, so an entry with one more key or repository ignores only what
    /// is new.
    fn split(&self, policy: &Policy, repository: &str) -> (Vec<Waiver>, Vec<Waiver>) {
        let own = self.covering(&policy.waivers, repository);
        let Some(base) = &self.base else { return (own.into_iter().cloned().collect(), Vec::new()) };
        let base = self.covering(base, repository);
        let is_kept = |key: &String| end_of(&base, key).is_some_and(|end| Some(end) <= end_of(&own, key));
        let (mut kept, mut ignored) = (Vec::new(), Vec::new());
        for waiver in &own {
            let (same, new): (Vec<String>, Vec<String>) = waiver.keys.iter().cloned().partition(is_kept);
            for (list, keys) in [(&mut kept, same), (&mut ignored, new)] {
                if !keys.is_empty() {
                    list.push(Waiver { keys, ..(*waiver).clone() });
                }
            }
        }
        (kept, ignored)
    }

    /// Returns the waivers in force that cover a repository.
    fn covering<'a>(&self, waivers: &'a [Waiver], repository: &str) -> Vec<&'a Waiver> {
        let now = self.clock.now();
        let covers = |waiver: &&Waiver| waiver.covers(repository) && waiver.is_in_force(&self.rules, now);
        waivers.iter().filter(covers).collect()
    }
}

/// Returns the last end of the waivers with this key.
fn end_of(waivers: &[&Waiver], key: &str) -> Option<Time> {
    let with_key = waivers.iter().filter(|waiver| waiver.keys.iter().any(|own| own == key));
    with_key.map(|waiver| waiver.until).max()
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
        let (waivers, unreadable) = readable_waivers(store, "acme").await.unwrap();
        assert_eq!((waivers.len(), unreadable), (1, vec!["the waiver b of acme".to_owned()]));
    }
}
