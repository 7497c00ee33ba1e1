//! Copies all data of a store to another store, for example when a deployment moves from SQLite to
//! DynamoDB.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::clock::Time;
use crate::journal::EntryKind;
use crate::key::Key;
use crate::queue::Row;
use crate::store::{Listing, Store, StoreError, StoreRecord};

/// The number of records that are written at the same time.
const AT_ONCE: usize = 16;
/// The maximum number of notes that are in memory at the same time. A note can be large: a vendor's
/// answer in a note can have several hundred kilobytes.
const NOTES: u32 = 100;
/// The number of journal entries in one record.
const ENTRIES: u32 = 500;
/// If a call of the source store takes longer than this time, the call counts as interrupted.
const INTERRUPTED: Duration = Duration::from_secs(120);
/// The name of the note that marks the target as incomplete. The note stays until the copy ends.
const UNFINISHED: &str = "copy:unfinished";
/// The names of the notes about the store itself, which a copy leaves out. One note belongs to the
/// store's health check. The other note contains the number of a journal entry. All intents up to
/// this entry have results. The copy leaves out this note, because each journal has its own note of
/// this kind.
const OWN: [&str; 2] = ["ready", "settled-intents"];

/// How much data a copy has transferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The number of keys with their rows in the queue.
    pub keys: u64,
    /// The number of deliveries.
    pub deliveries: u64,
    /// The number of journal entries.
    pub entries: u64,
    /// The number of held or approved changes.
    pub holds: u64,
    /// The number of notes, such as cursors and counts.
    pub notes: u64,
    /// The number of pauses that are in force.
    pub pauses: u64,
}

/// The reason why a copy did not begin, or began and did not end.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CopyError {
    /// The target store already contains data. Beadle does not mix the data of two stores.
    #[error("the target store already has {0}: copy into an empty store")]
    NotEmpty(&'static str),
    /// An earlier copy into the target store did not end.
    #[error(
        "an earlier copy into the target store did not finish: delete the file, table or schema of the target store, and copy again"
    )]
    Unfinished,
    /// The source store is incomplete, because an earlier copy into it did not end.
    #[error("the source store comes from an earlier copy that did not finish: copy from the original store")]
    FromUnfinished,
    /// A newer version wrote a journal entry. A copy would lose the kind of the entry.
    #[error(
        "this version of Beadle does not know the kind of entry {0} of the journal: copy with the newest version of \
         Beadle that has used the source store"
    )]
    Newer(u64),
    /// A call to one of the stores failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies all data. The protections come first: the pauses, the holds, and the reservations that
/// still count in the guard's windows. During the copy, no other process may write to either store.
/// Before the copy, the function completes interrupted calls in `from`. `on_progress` gets the
/// number of copied deliveries and the number of all deliveries.
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    window: Duration,
    now: Time,
    on_progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Copied, CopyError> {
    if from.get(UNFINISHED).await?.is_some() {
        return Err(CopyError::FromUnfinished);
    }
    empty(to, now).await?;
    let settled = from.settle(now + INTERRUPTED).await?;
    to.put(UNFINISHED, "").await?;
    let mut copied = Copied::default();
    for pause in from.pauses(now).await? {
        to.pause(&pause.scope, pause.until).await?;
        copied.pauses += 1;
    }
    for hold in from.holds().await? {
        to.take(StoreRecord::Hold(hold)).await?;
        copied.holds += 1;
    }
    to.take(StoreRecord::Bookings(from.bookings(now - window).await?)).await?;
    let mut after = String::new();
    loop {
        let page = from.notes_page("", &after, NOTES).await?;
        let Some((last, _)) = page.last() else { break };
        after.clone_from(last);
        let notes = page.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let count: u64 = stream::iter(notes)
            .map(|(name, value)| async move { to.put(&name, &value).await })
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |count, ()| Ok(count + 1))
            .await?;
        copied.notes += count;
    }
    let mut rows = from.rows(u32::MAX).await?;
    let mut deliveries = from.deliveries(Listing { limit: u32::MAX, ..Listing::default() }).await?;
    // Deliveries are written in the order of their arrival, with the oldest first.
    deliveries.reverse();
    if settled > 0 {
        // If a row was marked a moment ago, the list might not contain the row yet.
        let listed: BTreeSet<Key> = rows.iter().map(|row| row.key.clone()).collect();
        let named: BTreeSet<&Key> = deliveries.iter().flat_map(|row| &row.keys).collect();
        for key in named.into_iter().filter(|key| !listed.contains(*key)) {
            rows.extend(from.row(key).await?.filter(Row::is_pending));
        }
    }
    copied.keys = stream::iter(rows)
        .map(|row| to.take(StoreRecord::Row(row)))
        .buffer_unordered(AT_ONCE)
        .try_fold(0, async |count, ()| Ok(count + 1))
        .await?;
    let total = deliveries.len() as u64;
    copied.deliveries = stream::iter(deliveries)
        .map(|row| async move {
            let body = from.body(&row.source, &row.id).await?;
            to.take(StoreRecord::Delivery(row, body)).await
        })
        .buffered(AT_ONCE)
        .try_fold(0, async |count, ()| {
            on_progress(count + 1, total);
            Ok(count + 1)
        })
        .await?;
    let mut after = 0;
    loop {
        let entries = from.entries(Listing { after, limit: ENTRIES, ..Listing::default() }).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        if let Some(newer) = entries.iter().find(|entry| entry.kind == EntryKind::Other) {
            return Err(CopyError::Newer(newer.seq));
        }
        copied.entries += entries.len() as u64;
        to.take(StoreRecord::Entries(entries)).await?;
    }
    to.forget(UNFINISHED).await?;
    Ok(copied)
}

/// Returns whether an earlier copy into this store did not end. If the store cannot be read, the
/// result is `false`. The next call of the store then reports the error.
pub async fn is_unfinished(store: &dyn Store) -> bool {
    matches!(store.get(UNFINISHED).await, Ok(Some(_)))
}

/// Returns an error if a store contains data.
async fn empty(store: &dyn Store, now: Time) -> Result<(), CopyError> {
    if store.get(UNFINISHED).await?.is_some() {
        return Err(CopyError::Unfinished);
    }
    let one = || Listing { limit: 1, ..Listing::default() };
    let there = [
        (!store.rows(1).await?.is_empty(), "keys"),
        (!store.deliveries(one()).await?.is_empty(), "deliveries"),
        (!store.entries(one()).await?.is_empty(), "a journal"),
        (!store.holds().await?.is_empty(), "held changes"),
        (!store.pauses(now).await?.is_empty(), "pauses"),
        (store.notes("").await?.iter().any(|(name, _)| !OWN.contains(&name.as_str())), "notes"),
    ];
    there.iter().find(|(is_there, _)| *is_there).map_or(Ok(()), |(_, what)| Err(CopyError::NotEmpty(what)))
}
