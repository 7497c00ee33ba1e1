//! Marks keys as due again. `beadle queue --retry` and the pages use this module.

use std::sync::Arc;

use anyhow::ensure;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Key, Lane, Mark, Store, Time};

use crate::app::operations::decided_by::DecidedBy;
use crate::app::operations::key_names;
use crate::config::Config;

/// Returns the keys that match a key or a name. A name can mean a repository or a group. To retry a
/// dispatch, the operator must specify the key of the dispatch. Returns an error if the store does
/// not know the name.
pub(crate) async fn keys_to_retry(
    config: &Config,
    store: &Arc<dyn Store>,
    name: &str,
) -> anyhow::Result<Vec<Key>> {
    let is_meant = |found: &Key| {
        found.as_str() == name
            || ["repository", "organisation", beadle_groups::mark::KIND].contains(&found.kind())
    };
    let mut found = key_names::keys(config, store, name).await?;
    found.retain(is_meant);
    ensure!(
        !found.is_empty(),
        "`{name}` is not the name of a repository or group\nhint: specify the key, such as `repository:acme:1296269`"
    );
    Ok(found)
}

/// Marks a key as due, and records this action in the journal. Returns the readable name of the
/// key. If the journal has no name for the key, returns `name`.
pub(crate) async fn retry(
    store: &dyn Store,
    (key, name): (&Key, &str),
    by: &DecidedBy,
    now: Time,
) -> anyhow::Result<String> {
    let known = key_names::name(store, key).await?;
    store.mark(vec![Mark::new(key.clone(), Lane::Manual)], now).await?;
    let DecidedBy { name: by, reason } = by.clone();
    let action = OperatorAction::Retried { retried: true, by, reason };
    let subject = known.as_deref().unwrap_or_default();
    let entry = Entry::of_operator(action, (&key.to_string(), subject), now);
    store.journal(None, vec![entry], now).await?;
    Ok(known.unwrap_or_else(|| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Detail, EntryKind, Listing, Outcome, ParkReason};

    use super::*;

    #[tokio::test]
    async fn a_parked_key_is_due_again_and_the_journal_has_the_person_and_the_reason() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let (store, key) = (store.as_ref(), Key::new("repository", "acme", 7));
        store.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(1)).await.unwrap();
        let claim = store.claim_key(&key, Time(1)).await.unwrap().unwrap();
        let parked = Outcome::Park(ParkReason::Failed, "403".into());
        store.finish(&claim.lease, parked, Time(1)).await.unwrap();
        assert!(store.row(&key).await.unwrap().unwrap().parked.is_some());
        let ann = DecidedBy { name: "ann".into(), reason: Some("granted".into()) };
        assert_eq!(retry(store, (&key, "acme/shop"), &ann, Time(2)).await.unwrap(), "acme/shop");
        let row = store.row(&key).await.unwrap().unwrap();
        assert!(row.parked.is_none() && row.is_pending(), "{row:?}");
        let entries = store.entries(Listing { limit: 5, ..Listing::default() }).await.unwrap();
        let last = entries.last().unwrap();
        assert_eq!((last.key.as_str(), last.kind), ("repository:acme:7", EntryKind::Operator));
        let action =
            OperatorAction::Retried { retried: true, by: "ann".into(), reason: Some("granted".into()) };
        assert_eq!(last.detail, Detail::Operator(action));
    }

    #[tokio::test]
    async fn the_retry_of_a_key_with_an_unreadable_row_is_an_error_that_names_the_row() {
        let (folder, store) = crate::app::store::temporary().unwrap();
        let (store, key) = (store.as_ref(), Key::new("repository", "acme", 7));
        store.mark(vec![Mark::new(key.clone(), Lane::Event)], Time(1)).await.unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE work SET wanted = -1", []).unwrap();
        let ann = DecidedBy { name: "ann".into(), reason: None };
        let error = retry(store, (&key, "acme/shop"), &ann, Time(2)).await.unwrap_err().to_string();
        assert!(error.contains("the row of repository:acme:7"), "{error}");
        let entries = store.entries(Listing { limit: 5, ..Listing::default() }).await.unwrap();
        assert!(entries.is_empty(), "{entries:?}");
    }
}
