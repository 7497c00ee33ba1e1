//! Sweeps. A sweep makes all keys of an instance due, and ends with a summary of the results.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::journal::{Detail, Entry, EntryKind, RunCounts, SweepEnd};
use crate::key::{Key, KeyScope};
use crate::note::{Metadata, Note};
use crate::queue::Row;
use crate::store::{Listing, RowList, Store, StoreError};

pub use crate::journal::SweepSummary as Summary;

/// The number of journal entries that one call reads.
const PAGE: u32 = 1000;

/// The stored facts about a sweep that has begun and not ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Begun {
    at: Time,
    /// The number of repositories or groups that the sweep checks.
    #[serde(alias = "repositories")]
    count: u64,
    /// When no key of the sweep waits any more, some runs might still be in progress. This field
    /// contains those runs, each as key and epoch. The sweep ends when all these runs have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Vec<(String, u64)>>,
}

impl Metadata for Begun {
    const KIND: &'static str = "sweep-begun";
}

fn note(name: &str) -> Note<Begun> {
    Note::of(&[name])
}

/// Records that a sweep has begun. Returns `false` if the previous sweep of the same name has not
/// ended. The keys of the previous sweep then belong to the new sweep.
pub async fn begin(store: &dyn Store, name: &str, count: usize, now: Time) -> Result<bool, StoreError> {
    let is_first = note(name).get(store).await?.is_none();
    let begun = Begun { at: now, count: count as u64, last: None };
    note(name).put(store, &begun).await?;
    Ok(is_first)
}

/// Returns the time when the present sweep of this name began. Returns `None` if no sweep of this
/// name is in progress.
pub async fn begun_at(store: &dyn Store, name: &str) -> Result<Option<Time>, StoreError> {
    Ok(note(name).get(store).await?.map(|begun| begun.at))
}

/// Returns the summary of a sweep over the keys of `scopes`. Returns `None` if the sweep has not
/// ended, or if none has begun.
pub async fn summarise(
    store: &dyn Store,
    name: &str,
    scopes: &[KeyScope],
    now: Time,
) -> Result<Option<Summary>, StoreError> {
    let Some(mut begun) = note(name).get(store).await? else { return Ok(None) };
    // A key that was marked after the sweep began does not belong to the sweep. If the sweep marked
    // a key, the key belongs to the sweep, even if an event has marked the key too.
    if store.count_waiting(scopes, begun.at, 1).await? > 0 {
        return Ok(None);
    }
    let is_its = |key: &Key| scopes.iter().any(|scope| scope.covers(key));
    // Nobody works on the key of an unreadable row, so such a row does not delay the end of the
    // sweep.
    let RowList { rows, unreadable_keys, .. } = store.all_rows(u32::MAX).await?;
    // The writes of a run cause webhooks, which mark the key again during the run. The row of the
    // key then no longer shows that the run belongs to the sweep. Beadle therefore waits for all
    // runs that are in progress now. Beadle does not wait for runs that begin later, because the
    // sweep of a busy organisation would never end.
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
    let is_parked =
        |row: &&Row| is_its(&row.key) && row.parked.as_ref().is_some_and(|parked| parked.since >= begun.at);
    // If the key of an unreadable row is unreadable too, the row might belong to any sweep, so each
    // sweep counts it.
    let mut failed: HashSet<String> = unreadable_keys
        .into_iter()
        .filter(|key| key.parse::<Key>().map_or(true, |key| is_its(&key)))
        .collect();
    let unreadable = failed.len() as u64;
    failed.extend(rows.iter().filter(is_parked).map(|row| row.key.to_string()));
    let summary = sum(store, &begun, &is_its, failed).await?;
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Sweep,
        key: format!("sweep:{name}"),
        subject: name.to_owned(),
        intent: None,
        trace: crate::trace::current_id(),
        detail: Detail::Sweep(SweepEnd { summary, took_s: now.since(begun.at).as_secs(), unreadable }),
    };
    store.journal(None, vec![entry], now).await?;
    note(name).forget(store).await?;
    Ok(Some(summary))
}

/// Sums up the results of all runs in the journal after the start of a sweep. `failed` contains the
/// parked keys and the keys of unreadable rows.
async fn sum(
    store: &dyn Store,
    begun: &Begun,
    is_its: &(dyn Fn(&Key) -> bool + Send + Sync),
    mut failed: HashSet<String>,
) -> Result<Summary, StoreError> {
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
            // A run of a person's undo does not count as a repair, and the undo of the sweep leaves
            // out this run.
            if run.written > 0 && !run.is_undo {
                repaired.insert(key.clone());
            }
            last_runs.insert(key, run);
        }
    }
    let mut summary = Summary { checked: begun.count, ..Summary::default() };
    for (key, run) in last_runs {
        summary.held += u64::from(run.held > 0);
        summary.unknown += u64::from(!run.unknown.is_empty());
        if run.failed > 0 || run.postponed.is_some_and(|postponed| postponed > 0) {
            failed.insert(key);
        }
    }
    // If a run of a key wrote a change, the key counts as repaired, whatever a later run of the key
    // finds.
    summary.drifted = drifted.len() as u64;
    summary.repaired = repaired.len() as u64;
    summary.failed = failed.len() as u64;
    Ok(summary)
}
