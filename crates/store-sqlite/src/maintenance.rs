//! Implements the maintenance of the store: the deletion of old data, copies and health checks.

use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::store::prelude::*;
use beadle_engine::{Retention, StoreError, StoreRecord, Time};

use crate::{SqliteStore, bodies, guard, journal, queue, rows};

#[async_trait]
impl Maintenance for SqliteStore {
    async fn prune(&self, retention: Retention) -> Result<u64, StoreError> {
        self.writer.write("pruning", move |connection| journal::prune(connection, &retention)).await
    }

    async fn settle(&self, _: Time) -> Result<u64, StoreError> {
        // A transaction is stored either wholly or not at all, so no call can be interrupted
        // between two steps.
        Ok(0)
    }

    async fn take(&self, piece: StoreRecord) -> Result<(), StoreError> {
        const DOING: &str = "storing a copied record";
        let unavailable = |why: String| StoreError::Unavailable { doing: DOING, why };
        match piece {
            StoreRecord::Row(row) => {
                self.writer.write(DOING, move |connection| rows::save(connection, &row)).await
            }
            StoreRecord::Delivery(row, body) => {
                let body = body.map(|body| bodies::compress(&body)).transpose();
                let body = body.map_err(|error| unavailable(error.to_string()))?;
                let keys =
                    serde_json::to_string(&row.keys).map_err(|error| unavailable(error.to_string()))?;
                let delivery = row.with_body(Vec::new());
                self.writer
                    .write(DOING, move |connection| {
                        queue::insert(connection, &delivery, body.as_deref(), &keys).map(drop)
                    })
                    .await
            }
            StoreRecord::Entries(entries) => {
                self.writer.write(DOING, move |connection| journal::take(connection, &entries)).await
            }
            StoreRecord::Hold(hold) => {
                self.writer.write(DOING, move |connection| guard::save(connection, &hold)).await
            }
            StoreRecord::Bookings(bookings) => {
                self.writer.write(DOING, move |connection| guard::take(connection, &bookings)).await
            }
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        const DOING: &str = "moving the write-ahead log into the database file";
        // SQLite does not wait for another checkpoint that is in progress, so this loop tries
        // again.
        for _ in 0..50 {
            let moved = |connection: &rusqlite::Connection| {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            };
            if self.read(DOING, moved).await? == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(StoreError::Unavailable { doing: DOING, why: "another process uses the file".into() })
    }

    async fn ready(&self) -> Result<(), StoreError> {
        const DOING: &str = "checking the store";
        self.health.is_whole(DOING)?;
        self.writer
            .write(DOING, move |connection| {
                connection.execute("INSERT OR REPLACE INTO note VALUES ('ready', '')", []).map(drop)
            })
            .await
    }
}
