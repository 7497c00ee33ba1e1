//! Makes keys due after an operator has removed the cause that stopped them, such as a pause.
//! Without this module, the stopped keys would start only at the end of their wait, or with the
//! next sweep.

use crate::clock::Time;
use crate::delivery::Mark;
use crate::key::{Key, Lane};
use crate::queue::Row;
use crate::store::{Store, StoreError};

/// The maximum number of keys that one transaction makes due.
const BATCH: usize = 500;

/// Returns the first words of the error of a run that a pause of `scope` ended.
pub(crate) fn paused(scope: &str) -> String {
    format!("{scope} is paused until")
}

/// Makes waiting and parked keys due if their error contains `why`. Returns the number of these
/// keys.
pub async fn revive(
    store: &dyn Store,
    why: &str,
    is_its: &(dyn Fn(&Key) -> bool + Send + Sync),
    now: Time,
) -> Result<usize, StoreError> {
    let waits = |row: &Row| match &row.parked {
        Some(parked) => parked.why.contains(why),
        None => row.is_pending() && row.last_error.as_ref().is_some_and(|error| error.contains(why)),
    };
    // Beadle cannot make the key of an unreadable row due.
    let rows = store.all_rows(u32::MAX).await?.rows.into_iter();
    let rows = rows.filter(|row| is_its(&row.key) && waits(row));
    let marks: Vec<Mark> = rows.map(|row| Mark::new(row.key, Lane::Manual)).collect();
    for batch in marks.chunks(BATCH) {
        store.mark_readable(batch.to_vec(), now).await?;
    }
    Ok(marks.len())
}

/// Makes keys due if a pause of `scope` has stopped them. The scope is an instance or a whole key.
pub async fn revive_paused(store: &dyn Store, scope: &str, now: Time) -> Result<usize, StoreError> {
    let is_its = |key: &Key| key.instance() == scope || key.as_str() == scope;
    revive(store, &paused(scope), &is_its, now).await
}
