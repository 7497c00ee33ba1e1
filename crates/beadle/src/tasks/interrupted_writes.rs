//! Marks the keys of interrupted writes. A write is interrupted if its process ended before the
//! vendor answered. The mark makes Beadle read the present state of the key again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::journal::{Happened, WriteResult};
use beadle_engine::{
    BackgroundTask, Detail, Entry, EntryKind, Failure, Key, Lane, Mark, Store, StoreError, TaskStatus, Time,
};

use super::LOCAL;
use crate::app::service::Service;

/// Searches for writes that began at `before` or earlier and have no result, and marks their keys.
/// Returns the number of these writes.
pub(crate) async fn recover_interrupted_writes(
    store: &dyn Store,
    before: Time,
    now: Time,
) -> Result<usize, StoreError> {
    let mut found = 0;
    for intent in store.open_intents().await?.into_iter().filter(|intent| intent.at <= before) {
        tracing::warn!(subject = intent.subject, "interrupted write, checking its result");
        let why =
            Some("the process ended before the vendor answered; Beadle reads the state again".to_owned());
        let detail = Detail::Result(WriteResult { written: Happened::Unknown, unknown: None, why });
        let result = Entry {
            seq: 0,
            at: now,
            kind: EntryKind::Result,
            intent: Some(intent.seq),
            detail,
            ..intent.clone()
        };
        if let Ok(key) = intent.key.parse::<Key>() {
            // The log names a key that cannot be marked. Its write must not delay the other writes.
            store.mark_readable(vec![Mark::new(key, Lane::Event)], now).await?;
        }
        store.journal(None, vec![result], now).await?;
        found += 1;
    }
    Ok(found)
}

/// The age of an interrupted write. No write takes this long. So if an intent of this age has no
/// result, the process that stored the intent has ended.
const ENDED: Duration = Duration::from_secs(1200);

/// The task that recovers interrupted writes. If the store is a file, `beadle serve` also recovers them
/// at its start, because no other process can have a write in progress at that moment.
pub(super) struct InterruptedWrites(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for InterruptedWrites {
    fn name(&self) -> String {
        "interrupted writes".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let now = self.0.clock().now();
        Ok(match recover_interrupted_writes(self.0.store.as_ref(), now - ENDED, now).await? {
            0 => TaskStatus::Idle,
            found => {
                TaskStatus::Done(format!("interrupted writes found: {found}; Beadle reads their state again"))
            }
        })
    }
}
