//! Writes an undo. Before each write, Beadle stores a note about the values that the undo restores.
//! Without this note, the next run would write the policy's values again. Beadle also records that
//! no run has checked the repository after the undo.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::apply::{PlanWriter, Session};
use beadle_engine::{Change, Class, Clock, Failure, Key, Lane, Plan, Store, Time, Turn};

use crate::aspects::Step;
use crate::controls::ControlLog;
use crate::undo::keep;
use crate::writer::RepositoryWriter;

/// The reason why a report cannot show the controls of a repository after an undo.
const UNCHECKED: &str = "an operator undid values, and no run has checked the repository since";

/// Writes the changes of an undo to the repositories of one organisation.
pub struct UndoWriter {
    writer: RepositoryWriter,
    store: Arc<dyn Store>,
    log: Arc<ControlLog>,
    clock: Clock,
    /// The operator who undoes the changes.
    by: String,
}

impl UndoWriter {
    /// Creates a writer for an undo by the operator `by`. The writer keeps notes about the restored
    /// values in `store`.
    pub fn new(writer: RepositoryWriter, store: Arc<dyn Store>, clock: Clock, by: String) -> Self {
        let log = Arc::new(ControlLog::new(store.clone(), &clock));
        Self { writer, store, log, clock, by }
    }
}

/// A session that stores the values of a change before it writes the change. If the guard holds a
/// change or the mode does not allow the change, the session writes and stores nothing. Later runs
/// then continue to repair the values of this change.
struct Remembering {
    session: Box<dyn Session<Box<dyn Step>>>,
    store: Arc<dyn Store>,
    log: Arc<ControlLog>,
    clock: Clock,
    key: Key,
    by: String,
}

#[async_trait]
impl Session<Box<dyn Step>> for Remembering {
    async fn write(&self, change: &Change<Box<dyn Step>>) -> Result<(), Failure> {
        keep(self.store.as_ref(), &self.key, change, &self.by, self.clock.now()).await?;
        // Without this record, a report would show a restored value as met until the next run.
        self.log.record_failure(&self.key, &Failure::new(Class::Retry, UNCHECKED)).await?;
        self.session.write(change).await
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
        let session = self.writer.open(key, plan, valid_until, lane).await?;
        let (store, log, clock) = (self.store.clone(), self.log.clone(), self.clock.clone());
        Ok(Box::new(Remembering { session, store, log, clock, key: key.clone(), by: self.by.clone() }))
    }

    fn turn(&self, change: &Change<Box<dyn Step>>) -> Turn {
        self.writer.turn(change)
    }
}
