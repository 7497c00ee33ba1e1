//! Watches the requests of a client. The client must respect the vendor's secondary limits, and
//! must wait as long as the vendor asks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How long a client must wait if the vendor refuses a request and the answer contains no time.
const UNNAMED: Duration = Duration::from_secs(60);
/// The allowed inaccuracy of a wait. A client can round its waits to whole milliseconds.
const PRECISION: Duration = Duration::from_millis(1);

/// The secondary limits of a vendor.
///
/// <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits>
#[derive(Clone, Copy, Debug)]
pub struct SecondaryLimits {
    /// The number of REST points in a minute. A read costs 1 point, and a write costs 5 points.
    pub rest_points: u64,
    /// The number of GraphQL points in a minute. A query costs 1 point, and a mutation 5 points.
    pub graphql_points: u64,
    /// The numbers of requests that create content, in a minute and in an hour.
    pub content: (usize, usize),
    /// The number of requests that are in progress at the same time.
    pub at_once: usize,
}

impl SecondaryLimits {
    /// The limits that GitHub documents.
    pub const GITHUB: Self =
        Self { rest_points: 900, graphql_points: 2_000, content: (80, 500), at_once: 100 };
    /// The limits of a vendor that documents no limits.
    pub const NONE: Self = Self {
        rest_points: u64::MAX,
        graphql_points: u64::MAX,
        content: (usize::MAX, usize::MAX),
        at_once: usize::MAX,
    };
}

/// The parts of a request that matter for the limits.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The method and the path, for messages.
    pub(super) label: String,
    /// The family of addresses with a separate limit. `None` if the vendor has one limit for all
    /// addresses.
    pub(super) family: Option<&'static str>,
    pub(super) is_graphql: bool,
    pub(super) writes: bool,
    pub(super) creates: bool,
}

/// The account that a refusal blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refused {
    /// The vendor refuses all requests.
    All,
    /// The REST budget is used up.
    Rest,
    /// The GraphQL budget is used up.
    GraphQl,
    /// The vendor refuses the requests to a family of addresses.
    Family(&'static str),
}

/// The requests of a client, and the first broken rule.
#[derive(Debug)]
pub(super) struct Witness {
    limits: SecondaryLimits,
    /// The points of the requests in the last minute, for REST and for GraphQL.
    rest: VecDeque<(Instant, u64)>,
    graphql: VecDeque<(Instant, u64)>,
    /// The times of those requests in the last hour that created content.
    content: VecDeque<Instant>,
    at_once: usize,
    /// The start and the end of each refusal.
    refused: BTreeMap<Refused, (Instant, Instant)>,
    /// The first broken rule.
    broken: Option<String>,
}

fn forget(points: &mut VecDeque<(Instant, u64)>, now: Instant) {
    while points.front().is_some_and(|(at, _)| now.duration_since(*at) >= MINUTE) {
        points.pop_front();
    }
}

impl Witness {
    pub(super) fn new(limits: SecondaryLimits) -> Self {
        Self {
            limits,
            rest: VecDeque::new(),
            graphql: VecDeque::new(),
            content: VecDeque::new(),
            at_once: 0,
            refused: BTreeMap::new(),
            broken: None,
        }
    }

    /// Records a request when the client sends it.
    pub(super) fn sent(&mut self, call: &Call, now: Instant) {
        let own = if call.is_graphql { Refused::GraphQl } else { Refused::Rest };
        for refused in [Refused::All, own].into_iter().chain(call.family.map(Refused::Family)) {
            // A request that was sent at the time of the refusal is not early, because it was
            // already on its way.
            let is_early = |(since, until): &(Instant, Instant)| *since < now && *until > now + PRECISION;
            if let Some((_, until)) = self.refused.get(&refused).copied().filter(is_early) {
                let early = until.duration_since(now).as_millis();
                self.breaks(&format!("sent {early} ms before the vendor accepts requests again"), call);
            }
        }
        let points = if call.writes { 5 } else { 1 };
        let (spent, most) = if call.is_graphql {
            (&mut self.graphql, self.limits.graphql_points)
        } else {
            (&mut self.rest, self.limits.rest_points)
        };
        forget(spent, now);
        spent.push_back((now, points));
        let sum: u64 = spent.iter().map(|(_, points)| points).sum();
        if sum > most {
            self.breaks(&format!("{sum} points within a minute, at most {most} are allowed"), call);
        }
        if call.creates {
            self.creates(call, now);
        }
        self.at_once += 1;
        if self.at_once > self.limits.at_once {
            self.breaks(&format!("{} requests at the same time", self.at_once), call);
        }
    }

    fn creates(&mut self, call: &Call, now: Instant) {
        let (most_a_minute, most_an_hour) = self.limits.content;
        while self.content.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            self.content.pop_front();
        }
        self.content.push_back(now);
        let lately = self.content.iter().rev().take_while(|at| now.duration_since(**at) < MINUTE).count();
        if lately > most_a_minute {
            self.breaks(&format!("{lately} requests created content within a minute"), call);
        }
        if self.content.len() > most_an_hour {
            let all = self.content.len();
            self.breaks(&format!("{all} requests created content within an hour"), call);
        }
    }

    /// Records that a request is no longer in progress.
    pub(super) fn ended(&mut self) {
        self.at_once = self.at_once.saturating_sub(1);
    }

    /// Records a wait that the vendor asked for, and the length of this wait.
    pub(super) fn refused(&mut self, refused: Refused, named: Option<Duration>, now: Instant) {
        let until = now + named.unwrap_or(UNNAMED);
        let (since, known) = self.refused.entry(refused).or_insert((now, until));
        // If the earlier refusal has ended, a new refusal begins now.
        if *known < now {
            *since = now;
        }
        *known = until.max(*known);
    }

    /// Forgets the refusals, because the client was started again.
    pub(super) fn forget_refusals(&mut self) {
        self.refused.clear();
    }

    fn breaks(&mut self, why: &str, call: &Call) {
        self.broken.get_or_insert_with(|| format!("{}: {why}", call.label));
    }

    /// Returns the first rule that the client broke.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read() -> Call {
        Call { label: "GET /a".into(), family: None, is_graphql: false, writes: false, creates: false }
    }

    #[tokio::test]
    async fn a_request_before_the_named_time_is_noticed() {
        let start = Instant::now();
        for (named, seconds, is_early) in [
            (Some(Duration::from_secs(10)), 9, true),
            (Some(Duration::from_secs(10)), 10, false),
            (None, 59, true),
            (None, 60, false),
        ] {
            let mut witness = Witness::new(SecondaryLimits::GITHUB);
            witness.refused(Refused::All, named, start);
            witness.sent(&read(), start + Duration::from_secs(seconds));
            assert_eq!(witness.broken().is_some(), is_early, "{named:?} {seconds}");
        }
        let mut witness = Witness::new(SecondaryLimits::GITHUB);
        let later = start + Duration::from_secs(1);
        witness.refused(Refused::GraphQl, None, start);
        witness.sent(&read(), later);
        assert_eq!(witness.broken(), None, "the budget of GraphQL is not that of REST");
        witness.refused(Refused::Family("users"), None, start);
        witness.sent(&Call { family: Some("groups"), ..read() }, later);
        assert_eq!(witness.broken(), None, "each family has its own limit");
        witness.refused(Refused::All, None, later);
        witness.sent(&read(), later);
        assert_eq!(witness.broken(), None, "the request was on its way");
        witness.sent(&Call { family: Some("users"), ..read() }, later);
        assert!(witness.broken().is_some());
    }

    #[tokio::test]
    async fn a_limit_that_is_passed_is_noticed() {
        let start = Instant::now();
        let writes = Call { writes: true, creates: true, ..read() };
        for (call, times, is_broken) in [
            (read(), 900, false),
            (read(), 901, true),
            (writes.clone(), 80, false),
            (writes, 81, true),
            (Call { is_graphql: true, ..read() }, 901, false),
        ] {
            let mut witness = Witness::new(SecondaryLimits::GITHUB);
            for _ in 0..times {
                witness.sent(&call, start);
                witness.ended();
            }
            assert_eq!(witness.broken().is_some(), is_broken, "{times} of {call:?}: {:?}", witness.broken());
        }
        let mut witness = Witness::new(SecondaryLimits::GITHUB);
        for _ in 0..=100 {
            assert_eq!(witness.broken(), None);
            witness.sent(&read(), start);
        }
        assert!(witness.broken().is_some());
    }
}
