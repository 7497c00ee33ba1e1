//! The parts that all present problems share.

use std::time::Duration;

use beadle_engine::notify::{Problem, Topic};

/// The time for which a background task must fail, or a vendor must deny a credential, before
/// Beadle reports a problem. If a vendor is unavailable only for a moment, nobody has to do
/// anything.
pub(super) const FAILING: Duration = Duration::from_secs(60);

/// Returns a problem without a code.
pub(super) fn problem(topic: Topic, id: &str, subject: &str, what: impl Into<String>, why: &str) -> Problem {
    Problem {
        topic,
        id: id.to_owned(),
        subject: subject.to_owned(),
        what: what.into(),
        why: why.to_owned(),
        code: String::new(),
    }
}
