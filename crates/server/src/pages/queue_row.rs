//! Reads the row of one key in the queue.

use beadle_engine::{Key, Row, Store, StoreError};

/// Reads the row of a key in the queue. If this version cannot read the row, returns the reason
/// instead of the row.
pub(super) async fn readable_row(
    store: &dyn Store,
    key: &Key,
) -> Result<(Option<Row>, Option<String>), StoreError> {
    match store.row(key).await {
        Ok(row) => Ok((row, None)),
        Err(StoreError::Corrupt { why, .. }) => Ok((None, Some(why))),
        Err(other) => Err(other),
    }
}
