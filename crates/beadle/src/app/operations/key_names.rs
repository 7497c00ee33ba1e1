//! Translates between keys and the names of repositories and groups.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use beadle_engine::{History, Key, Listing, Store, StoreError};
use beadle_repositories::policy::nearest;

use crate::app::groups::directories_and_targets::group_keys;
use crate::config::Config;

/// The number of journal entries that Beadle reads with one call of the store. Because of this
/// limit, a long journal never has to fit into memory.
pub(crate) const PAGE: u32 = 1000;

/// Returns every key that a text can mean. The text can be a key, or the present or former name of
/// a repository or group.
pub(crate) async fn keys(config: &Config, store: &Arc<dyn Store>, text: &str) -> anyhow::Result<Vec<Key>> {
    if let Ok(key) = text.parse::<Key>() {
        return Ok(vec![key]);
    }
    let found = named(config, store, text).await?;
    if found.is_empty() {
        let known = store.subjects(MOST).await?;
        let near = nearest(text, known.iter().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!(
            "the store has no key for `{text}`{near}\nhint: specify a key such as `repository:acme:1296269` \
             (`beadle queue` lists keys), or a name from the journal"
        );
    }
    Ok(found)
}

/// Returns every key that has this present or former name. The result is empty if no key has this
/// name.
pub(crate) async fn named(
    config: &Config,
    store: &Arc<dyn Store>,
    name: &str,
) -> Result<Vec<Key>, StoreError> {
    let mut found: BTreeSet<Key> = store.keys_called(name).await?.into_iter().collect();
    if !config.file.target.is_empty() {
        // If no group has this name, a repository might still have this name.
        found.extend(group_keys(config, store, name).await.into_iter().flatten());
    }
    Ok(found.into_iter().collect())
}

/// The maximum number of names that Beadle collects to suggest a similar name.
const MOST: u32 = 10_000;
/// To find the name of a key, Beadle reads this number of entries with one call of the store. In
/// most cases, the newest entry contains the name.
const FEW: u32 = 5;

/// Returns the keys of all repositories that a text can mean.
pub(crate) async fn repository_keys(
    config: &Config,
    store: &Arc<dyn Store>,
    text: &str,
) -> anyhow::Result<Vec<Key>> {
    let mut found = keys(config, store, text).await?;
    found.retain(|key| key.kind() == "repository");
    anyhow::ensure!(!found.is_empty(), "`{text}` is not the name of a repository");
    Ok(found)
}

/// Returns those of the `keys` that have this name now. If none of them has the name now, returns
/// all `keys`, because each of them had the name earlier. So if one repository got the former name
/// of another one, an action on this name affects only the repository that has the name now.
pub(crate) async fn called_now(store: &dyn Store, keys: Vec<Key>, text: &str) -> anyhow::Result<Vec<Key>> {
    let mut present = Vec::new();
    for key in &keys {
        let name = name(store, key).await?.unwrap_or_default();
        let bare = name.rsplit_once('/').map_or(name.as_str(), |(_, bare)| bare);
        if [name.as_str(), bare].iter().any(|name| name.eq_ignore_ascii_case(text)) {
            present.push(key.clone());
        }
    }
    Ok(if present.is_empty() { keys } else { present })
}

/// Returns an error if the store knows none of these keys. In that case the key is misspelled or
/// belongs to another store.
pub(crate) async fn ensure_known(store: &dyn Store, keys: &[Key]) -> anyhow::Result<()> {
    for key in keys {
        let listing = |limit| Listing { key: Some(key.to_string()), limit, ..Listing::default() };
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

/// Returns the readable name of a key. The key of a dispatch or a check begins with the id of a
/// repository. The name of such a key contains the name of this repository.
pub(crate) async fn name(store: &dyn Store, key: &Key) -> anyhow::Result<Option<String>> {
    if let Some(name) = subject(store, key).await? {
        return Ok(Some(name));
    }
    let Some((id, rest)) = key.id().split_once('/').filter(|(id, _)| id.parse::<u64>().is_ok()) else {
        return Ok(None);
    };
    let repository = Key::new("repository", key.instance(), id);
    Ok(subject(store, &repository).await?.map(|name| format!("{} {rest} of {name}", key.kind())))
}

/// Returns the name that the newest journal entry about a key contains.
async fn subject(store: &dyn Store, key: &Key) -> anyhow::Result<Option<String>> {
    let mut history = History { key: Some(key.to_string()), limit: FEW, ..History::default() };
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(None) };
        history.before = Some(last.seq);
        let is_name = |subject: &String| !subject.is_empty() && subject != key.as_str();
        if let Some(name) = entries.into_iter().map(|entry| entry.subject).find(is_name) {
            return Ok(Some(name));
        }
    }
}

/// Returns the readable name of a key. If the journal has no name for the key, returns the key
/// itself.
pub(crate) async fn shown(store: &dyn Store, key: &Key) -> anyhow::Result<String> {
    Ok(name(store, key).await?.unwrap_or_else(|| key.to_string()))
}

#[cfg(test)]
mod tests {
    use beadle_engine::store::prelude::*;
    use beadle_engine::{Entry, EntryKind, Time};
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
            trace: None,
            detail: Value::Null.into(),
        };
        let mut entries = vec![entry("acme/old"); PAGE as usize + 1];
        entries.push(entry("acme/new"));
        entries.extend(vec![entry(key.as_str()); 2 * FEW as usize]);
        store.journal(None, entries, Time(1)).await.unwrap();
        assert_eq!(name(&store, &key).await.unwrap().as_deref(), Some("acme/new"));
    }

    #[tokio::test]
    async fn a_key_of_a_repository_has_the_name_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let entry = Entry {
            seq: 0,
            at: Time(1),
            kind: EntryKind::Run,
            key: Key::new("repository", "acme", 7).to_string(),
            subject: "acme/shop".into(),
            intent: None,
            trace: None,
            detail: Value::Null.into(),
        };
        store.journal(None, vec![entry], Time(1)).await.unwrap();
        for (key, expected) in [
            (Key::new("dispatch", "acme", "7/deploy"), Some("dispatch deploy of acme/shop")),
            (Key::new("check", "acme", "7/12"), Some("check 12 of acme/shop")),
            (Key::new("dispatch", "acme", "8/deploy"), None),
            (Key::new("dispatch", "other", "7/deploy"), None),
            (Key::new("target-group", "aws", "corp/00g1"), None),
        ] {
            assert_eq!(name(&store, &key).await.unwrap().as_deref(), expected, "{key}");
        }
    }

    #[tokio::test]
    async fn a_name_means_the_repository_that_has_it_now() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("beadle.db"), SqliteSettings::default()).unwrap();
        let entry = |id: u64, subject: &str| Entry {
            seq: 0,
            at: Time(1),
            kind: EntryKind::Run,
            key: Key::new("repository", "acme", id).to_string(),
            subject: subject.to_owned(),
            intent: None,
            trace: None,
            detail: Value::Null.into(),
        };
        // The first repository was renamed. Then the second repository got the old name.
        let entries = vec![entry(7, "acme/shop"), entry(7, "acme/store"), entry(8, "acme/shop")];
        store.journal(None, entries, Time(1)).await.unwrap();
        let (first, second) = (Key::new("repository", "acme", 7), Key::new("repository", "acme", 8));
        let both = || vec![first.clone(), second.clone()];
        for (text, expected) in
            [("shop", vec![second.clone()]), ("acme/Shop", vec![second.clone()]), ("older", both())]
        {
            assert_eq!(called_now(&store, both(), text).await.unwrap(), expected, "{text}");
        }
        assert_eq!(
            called_now(&store, vec![first.clone()], "shop").await.unwrap(),
            std::slice::from_ref(&first)
        );
    }
}
