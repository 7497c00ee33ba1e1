//! Makes sure that each cause is logged only once. A cause that affects a thousand keys needs one
//! line in the log.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Time;

/// After this time, a cause that still exists is logged again.
const AGAIN: Duration = Duration::from_secs(24 * 3600);
/// The maximum number of causes to remember. If there are more causes, the oldest cause is
/// forgotten, and is logged again if it comes back.
const MOST: usize = 1000;

/// The causes that are already in the log, each with the time of its log line.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<HashMap<String, Time>>);

impl Said {
    /// Returns whether `cause` must be logged now, because the log has no line about the cause, or
    /// only an old one. The function then remembers that the cause is in the log.
    pub(crate) fn is_news(&self, cause: &str, now: Time) -> bool {
        let mut said = self.0.lock();
        // A time in the future was stored while the clock was ahead, so it does not count.
        if said.get(cause).is_some_and(|at| *at <= now && now.since(*at) < AGAIN) {
            return false;
        }
        if said.len() >= MOST {
            let oldest = said.iter().min_by_key(|(_, at)| **at).map(|(cause, _)| cause.clone());
            if let Some(oldest) = oldest {
                said.remove(&oldest);
            }
        }
        said.insert(cause.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_news_once_a_day() {
        let said = Said::default();
        assert!(said.is_news("there is no team `gone`", Time(0)));
        for key in 1..1000 {
            assert!(!said.is_news("there is no team `gone`", Time(key)));
        }
        assert!(said.is_news("there is no team `lost`", Time(1000)));
        assert!(said.is_news("there is no team `gone`", Time(0) + AGAIN));
        for n in 0..2 * MOST {
            assert!(said.is_news(&format!("cause {n}"), Time(2000)));
        }
        assert!(said.0.lock().len() <= MOST);
    }
}
