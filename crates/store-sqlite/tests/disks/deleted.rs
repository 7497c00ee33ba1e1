//! Storms in which somebody deletes or replaces a file of the store while the store is open.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::inbox;

/// The database file, and the further files that SQLite keeps while the database file is open.
const FILES: &[&str] = &["b.db", "b.db-wal", "b.db-shm"];

pub(crate) async fn run(random: &mut StdRng, folder: &Path) -> Result<(), String> {
    let path = folder.join("b.db");
    let store = SqliteStore::open(&path, SqliteSettings::default()).map_err(|error| error.to_string())?;
    let mut accepted = BTreeSet::new();
    let mut given = 0;
    for _ in 0..random.random_range(1..4) {
        for _ in 0..random.random_range(1..6) {
            if !inbox::give(&store, given).await {
                return Err(format!("delivery {given} was not accepted"));
            }
            accepted.insert(given);
            given += 1;
        }
        if random.random_bool(0.2) {
            // In the meantime, the checkpoint moves the log into the file.
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
        let file = FILES.choose(random).copied().unwrap_or("b.db");
        let (file, aside) = (folder.join(file), folder.join("aside"));
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        std::fs::rename(&file, &aside).map_err(failed)?;
        if random.random_bool(0.5) {
            // A restored backup is another file with the same content.
            std::fs::copy(&aside, &file).map_err(failed)?;
        }
        for _ in 0..random.random_range(1..4) {
            if inbox::give(&store, given).await {
                return Err(format!("delivery {given} was accepted without {}", file.display()));
            }
            given += 1;
        }
        std::fs::rename(&aside, &file).map_err(failed)?;
    }
    if !inbox::give(&store, given).await {
        return Err("the store does not accept deliveries again".into());
    }
    accepted.insert(given);
    drop(store);
    inbox::check(&path, &accepted, given + 1).await
}
