//! Finds the newest sweep that meets a condition. For example, the search finds the newest sweep in
//! which Beadle wrote something. A person can then undo this sweep without a search for its number.

use std::time::Duration;

use crate::clock::Time;
use crate::journal::{Detail, SweepEnd};
use crate::store::{History, Store, StoreError};

/// The number of sweeps that one read of the store returns.
const WINDOW: u32 = 100;
/// The maximum number of sweeps to read in the search for a sweep with writes. The limit keeps the
/// overview fast.
const MOST_FOR_WRITES: usize = 500;
/// The maximum number of sweeps to read in the search for an earlier sweep.
const MOST_FOR_TIME: usize = 10_000;

/// A sweep that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedSweep {
    /// The number of the sweep in the journal.
    pub number: u64,
    /// The time of the end of the sweep.
    pub at: Time,
    /// The results of the sweep.
    pub end: SweepEnd,
}

impl EndedSweep {
    /// Returns the beginning of the sweep. The store keeps the duration of a sweep only in whole
    /// seconds, so the result can be up to a second too early.
    pub(crate) fn begun(&self) -> Time {
        self.at - Duration::from_secs(self.end.took_s + 1)
    }
}

/// Returns the newest sweep in which Beadle wrote something, for one organisation or directory.
/// `name` is the name of the organisation or the directory. If `before` is a number in the journal,
/// only the sweeps before this number count. Returns `None` if the newest 500 of these sweeps wrote
/// nothing.
pub async fn last_writing_sweep(
    store: &dyn Store,
    name: &str,
    before: Option<u64>,
) -> Result<Option<EndedSweep>, StoreError> {
    let wrote = |sweep: &EndedSweep| sweep.end.summary.repaired > 0;
    newest(store, name, (before, MOST_FOR_WRITES), wrote).await
}

/// Returns the newest sweep that planned all keys and ended at this time or earlier, for one
/// organisation or directory. Returns `None` if this sweep is not among the newest 10,000 sweeps.
pub(crate) async fn last_whole_sweep_at(
    store: &dyn Store,
    name: &str,
    time: Time,
) -> Result<Option<EndedSweep>, StoreError> {
    newest(store, name, (None, MOST_FOR_TIME), |sweep| sweep.at <= time && sweep.end.unreadable == 0).await
}

/// Returns the newest sweep before the number `before` that meets the condition. Reads at most
/// `most` sweeps.
async fn newest(
    store: &dyn Store,
    name: &str,
    (before, most): (Option<u64>, usize),
    meets: impl Fn(&EndedSweep) -> bool,
) -> Result<Option<EndedSweep>, StoreError> {
    let key = Some(format!("sweep:{name}"));
    let mut history = History { before, key, limit: WINDOW, ..History::default() };
    let mut read = 0;
    while read < most {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(None) };
        history.before = Some(last.seq);
        read += entries.len();
        for entry in entries {
            let Detail::Sweep(end) = entry.detail else { continue };
            let sweep = EndedSweep { number: entry.seq, at: entry.at, end };
            if meets(&sweep) {
                return Ok(Some(sweep));
            }
        }
    }
    Ok(None)
}
