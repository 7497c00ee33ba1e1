//! Sweeps: every key of something made due, and what became of them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::journal::{Detail, Entry, EntryKind, RunCounts, SweepEnd};
use crate::key::Key;
use crate::note::{Metadata, Note};
use crate::queue::Row;
use crate::store::{Listing, Store, StoreError};

pub use crate::journal::SweepSummary as Summary;

/// Journal entries in one read.
const PAGE: u32 = 1000;

/// A sweep that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    at: Time,
    /// How many things are looked at.
    #[serde(alias = "repositories")]
    count: u64,
    /// Runs that were under way when no key waited any more, as key and epoch: the last of them
    /// ends the sweep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Vec<(String, u64)>>,
}

impl Metadata for Begun {
    const KIND: &'static str = "sweep-begun";
}

fn note(name: &str) -> Note<Begun> {
    Note::of(&[name])
}

/// A sweep of this name over so many things has begun. `false`: the one before has not ended, and they are part of this one.
pub async fn begin(store: &dyn Store, name: &str, count: usize, now: Time) -> Result<bool, StoreError> {
    let is_first = note(name).get(store).await?.is_none();
    let begun = Begun { at: now, count: count as u64, last: None };
    note(name).put(store, &begun).await?;
    Ok(is_first)
}

/// Sums up a sweep whose last key was looked at; `None` while it goes on, or when there is none. `is_its` tells its keys.
pub async fn summarise(
    store: &dyn Store,
    name: &str,
    is_its: &(dyn Fn(&Key) -> bool + Send + Sync),
    now: Time,
) -> Result<Option<Summary>, StoreError> {
    let Some(mut begun) = note(name).get(store).await? else { return Ok(None) };
    let rows = store.rows(u32::MAX).await?;
    // A key that was marked later is not part of this sweep; a key of the sweep that an event
    // marked too is.
    let waits = |row: &Row| is_its(&row.key) && row.parked.is_none() && row.first_dirty <= begun.at;
    if rows.iter().any(waits) {
        return Ok(None);
    }
    // A run's own writes bring webhooks, and with them a new mark: its row no longer tells that it
    // waits. What runs now is waited for; what begins after it is not, or a busy organisation's
    // sweep would never end.
    let is_running = |row: &&Row| is_its(&row.key) && row.lease_until.is_some_and(|until| until > now);
    let mut running: Vec<(String, u64)> =
        rows.iter().filter(is_running).map(|row| (row.key.to_string(), row.epoch)).collect();
    if let Some(last) = &begun.last {
        running.retain(|run| last.contains(run));
    }
    if !running.is_empty() {
        if begun.last.as_ref() != Some(&running) {
            begun.last = Some(running);
            note(name).put(store, &begun).await?;
        }
        return Ok(None);
    }
    let mut summary = Summary { checked: begun.count, ..Summary::default() };
    let is_parked =
        |row: &&Row| is_its(&row.key) && row.parked.as_ref().is_some_and(|parked| parked.since >= begun.at);
    let mut failed: HashSet<String> = rows.iter().filter(is_parked).map(|row| row.key.to_string()).collect();
    let mut last_runs: HashMap<String, RunCounts> = HashMap::new();
    let (mut drifted, mut repaired) = (HashSet::new(), HashSet::new());
    let mut after = 0;
    loop {
        let listing = Listing { after, since: Some(begun.at), key: None, limit: PAGE };
        let entries = store.entries(listing).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        for Entry { key, detail, .. } in entries {
            let Detail::Run(run) = detail else { continue };
            if !key.parse::<Key>().is_ok_and(|key| is_its(&key)) {
                continue;
            }
            if run.changes > 0 {
                drifted.insert(key.clone());
            }
            if run.written > 0 {
                repaired.insert(key.clone());
            }
            last_runs.insert(key, run);
        }
    }
    for (key, run) in last_runs {
        summary.held += u64::from(run.held > 0);
        summary.unknown += u64::from(!run.unknown.is_empty());
        if run.failed > 0 || run.postponed.is_some_and(|postponed| postponed > 0) {
            failed.insert(key);
        }
    }
    // The writes of one run count as repaired, also if later runs find something else.
    summary.drifted = drifted.len() as u64;
    summary.repaired = repaired.len() as u64;
    summary.failed = failed.len() as u64;
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Sweep,
        key: format!("sweep:{name}"),
        subject: name.to_owned(),
        intent: None,
        detail: Detail::Sweep(SweepEnd { summary, took_s: now.since(begun.at).as_secs() }),
    };
    store.journal(None, vec![entry], now).await?;
    note(name).forget(store).await?;
    Ok(Some(summary))
}
