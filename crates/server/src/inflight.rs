//! Limits the total size of the bodies that the intake receives at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of bytes that each permit of the semaphore represents. Sizes in kibibytes are exact
/// enough.
const GRAIN: u64 = 1024;

/// The maximum size of a small body, in bytes. Most bodies of webhooks are smaller than this.
pub(crate) const SMALL: u64 = 64 * 1024;

/// The memory for bodies. One quarter of this memory is reserved for small bodies. So large bodies
/// can never occupy all of the memory.
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

/// The memory that one body occupies. The memory becomes free when this value is dropped.
#[derive(Debug)]
pub struct Taken(OwnedSemaphorePermit);

impl Taken {
    /// Adds memory that the same body has reserved later.
    pub fn add(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

impl InFlight {
    /// Creates a limit of `bytes` bytes for all bodies together.
    pub fn new(bytes: u64) -> Self {
        let pool = |bytes| {
            let whole = grains(bytes);
            Pool { room: Arc::new(Semaphore::new(whole as usize)), whole }
        };
        Self { small: pool(bytes / 4), large: pool(bytes - bytes / 4) }
    }

    /// Returns the memory that a body with the size `whole` needs. A body that is larger than all of
    /// the memory needs all of it.
    pub fn needed(&self, whole: u64) -> u64 {
        let pool = if whole <= SMALL { &self.small } else { &self.large };
        whole.min(u64::from(pool.whole) * GRAIN)
    }

    /// Reserves memory for `bytes` bytes of a body with the size `whole`. If there is not enough free
    /// memory, waits at most `patience`. Returns `None` if there is still not enough free memory
    /// after this time.
    pub async fn take(&self, bytes: u64, whole: u64, patience: Duration) -> Option<Taken> {
        let pool = if whole <= SMALL { &self.small } else { &self.large };
        let wanted = grains(bytes).min(pool.whole);
        let room = pool.room.clone().acquire_many_owned(wanted);
        tokio::time::timeout(patience, room).await.ok()?.ok().map(Taken)
    }
}

fn grains(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN).max(1)).unwrap_or(u32::MAX)
}
