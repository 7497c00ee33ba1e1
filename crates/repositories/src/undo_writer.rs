//! Writes an undo. Before the first write, Beadle remembers the undone values, so that the next run
//! does not write the policy's values again.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::apply::{PlanWriter, Session};
use beadle_engine::{Change, Clock, Failure, Key, Lane, Plan, Store, Time, Turn};

use crate::aspects::Step;
use crate::undo::keep;
use crate::writer::RepositoryWriter;

/// Writes the changes of an undo to the repositories of one organisation.
pub struct UndoWriter {
    writer: RepositoryWriter,
    store: Arc<dyn Store>,
    clock: Clock,
    /// The operator who undoes the changes.
    by: String,
}

impl UndoWriter {
    /// Creates a writer that remembers in `store` which values `by` undid.
    pub fn new(writer: RepositoryWriter, store: Arc<dyn Store>, clock: Clock, by: String) -> Self {
        Self { writer, store, clock, by }
    }
}

#[async_trait]
impl PlanWriter<Box<dyn Step>> for UndoWriter {
    async fn open(
        &self,
        key: &Key,
        plan: &Plan<Box<dyn Step>>,
        valid_until: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<Box<dyn Step>>>, Failure> {
        keep(self.store.as_ref(), key, &plan.changes, &self.by, self.clock.now()).await?;
        self.writer.open(key, plan, valid_until, lane).await
    }

    fn turn(&self, change: &Change<Box<dyn Step>>) -> Turn {
        self.writer.turn(change)
    }
}
