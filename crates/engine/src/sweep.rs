//! Sweeps: every key of something made due, and what became of them.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Time;
use crate::journal::{Entry, EntryKind};
use crate::key::{Key, Lane};
use crate::queue::Row;
use crate::store::{Listing, Store, StoreError};

/// Journal entries in one read.
const PAGE: u32 = 1000;

/// A sweep that is under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Begun {
    at: Time,
    /// How many things are looked at.
    #[serde(alias = "repositories")]
    count: u64,
}

/// What a sweep came to: repositories, or groups.
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

fn note(name: &str) -> String {
    format!("sweep-begun:{name}")
}

/// A sweep of this name over so many things has begun. `false`: the one before has not ended, and they are part of this one.
pub async fn begin(store: &dyn Store, name: &str, count: usize, now: Time) -> Result<bool, StoreError> {
    let is_first = store.get(&note(name)).await?.is_none();
    let begun = Begun { at: now, count: count as u64 };
    store.put(&note(name), &json!(begun).to_string()).await?;
    Ok(is_first)
}

/// Sums up a sweep whose last key was looked at; `None` while it goes on, or when there is none. `is_its` tells its keys.
pub async fn summarise(
    store: &dyn Store,
    name: &str,
    is_its: &(dyn Fn(&Key) -> bool + Send + Sync),
    now: Time,
) -> Result<Option<Summary>, StoreError> {
    let Some(text) = store.get(&note(name)).await? else { return Ok(None) };
    let Ok(begun) = serde_json::from_str::<Begun>(&text) else {
        store.forget(&note(name)).await?;
        return Ok(None);
    };
    let rows = store.rows(u32::MAX).await?;
    // What was marked after that is not of this sweep.
    let waits = |row: &&Row| {
        is_its(&row.key) && row.parked.is_none() && row.lane == Lane::Sweep && row.first_dirty <= begun.at
    };
    if rows.iter().any(|row| waits(&row)) {
        return Ok(None);
    }
    let mut summary = Summary { checked: begun.count, ..Summary::default() };
    let is_parked =
        |row: &&Row| is_its(&row.key) && row.parked.as_ref().is_some_and(|parked| parked.since >= begun.at);
    let mut failed: HashSet<String> = rows.iter().filter(is_parked).map(|row| row.key.to_string()).collect();
    let mut last_runs: HashMap<String, Entry> = HashMap::new();
    let mut after = 0;
    loop {
        let listing = Listing { after, since: Some(begun.at), key: None, limit: PAGE };
        let entries = store.entries(listing).await?;
        let Some(last) = entries.last() else { break };
        after = last.seq;
        let is_run = |entry: &Entry| {
            entry.kind == EntryKind::Run && entry.key.parse::<Key>().is_ok_and(|key| is_its(&key))
        };
        for run in entries.into_iter().filter(is_run) {
            last_runs.insert(run.key.clone(), run);
        }
    }
    for run in last_runs.values() {
        let some = |what: &str| u64::from(run.detail[what].as_u64().is_some_and(|count| count > 0));
        summary.drifted += some("changes");
        summary.repaired += some("written");
        summary.held += some("held");
        if some("failed") + some("postponed") > 0 {
            failed.insert(run.key.clone());
        }
        summary.unknown += u64::from(run.detail["unknown"].as_array().is_some_and(|list| !list.is_empty()));
    }
    summary.failed = failed.len() as u64;
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Sweep,
        key: format!("sweep:{name}"),
        subject: name.to_owned(),
        intent: None,
        detail: json!({ "summary": summary, "took_s": now.since(begun.at).as_secs() }),
    };
    store.journal(None, vec![entry], now).await?;
    store.forget(&note(name)).await?;
    Ok(Some(summary))
}
