//! A sweep: every repository of an organisation made due.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{Clock, Failure, Key, Lane, Mark, Report, Store};
use beadle_github::Reader;

use crate::planner::PolicyHandle;

/// Marks in one transaction.
const BATCH: usize = 500;

/// Reconciles an `organisation` key: it marks its repositories.
pub struct Sweep {
    /// Lists them.
    pub reader: Reader,
    /// Where they are marked.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// For what in the policy reaches nothing.
    pub policy: PolicyHandle,
}

#[async_trait]
impl Reconcile for Sweep {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        let index = self.reader.index().await?;
        let marks: Vec<Mark> = index
            .iter()
            .map(|row| Mark {
                key: Key::new("repository", instance, row.id),
                lane: Lane::Sweep,
                hint: Some(row.node_id.clone()),
            })
            .collect();
        for batch in marks.chunks(BATCH) {
            self.store.mark(batch.to_vec(), self.clock.now()).await?;
        }
        let names: Vec<&str> = index.iter().map(|row| row.name.as_str()).collect();
        for what in self.policy.current().unmatched(&names) {
            tracing::warn!(instance, what, "the policy reaches nothing with it");
        }
        tracing::info!(instance, repositories = index.len(), "a sweep has begun");
        Ok(Report {
            subject: instance.to_owned(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}
