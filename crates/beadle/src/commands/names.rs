//! Translates between keys and the names of repositories and groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use beadle_engine::{Entry, Key, Listing, Store};
use beadle_repositories::policy::nearest;

use crate::app::directories_and_targets::group_keys;
use crate::config::Config;

/// The number of journal entries that are read at once, so that a long journal never has to fit
/// into memory.
pub(super) const PAGE: u32 = 1000;

/// Returns every key that a text can mean. The text can be a key, or the present or a former name
/// of a repository or group.
pub(super) async fn keys(config: &Config, store: &Arc<dyn Store>, text: &str) -> anyhow::Result<Vec<Key>> {
    if let Ok(key) = text.parse::<Key>() {
        return Ok(vec![key]);
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut found: BTreeSet<Key> = BTreeSet::new();
    each(store.as_ref(), None, |entry| {
        if is_called(&entry.subject, text) {
            found.extend(entry.key.parse::<Key>());
        }
        if known.len() < MOST {
            known.insert(entry.subject.clone());
        }
    })
    .await?;
    if !config.file.target.is_empty() {
        // If no group has this name, a repository may still have it.
        found.extend(group_keys(config, store, text).await.into_iter().flatten());
    }
    if found.is_empty() {
        let near = nearest(text, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!(
            "the store has no key for `{text}`{near}\nhint: specify a key such as `repository:acme:1296269` \
             (`beadle queue` lists keys), or a name from the journal"
        );
    }
    Ok(found.into_iter().collect())
}

/// The maximum number of names that Beadle collects to suggest a similar name.
const MOST: usize = 10_000;

/// Returns whether the subject of a journal entry has this name. The name can be `owner/name` or
/// only the part after the owner.
fn is_called(subject: &str, name: &str) -> bool {
    subject.eq_ignore_ascii_case(name)
        || subject.split_once('/').is_some_and(|(_, bare)| bare.eq_ignore_ascii_case(name))
}

/// Returns an error if the store knows none of these keys. The key is then misspelled, or belongs
/// to another store.
pub(super) async fn ensure_known(store: &dyn Store, keys: &[Key]) -> anyhow::Result<()> {
    for key in keys {
        let listing = |limit| Listing { after: 0, since: None, key: Some(key.to_string()), limit };
        if store.row(key).await?.is_some()
            || !store.entries(listing(1)).await?.is_empty()
            || !store.deliveries(listing(1)).await?.is_empty()
        {
            return Ok(());
        }
    }
    match keys {
        [] => Ok(()),
        [key] => bail!("the store does not have the key {key}"),
        _ => bail!("the store does not have these keys"),
    }
}

/// Returns the name that the newest journal entry of a key has.
pub(super) async fn name(store: &dyn Store, key: &Key) -> anyhow::Result<Option<String>> {
    let mut last: Option<String> = None;
    each(store, Some(key), |entry| {
        if !entry.subject.is_empty() && entry.subject != key.as_str() {
            entry.subject.clone_into(last.get_or_insert_default());
        }
    })
    .await?;
    Ok(last)
}

/// Calls `look` for each entry of the journal, oldest first. With a key, only the entries of that
/// key. Reads one page at a time.
async fn each(store: &dyn Store, key: Option<&Key>, mut look: impl FnMut(&Entry)) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let key = key.map(ToString::to_string);
        let entries = store.entries(Listing { after, since: None, key, limit: PAGE }).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.seq;
        entries.iter().for_each(&mut look);
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_engine::{EntryKind, Time};
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn the_last_name_of_a_key_counts_however_long_its_journal_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let key = Key::new("repository", "acme", 7);
        let entry = |subject: &str| Entry {
            seq: 0,
            at: Time(1),
            kind: EntryKind::Run,
            key: key.to_string(),
            subject: subject.to_owned(),
            intent: None,
            detail: Value::Null.into(),
        };
        let mut entries = vec![entry("acme/old"); PAGE as usize + 1];
        entries.push(entry("acme/new"));
        entries.push(entry(key.as_str()));
        store.journal(None, entries, Time(1)).await.unwrap();
        assert_eq!(name(&store, &key).await.unwrap().as_deref(), Some("acme/new"));
    }

    #[test]
    fn a_subject_is_found_with_and_without_its_owner() {
        assert!(is_called("acme/shop", "ACME/shop") && is_called("acme/shop", "shop"));
        assert!(!is_called("acme/shop", "acme") && !is_called("acme/shop", "sho"));
    }
}
