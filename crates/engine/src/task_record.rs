//! The status of a background task. Processes that share a store keep the status in the store.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::note::{Metadata, Note};
use crate::store::{Store, StoreError};

/// The result of a successful run of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "status", content = "detail")]
pub enum TaskStatus {
    /// The task found nothing to do.
    Idle,
    /// The task did some work. The text describes the work.
    Done(String),
    /// The task could not do all of its work. The text contains the reason. The task runs again
    /// after [`crate::BackgroundTask::retry`], or when the used-up budget is available again.
    Unfinished(String),
}

/// The status of a task: the result of its last run, and the time of its next run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The name of the task.
    pub name: String,
    /// The time between two runs, in milliseconds.
    pub period: u64,
    /// The beginning of the last run.
    pub begun: Option<Time>,
    /// The end of the last run.
    pub ended: Option<Time>,
    /// The result of the last successful run.
    pub last: Option<TaskStatus>,
    /// The error of the last run, if it failed.
    pub failure: Option<String>,
    /// The end of the first failed run after the last successful run. `None` if the last run
    /// succeeded.
    pub failing_since: Option<Time>,
    /// The number of runs since this process started.
    pub runs: u64,
    /// The number of failed runs since this process started.
    pub failures: u64,
    /// The time when the next run is due.
    pub next: Time,
    /// How long the driver waits between the last run and the next run.
    #[serde(skip)]
    pub(crate) wait: Duration,
}

impl Metadata for TaskRecord {
    const KIND: &'static str = "task";
}

impl TaskRecord {
    /// Returns the duration of the last run.
    pub fn took(&self) -> Option<Duration> {
        Some(self.ended?.since(self.begun?))
    }
}

/// Returns the stored records, keyed by the name of the task. All processes that share the store
/// write their records to the store.
pub async fn stored_records(store: &dyn Store) -> Result<BTreeMap<String, TaskRecord>, StoreError> {
    let records = Note::<TaskRecord>::of(&[""]).list(store).await?;
    Ok(records.into_iter().map(|(_, record)| (record.name.clone(), record)).collect())
}
