//! Limits how many members can leave one group within a window. This limit applies in addition to
//! the guard of the target.

use std::collections::BTreeSet;
use std::time::Duration;

use beadle_engine::{Time, span_text};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The limits of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupLimits {
    /// A group with at least this number of members is large. The limit of a large group is a
    /// percentage.
    pub large: usize,
    /// The maximum percentage of a large group's members who can leave within the window without an
    /// approval. The value 100 means no limit.
    pub percent: usize,
    /// The maximum number of members who can leave a small or a protected group within the window
    /// without an approval.
    pub count: usize,
    /// The maximum number of members who can leave without an approval after the limit is reached.
    /// For each of these members, a separate answer of the directory must confirm that the person
    /// must lose the access.
    pub leavers: usize,
    /// How long Beadle remembers a departure.
    pub window: Duration,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self { large: 8, percent: 25, count: 2, leavers: 20, window: Duration::from_secs(24 * 3600) }
    }
}

impl GroupLimits {
    /// Returns these limits. If `accepted` has a stricter value for a limit, the result has the
    /// stricter value. `large` always has the value of `accepted`, because a larger value of
    /// `large` is stricter for some groups and less strict for other groups.
    #[must_use]
    pub fn restrained_by(&self, accepted: &Self) -> Self {
        Self {
            large: accepted.large,
            percent: self.percent.min(accepted.percent),
            count: self.count.min(accepted.count),
            leavers: self.leavers.min(accepted.leavers),
            window: self.window.max(accepted.window),
        }
    }
}

/// The accounts that one write removed from a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Departure {
    pub(crate) at: Time,
    pub(crate) accounts: Vec<String>,
    /// The removed accounts of people who must lose their access. For each of these people, a
    /// separate answer of the directory confirmed this.
    #[serde(deserialize_with = "stored_confirmed")]
    pub(crate) confirmed: Vec<String>,
    /// The number of members before the write.
    pub(crate) members: usize,
}

/// Reads the confirmed accounts of a stored departure. The first version stored one value for all
/// accounts. If a note has this form, Beadle treats no account as confirmed, and counts all
/// accounts in the window.
fn stored_confirmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(_) => Ok(Vec::new()),
        accounts => serde_json::from_value(accounts).map_err(D::Error::custom),
    }
}

/// The people who left a group within the window and have not become members again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recent {
    /// The number of people who left, not including the confirmed people.
    pub(crate) gone: usize,
    /// The number of confirmed people. For each of these people, a separate answer of the directory
    /// confirmed that the person must lose the access. Confirmed people do not count against the
    /// limit.
    pub(crate) confirmed: usize,
    /// The number of members at the start of the window.
    pub(crate) members: usize,
}

impl Recent {
    /// Returns the departures that count at the time `now`. An account does not count if it is a
    /// member again, or if it is still a member because the target refused the removal.
    pub(crate) fn of(
        departures: &[Departure],
        now: Time,
        window: Duration,
        is_member: impl Fn(&str) -> bool,
    ) -> Self {
        let mut recent = Self::default();
        let (mut gone, mut confirmed) = (BTreeSet::new(), BTreeSet::new());
        for departure in departures.iter().filter(|departure| departure.is_within(now, window)) {
            if recent.members == 0 {
                recent.members = departure.members;
            }
            for account in departure.accounts.iter().filter(|account| !is_member(account)) {
                if departure.confirmed.contains(account) {
                    confirmed.insert(account);
                } else {
                    gone.insert(account);
                }
            }
        }
        recent.gone = gone.len();
        recent.confirmed = confirmed.len();
        recent
    }
}

impl Departure {
    /// Returns whether the departure is still in the window. A departure with a time in the future
    /// also counts, because this time can come from a wrong clock.
    pub(crate) fn is_within(&self, now: Time, window: Duration) -> bool {
        now.since(self.at) < window
    }
}

/// The numbers that decide whether members can leave a group now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    /// The number of members who would leave.
    pub(crate) count: usize,
    /// The number of present members.
    pub(crate) members: usize,
    /// The number of people in the source group.
    pub(crate) source: usize,
    pub(crate) is_protected: bool,
    /// True if an empty source is allowed. If this field is `false` and the source is empty, all
    /// leavers wait for an approval.
    pub(crate) may_empty: bool,
}

impl GroupLimits {
    /// Returns why the leavers must wait for an approval, or `None` if they can leave now.
    pub(crate) fn stops(&self, leaving: Leaving, recent: &Recent) -> Option<String> {
        let Leaving { count, members, source, is_protected, may_empty } = leaving;
        if count == 0 {
            return None;
        }
        if source == 0 && !may_empty {
            return Some(format!("the source is empty, and all {members} members would leave"));
        }
        let all = recent.gone + count;
        let size = members.max(recent.members);
        let before = match recent.gone {
            0 => String::new(),
            gone => {
                format!(", and {gone} have already left within {}", span_text(self.window))
            }
        };
        if size >= self.large && !is_protected {
            return (self.percent < 100 && all * 100 > size * self.percent).then(|| {
                format!(
                    "{count} of {size} members would leave{before}, more than the limit of {} %",
                    self.percent
                )
            });
        }
        let kind = if is_protected { "a protected group" } else { "a small group" };
        (all > self.count).then(|| {
            format!(
                "{count} of {size} members would leave {kind}{before}, more than the limit of {}",
                self.count
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn leaving(count: usize, members: usize, source: usize, is_protected: bool) -> Leaving {
        Leaving { count, members, source, is_protected, may_empty: false }
    }

    #[test]
    fn a_departure_of_another_version_is_read() {
        let read = |confirmed: &str| {
            let text =
                format!(r#"{{"at":7,"accounts":["a"],"confirmed":{confirmed},"members":9,"by":"corp"}}"#);
            serde_json::from_str::<Departure>(&text).map(|departure| departure.confirmed)
        };
        assert_eq!(read(r#"["a"]"#).unwrap(), ["a"]);
        assert_eq!(read("true").unwrap(), [""; 0], "the first version stored no accounts here");
        assert!(read("{}").is_err());
    }

    #[test]
    fn few_may_leave_and_nobody_an_emptied_source() {
        let stops = |count, members, source, protected| {
            let leaving = leaving(count, members, source, protected);
            GroupLimits::default().stops(leaving, &Recent::default()).is_some()
        };
        assert!(!stops(0, 0, 0, false) && !stops(0, 5, 0, false));
        assert!(!stops(2, 8, 6, false) && stops(3, 8, 5, false), "25 % of a group of 8 or more");
        assert!(!stops(25, 100, 75, false) && stops(26, 100, 74, false));
        assert!(!stops(2, 7, 5, false) && stops(3, 7, 4, false), "2 of a smaller one");
        assert!(!stops(2, 100, 98, true) && stops(3, 100, 97, true), "2 of a protected one");
        assert!(stops(1, 1, 0, false), "nobody leaves because the source is empty");
    }

    #[test]
    fn where_a_source_may_be_empty_the_last_one_leaves_and_a_large_group_is_still_held() {
        let stops = |count, members| {
            let leaving = Leaving { may_empty: true, ..leaving(count, members, 0, false) };
            GroupLimits::default().stops(leaving, &Recent::default()).is_some()
        };
        assert!(!stops(1, 1) && !stops(2, 2), "a group of one or two may become empty");
        assert!(stops(3, 3) && stops(40, 40));
    }

    /// Removes the members of a group one by one, one in each period `every`. The group has `size`
    /// members at first. Returns how many members can leave within the limits.
    fn drip(limits: &GroupLimits, size: usize, every: Duration) -> usize {
        let (mut departures, mut now) = (Vec::new(), Time(0));
        for n in 0..size {
            let members = size - n;
            let recent = Recent::of(&departures, now, limits.window, |_| false);
            if limits.stops(leaving(1, members, members - 1, false), &recent).is_some() {
                return n;
            }
            let accounts = vec![format!("a{n}")];
            departures.push(Departure { at: now, accounts, confirmed: Vec::new(), members });
            now = now + every;
        }
        size
    }

    #[test]
    fn who_leave_one_at_a_time_are_as_many_as_those_who_leave_at_once() {
        let limits = GroupLimits::default();
        assert_eq!(drip(&limits, 40, Duration::from_millis(400)), 10, "25 % of what it had at the start");
        assert_eq!(drip(&limits, 5, Duration::from_secs(1)), 2);
        assert_eq!(drip(&limits, 40, DAY), 39, "one a day passes, until the source is empty");
    }

    #[test]
    fn who_came_back_did_not_leave_and_the_window_ends() {
        let booked = |at: i64, account: &str, is_confirmed: bool| Departure {
            at: Time::from_seconds(at),
            accounts: vec![account.to_owned()],
            confirmed: is_confirmed.then(|| account.to_owned()).into_iter().collect(),
            members: 40,
        };
        let departures = [booked(0, "a", false), booked(10, "b", true), booked(10, "a", false)];
        let at = |seconds: i64, members: &[&str]| {
            Recent::of(&departures, Time::from_seconds(seconds), DAY, |id| members.contains(&id))
        };
        assert_eq!(at(20, &[]), Recent { gone: 1, confirmed: 1, members: 40 });
        assert_eq!(at(20, &["a"]), Recent { gone: 0, confirmed: 1, members: 40 });
        assert_eq!(at(24 * 3600 + 5, &[]).gone, 1);
        assert_eq!(at(24 * 3600 + 10, &[]), Recent::default());
        assert_eq!(at(-3600, &[]).gone, 1, "a clock that was turned back frees nothing");
    }

    #[test]
    fn raised_limits_are_restrained_and_lowered_ones_are_not() {
        let accepted = GroupLimits::default();
        for raised in [
            GroupLimits { percent: 26, ..accepted },
            GroupLimits { count: 3, ..accepted },
            GroupLimits { leavers: 21, ..accepted },
            GroupLimits { large: 9, ..accepted },
            GroupLimits { large: 7, ..accepted },
            GroupLimits { window: Duration::from_secs(60), ..accepted },
        ] {
            assert_eq!(raised.restrained_by(&accepted), accepted, "{raised:?}");
        }
        let lowered = GroupLimits { percent: 1, count: 1, leavers: 0, ..accepted };
        assert_eq!(lowered.restrained_by(&accepted), lowered);
    }
}
