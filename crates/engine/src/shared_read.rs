//! Lets several callers share the result of one read. Many simultaneous calls then cause few reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

/// A read that several callers share. Each caller gets the result of a read that began after the
/// call. A read that began before the call could miss a change that the caller must see.
#[derive(Debug)]
pub struct SharedRead<T> {
    /// The number of calls of [`SharedRead::get`].
    asked: AtomicU64,
    /// The result of the last read, and the number of calls that were made before that read began.
    read: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T> Default for SharedRead<T> {
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), read: Mutex::new(None) }
    }
}

impl<T> SharedRead<T> {
    /// Returns the result of a read that began after this call. If no other call has started a read
    /// since then, this call runs `read`.
    pub async fn get<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let place = self.asked.fetch_add(1, Ordering::SeqCst);
        // While one call reads, the other calls wait for this lock. The next call then reads on
        // behalf of all waiting calls.
        let mut last = self.read.lock().await;
        if let Some((served, found)) = last.as_ref()
            && place < *served
        {
            return Ok(found.clone());
        }
        let served = self.asked.load(Ordering::SeqCst);
        let found = Arc::new(read.await?);
        *last = Some((served, found.clone()));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_is_given_what_was_read_before_they_asked() {
        let shared: Arc<SharedRead<usize>> = Arc::default();
        let (begun, now) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut asks = Vec::new();
        for n in 0..40 {
            let (shared, begun, now) = (shared.clone(), begun.clone(), now.clone());
            asks.push(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 10)).await;
                let asked = now.fetch_add(1, Ordering::SeqCst);
                let read = async {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let seen = now.load(Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(95)).await;
                    Ok::<usize, ()>(seen)
                };
                let seen = *shared.get(read).await.unwrap();
                assert!(seen > asked, "what {asked} wrote is not in what was read at {seen}");
            }));
        }
        for ask in asks {
            ask.await.unwrap();
        }
        let readings = begun.load(Ordering::SeqCst);
        assert!((2..=8).contains(&readings), "40 asks were {readings} readings");
    }

    #[tokio::test]
    async fn a_reading_that_failed_serves_nobody() {
        let shared: SharedRead<usize> = SharedRead::default();
        assert_eq!(shared.get(async { Err::<usize, &str>("no") }).await, Err("no"));
        assert_eq!(shared.get(async { Ok::<usize, &str>(7) }).await, Ok(Arc::new(7)));
    }
}
