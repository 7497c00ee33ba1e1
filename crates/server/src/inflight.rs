//! A bound on the bytes of all bodies that are being received at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Semaphores count up to a machine word's permits; kibibytes are fine enough.
const GRAIN: u64 = 1024;

/// What most webhooks are smaller than.
const SMALL: u64 = 64 * 1024;

/// Room for bodies. Small ones have a quarter of their own, so that large ones cannot keep them out.
#[derive(Clone, Debug)]
pub struct InFlight {
    small: Pool,
    large: Pool,
}

#[derive(Clone, Debug)]
struct Pool {
    room: Arc<Semaphore>,
    whole: u32,
}

/// Room taken by one body; given back when dropped.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl InFlight {
    /// Room for `bytes`.
    pub fn new(bytes: u64) -> Self {
        let pool = |bytes| {
            let whole = grains(bytes);
            Pool { room: Arc::new(Semaphore::new(whole as usize)), whole }
        };
        Self { small: pool(bytes / 4), large: pool(bytes - bytes / 4) }
    }

    /// Waits up to `patience` for room for a body of `bytes`.
    pub async fn take(&self, bytes: u64, patience: Duration) -> Option<Taken> {
        let pool = if bytes <= SMALL { &self.small } else { &self.large };
        let wanted = grains(bytes).min(pool.whole);
        let room = pool.room.clone().acquire_many_owned(wanted);
        tokio::time::timeout(patience, room).await.ok()?.ok().map(Taken)
    }
}

fn grains(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN).max(1)).unwrap_or(u32::MAX)
}
