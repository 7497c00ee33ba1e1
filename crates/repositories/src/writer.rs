//! Writes the changes of a plan to a repository.

use async_trait::async_trait;
use beadle_engine::apply::{PlanWriter, Session};
use beadle_engine::{Change, Class, Failure, Key, Lane, LastRead, Plan, Time, Turn};
use beadle_github::{Reader, Writer};

use crate::aspects::{Step, WriteTarget};
use crate::creation::name_in;

/// Writes to the repositories of one organisation.
pub struct RepositoryWriter {
    writer: Writer,
    reader: Reader,
}

impl RepositoryWriter {
    /// Creates a writer. Before the writer can write to a repository, the reader must have read
    /// this repository. The reader keeps the node id of the repository.
    pub fn new(writer: Writer, reader: Reader) -> Self {
        Self { writer, reader }
    }
}

struct Open(WriteTarget);

#[async_trait]
impl Session<Box<dyn Step>> for Open {
    async fn write(&self, change: &Change<Box<dyn Step>>) -> Result<(), Failure> {
        change.write.write(&self.0).await
    }
}

#[async_trait]
impl PlanWriter<Box<dyn Step>> for RepositoryWriter {
    async fn open(
        &self,
        key: &Key,
        plan: &Plan<Box<dyn Step>>,
        valid_until: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<Box<dyn Step>>>, Failure> {
        let (writer, reader) = (self.writer.in_lane(lane).until(valid_until), self.reader.in_lane(lane));
        let target = |named| WriteTarget { named, writer: writer.clone(), reader: reader.clone() };
        if key.kind() == "organisation" || name_in(key).is_some() {
            return Ok(Box::new(Open(target(None))));
        }
        let fatal = |why: &str| Failure::new(Class::Fatal, format!("{}: {why}", plan.subject));
        let id: u64 = key.id().parse().map_err(|_| fatal("its key has no repository id"))?;
        let node_id = self
            .reader
            .node_of(id)
            .ok_or_else(|| fatal("Beadle did not read the repository before the write"))?;
        let named = writer.named(id, &node_id).await?;
        // The stored answers do not contain the writes of this run. The next sweep therefore reads
        // everything.
        if let Some(store) = self.reader.store() {
            LastRead::clear(store.as_ref(), key).await?;
        }
        Ok(Box::new(Open(target(Some(named)))))
    }

    fn turn(&self, change: &Change<Box<dyn Step>>) -> Turn {
        change.write.turn()
    }
}
