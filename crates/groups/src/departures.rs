//! Remembers which members left a group of a target within the window. With this record, the limit
//! counts all of these members, even if they leave one after the other.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Metadata, Note, Store, Time};
use serde::{Deserialize, Serialize};

use crate::guard::{Departure, Recent};
use crate::mapping::GroupKey;

/// The departures that the store remembers. Without a store, Beadle remembers no departures.
#[derive(Clone, Default)]
pub(crate) struct Departures(pub(crate) Option<Arc<dyn Store>>);

/// The departures from one group of a target, as they are stored.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Left(Vec<Departure>);

impl Metadata for Left {
    const KIND: &'static str = "left";
    const IS_NEEDED: bool = true;
}

fn note(target: &str, group_key: &GroupKey) -> Note<Left> {
    Note::of(&[target, &group_key.to_string()])
}

impl Departures {
    async fn all(&self, target: &str, group_key: &GroupKey) -> Result<Vec<Departure>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let left = note(target, group_key).get(store.as_ref()).await?;
        Ok(left.map(|Left(all)| all).unwrap_or_default())
    }

    /// Returns the departures within the window. An account that is a member again does not count.
    pub(crate) async fn recent(
        &self,
        target: &str,
        group_key: &GroupKey,
        now: Time,
        window: Duration,
        is_member: impl Fn(&str) -> bool,
    ) -> Result<Recent, Failure> {
        Ok(Recent::of(&self.all(target, group_key).await?, now, window, is_member))
    }

    /// Remembers a departure. The caller must call this function before the write. So a departure
    /// counts even if the answer to the write is lost.
    pub(crate) async fn book(
        &self,
        target: &str,
        group_key: &GroupKey,
        departure: Departure,
        window: Duration,
    ) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let now = departure.at;
        let mut all = self.all(target, group_key).await?;
        all.retain(|known| known.is_within(now, window));
        all.push(departure);
        Ok(note(target, group_key).put(store.as_ref(), &Left(all)).await?)
    }

    /// Records that the departures of these accounts are approved, so they no longer count. All
    /// other departures still count.
    pub(crate) async fn approved(
        &self,
        target: &str,
        group_key: &GroupKey,
        accounts: &[String],
    ) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let before = self.all(target, group_key).await?;
        let mut all = before.clone();
        for departure in &mut all {
            departure.accounts.retain(|account| !accounts.contains(account));
        }
        all.retain(|departure| !departure.accounts.is_empty());
        if all == before {
            return Ok(());
        }
        Ok(note(target, group_key).put(store.as_ref(), &Left(all)).await?)
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn departures_that_this_version_cannot_read_are_neither_forgotten_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let departures = Departures(Some(store.clone()));
        let (group_key, window) = (GroupKey::Union("Ops".into()), Duration::from_secs(3600));
        let (now, newer) = (Time::from_seconds(1_800_000_000), r#"{"accounts":{"a":1}}"#);
        store.put(note("aws", &group_key).name(), newer).await.unwrap();
        assert!(departures.recent("aws", &group_key, now, window, |_| false).await.is_err());
        let departure = Departure { at: now, accounts: vec!["b".into()], confirmed: Vec::new(), members: 40 };
        let failure = departures.book("aws", &group_key, departure, window).await.unwrap_err();
        assert!(failure.text.contains("a newer version wrote it"), "{}", failure.text);
        assert_eq!(store.get(note("aws", &group_key).name()).await.unwrap().as_deref(), Some(newer));
    }

    #[tokio::test]
    async fn an_approval_frees_the_window_of_those_whom_it_names_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let departures = Departures(Some(store));
        let (group_key, window) = (GroupKey::Union("Ops".into()), Duration::from_secs(3600));
        let now = Time::from_seconds(1_800_000_000);
        for account in ["a", "b", "c"] {
            let accounts = vec![account.to_owned()];
            let departure = Departure { at: now, accounts, confirmed: Vec::new(), members: 40 };
            departures.book("aws", &group_key, departure, window).await.unwrap();
        }
        departures.approved("aws", &group_key, &["c".to_owned(), "d".to_owned()]).await.unwrap();
        let recent = departures.recent("aws", &group_key, now, window, |_| false).await.unwrap();
        assert_eq!((recent.gone, recent.members), (2, 40), "a and b left without an approval");
    }
}
