//! Stores records that were read from another store.

use beadle_engine::StoreRecord;

use crate::failed::Failed;
use crate::retry::transaction;
use crate::{PostgresStore, bodies, guard, holds, inbox, journal, pipeline, rows};

impl PostgresStore {
    /// Stores a record of another store without changing the record.
    pub(crate) async fn take_record(&self, piece: StoreRecord) -> Result<(), Failed> {
        match piece {
            StoreRecord::Row(row) => rows::save(&self.pool.get().await?, &[row]).await,
            StoreRecord::Delivery(row, body) => {
                let body = body.map(|body| bodies::compress(&body)).transpose()?;
                let keys = serde_json::to_string(&row.keys)?;
                let arrived = inbox::Arrived { delivery: row.with_body(Vec::new()), body, keys };
                let client = self.pool.get().await?;
                let insert = inbox::inserting(&client, &[&arrived]).await?;
                let (open, _) = pipeline::begin(&client, pipeline::BEGIN, &[insert]).await?;
                open.commit(&[], None).await.map(drop)
            }
            StoreRecord::Entries(entries) => transaction!(self, tx => journal::take(&tx, &entries).await?),
            StoreRecord::Hold(hold) => holds::save(&self.pool.get().await?, &[hold]).await,
            StoreRecord::Bookings(bookings) => guard::take(&self.pool.get().await?, &bookings).await,
        }
    }
}
