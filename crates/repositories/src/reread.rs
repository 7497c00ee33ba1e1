//! Decides when a sweep reads some parts of a repository again. Only REST shows these parts.
//!
//! Each of these parts costs at least one call for each repository. So a sweep reads only a share
//! of these parts, and uses the stored answers for the other parts. Time is divided into periods,
//! and each part is due once in each period. A hash decides when the periods of a part begin. All
//! sweeps of a period therefore read approximately the same number of parts.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Time;
use sha2::{Digest, Sha256};

/// The aspects that sweeps read only once in each period. Each of these aspects reads a list or a
/// value that only REST shows.
pub(crate) const SPREAD: &[&str] = &[
    "actions",
    "autolinks",
    "codespaces_secrets",
    "collaborators",
    "dependabot_secrets",
    "environments",
    "immutable_releases",
    "interaction_limit",
    "oidc_subject",
    "pages",
    "secrets",
    "security",
    "settings",
    "variables",
    "webhooks",
];

/// The aspects of [`SPREAD`] that GitHub sends together with the repository. When Beadle reads the
/// repository, it does not know yet which values the policy declares.
pub(crate) const LOADED: &[&str] = &["collaborators", "settings"];

/// The rule that limits the age of stored answers in a sweep.
#[derive(Clone)]
pub struct Reread {
    period: Duration,
    next_sweep: Arc<dyn Fn(Time) -> Time + Send + Sync>,
}

impl Reread {
    /// Creates a rule. With this rule, sweeps read each part once in each `period`. `next_sweep`
    /// takes the start of a sweep, and returns the start of the next sweep.
    pub fn new(period: Duration, next_sweep: impl Fn(Time) -> Time + Send + Sync + 'static) -> Self {
        Self { period, next_sweep: Arc::new(next_sweep) }
    }

    /// Returns the times that a run needs if the run begins at `now`.
    pub(crate) fn moment(&self, now: Time) -> Moment {
        Moment { now, next: (self.next_sweep)(now).max(now), period: self.period }
    }
}

/// The times that a run needs for its decisions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The time at which the run began.
    pub(crate) now: Time,
    /// The time at which the next sweep begins.
    pub(crate) next: Time,
    /// The maximum age of a stored answer about a part.
    pub(crate) period: Duration,
}

impl Moment {
    /// Returns whether the run must read a part of a repository. `read` is the time of the most
    /// recent read.
    ///
    /// The final sweep before the end of a period reads the part. If sweeps are rare, a period
    /// might end without any sweep. The part is then due when its most recent read is one period
    /// old, and the next sweep reads the part.
    pub(crate) fn is_due(&self, read: Option<Time>, repository: &str, part: &str) -> bool {
        // If the time of the read is in the future, this time comes from a wrong clock.
        let Some(read) = read.filter(|read| *read <= self.now) else { return true };
        let length = i64::try_from(self.period.as_millis()).unwrap_or(i64::MAX).max(1);
        let begin = offset(repository, part, length);
        let number = |at: Time| at.0.saturating_sub(begin).div_euclid(length);
        // A read is valid until the sweep that follows it. So the read counts for every period that
        // ends before that sweep.
        let covered = read + self.next.since(self.now);
        self.now.since(read) >= self.period || number(self.next) > number(covered)
    }
}

/// Returns the offset of a part's periods, in milliseconds. A part of a repository always has the
/// same offset.
fn offset(repository: &str, part: &str, length: i64) -> i64 {
    let hash = Sha256::digest(format!("{repository}/{part}"));
    // A number of seven bytes always fits into a signed number of eight bytes.
    let number = hash.iter().take(7).fold(0, |number: i64, byte| number << 8 | i64::from(*byte));
    number % length
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NOW: Time = Time(1_800_000_000_000);

    fn moment(every: Duration, period: Duration) -> Moment {
        Reread::new(period, move |now| now + every).moment(NOW)
    }

    #[test]
    fn what_is_due() {
        for (read, every, period, expected, why) in [
            (None, HOUR, DAY, true, "it was never read"),
            (Some(NOW + HOUR), HOUR, DAY, true, "the clock was wrong"),
            (Some(NOW - DAY), HOUR, DAY, true, "it is a period old"),
            (Some(NOW - DAY), DAY * 7, DAY, true, "sweeps are rare"),
            (Some(NOW), HOUR, Duration::ZERO, true, "every sweep reads everything"),
            (Some(NOW), HOUR, DAY, false, "it was read now"),
            // A period of this part began 271 days before `NOW`, and ends 94 days after `NOW`.
            (Some(NOW - DAY * 200), HOUR, DAY * 365, false, "no period ended"),
            (Some(NOW - DAY * 200), DAY * 95, DAY * 365, true, "the period ends before the next sweep"),
            (Some(NOW - DAY * 300), HOUR, DAY * 365, true, "no sweep read it when a period ended"),
        ] {
            let is_due = moment(every, period).is_due(read, "1296269", "autolinks");
            assert_eq!(is_due, expected, "{why}");
        }
    }

    /// Simulates sweeps over many parts. Returns, for each sweep, the number of parts that the
    /// sweep reads.
    fn sweeps(every: Duration, period: Duration, number: u32) -> Vec<usize> {
        let mut parts: Vec<(String, &str, Option<Time>)> =
            (0..100).flat_map(|id| SPREAD.iter().map(move |part| (id.to_string(), *part, None))).collect();
        let rule = Reread::new(period, move |now| now + every);
        let mut counts = Vec::new();
        for sweep in 0..number {
            let now = NOW + every * sweep;
            let moment = rule.moment(now);
            let mut count = 0;
            for (repository, part, read) in &mut parts {
                assert!(read.is_none_or(|read| now.since(read) <= period + every), "{part} is too old");
                if moment.is_due(*read, repository, part) {
                    *read = Some(now);
                    count += 1;
                }
            }
            counts.push(count);
        }
        counts
    }

    #[test]
    fn each_part_is_read_once_in_a_period_and_all_sweeps_read_about_the_same_share() {
        let all = 100 * SPREAD.len();
        for (every, share) in [(HOUR, 24), (HOUR * 2, 12), (HOUR * 4, 6), (HOUR * 12, 2)] {
            let counts = sweeps(every, DAY, 3 * share);
            assert_eq!(counts[0], all, "the first sweep reads everything");
            let fair = all / usize::try_from(share).unwrap();
            for count in &counts[1..] {
                assert!(*count > fair / 2 && *count < fair * 2, "every {every:?}: {counts:?}");
            }
            let of_a_day: usize = counts[1..=usize::try_from(share).unwrap()].iter().sum();
            assert_eq!(of_a_day, all, "each part once a day, every {every:?}");
        }
    }

    #[test]
    fn a_sweep_that_comes_no_more_often_than_the_period_reads_everything() {
        let all = 100 * SPREAD.len();
        for every in [DAY, DAY * 2] {
            assert_eq!(sweeps(every, DAY, 3), [all; 3], "{every:?}");
        }
    }

    #[test]
    fn each_part_is_an_aspect() {
        for part in SPREAD {
            assert!(crate::aspects::ALL.iter().any(|aspect| aspect.name == *part), "{part}");
        }
        assert!(SPREAD.is_sorted() && LOADED.iter().all(|part| SPREAD.contains(part)));
    }

    #[test]
    fn the_page_lists_each_part_with_its_events() {
        let page = include_str!("../../../docs/operations.md");
        let (_, page) = page.split_once("\n### What a sweep reads\n").unwrap();
        let page = page.split("\n## ").next().unwrap();
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('|').collect())
            .collect();
        let first = |cell: &str| cell.split('`').nth(1).unwrap().to_owned();
        let parts: Vec<String> = rows.iter().map(|row| first(row[1])).collect();
        assert_eq!(parts, SPREAD);
        for (row, part) in rows.iter().zip(SPREAD) {
            let events: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
            assert_eq!(events, crate::requirements::events_of(part), "{part}");
            assert_eq!(events.is_empty(), row[2].trim() == "none", "{part}");
        }
    }

    #[test]
    fn the_offset_of_a_part_is_the_same_for_ever() {
        let day = 24 * 3600 * 1000;
        let offsets = [("1", "autolinks"), ("1", "pages"), ("2", "autolinks")]
            .map(|(repository, part)| offset(repository, part, day));
        assert!(offsets.iter().all(|offset| (0..day).contains(offset)));
        assert_eq!(offsets.map(|offset| offset / 1000), [15_840, 37_525, 74_223]);
    }
}
