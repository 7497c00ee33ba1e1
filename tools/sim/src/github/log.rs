//! Keeps the log of the App's deliveries. All pages use the same order of rows. A test can put
//! errors into these rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::github::deliver::Logged;

/// The faults of the delivery log, in the form of `PUT /_sim/log`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogLies {
    /// True if the order of the rows does not depend on the ids of the rows.
    pub shuffle: bool,
    /// The maximum number of reads of the log in which a new row is missing. For each row, the
    /// simulator computes a number up to this maximum. A read begins with a request for the first
    /// page.
    pub late: u32,
    /// True if the log shows each row at two places.
    pub repeat: bool,
    /// The seed of the order and the delays.
    pub seed: u64,
}

/// The place of a row in the order: its rank, and whether it is the first or the second copy.
type Place = (u64, u8);

/// A value of the filter `status=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
}

impl Outcome {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "success" => Some(Self::Success),
            "failure" => Some(Self::Failure),
            _ => None,
        }
    }

    /// Returns whether the filter accepts a delivery with this status. The status of the receiver's
    /// answer decides whether a delivery succeeded.
    fn holds(self, status: u16) -> bool {
        match self {
            Self::Success => (200..400).contains(&status),
            Self::Failure => (400..600).contains(&status),
        }
    }
}

/// The delivery attempts that have ended.
#[derive(Debug, Default)]
pub(crate) struct DeliveryLog {
    /// The attempts in the order of their ends. Each attempt has a number: how many reads of the
    /// log began before the end of the attempt.
    rows: Vec<(Logged, u64)>,
    looks: u64,
    lies: LogLies,
}

impl DeliveryLog {
    pub(crate) fn push(&mut self, logged: Logged) {
        self.rows.push((logged, self.looks));
    }

    pub(crate) fn lie(&mut self, lies: LogLies) {
        self.lies = lies;
    }

    /// Returns all rows, in the order in which the attempts ended.
    pub(crate) fn all(&self) -> Value {
        self.rows.iter().map(|(logged, _)| logged.row()).collect()
    }

    pub(crate) fn find(&self, id: u64) -> Option<Logged> {
        self.rows.iter().find(|(logged, _)| logged.id == id).map(|(logged, _)| logged.clone())
    }

    /// Returns one page, which begins with the newest id, and the cursor of the next page. A late
    /// row appears at the place of its id, so a page never skips an earlier row.
    pub(crate) fn page(
        &mut self,
        outcome: Option<Outcome>,
        cursor: Option<&str>,
        size: usize,
    ) -> (Vec<Value>, Option<String>) {
        let after = cursor.and_then(place);
        if after.is_none() {
            self.looks += 1;
        }
        let lies = self.lies;
        let looks = self.looks;
        let fits = |logged: &Logged| outcome.is_none_or(|outcome| outcome.holds(logged.status_code));
        let shown =
            self.rows.iter().filter(|(logged, since)| fits(logged) && lies.shows(logged.id, *since, looks));
        let mut places: Vec<(Place, &Logged)> = shown
            .flat_map(|(logged, _)| lies.places(logged.id).into_iter().map(move |place| (place, logged)))
            .filter(|(place, _)| after.is_none_or(|after| *place > after))
            .collect();
        places.sort_by_key(|(place, _)| *place);
        let next = if places.len() > size { places.get(size.saturating_sub(1)) } else { None };
        let next = next.map(|((rank, copy), _)| format!("v1_{rank}_{copy}"));
        (places.iter().take(size).map(|(_, logged)| logged.row()).collect(), next)
    }
}

fn place(cursor: &str) -> Option<Place> {
    let (rank, copy) = cursor.strip_prefix("v1_")?.split_once('_')?;
    Some((rank.parse().ok()?, copy.parse().ok()?))
}

impl LogLies {
    fn places(self, id: u64) -> Vec<Place> {
        let copies = if self.repeat { 2 } else { 1 };
        let rank = |copy: u8| {
            if self.shuffle {
                mixed(self.seed, id, u64::from(copy))
            } else {
                // The second copy appears among rows with slightly lower ids.
                u64::MAX - id.saturating_sub(u64::from(copy) * 3)
            }
        };
        (0..copies).map(|copy| (rank(copy), copy)).collect()
    }

    fn shows(self, id: u64, since: u64, looks: u64) -> bool {
        let delay = mixed(self.seed, id, 2) % (u64::from(self.late) + 1);
        delay == 0 || looks > since + delay
    }
}

/// Returns a pseudo-random number from these values (splitmix64).
fn mixed(seed: u64, id: u64, part: u64) -> u64 {
    let mut mixed = (seed ^ id.rotate_left(17) ^ part.rotate_left(41)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(id: u64, status_code: u16) -> Logged {
        Logged {
            id,
            guid: format!("guid-{id}"),
            event: "push",
            body: "{}".into(),
            repository_id: None,
            delivered_at: "2026-01-01T00:00:00Z".into(),
            redelivery: false,
            duration: 0.0,
            status_code,
        }
    }

    /// Reads all pages, and returns the ids in the order of the pages.
    fn look(log: &mut DeliveryLog, outcome: Option<Outcome>, size: usize) -> Vec<u64> {
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let (rows, next) = log.page(outcome, cursor.as_deref(), size);
            ids.extend(rows.iter().filter_map(|row| row["id"].as_u64()));
            cursor = next;
            if cursor.is_none() {
                return ids;
            }
        }
    }

    #[test]
    fn pages_skip_no_row_for_any_order_of_ends() {
        let mut log = DeliveryLog::default();
        for id in [3, 1, 7, 5, 2, 6, 4] {
            log.push(logged(id, 502));
        }
        assert_eq!(look(&mut log, None, 2), [7, 6, 5, 4, 3, 2, 1]);
        let (first, next) = log.page(None, None, 3);
        assert_eq!(first.len(), 3);
        log.push(logged(8, 200));
        let (second, _) = log.page(None, next.as_deref(), 3);
        assert_eq!(second.iter().filter_map(|row| row["id"].as_u64()).collect::<Vec<_>>(), [4, 3, 2]);
    }

    #[test]
    fn a_status_filters_by_the_status_of_the_answer() {
        let mut log = DeliveryLog::default();
        for (id, status) in [(1, 200), (2, 302), (3, 404), (4, 502)] {
            log.push(logged(id, status));
        }
        assert_eq!(look(&mut log, Some(Outcome::Failure), 1), [4, 3]);
        assert_eq!(look(&mut log, Some(Outcome::Success), 1), [2, 1]);
    }

    #[test]
    fn a_log_with_faults_shows_every_row_in_the_end() {
        let mut log = DeliveryLog::default();
        log.lie(LogLies { shuffle: true, late: 3, repeat: true, seed: 7 });
        for id in 1..=40 {
            log.push(logged(id, 502));
        }
        let first = look(&mut log, None, 7);
        assert!(first.len() < 80, "no row was late");
        for _ in 0..3 {
            look(&mut log, None, 7);
        }
        let last = look(&mut log, None, 7);
        assert_eq!(last.len(), 80);
        assert!(!last.is_sorted_by(|one, other| one >= other));
        for id in 1..=40 {
            assert_eq!(last.iter().filter(|seen| **seen == id).count(), 2, "{id}");
        }
    }
}
