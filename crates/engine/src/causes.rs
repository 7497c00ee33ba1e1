//! Finds the deliveries that may explain the drift of a key, for the journal.

use std::time::Duration;

use crate::clock::Time;
use crate::journal::Cause;
use crate::key::Key;
use crate::store::{DeliveryRow, Listing, Store};

/// The maximum number of deliveries that one entry of the journal names.
const MOST: u32 = 5;
/// How long before a mark of the key the delivery of an origin can have arrived. The run of the
/// origin marks the key, and this run can wait for a debounce or for another try.
const EARLIER: Duration = Duration::from_secs(600);

/// Returns the deliveries that made a key due since a time. The runs of the keys in `origins` mark
/// this key too, so their deliveries also count.
pub(crate) async fn causes(store: &dyn Store, key: &Key, origins: &[Key], since: Time) -> Vec<Cause> {
    let mut asked = vec![(key, since)];
    asked.extend(origins.iter().map(|origin| (origin, since - EARLIER)));
    let mut found = Vec::new();
    for (key, since) in asked {
        let key = Some(key.to_string());
        let listing = Listing { since: Some(since), key, limit: MOST, ..Listing::default() };
        match store.deliveries(listing).await {
            Ok(rows) => {
                let cause = |row: DeliveryRow| Cause { event: row.event, by: row.actor, delivery: row.id };
                found.extend(rows.into_iter().map(cause));
            }
            Err(error) => {
                tracing::debug!(%error, "webhook deliveries that caused the run cannot be read");
            }
        }
    }
    found.truncate(MOST as usize);
    found
}
