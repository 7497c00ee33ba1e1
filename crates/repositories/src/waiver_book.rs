//! The waivers of an organisation. Some waivers come from the policy. The other waivers come from
//! `beadle waive`, and are in the store.

use std::sync::Arc;

use beadle_engine::{Clock, Metadata, Note, Store, StoreError, Time};

use crate::policy::{Policy, Waiver, WaiverRules};

impl Metadata for Waiver {
    const KIND: &'static str = "waiver";
    const IS_NEEDED: bool = true;
}

/// Returns the note that contains a waiver which `beadle waive` created. `id` is the code of the
/// waiver. If `id` is empty, the name of the note is the common prefix of all such notes.
pub fn stored_waiver(organisation: &str, id: &str) -> Note<Waiver> {
    Note::of(&[&organisation.to_lowercase(), id])
}

/// Returns the waivers of `beadle waive` for one organisation, including the waivers that are not
/// in force.
pub async fn stored_waivers(store: &dyn Store, organisation: &str) -> Result<Vec<Waiver>, StoreError> {
    let stored = stored_waiver(organisation, "").list(store).await?;
    Ok(stored.into_iter().map(|(_, waiver)| waiver).collect())
}

/// Returns the same waivers as [`stored_waivers`], so that the caller can show them to people. If a
/// waiver is unreadable, the function still returns the other waivers. The second list contains a
/// text for each unreadable waiver, such as `the waiver 8f0c1d2e of acme`.
pub async fn readable_waivers(
    store: &dyn Store,
    organisation: &str,
) -> Result<(Vec<Waiver>, Vec<String>), StoreError> {
    let (stored, unreadable) = stored_waiver(organisation, "").list_readable(store).await?;
    let name = |code: String| format!("the waiver {code} of {organisation}");
    let waivers = stored.into_iter().map(|(_, waiver)| waiver).collect();
    Ok((waivers, unreadable.into_iter().map(name).collect()))
}

/// The waivers that a book ignores.
#[derive(Clone)]
enum Ignored {
    Nothing,
    /// All waivers, including the waivers in the store.
    Everything,
    /// The keys that another policy's waivers exempt for at least as long as this book's waivers.
    /// The waivers in the store count for both policies.
    AsLongIn(Arc<Vec<Waiver>>),
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
    ignored: Ignored,
}

impl WaiverBook {
    /// Creates the book of an organisation. The book has the default limits and contains only the
    /// waivers of the policy.
    pub(crate) fn new(organisation: &str, clock: &Clock) -> Self {
        Self {
            store: None,
            organisation: organisation.to_owned(),
            clock: clock.clone(),
            rules: Arc::default(),
            without: Vec::new(),
            ignored: Ignored::Nothing,
        }
    }

    /// Sets the paths of the keys that are exempt in every repository. The limits of waivers do not
    /// apply to these keys.
    pub(crate) fn without(&self, paths: Vec<String>) -> Self {
        Self { without: paths, ..self.clone() }
    }

    /// Ignores all waivers, including the waivers in the store.
    pub(crate) fn without_any(&self) -> Self {
        Self { ignored: Ignored::Everything, ..self.clone() }
    }

    /// Ignores the keys that a later policy's waivers exempt for at least as long as this book's
    /// waivers. So the book finds only keys that the later policy no longer exempts, or exempts for
    /// a shorter time.
    pub(crate) fn without_kept(&self, later: Vec<Waiver>) -> Self {
        Self { ignored: Ignored::AsLongIn(Arc::new(later)), ..self.clone() }
    }

    /// Adds the waivers in a store.
    pub(crate) fn stored_in(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Sets the limits from the configuration.
    pub(crate) fn limited_by(self, rules: WaiverRules) -> Self {
        Self { rules: Arc::new(rules), ..self }
    }

    /// Returns the keys that no waiver is allowed to exempt.
    pub(crate) fn never(&self) -> &[String] {
        &self.rules.never
    }

    /// Returns the waivers that are in force and cover the repository with this name. The function
    /// reads the store at each call, because a run directly after `beadle waive` must find the new
    /// waiver.
    pub(crate) async fn of(&self, policy: &Policy, repository: &str) -> Result<Vec<Waiver>, StoreError> {
        let mut found = self.of_policy_and_store(policy, repository).await?;
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

    /// Returns the waivers that are in force and cover a repository. The result does not contain
    /// the ignored keys.
    async fn of_policy_and_store(
        &self,
        policy: &Policy,
        repository: &str,
    ) -> Result<Vec<Waiver>, StoreError> {
        if matches!(self.ignored, Ignored::Everything) {
            return Ok(Vec::new());
        }
        let stored = match &self.store {
            Some(store) => stored_waivers(store.as_ref(), &self.organisation).await?,
            None => Vec::new(),
        };
        let own = self.covering([&policy.waivers, &stored], repository);
        if let Ignored::AsLongIn(later) = &self.ignored {
            return Ok(ending_earlier(&own, &self.covering([later, &stored], repository)));
        }
        Ok(own.into_iter().cloned().collect())
    }

    /// Returns the waivers that are in force and cover a repository.
    fn covering<'a>(&self, lists: [&'a [Waiver]; 2], repository: &str) -> Vec<&'a Waiver> {
        let now = self.clock.now();
        let covers = |waiver: &&Waiver| waiver.covers(repository) && waiver.is_in_force(&self.rules, now);
        lists.into_iter().flatten().filter(covers).collect()
    }
}

/// Returns `waivers` without the keys that `others` exempt for at least as long. The function
/// checks each key separately, because the same waiver might have one more key or repository in a
/// different policy.
fn ending_earlier(waivers: &[&Waiver], others: &[&Waiver]) -> Vec<Waiver> {
    let mut left = Vec::new();
    for waiver in waivers {
        let mut keys = waiver.keys.clone();
        keys.retain(|key| end_of(others, key) < end_of(waivers, key));
        if !keys.is_empty() {
            left.push(Waiver { keys, ..(*waiver).clone() });
        }
    }
    left
}

/// Returns the latest end of all waivers that contain this key.
fn end_of(waivers: &[&Waiver], key: &str) -> Option<Time> {
    let with_key = waivers.iter().filter(|waiver| waiver.keys.iter().any(|own| own == key));
    with_key.map(|waiver| waiver.until).max()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    const NOW: Time = Time(1_000);

    /// Returns a policy with a waiver of `keys` for the repository `shop`. If `until` is `None`,
    /// the policy has no waiver.
    fn policy(keys: &str, until: Option<i64>) -> Policy {
        let waivers = match until.map(Time) {
            None => "waivers: []\n".to_owned(),
            Some(until) => format!(
                "waivers:\n- repositories: [shop]\n  keys: [{keys}]\n  until: '{until}'\n  reason: release\n  \
                 owner: mona\n"
            ),
        };
        let settings = "repository: { has_wiki: false }\n".to_owned();
        let files = [("settings.yml".to_owned(), settings), ("waivers.yml".to_owned(), waivers)];
        Policy::from_sources(files.into(), "admin", Path::new("policy")).unwrap()
    }

    /// Returns the keys that a book finds for the repository `shop`.
    async fn keys(book: &WaiverBook, policy: &Policy) -> Vec<String> {
        let found = book.of(policy, "shop").await.unwrap();
        found.into_iter().flat_map(|waiver| waiver.keys).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn of_an_earlier_policy_only_the_keys_that_the_later_one_makes_due_earlier_stay_exempt() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let waiver = |until: i64| Waiver {
            keys: vec!["teams".to_owned()],
            repositories: vec!["shop".to_owned()],
            until: Time(until),
            reason: "release".to_owned(),
            owner: "mona".to_owned(),
            asked: None,
        };
        let note = stored_waiver("acme", "a");
        let book = WaiverBook::new("acme", &Clock::simulated(NOW)).stored_in(store.clone());
        // Each row begins with three end times of the waiver: in the earlier policy, in the later
        // policy, and in the store.
        for (earlier, later, stored, stays) in [
            (None, None, None, false),
            (Some(5_000), None, None, true),
            (None, Some(5_000), None, false),
            (Some(5_000), Some(5_000), None, false),
            (Some(5_000), Some(6_000), None, false),
            (Some(5_000), Some(4_000), None, true),
            // Here, the waiver in the store exempts the key for both policies.
            (None, None, Some(5_000), false),
            (Some(5_000), None, Some(5_000), false),
            (Some(5_000), None, Some(4_000), true),
            (Some(5_000), Some(4_000), Some(6_000), false),
        ] {
            note.forget(store.as_ref()).await.unwrap();
            if let Some(until) = stored {
                note.put(store.as_ref(), &waiver(until)).await.unwrap();
            }
            let (before, after) = (policy("teams", earlier), policy("teams", later));
            let at_end = book.without_kept(after.waivers.clone());
            let case = format!("{earlier:?} {later:?} {stored:?}");
            assert_eq!(!keys(&at_end, &before).await.is_empty(), stays, "{case}");
            assert!(keys(&book.without_any(), &before).await.is_empty(), "{case}");
            let is_exempt = earlier.is_some() || stored.is_some();
            assert_eq!(!keys(&book, &before).await.is_empty(), is_exempt, "{case}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_of_an_earlier_waiver_decides_for_itself() {
        let (before, after) = (policy("teams, labels", Some(5_000)), policy("labels", Some(5_000)));
        let book = WaiverBook::new("acme", &Clock::simulated(NOW)).without_kept(after.waivers.clone());
        assert_eq!(keys(&book, &before).await, ["teams"]);
    }

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
