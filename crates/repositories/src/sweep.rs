//! A sweep: the organisation and every repository of it made due, and what became of them.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::worker::{Reconcile, Run};
use beadle_engine::{
    Clock, Entry, EntryKind, Failure, Key, Lane, Listing, Mark, Report, Row, Store, StoreError, Time,
};
use beadle_github::Reader;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::planner::PolicyHandle;

/// Marks in one transaction.
const BATCH: usize = 500;
/// Journal entries in one read.
const PAGE: u32 = 1000;

/// Reconciles a `sweep` key: it marks the organisation and its repositories.
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

/// A sweep that is under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Begun {
    at: Time,
    repositories: u64,
}

/// What a sweep came to: repositories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Looked at.
    pub checked: u64,
    /// Not as declared.
    pub drifted: u64,
    /// Of which something was written.
    pub repaired: u64,
    /// Of which something is held by the guard.
    pub held: u64,
    /// Of which something could not be written.
    pub failed: u64,
    /// Of which something could not be read or resolved.
    pub unknown: u64,
}

fn note(instance: &str) -> String {
    format!("sweep-begun:{instance}")
}

#[async_trait]
impl Reconcile for Sweep {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        // A listing that came back short is no sweep: it fails here, is said, and is tried again.
        let index = self.reader.index().await?;
        let now = self.clock.now();
        let begun = Begun { at: now, repositories: index.len() as u64 };
        if self.store.get(&note(instance)).await?.is_some() {
            tracing::warn!(instance, "the sweep before has not ended; its repositories are part of this one");
        }
        self.store.put(&note(instance), &json!(begun).to_string()).await?;
        let own = Mark::new(Key::new("organisation", instance, run.lease.key.id()), Lane::Sweep);
        let repositories = index.iter().map(|row| Mark {
            key: Key::new("repository", instance, row.id),
            lane: Lane::Sweep,
            hint: Some(row.node_id.clone()),
        });
        let marks: Vec<Mark> = std::iter::once(own).chain(repositories).collect();
        for batch in marks.chunks(BATCH) {
            self.store.mark(batch.to_vec(), now).await?;
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

/// Sums up a sweep whose last repository was looked at; `None` while it goes on, or when there is none.
pub async fn summarise(store: &dyn Store, instance: &str, now: Time) -> Result<Option<Summary>, StoreError> {
    let Some(text) = store.get(&note(instance)).await? else { return Ok(None) };
    let Ok(begun) = serde_json::from_str::<Begun>(&text) else {
        store.forget(&note(instance)).await?;
        return Ok(None);
    };
    let rows = store.rows(u32::MAX).await?;
    let is_its = |row: &Row| {
        row.key.instance() == instance && matches!(row.key.kind(), "repository" | "organisation" | "sweep")
    };
    // What was marked after that is not of this sweep.
    let waits = |row: &&Row| {
        is_its(row) && row.parked.is_none() && row.lane == Lane::Sweep && row.first_dirty <= begun.at
    };
    if rows.iter().any(|row| waits(&row)) {
        return Ok(None);
    }
    let mut summary = Summary { checked: begun.repositories, ..Summary::default() };
    let parked =
        rows.iter().filter(|row| is_its(row) && row.parked.as_ref().is_some_and(|p| p.since >= begun.at));
    summary.failed += parked.count() as u64;
    let mut last_runs: HashMap<String, Entry> = HashMap::new();
    let mut after = 0;
    loop {
        let listing = Listing { after, since: Some(begun.at), key: None, limit: PAGE };
        let entries = store.entries(listing).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        let of_instance = |key: &str| key.parse::<Key>().is_ok_and(|key| key.instance() == instance);
        for run in entries.into_iter().filter(|entry| entry.kind == EntryKind::Run && of_instance(&entry.key))
        {
            last_runs.insert(run.key.clone(), run);
        }
    }
    for run in last_runs.values() {
        let some = |what: &str| u64::from(run.detail[what].as_u64().is_some_and(|count| count > 0));
        summary.drifted += some("changes");
        summary.repaired += some("written");
        summary.held += some("held");
        summary.failed += some("failed");
        summary.unknown += u64::from(run.detail["unknown"].as_array().is_some_and(|list| !list.is_empty()));
    }
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Sweep,
        key: format!("sweep:{instance}"),
        subject: instance.to_owned(),
        intent: None,
        detail: json!({ "summary": summary, "took_s": now.since(begun.at).as_secs() }),
    };
    store.journal(None, vec![entry], now).await?;
    store.forget(&note(instance)).await?;
    Ok(Some(summary))
}
