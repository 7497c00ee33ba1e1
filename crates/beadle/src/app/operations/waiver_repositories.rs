//! Finds the repositories that waivers cover, and marks these repositories as due.

use beadle_engine::{Failure, Key, Lane, Mark, Store, Time};
use beadle_github::{IndexRow, Reader};
use beadle_repositories::policy::Waiver;

/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// Returns the repositories that at least one of the waivers covers.
pub(crate) async fn covered(reader: &Reader, waivers: &[Waiver]) -> Result<Vec<IndexRow>, Failure> {
    let mut rows = reader.index().await?;
    rows.retain(|row| waivers.iter().any(|waiver| waiver.covers(&row.name)));
    Ok(rows)
}

/// Marks repositories of an organisation as due.
pub(crate) async fn mark(
    store: &dyn Store,
    organisation: &str,
    rows: &[IndexRow],
    (lane, now): (Lane, Time),
) -> Result<(), Failure> {
    let mark = |row: &IndexRow| Mark {
        hint: Some(row.node_id.clone()),
        ..Mark::new(Key::new("repository", organisation, row.id), lane)
    };
    for batch in rows.chunks(BATCH) {
        store.mark_readable(batch.iter().map(mark).collect(), now).await?;
    }
    Ok(())
}
