//! The keys with unreadable rows. A claim skips these keys for a while, so that they neither block
//! the other keys nor fill the log. Nothing changes or deletes their rows.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long claims skip an unreadable row. After this time, somebody may have corrected the row.
const PASSED_OVER: Duration = Duration::from_secs(60);

/// The keys that had an unreadable row lately, each with the time of the last read.
#[derive(Default)]
pub(crate) struct Damaged(Mutex<BTreeMap<String, Instant>>);

impl Damaged {
    /// Returns the keys that claims must skip.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.keys_at(Instant::now())
    }

    fn keys_at(&self, now: Instant) -> Vec<String> {
        let mut keys = self.0.lock();
        keys.retain(|_, read| now.duration_since(*read) < PASSED_OVER);
        keys.keys().cloned().collect()
    }

    /// Logs unreadable rows. From now on, claims skip them.
    pub(crate) fn add(&self, rows: Vec<(String, String)>) {
        for (key, why) in rows {
            tracing::error!(key, why, "row of the queue unreadable, its key waits");
            self.0.lock().insert(key, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_again_after_a_while() {
        let damaged = Damaged::default();
        damaged.add(vec![("repository:acme:1".into(), "invalid lane".into())]);
        assert_eq!(damaged.keys(), ["repository:acme:1"]);
        assert!(damaged.keys_at(Instant::now() + PASSED_OVER).is_empty());
        assert!(damaged.keys().is_empty(), "the key is forgotten");
    }
}
