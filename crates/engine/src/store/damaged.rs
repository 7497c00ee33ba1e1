//! The keys with unreadable rows. A claim skips these keys for a while, so that they neither block
//! the other keys nor fill the log. Nothing changes or deletes their rows.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long the claims skip an unreadable row. After this time, a claim tries to read the row
/// again, because somebody might have corrected the row.
const PASSED_OVER: Duration = Duration::from_secs(60);

/// The keys whose rows could not be read recently, each with the time of the last attempt to read
/// its row.
#[derive(Debug, Default)]
pub struct Damaged(Mutex<BTreeMap<String, Instant>>);

impl Damaged {
    /// Returns the keys that a claim must skip.
    pub fn keys(&self) -> Vec<String> {
        self.keys_at(Instant::now())
    }

    fn keys_at(&self, now: Instant) -> Vec<String> {
        let mut keys = self.0.lock();
        keys.retain(|_, read| now.duration_since(*read) < PASSED_OVER);
        keys.keys().cloned().collect()
    }

    /// Makes each later claim skip these unreadable rows. The function logs only the rows that no
    /// earlier claim skipped, because the log must not get a line each time a page shows the rows.
    /// `rows` contains the key of each row, and why the row is unreadable. Returns whether the next
    /// claim skips a row that this claim did not skip.
    pub fn add(&self, rows: Vec<(String, String)>) -> bool {
        let mut has_news = false;
        for (key, why) in rows {
            if self.is_news(&key) {
                has_news = true;
                tracing::error!(key, why, "row of the queue unreadable, its key waits");
            }
        }
        has_news
    }

    fn is_news(&self, key: &str) -> bool {
        self.0.lock().insert(key.to_owned(), Instant::now()).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_again_after_a_while() {
        let damaged = Damaged::default();
        let row = || vec![("repository:acme:1".to_owned(), "invalid lane".to_owned())];
        assert_eq!([damaged.add(row()), damaged.add(row())], [true, false]);
        assert_eq!(damaged.keys(), ["repository:acme:1"]);
        assert!(damaged.keys_at(Instant::now() + PASSED_OVER).is_empty());
        assert!(damaged.keys().is_empty(), "the key is forgotten");
        assert!(damaged.is_news("repository:acme:1"), "it is logged again");
        assert!(!damaged.is_news("repository:acme:1"), "a row is logged once while claims pass over it");
    }
}
