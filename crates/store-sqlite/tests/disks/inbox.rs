//! Makes the deliveries for the storms, and checks which deliveries a store contains.

use std::collections::BTreeSet;
use std::path::Path;

use beadle_engine::store::prelude::*;
use beadle_engine::{Accepted, Delivery, Key, Lane, Listing, Mark, Time};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The largest body of a delivery, in bytes. SQLite needs several pages for a body of this size.
const LARGEST: usize = 20_000;
/// A storm has fewer deliveries than this number.
const MOST: u32 = 1_000;

/// Returns the delivery with a number. Equal numbers give equal deliveries, in every process.
fn delivery(n: u32) -> Delivery {
    let mut random = StdRng::seed_from_u64(u64::from(n));
    let size = random.random_range(0..LARGEST);
    Delivery {
        source: "github".into(),
        id: format!("d{n}"),
        actor: None,
        event: "push".into(),
        instance: "acme".into(),
        received: Time(1),
        // Random bytes, which compression cannot make smaller.
        body: (0..size).map(|_| random.random_range(0..=u8::MAX)).collect(),
    }
}

fn key(n: u32) -> Key {
    Key::new("repository", "acme", n)
}

/// Gives a delivery to the store. Returns whether the store accepted the delivery.
pub(crate) async fn give(store: &SqliteStore, n: u32) -> bool {
    assert!(n < MOST, "a storm has fewer than {MOST} deliveries");
    let mark = Mark::new(key(n), Lane::Event);
    matches!(store.accept(delivery(n), vec![mark]).await, Ok(Accepted::Stored | Accepted::Duplicate))
}

/// Opens the store, and checks its deliveries. The store must contain all accepted deliveries. It
/// must contain every other delivery wholly or not at all. `given` is the number of deliveries that
/// the test gave to the store.
pub(crate) async fn check(path: &Path, accepted: &BTreeSet<u32>, given: u32) -> Result<(), String> {
    let store = SqliteStore::open(path, SqliteSettings::default());
    let store = store.map_err(|error| format!("the store does not open: {error}"))?;
    let listing = Listing { limit: MOST, ..Listing::default() };
    let rows = store.deliveries(listing).await.map_err(|error| error.to_string())?;
    let there: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    for n in 0..given {
        let is_there = there.contains(&format!("d{n}"));
        if accepted.contains(&n) && !is_there {
            return Err(format!("the accepted delivery {n} of {given} is lost"));
        }
        let row = store.row(&key(n)).await.map_err(|error| error.to_string())?;
        if row.is_some() != is_there {
            return Err(format!("delivery {n} is there: {is_there}, its key is due: {}", row.is_some()));
        }
        if is_there {
            let expected = delivery(n);
            let body = store.body("github", &expected.id).await.map_err(|error| error.to_string())?;
            if body.as_ref() != Some(&expected.body) {
                return Err(format!("delivery {n} has another body"));
            }
        }
    }
    if there.len() > usize::try_from(given).unwrap_or_default() {
        return Err(format!("the store has {} deliveries, and was given {given}", there.len()));
    }
    // The store continues as if nothing had happened.
    store.ready().await.map_err(|error| format!("the store is not ready: {error}"))?;
    drop(store);
    let connection = rusqlite::Connection::open(path).map_err(|error| error.to_string())?;
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if verdict == "ok" { Ok(()) } else { Err(format!("the file is damaged: {verdict}")) }
}
