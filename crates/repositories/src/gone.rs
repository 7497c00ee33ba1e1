//! Deletes the stored notes about repositories that are gone. A repository is gone if it was
//! deleted or transferred, or if the App can no longer see it. Only a sweep knows which
//! repositories are gone, because only a sweep reads the whole list of repositories. Beadle keeps
//! the notes for a long time, because somebody might restore a repository or give the App access
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_engine::{Key, LastRead, Metadata, Note, Store, StoreError, Time, refused_note};
use serde::{Deserialize, Serialize};

use crate::{overrides, reached, secret_memory, undo};

/// The time between two checks for gone repositories.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// If a repository has been gone for this time, Beadle deletes the notes about the repository.
const DELAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// The maximum number of repositories in the list of gone repositories.
const MOST: usize = 1000;
/// The maximum number of repositories whose notes one check deletes.
const AT_ONCE: usize = 100;

/// The repositories of one organisation that are gone but still have notes in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    /// The time of the most recent check.
    looked: Time,
    /// For each gone repository, the time of the first check that did not find it. The key is the
    /// id of the repository.
    since: BTreeMap<u64, Time>,
}

impl Metadata for Gone {
    const KIND: &'static str = "gone";
}

impl Gone {
    fn new() -> Self {
        Self { looked: Time(0), since: BTreeMap::new() }
    }

    /// Returns whether a check is due. A check is also due if the time of the previous check is in
    /// the future, because this time comes from a wrong clock.
    fn is_due(&self, now: Time) -> bool {
        self.looked > now || now.since(self.looked) >= EVERY
    }

    /// Records the repositories that are in `remembered` but no longer in `there`. Returns the
    /// repositories whose notes Beadle must delete now.
    fn look(&mut self, remembered: &BTreeSet<u64>, there: &BTreeSet<u64>, now: Time) -> Vec<u64> {
        self.looked = now;
        self.since.retain(|id, _| remembered.contains(id) && !there.contains(id));
        for at in self.since.values_mut() {
            *at = (*at).min(now);
        }
        for id in remembered.difference(there) {
            if self.since.len() >= MOST {
                break;
            }
            self.since.entry(*id).or_insert(now);
        }
        let over = self.since.iter().filter(|(_, at)| now.since(**at) >= DELAY);
        over.map(|(id, _)| *id).take(AT_ONCE).collect()
    }
}

/// Returns the names of the stored notes about each repository. The key is the id of the
/// repository. A file in repos/ belongs to one repository. If the policy still contains the file,
/// the function omits the notes about the owner of the file, so that Beadle keeps these notes.
/// While the notes exist, a different repository with the same name gets the file only after an
/// operator has confirmed the new owner. If the first repository returns under a new name, the file
/// still belongs to this repository.
async fn remembered(
    store: &dyn Store,
    organisation: &str,
    instance: &str,
    has_file: &(dyn Fn(&str) -> bool + Send + Sync),
) -> Result<BTreeMap<u64, Vec<String>>, StoreError> {
    let mut notes: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let prefixes = [
        reached::note_of(organisation, ""),
        undo::note_of(organisation, ""),
        refused_note(&Key::new("repository", instance, "")),
        LastRead::note(&Key::new("repository", instance, "")).name().to_owned(),
    ];
    for prefix in &prefixes {
        for (name, _) in store.notes(prefix).await? {
            let id = name.strip_prefix(prefix.as_str()).and_then(|id| id.parse::<u64>().ok());
            if let Some(id) = id {
                notes.entry(id).or_default().push(name);
            }
        }
    }
    let prefix = secret_memory::prefix(organisation);
    for (name, _) in store.notes(&prefix).await? {
        let owner = name.strip_prefix(prefix.as_str()).and_then(|rest| rest.split(':').next());
        // A secret whose owner is not a repository id belongs to the organisation.
        if let Some(id) = owner.and_then(|owner| owner.parse::<u64>().ok()) {
            notes.entry(id).or_default().push(name);
        }
    }
    let prefix = overrides::note_of_repository(organisation, "");
    for (name, file) in store.notes(&prefix).await? {
        let id = name.strip_prefix(prefix.as_str()).and_then(|id| id.parse::<u64>().ok());
        if let Some(id) = id.filter(|_| !has_file(&file.to_lowercase())) {
            notes.entry(id).or_default().push(name);
        }
    }
    let prefix = overrides::note_of_file(organisation, "");
    for (name, owner) in store.notes(&prefix).await? {
        let is_there = name.strip_prefix(prefix.as_str()).is_none_or(has_file);
        if let Ok(id) = owner.parse::<u64>()
            && !is_there
        {
            notes.entry(id).or_default().push(name);
        }
    }
    Ok(notes)
}

/// If a check is due, deletes the notes about repositories that have been gone for a long time.
/// `there` contains the ids of all repositories. `has_file` takes the path of a file, in lower
/// case, and returns whether the policy contains this file. Returns the number of deleted notes.
pub(crate) async fn forget(
    store: &dyn Store,
    (organisation, instance): (&str, &str),
    there: &BTreeSet<u64>,
    has_file: &(dyn Fn(&str) -> bool + Send + Sync),
    now: Time,
) -> Result<usize, StoreError> {
    let organisation = organisation.to_lowercase();
    let own = Note::<Gone>::of(&[&organisation]);
    let mut gone = own.get(store).await?.unwrap_or_else(Gone::new);
    if !gone.is_due(now) {
        return Ok(0);
    }
    let notes = remembered(store, &organisation, instance, has_file).await?;
    let ids: BTreeSet<u64> = notes.keys().copied().collect();
    let mut forgotten = 0;
    for id in gone.look(&ids, there, now) {
        for name in notes.get(&id).into_iter().flatten() {
            store.forget(name).await?;
            forgotten += 1;
        }
    }
    own.put(store, &gone).await?;
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: Time = Time(1_000_000_000_000);

    fn ids(all: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
        all.into_iter().collect()
    }

    #[test]
    fn a_repository_is_forgotten_after_thirty_days_and_not_if_it_comes_back() {
        let mut gone = Gone::new();
        assert!(gone.is_due(NOW));
        assert!(gone.look(&ids([1, 2, 3]), &ids([1]), NOW).is_empty());
        assert!(!gone.is_due(NOW + Duration::from_secs(3600)) && gone.is_due(NOW + DAY));
        // Repository 2 exists again for one day.
        assert!(gone.look(&ids([1, 2, 3]), &ids([1, 2]), NOW + DAY * 20).is_empty());
        assert!(gone.look(&ids([1, 2, 3]), &ids([1]), NOW + DAY * 21).is_empty());
        assert_eq!(gone.look(&ids([1, 2, 3]), &ids([1]), NOW + DAY * 30), [3]);
        assert_eq!(gone.look(&ids([1, 2]), &ids([1]), NOW + DAY * 51), [2]);
    }

    #[test]
    fn a_look_does_a_bounded_part_of_the_work() {
        let (mut gone, all) = (Gone::new(), ids(0..5000));
        assert!(gone.look(&all, &BTreeSet::new(), NOW).is_empty());
        assert_eq!(gone.since.len(), MOST);
        let over = gone.look(&all, &BTreeSet::new(), NOW + DELAY);
        assert_eq!(over.len(), AT_ONCE);
    }

    #[test]
    fn a_clock_that_was_ahead_forgets_nothing_early_and_stops_no_look() {
        let mut gone = Gone::new();
        gone.look(&ids([1]), &BTreeSet::new(), NOW + DAY * 400);
        assert!(gone.is_due(NOW));
        assert!(gone.look(&ids([1]), &BTreeSet::new(), NOW).is_empty());
        assert_eq!(gone.look(&ids([1]), &BTreeSet::new(), NOW + DELAY), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_notes_of_a_gone_repository_go_and_all_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let refused = |id: u64| refused_note(&Key::new("repository", "acme", id));
        let secret = |owner: &str| format!("{}{owner}:actions:TOKEN", secret_memory::prefix("Acme"));
        for id in [1, 2] {
            store.put(&reached::note_of("acme", &id.to_string()), "{}").await.unwrap();
            store.put(&overrides::note_of_repository("acme", &id.to_string()), "repos/x.yml").await.unwrap();
            store.put(&refused(id), "{}").await.unwrap();
            store.put(&secret(&id.to_string()), "{}").await.unwrap();
        }
        store.put(&secret("organisation"), "{}").await.unwrap();
        // Repository 2 had two files. The policy still contains one of these files.
        store.put(&overrides::note_of_file("acme", "repos/kept.yml"), "2").await.unwrap();
        store.put(&overrides::note_of_file("acme", "repos/gone.yml"), "2").await.unwrap();
        store.put(&reached::note_of("other", "2"), "{}").await.unwrap();
        let look = |now: Time| {
            let store = &store;
            async move {
                let has_file = |file: &str| file == "repos/kept.yml";
                forget(store, ("Acme", "acme"), &ids([1]), &has_file, now).await.unwrap()
            }
        };
        assert_eq!(look(NOW).await, 0);
        assert_eq!(look(NOW + DAY * 29).await, 0);
        assert_eq!(look(NOW + DELAY).await, 5);
        let left: Vec<String> = store.notes("").await.unwrap().into_iter().map(|(name, _)| name).collect();
        assert!(left.contains(&overrides::note_of_file("acme", "repos/kept.yml")), "{left:?}");
        assert!(left.contains(&reached::note_of("other", "2")), "{left:?}");
        assert!(left.contains(&reached::note_of("acme", "1")) && left.contains(&refused(1)), "{left:?}");
        assert!(left.contains(&secret("1")) && left.contains(&secret("organisation")), "{left:?}");
        assert!(!left.contains(&secret("2")), "{left:?}");
        let of_gone = [reached::note_of("acme", "2"), overrides::note_of_repository("acme", "2"), refused(2)];
        assert!(of_gone.iter().all(|name| !left.contains(name)), "{left:?}");
        assert!(!left.contains(&overrides::note_of_file("acme", "repos/gone.yml")), "{left:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_gone_repository_keeps_both_notes_of_a_file_that_the_policy_has() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let of_file = overrides::note_of_file("acme", "repos/Kept.yml");
        let of_repository = overrides::note_of_repository("acme", "2");
        store.put(&of_file, "2").await.unwrap();
        store.put(&of_repository, "repos/Kept.yml").await.unwrap();
        store.put(&reached::note_of("acme", "2"), "{}").await.unwrap();
        let has_file = |file: &str| file == "repos/kept.yml";
        for (now, forgotten) in [(NOW, 0), (NOW + DELAY, 1)] {
            let of = ("acme", "acme");
            assert_eq!(forget(&store, of, &ids([1]), &has_file, now).await.unwrap(), forgotten);
        }
        assert_eq!(store.get(&of_file).await.unwrap().as_deref(), Some("2"));
        assert_eq!(store.get(&of_repository).await.unwrap().as_deref(), Some("repos/Kept.yml"));
    }
}
