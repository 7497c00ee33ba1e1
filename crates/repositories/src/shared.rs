//! One read for many who ask at the same time, and never one that is older than the question.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use beadle_engine::Failure;
use tokio::sync::Mutex;

/// The last read, and when it began. A run counts as covering a mark, so what it sees has to be
/// read after that mark: a read that began before somebody asked is not given to them.
#[derive(Debug)]
pub(crate) struct Shared<T> {
    /// Numbers questions and beginnings in their order.
    moments: AtomicU64,
    last: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { moments: AtomicU64::new(0), last: Mutex::new(None) }
    }
}

impl<T> Shared<T> {
    /// Returns a reading that began after this call: of another caller at the same time, or a new
    /// one.
    pub(crate) async fn get<F>(&self, read: impl FnOnce() -> F) -> Result<Arc<T>, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let asked = self.moments.fetch_add(1, Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if let Some((begun, rows)) = last.as_ref()
            && *begun > asked
        {
            return Ok(rows.clone());
        }
        let begun = self.moments.fetch_add(1, Ordering::SeqCst);
        let read = Arc::new(read().await?);
        *last = Some((begun, read.clone()));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_asks_while_a_read_is_under_way_gets_a_later_one_and_all_of_them_the_same() {
        let (shared, reads) = (Shared::<u64>::default(), AtomicU64::new(0));
        let reads = &reads;
        let read = || async move {
            let number = reads.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<u64, Failure>(number)
        };
        let asked = futures::future::join_all((0..10).map(|_| shared.get(read))).await;
        let seen: Vec<u64> = asked.into_iter().map(|read| *read.unwrap()).collect();
        assert_eq!(seen[0], 0);
        assert!(seen[1..].iter().all(|number| *number == 1), "{seen:?}");
        assert_eq!(*shared.get(read).await.unwrap(), 2, "an older one is never given");
        let failed = shared.get(|| async { Err(Failure::new(beadle_engine::Class::Retry, "502")) }).await;
        assert!(failed.is_err());
        assert_eq!(*shared.get(read).await.unwrap(), 3);
    }
}
