//! Deletes each record of a control after the retention time of the journal. The newest record of
//! each repository stays, because this record is valid until the next record.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Metadata, Note, TaskStatus, Time};
use beadle_repositories::controls::prune_controls;
use serde::{Deserialize, Serialize};

use super::inbox_journal_pruning::divisor;
use super::{LOOK, REMOTE};
use crate::app::service::Service;
use crate::output::plural::counted;

/// The time between two searches. This time is long, because a search reads all records.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// The time of the last complete search. All processes with the same store share this time.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct LastSearch(Time);

impl Metadata for LastSearch {
    const KIND: &'static str = "control-retention";
}

/// The task that deletes old records of controls.
pub(super) struct ControlRecordPruning(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for ControlRecordPruning {
    fn name(&self) -> String {
        "control records".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    fn retry(&self) -> Duration {
        LOOK
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (store, now) = (self.0.store.as_ref(), self.0.clock().now());
        let note = Note::<LastSearch>::of(&[]);
        // If the stored time is in the future, a process with a wrong clock stored the time.
        if note.get(store).await?.is_some_and(|last| last.0 <= now && now.since(last.0) < EVERY / divisor()) {
            return Ok(TaskStatus::Idle);
        }
        let kept: Duration = self.0.config().file.retention.journal.into();
        let deleted = prune_controls(store, now - kept / divisor()).await?;
        note.put(store, &LastSearch(now)).await?;
        if deleted == 0 {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done(format!("{} deleted", counted(deleted, "record", "records"))))
    }
}
