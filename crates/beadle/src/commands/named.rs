//! Keys by the names that people know, and names for keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use beadle_engine::{Entry, Key, Listing, Store};
use beadle_repositories::policy::nearest;

use crate::config::Config;
use crate::directory::called;

/// Entries in one read, so that a long journal is never held as a whole.
pub(super) const PAGE: u32 = 1000;

/// Every key that an operator may mean: the key itself, or what a repository or group is or was
/// called.
pub(super) async fn keys(config: &Config, store: &Arc<dyn Store>, text: &str) -> anyhow::Result<Vec<Key>> {
    if let Ok(key) = text.parse::<Key>() {
        return Ok(vec![key]);
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut found: BTreeSet<Key> = BTreeSet::new();
    each(store.as_ref(), |entry| {
        if is_called(&entry.subject, text) {
            found.extend(entry.key.parse::<Key>());
        }
        if known.len() < MOST {
            known.insert(entry.subject.clone());
        }
    })
    .await?;
    if !config.file.target.is_empty() {
        // A name without a group is not an error yet.
        found.extend(called(config, store, text).await.into_iter().flatten());
    }
    if found.is_empty() {
        let near = nearest(text, known.iter().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        bail!(
            "no key belongs to `{text}`{hint}\nhint: write a key, such as repository:acme:1296269 (`beadle queue` \
             lists them), or a name that the journal has"
        );
    }
    Ok(found.into_iter().collect())
}

/// Names that are kept for a hint.
const MOST: usize = 10_000;

/// Whether a subject of the journal has this name: as `owner/name`, or without its owner.
fn is_called(subject: &str, name: &str) -> bool {
    subject.eq_ignore_ascii_case(name)
        || subject.split_once('/').is_some_and(|(_, bare)| bare.eq_ignore_ascii_case(name))
}

/// Fails where nothing is known of any of these keys: it was mistyped, or is of another store.
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
        [key] => bail!("neither the queue, the journal nor a delivery has the key {key}"),
        _ => bail!("neither the queue, the journal nor a delivery has these keys"),
    }
}

/// The last name of a key in the journal.
pub(super) async fn name(store: &dyn Store, key: &Key) -> anyhow::Result<Option<String>> {
    let listing = Listing { after: 0, since: None, key: Some(key.to_string()), limit: PAGE };
    let entries = store.entries(listing).await?;
    let mut subjects = entries.into_iter().rev().map(|entry| entry.subject);
    Ok(subjects.find(|subject| !subject.is_empty() && subject != key.as_str()))
}

/// Reads the whole journal, page by page.
async fn each(store: &dyn Store, mut look: impl FnMut(&Entry)) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let entries = store.entries(Listing { after, since: None, key: None, limit: PAGE }).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.seq;
        entries.iter().for_each(&mut look);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_found_with_and_without_its_owner() {
        assert!(is_called("acme/shop", "ACME/shop") && is_called("acme/shop", "shop"));
        assert!(!is_called("acme/shop", "acme") && !is_called("acme/shop", "sho"));
    }
}
