//! Decides for each part whether a sweep's run reads the part again or uses a stored answer. For
//! each part, the run stores the time of the most recent read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use beadle_engine::{Key, LastRead, PartRead, Store, StoreError, Time};
use beadle_github::Repository;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::agreed::digest;
use crate::aspects::Aspect;
use crate::aspects::settings::is_rest_only;
use crate::policy::{Desired, Node};
use crate::reread::{LOADED, Moment, Reread, SPREAD};

/// The read times of one repository's parts, before and during one run.
pub(crate) struct Looks {
    store: Arc<dyn Store>,
    key: Key,
    moment: Moment,
    before: LastRead,
    /// The result of this run for each part. The value is `None` if the next sweep must read the
    /// part.
    found: Mutex<BTreeMap<&'static str, Option<PartRead>>>,
    /// True if this run must read the parts that GitHub sends together with the repository.
    wants_loaded: AtomicBool,
}

impl Looks {
    /// Loads the stored read times of the key's repository.
    pub(crate) async fn begin(
        store: &Arc<dyn Store>,
        key: &Key,
        rule: &Reread,
        now: Time,
    ) -> Result<Self, StoreError> {
        let before = LastRead::note(key).get(store.as_ref()).await?.unwrap_or_default();
        Ok(Self {
            store: store.clone(),
            key: key.clone(),
            moment: rule.moment(now),
            before,
            found: Mutex::default(),
            wants_loaded: AtomicBool::new(false),
        })
    }

    /// Returns the time of the most recent read of an aspect. The run can use answers from this
    /// time or later. Returns `None` if the run must read the aspect.
    pub(crate) fn kept_since(&self, aspect: &str, declared: Option<&str>) -> Option<Time> {
        self.last(aspect, declared).map(|read| read.at)
    }

    /// Returns whether this run can skip the read of an aspect. The run can skip the read if two
    /// conditions are true: the aspect matched the policy at the most recent read, and the
    /// agreement is still the same.
    pub(crate) fn agrees(&self, aspect: &str, declared: Option<&str>, agreement: &str) -> bool {
        self.last(aspect, declared).is_some_and(|read| read.agreed.as_deref() == Some(agreement))
    }

    /// Returns the most recent read of an aspect. Returns `None` if the aspect is due, or if the
    /// policy declared different values at the time of this read than it declares now. If a run
    /// plans a second time, it uses the answers of its first plan.
    fn last(&self, aspect: &str, declared: Option<&str>) -> Option<PartRead> {
        let is_of = |read: &&PartRead| declared == Some(read.declared.as_str());
        if let Some(found) = self.found.lock().get(aspect) {
            return found.as_ref().filter(is_of).cloned();
        }
        let read = self.before.parts.get(aspect).filter(is_of)?;
        (!self.moment.is_due(Some(read.at), self.key.id(), aspect)).then(|| read.clone())
    }

    /// Returns the time of the earliest read among the parts that GitHub sends together with the
    /// repository. The run can use answers that were stored after this time. Returns `None` if no
    /// part was read, or if a part is due. The function ignores parts without a stored read,
    /// because they were not in the policy.
    pub(crate) fn loaded_since(&self) -> Option<Time> {
        let reads = LOADED.iter().filter_map(|aspect| Some((*aspect, self.before.parts.get(*aspect)?.at)));
        let reads: Vec<(&str, Time)> = reads.collect();
        let is_due = |(aspect, at): &(&str, Time)| self.moment.is_due(Some(*at), self.key.id(), aspect);
        let earliest = reads.iter().map(|(_, at)| *at).min();
        earliest.filter(|_| !reads.iter().any(is_due))
    }

    /// Records that this run read an aspect, or that the policy does not declare the aspect. If the
    /// aspect matched the policy, `agreed` is the agreement (`agreed.rs`).
    pub(crate) fn read(&self, aspect: &'static str, declared: Option<String>, agreed: Option<String>) {
        let read = declared.map(|declared| PartRead { at: self.moment.now, declared, agreed });
        self.found.lock().insert(aspect, read);
    }

    /// Records that this run could not read an aspect. The next sweep then reads the aspect.
    pub(crate) fn forget(&self, aspect: &'static str) {
        self.found.lock().insert(aspect, None);
    }

    /// Requests a read of the parts that GitHub sends together with the repository.
    pub(crate) fn ask_for_loaded(&self) {
        self.wants_loaded.store(true, Ordering::Relaxed);
    }

    /// Returns whether this run must read the parts that GitHub sends together with the repository.
    pub(crate) fn wants_loaded(&self) -> bool {
        self.wants_loaded.load(Ordering::Relaxed)
    }

    /// Stores the read time of each part. If the run read no part, the function writes nothing.
    pub(crate) async fn end(&self) -> Result<(), StoreError> {
        let mut parts = self.before.parts.clone();
        for (aspect, read) in self.found.lock().iter() {
            match read {
                Some(read) => parts.insert((*aspect).to_owned(), read.clone()),
                None => parts.remove(*aspect),
            };
        }
        if parts == self.before.parts {
            return Ok(());
        }
        LastRead::note(&self.key).put(self.store.as_ref(), &LastRead { parts }).await
    }
}

/// Returns whether sweeps read this aspect only once in each period.
pub(crate) fn is_spread(aspect: &str) -> bool {
    SPREAD.contains(&aspect)
}

/// Returns a digest of the values that the policy declares for one aspect of a repository. Returns
/// `None` if the policy declares no values. Line numbers are not part of the digest.
pub(crate) fn declared(aspect: &Aspect, desired: &Desired, repository: &Repository) -> Option<String> {
    let sections = aspect.sections.iter().filter_map(|key| {
        let section = desired.sections.get(key.name)?;
        Some(json!([key.name, section.exclusive, section.node.json()]))
    });
    let sections: Vec<Value> = sections.collect();
    let own = match aspect.name {
        "security" => desired.security.as_ref().map(Node::json),
        "settings" => {
            let wants = desired.settings.iter().filter(|want| is_rest_only(&want.key));
            let wants: Vec<Value> = wants.map(|want| json!([want.key, want.value])).collect();
            (!wants.is_empty()).then(|| json!(wants))
        }
        "collaborators" => desired.collaborators.as_ref().map(|list| {
            // If the policy does not set a permission, Beadle keeps the permission at GitHub.
            let stated = list.items.iter().map(|want| {
                let permission = want.is_stated.then(|| want.permission.as_str());
                json!([want.login, permission])
            });
            json!([list.exclusive, stated.collect::<Vec<_>>()])
        }),
        _ => None,
    };
    if sections.is_empty() && own.is_none() {
        return None;
    }
    // The digest contains the repository's name, because the paths of the answers contain this
    // name. The digest contains the visibility, because some parts exist only with one visibility.
    let (name, visibility) = (repository.full_name(), repository.visibility.as_str());
    Some(digest(&json!([name, visibility, sections, own])))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    const NOW: Time = Time(1_800_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn read(at: Time) -> PartRead {
        PartRead { at, declared: "d".into(), agreed: None }
    }

    /// Starts a run that has these stored reads.
    async fn begin(store: &Arc<dyn Store>, key: &Key, parts: &[(&str, Time)]) -> Looks {
        let parts = parts.iter().map(|(part, at)| ((*part).to_owned(), read(*at))).collect();
        LastRead::note(key).put(store.as_ref(), &LastRead { parts }).await.unwrap();
        let rule = Reread::new(DAY, |now| now + Duration::from_secs(3600));
        Looks::begin(store, key, &rule, NOW).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_is_read_if_it_is_due_or_declared_in_another_way_and_its_read_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let key = Key::new("repository", "acme", 7);
        let looks = begin(&store, &key, &[("pages", NOW), ("autolinks", NOW - DAY)]).await;
        for (part, declared, expected) in [
            ("pages", Some("d"), true),
            ("pages", Some("other"), false),
            ("pages", None, false),
            ("autolinks", Some("d"), false),
            ("variables", Some("d"), false),
        ] {
            assert_eq!(looks.kept_since(part, declared).is_some(), expected, "{part} {declared:?}");
        }
        looks.read("autolinks", Some("d".into()), None);
        looks.read("pages", None, None);
        looks.forget("variables");
        looks.end().await.unwrap();
        let stored = LastRead::note(&key).get(store.as_ref()).await.unwrap().unwrap();
        assert_eq!(stored.parts, [("autolinks".to_owned(), read(NOW))].into());
        LastRead::expire(store.as_ref(), &key, &["autolinks", "pages"].into()).await.unwrap();
        let rule = Reread::new(DAY, |now| now + Duration::from_secs(3600));
        let expired = Looks::begin(&store, &key, &rule, NOW).await.unwrap();
        assert_eq!(expired.kept_since("autolinks", Some("d")), None);
        assert_eq!(expired.before.parts["autolinks"].at, NOW, "reports still show the time");
        LastRead::clear(store.as_ref(), &key).await.unwrap();
        let cleared = LastRead::note(&key).get(store.as_ref()).await.unwrap();
        assert_eq!(cleared, Some(LastRead::default()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agreement_counts_for_the_same_declaration_until_the_part_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let key = Key::new("repository", "acme", 7);
        let looks = begin(&store, &key, &[("webhooks", NOW)]).await;
        assert!(looks.kept_since("webhooks", Some("d")).is_some());
        assert!(!looks.agrees("webhooks", Some("d"), "a"));
        looks.read("webhooks", Some("d".into()), Some("a".into()));
        assert!(looks.agrees("webhooks", Some("d"), "a"), "the run plans a second time");
        looks.end().await.unwrap();
        let later = async |after: Duration| {
            let rule = Reread::new(DAY, |now| now + Duration::from_secs(3600));
            Looks::begin(&store, &key, &rule, NOW + after).await.unwrap()
        };
        let looks = later(Duration::ZERO).await;
        for (declared, agreement, expected) in
            [("d", "a", true), ("other", "a", false), ("d", "another secret", false)]
        {
            let agrees = looks.agrees("webhooks", Some(declared), agreement);
            assert_eq!(agrees, expected, "{declared} {agreement}");
        }
        assert!(!looks.agrees("webhooks", None, "a"));
        assert!(!later(DAY).await.agrees("webhooks", Some("d"), "a"), "the part is due");
        LastRead::expire(store.as_ref(), &key, &["webhooks"].into()).await.unwrap();
        assert!(
            !later(Duration::ZERO).await.agrees("webhooks", Some("d"), "a"),
            "an event found it different"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_with_the_repository_is_read_if_a_part_of_it_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let key = Key::new("repository", "acme", 7);
        let earlier = NOW - Duration::from_millis(1);
        for (parts, expected) in [
            (vec![], false),
            (vec![("pages", NOW)], false),
            (vec![("settings", NOW)], true),
            (vec![("settings", NOW), ("collaborators", earlier)], true),
            (vec![("settings", NOW), ("collaborators", NOW - DAY)], false),
        ] {
            assert_eq!(begin(&store, &key, &parts).await.loaded_since().is_some(), expected, "{parts:?}");
        }
    }
}
