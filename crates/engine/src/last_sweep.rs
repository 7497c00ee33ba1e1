//! Finds the newest sweep in which Beadle wrote something, so that a person can undo this sweep
//! without a search for its number.

use crate::clock::Time;
use crate::journal::{Detail, SweepEnd};
use crate::store::{History, Store, StoreError};

/// The number of sweeps that one read of the store returns.
const WINDOW: u32 = 50;
/// The maximum number of sweeps that the search reads, so that the overview stays fast.
const MOST: usize = 500;

/// A sweep in which Beadle wrote something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WritingSweep {
    /// The number of the sweep in the journal.
    pub number: u64,
    /// The time of the end of the sweep.
    pub at: Time,
    /// The results of the sweep.
    pub end: SweepEnd,
}

/// Returns the newest sweep of an organisation or a directory in which Beadle wrote something.
/// `name` is the name of the organisation or the directory. If `before` is a number in the journal,
/// only the sweeps before this number count. Returns `None` if the newest 500 of these sweeps wrote
/// nothing.
pub async fn last_writing_sweep(
    store: &dyn Store,
    name: &str,
    before: Option<u64>,
) -> Result<Option<WritingSweep>, StoreError> {
    let key = Some(format!("sweep:{name}"));
    let mut history = History { before, key, limit: WINDOW, ..History::default() };
    let mut looked = 0;
    while looked < MOST {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(None) };
        history.before = Some(last.seq);
        looked += entries.len();
        for entry in entries {
            if let Detail::Sweep(end) = entry.detail
                && end.summary.repaired > 0
            {
                return Ok(Some(WritingSweep { number: entry.seq, at: entry.at, end }));
            }
        }
    }
    Ok(None)
}
