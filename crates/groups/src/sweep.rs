//! A sweep of a directory: every group that a mapping names, and every one that is remembered, made due.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Clock, Failure, Key, Lane, Mark, Report, Store};

use crate::mark::KIND;
use crate::pairs::Pairs;
use crate::planner::Directory;

/// Marks in one transaction.
const BATCH: usize = 500;

/// Reconciles a `sweep` key of a directory.
pub struct GroupSweep {
    /// The directory.
    pub source: String,
    /// Its targets.
    pub directories: HashMap<String, Directory>,
    /// Where keys are marked.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
}

/// The keys of everything that a directory's groups make at one target: as mapped now, and as remembered.
pub async fn keys(
    source: &str,
    directory: &Directory,
    store: Option<&Arc<dyn Store>>,
) -> Result<BTreeSet<Key>, Failure> {
    let mut keys = BTreeSet::new();
    let mappings = directory.mappings();
    for group in directory.source(source)?.groups().await? {
        for (target, slot) in mappings.slots(source, &group.id, &group.name) {
            if target == directory.name {
                keys.insert(Key::new(KIND, &target, slot));
            }
        }
    }
    let of = format!("{source}/");
    for (slot, pair) in Pairs(store.cloned()).all(&directory.name).await? {
        if pair.sources.iter().any(|one| one.starts_with(&of)) {
            keys.insert(Key::new(KIND, &directory.name, slot));
        }
    }
    Ok(keys)
}

#[async_trait]
impl Reconcile for GroupSweep {
    async fn reconcile(&self, _: &Run) -> Result<Report, Failure> {
        let mut marks = Vec::new();
        for directory in self.directories.values() {
            // Names at the target are looked at once for all of them.
            directory.target.look().await?;
            let keys = keys(&self.source, directory, Some(&self.store)).await?;
            marks.extend(keys.into_iter().map(|key| Mark::new(key, Lane::Sweep)));
        }
        let now = self.clock.now();
        for batch in marks.chunks(BATCH) {
            self.store.mark(batch.to_vec(), now).await?;
        }
        tracing::info!(directory = self.source, groups = marks.len(), "a sweep has begun");
        Ok(Report {
            subject: self.source.clone(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}
