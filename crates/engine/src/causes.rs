//! Finds the deliveries that can explain the drift of a key. The journal contains these deliveries.

use std::time::Duration;

use crate::clock::Time;
use crate::journal::Cause;
use crate::key::Key;
use crate::store::{DeliveryRow, Listing, Store, StoreError};

/// The maximum number of deliveries in one journal entry.
const MOST: usize = 5;
/// The number of deliveries that one call reads.
const PAGE: u32 = 50;
/// The maximum number of calls for one key. Beadle's own writes also cause deliveries, and the list
/// begins with these deliveries.
const PAGES: u32 = 10;
/// The maximum time between a delivery about an origin and the moment when the run of the origin
/// marks the key. The run of the origin might have to wait for a debounce or for a retry.
const EARLIER: Duration = Duration::from_secs(600);

/// Returns the deliveries that made a key due after a given time and arrived before the plan was
/// made. A later delivery cannot explain the drift in the plan. The runs of the keys in `origins`
/// also mark this key, so the deliveries of those keys count too.
pub(crate) async fn causes(
    store: &dyn Store,
    key: &Key,
    origins: &[Key],
    (since, planned): (Time, Time),
) -> Vec<Cause> {
    let mut asked = vec![(key, since)];
    asked.extend(origins.iter().map(|origin| (origin, since - EARLIER)));
    let mut found: Vec<Cause> = Vec::new();
    for (key, since) in asked {
        match deliveries(store, key, (since, planned)).await {
            Ok(rows) => {
                let cause = |row: DeliveryRow| Cause { event: row.event, by: row.actor, delivery: row.id };
                found.extend(rows.into_iter().map(cause));
            }
            Err(error) => {
                tracing::debug!(%error, "webhook deliveries that caused the run cannot be read");
            }
        }
    }
    found.truncate(MOST);
    found
}

/// Returns the newest deliveries about a key that arrived between two times.
async fn deliveries(
    store: &dyn Store,
    key: &Key,
    (since, until): (Time, Time),
) -> Result<Vec<DeliveryRow>, StoreError> {
    let mut found: Vec<DeliveryRow> = Vec::new();
    for page in 0..PAGES {
        let after = u64::from(page * PAGE);
        let key = Some(key.to_string());
        let rows = store.deliveries(Listing { after, since: Some(since), key, limit: PAGE }).await?;
        let is_last = rows.len() < PAGE as usize;
        for row in rows.into_iter().filter(|row| row.received <= until) {
            // A delivery that arrives during the search moves other deliveries to the next page, so
            // the search can find the same delivery twice.
            if !found.iter().any(|known| (&known.source, &known.id) == (&row.source, &row.id)) {
                found.push(row);
            }
        }
        if is_last || found.len() >= MOST {
            break;
        }
    }
    found.truncate(MOST);
    Ok(found)
}
