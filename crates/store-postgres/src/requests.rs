//! Defines the requests that the writers execute. Each request calls the engine's rules for the
//! rows of its keys.

use beadle_engine::{Accepted, Entry, Key, Lease, Mark, Outcome, Time, refused_delivery};

use crate::failed::Failed;
use crate::inbox::Arrived;
use crate::writer::{Loaded, Request};

/// Stores a delivery and makes its keys due. If the row of a key cannot be read, the key does not
/// become due, and the output contains the key and the reason.
pub(crate) struct Accept {
    pub(crate) arrived: Arrived,
    pub(crate) marks: Vec<Mark>,
}

impl Request for Accept {
    type Output = (Accepted, Vec<(String, String)>);
    const DOING: &'static str = "storing a delivery";

    fn arrived(&self) -> Option<&Arrived> {
        Some(&self.arrived)
    }

    fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn run(&self, loaded: &mut Loaded) -> Result<Self::Output, Failed> {
        if !loaded.is_new(&self.arrived) {
            return Ok((Accepted::Duplicate, Vec::new()));
        }
        let damaged = loaded.mark(&self.marks, self.arrived.delivery.received)?;
        match refused_delivery(&self.marks, &damaged) {
            Some(why) => Err(Failed::damaged(why)),
            None => Ok((Accepted::Stored, damaged)),
        }
    }
}

/// Makes keys due. If the row of a key cannot be read, the key does not become due, and the output
/// contains the key and the reason.
pub(crate) struct MarkKeys {
    pub(crate) marks: Vec<Mark>,
    pub(crate) now: Time,
}

impl Request for MarkKeys {
    type Output = Vec<(String, String)>;
    const DOING: &'static str = "marking keys as due";

    fn marks(&self) -> &[Mark] {
        &self.marks
    }

    fn run(&self, loaded: &mut Loaded) -> Result<Self::Output, Failed> {
        loaded.mark(&self.marks, self.now)
    }
}

/// Renews a lease.
pub(crate) struct Renew {
    pub(crate) lease: Lease,
    pub(crate) now: Time,
}

impl Request for Renew {
    type Output = Option<Time>;
    const DOING: &'static str = "renewing a lease";

    fn key(&self) -> Option<&Key> {
        Some(&self.lease.key)
    }

    fn run(&self, loaded: &mut Loaded) -> Result<Option<Time>, Failed> {
        let Some(before) = loaded.row(&self.lease.key)?.cloned() else { return Ok(None) };
        let mut row = before.clone();
        let until = row.renew(&self.lease, self.now, &loaded.timing());
        if until.is_some() {
            loaded.change(&before, row, self.now);
        }
        Ok(until)
    }
}

/// Records the end of a run. The output is `false` if the lease was not valid any more.
pub(crate) struct Finish {
    pub(crate) lease: Lease,
    pub(crate) outcome: Outcome,
    pub(crate) now: Time,
}

impl Request for Finish {
    type Output = bool;
    const DOING: &'static str = "ending a run";

    fn key(&self) -> Option<&Key> {
        Some(&self.lease.key)
    }

    fn run(&self, loaded: &mut Loaded) -> Result<bool, Failed> {
        let Some(before) = loaded.row(&self.lease.key)?.cloned() else { return Ok(false) };
        let mut row = before.clone();
        let is_finished = row.finish(&self.lease, self.outcome.clone(), self.now, &loaded.timing());
        if is_finished {
            loaded.change(&before, row, self.now);
        }
        Ok(is_finished)
    }
}

/// Adds journal entries. The output is the position of the first of these entries among all entries
/// of the group, or `None` if the lease is not valid. Because the row is locked, no other worker
/// can claim the key before the commit.
pub(crate) struct Append {
    pub(crate) lease: Option<Lease>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) now: Time,
}

impl Request for Append {
    type Output = Option<u64>;
    const DOING: &'static str = "writing the journal";

    fn key(&self) -> Option<&Key> {
        self.lease.as_ref().map(|lease| &lease.key)
    }

    fn run(&self, loaded: &mut Loaded) -> Result<Option<u64>, Failed> {
        if let Some(lease) = &self.lease
            && !loaded.row(&lease.key)?.is_some_and(|row| row.holds(lease, self.now))
        {
            return Ok(None);
        }
        Ok(Some(loaded.append(&self.entries)))
    }
}
