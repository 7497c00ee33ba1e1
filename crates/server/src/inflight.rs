//! A limit on the bytes of all bodies that the intake receives at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of one permit. A semaphore counts in whole permits, and kibibytes are exact enough.
const GRAIN: u64 = 1024;

/// The size below which a body counts as small. Most webhooks are smaller.
const SMALL: u64 = 64 * 1024;

/// Room for bodies. A quarter of the room is only for small bodies, so that large bodies cannot
/// take all of it.
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

/// The room of one body. A drop frees it.
#[derive(Debug)]
pub struct Taken(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl InFlight {
    /// Creates room for `bytes`.
    pub fn new(bytes: u64) -> Self {
        let pool = |bytes| {
            let whole = grains(bytes);
            Pool { room: Arc::new(Semaphore::new(whole as usize)), whole }
        };
        Self { small: pool(bytes / 4), large: pool(bytes - bytes / 4) }
    }

    /// Waits at most `patience` for room for a body of `bytes`. Returns `None` if there is no room
    /// by then.
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
