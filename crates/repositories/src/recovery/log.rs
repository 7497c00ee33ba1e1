//! Reads GitHub's log of webhook deliveries. The code does not rely on the order of the log. A row
//! can appear late, can appear twice, or can be on an unexpected page.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::time::Duration;

use beadle_engine::Time;
use beadle_github::HookDelivery;

/// The maximum time between a delivery and the appearance of its row in the log. A row can also be
/// out of order by at most this time.
pub(super) const OVERLAP: Duration = Duration::from_secs(300);
/// The statuses that the log shows with the filter `status=failure`. A delivery without an answer
/// can have a status that is not in this list. To find such a delivery, Beadle must read the whole
/// log.
const FAILURES: Range<u16> = 400..600;
/// The statuses of a delivery that Beadle accepted.
const ACCEPTED: Range<u16> = 200..300;

fn moment(row: &HookDelivery) -> Option<Time> {
    let parsed: jiff::Timestamp = row.delivered_at.parse().ok()?;
    Some(Time(parsed.as_millisecond()))
}

/// One reading of the log. The reading goes page by page, from the newest row back to a start time.
pub(super) struct Reading {
    /// The reading goes back to this time, which is the requested time minus the overlap.
    from: Time,
    /// The attempts that the reading found. The key is the attempt's id.
    attempts: BTreeMap<u64, HookDelivery>,
    /// The number of pages that contained at least one wanted row.
    pages: usize,
    /// The page links that the reading has already followed.
    followed: HashSet<String>,
    /// True if the reading reached the start time.
    whole: bool,
}

impl Reading {
    /// Starts a reading of all attempts after the time `since`.
    pub(super) fn new(since: Time) -> Self {
        let (attempts, followed) = (BTreeMap::new(), HashSet::new());
        Self { from: since - OVERLAP, attempts, pages: 0, followed, whole: false }
    }

    /// Adds a page, and returns the link to the next page. The reading ends only at a page that
    /// contains no new row, because a single old row can come before newer rows.
    pub(super) fn take(&mut self, rows: Vec<HookDelivery>, next: Option<String>) -> Option<String> {
        // A row with an invalid time counts as new.
        let is_older = |row: &HookDelivery| moment(row).is_some_and(|at| at < self.from);
        let is_past = !rows.is_empty() && rows.iter().all(is_older);
        let newer: Vec<HookDelivery> = rows.into_iter().filter(|row| !is_older(row)).collect();
        self.pages += usize::from(!newer.is_empty());
        self.attempts.extend(newer.into_iter().map(|row| (row.id, row)));
        let Some(next) = next.filter(|_| !is_past) else {
            self.whole = true;
            return None;
        };
        // If the reading has already followed a link, the link does not lead to a new page. The
        // reading then ends, and is incomplete.
        self.followed.insert(next.clone()).then_some(next)
    }

    /// Returns the ids of the attempts before `until` whose status is wanted.
    fn ids(&self, until: Time, is_wanted: impl Fn(u16) -> bool) -> BTreeSet<u64> {
        let of = |row: &&HookDelivery| is_wanted(row.status_code) && moment(row).is_none_or(|at| at < until);
        self.attempts.values().filter(of).map(|row| row.id).collect()
    }

    /// Returns the ids of the failed attempts before `until`.
    fn failures(&self, until: Time) -> BTreeSet<u64> {
        self.ids(until, |status| FAILURES.contains(&status))
    }

    /// Returns the ids of the attempts before `until` that were not accepted. The result includes
    /// attempts without an answer.
    fn unaccepted(&self, until: Time) -> BTreeSet<u64> {
        self.ids(until, |status| !ACCEPTED.contains(&status))
    }

    /// Returns whether Beadle must read the whole log again. The two `looks` contain only failures,
    /// so if the first reading missed an unanswered attempt, the `looks` do not show this attempt
    /// either. Usually, the log does not need another reading, because three things are true: all
    /// wanted rows are on one page, Beadle accepted all of them, and the looks show no row that the
    /// first reading missed.
    pub(super) fn may_lack_rows(&self, looks: &[Self; 2], begun: Time) -> bool {
        let is_new = |id: &u64| !self.attempts.contains_key(id);
        self.pages > 1
            || !self.unaccepted(begun - OVERLAP).is_empty()
            || looks.iter().flat_map(|look| look.attempts.keys()).any(is_new)
    }
}

/// A missed delivery: Beadle did not accept any attempt to send it.
#[derive(Debug)]
pub(super) struct Lost {
    /// The newest attempt to send the delivery.
    pub(super) newest: HookDelivery,
    /// The number of attempts of this delivery in the log.
    pub(super) attempts: usize,
}

/// The combined result of all readings of the log.
#[derive(Debug)]
pub(super) struct Findings {
    /// The deliveries that Beadle missed. The key is the id of the delivery.
    pub(super) lost: BTreeMap<String, Lost>,
    /// The number of attempts in the log.
    pub(super) seen: usize,
    /// True if every reading reached its start time.
    pub(super) whole: bool,
    /// The readings agree up to this time, so Beadle does not need to read the earlier part of the
    /// log again. `None` if the readings do not agree.
    pub(super) closed: Option<Time>,
}

/// Compares the readings of the whole log with each other, and with two readings of only the
/// failures (`looks`). Beadle made the `looks` after the first reading. `begun` is the start of the
/// first reading. The readings agree if three conditions are true: both looks show the same
/// failures, no reading shows a failure that the looks do not show, and all readings show the same
/// unaccepted attempts.
pub(super) fn compare(all: Vec<Reading>, looks: [Reading; 2], begun: Time) -> Findings {
    // The next run reads the rows after this time again.
    let until = begun - OVERLAP;
    let [first, second] = [looks[0].failures(until), looks[1].failures(until)];
    let agree = first == second
        && all.iter().all(|reading| reading.failures(until).is_subset(&first))
        && all.windows(2).all(|pair| pair[0].unaccepted(until) == pair[1].unaccepted(until));
    let whole = all.iter().chain(&looks).all(|reading| reading.whole);
    let mut attempts = BTreeMap::new();
    for reading in all.into_iter().chain(looks) {
        attempts.extend(reading.attempts);
    }
    let seen = attempts.len();
    let mut deliveries: BTreeMap<String, Vec<HookDelivery>> = BTreeMap::new();
    for row in attempts.into_values() {
        deliveries.entry(row.guid.clone()).or_default().push(row);
    }
    let mut lost = BTreeMap::new();
    for (guid, rows) in deliveries {
        if rows.iter().any(|row| ACCEPTED.contains(&row.status_code)) {
            continue;
        }
        let attempts = rows.len();
        if let Some(newest) = rows.into_iter().max_by_key(|row| (moment(row), row.id)) {
            lost.insert(guid, Lost { newest, attempts });
        }
    }
    Findings { lost, seen, whole, closed: agree.then_some(until) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Time = Time(10_000_000);
    const SINCE: Time = Time(5_000_000);

    /// Returns an attempt at the time `at`. The unit of `at` is seconds.
    fn row(id: u64, guid: &str, at: i64, status_code: u16) -> HookDelivery {
        HookDelivery {
            id,
            guid: guid.into(),
            delivered_at: jiff::Timestamp::from_second(at).unwrap().to_string(),
            status_code,
            event: "team".into(),
            action: None,
            installation_id: Some(1),
            repository_id: Some(id),
        }
    }

    /// Returns a log with 100 deliveries. Every third delivery failed at first. Beadle accepted
    /// every sixth delivery only when GitHub sent it again.
    fn rows() -> Vec<HookDelivery> {
        let mut rows = Vec::new();
        for n in 0..100_u64 {
            let (guid, at) = (format!("g{n:02}"), 5_000 + i64::try_from(n).unwrap() * 40);
            rows.push(row(n, &guid, at, if n.is_multiple_of(3) { 502 } else { 202 }));
            if n.is_multiple_of(6) {
                rows.push(row(1000 + n, &guid, at + 20, 202));
            }
        }
        rows
    }

    /// Returns the rows in a random order. The same seed gives the same order.
    fn shuffled(mut rows: Vec<HookDelivery>, seed: u64) -> Vec<HookDelivery> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        for at in (1..rows.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let other = usize::try_from(state >> 33).unwrap() % (at + 1);
            rows.swap(at, other);
        }
        rows
    }

    fn read(rows: &[HookDelivery]) -> Reading {
        let mut reading = Reading::new(SINCE);
        let pages: Vec<_> = rows.chunks(7).collect();
        for (at, page) in pages.iter().enumerate() {
            let next = (at + 1 < pages.len()).then(|| format!("page {}", at + 1));
            if reading.take(page.to_vec(), next).is_none() {
                break;
            }
        }
        reading
    }

    fn failed(rows: &[HookDelivery]) -> Vec<HookDelivery> {
        rows.iter().filter(|row| FAILURES.contains(&row.status_code)).cloned().collect()
    }

    #[test]
    fn what_was_lost_is_found_in_any_order_and_repeated_rows_count_once() {
        let expected: Vec<String> =
            (0..100).filter(|n| n % 3 == 0 && n % 6 != 0).map(|n| format!("g{n:02}")).collect();
        for seed in 0..50 {
            let mut rows = rows();
            let repeated = rows[..20].to_vec();
            rows.extend(repeated);
            // The log also contains some rows that are much older than their neighbours.
            rows.extend((0..3).map(|n| row(5000 + n, &format!("old{n}"), 10, 502)));
            let rows = shuffled(rows, seed);
            let failures = failed(&rows);
            let looks = [read(&failures), read(&shuffled(failures, seed + 1))];
            let found = compare(vec![read(&rows)], looks, BEGUN);
            assert!(found.lost.keys().eq(&expected), "seed {seed}: {:?}", found.lost.keys());
            assert!(found.whole, "seed {seed}");
            assert_eq!(found.seen, 117, "seed {seed}");
            assert_eq!(found.closed, Some(BEGUN - OVERLAP), "seed {seed}");
        }
    }

    #[test]
    fn a_row_that_only_one_look_shows_is_taken_and_holds_the_window_open() {
        let rows = rows();
        let mut failures = failed(&rows);
        let late = failures.remove(5);
        let without: Vec<HookDelivery> = rows.iter().filter(|row| row.id != late.id).cloned().collect();
        let mut later = failures.clone();
        later.push(late);
        let found = compare(vec![read(&without)], [read(&failures), read(&later)], BEGUN);
        assert!(found.lost.contains_key("g15"));
        assert_eq!(found.closed, None, "the looks differ");
        let found = compare(vec![read(&rows)], [read(&failures), read(&failures)], BEGUN);
        assert_eq!(found.closed, None, "the whole log shows one more than the looks");
        let found = compare(vec![read(&rows)], [read(&later), read(&later)], BEGUN);
        assert_eq!(found.closed, Some(BEGUN - OVERLAP), "two looks agree");
    }

    #[test]
    fn what_fails_while_the_log_is_read_does_not_hold_the_window_open() {
        let rows = rows();
        let failures = failed(&rows);
        let mut later = failures.clone();
        later.push(row(9000, "now", 9_990, 502));
        let found = compare(vec![read(&rows)], [read(&failures), read(&later)], BEGUN);
        assert!(found.lost.contains_key("now"));
        assert_eq!(found.closed, Some(BEGUN - OVERLAP), "it is inside the overlap, and read again");
    }

    #[test]
    fn one_old_row_does_not_end_a_reading_and_a_page_of_them_does() {
        let mut reading = Reading::new(SINCE);
        let page = vec![row(3, "c", 6_000, 502), row(1, "a", 10, 502)];
        assert!(reading.take(page, Some("2".into())).is_some());
        let page = vec![row(2, "b", 5_500, 502)];
        assert!(reading.take(page, Some("3".into())).is_some());
        let page = vec![row(0, "z", 9, 502), row(1, "a", 10, 502)];
        assert!(reading.take(page, Some("4".into())).is_none());
        assert!(reading.whole);
        assert_eq!(reading.attempts.keys().copied().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn pages_that_lead_back_end_a_reading_that_is_not_whole() {
        let mut reading = Reading::new(SINCE);
        assert!(reading.take(vec![row(3, "c", 6_000, 502)], Some("2".into())).is_some());
        assert!(reading.take(vec![row(3, "c", 6_000, 502)], Some("2".into())).is_none());
        assert!(!reading.whole);
    }

    #[test]
    fn an_attempt_without_an_answer_is_lost_although_no_filter_lists_it() {
        let rows = [row(1, "a", 6_000, 0)];
        let found = compare(vec![read(&rows)], [read(&[]), read(&[])], BEGUN);
        assert_eq!(found.lost.len(), 1);
        assert_eq!(found.closed, Some(BEGUN - OVERLAP));
    }
    #[test]
    fn an_attempt_without_an_answer_that_one_reading_skipped_holds_the_window_open() {
        let rows = [row(1, "a", 6_000, 0), row(2, "b", 6_040, 302), row(3, "c", 6_080, 202)];
        for skipped in 0..2 {
            let mut short = rows.to_vec();
            short.remove(skipped);
            for all in [[&short[..], &rows[..]], [&rows[..], &short[..]]] {
                let found = compare(all.map(read).into(), [read(&[]), read(&[])], BEGUN);
                assert!(found.lost.keys().eq(["a", "b"]), "{:?}", found.lost.keys());
                assert_eq!(found.closed, None);
            }
        }
        let found = compare(vec![read(&rows), read(&rows)], [read(&[]), read(&[])], BEGUN);
        assert_eq!(found.closed, Some(BEGUN - OVERLAP), "the readings agree");
    }

    #[test]
    fn the_whole_log_is_read_once_more_only_where_a_reading_may_lack_rows() {
        let fine = [row(1, "a", 6_000, 202), row(2, "b", 6_040, 200)];
        let may_lack = |rows: &[HookDelivery], look: &[HookDelivery]| {
            read(rows).may_lack_rows(&[read(look), read(&[])], BEGUN)
        };
        assert!(!may_lack(&fine, &[]));
        assert!(!may_lack(&[], &[]));
        assert!(may_lack(&[row(1, "a", 6_000, 0)], &[]), "an attempt has no answer");
        assert!(may_lack(&fine, &[row(3, "c", 6_080, 502)]), "a look shows another row");
        assert!(may_lack(&rows(), &[]), "a row can have moved to another page");
    }
}
