//! The rate limits that GitHub documents: a primary limit for each hour, a secondary limit for each
//! minute, and a limit on concurrent requests.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::github::rest::Reply;

/// The rate limits. If `minute` is shorter than a real minute, an hour also has only 60 of these
/// shorter minutes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The length of a minute in these rate limits.
    pub minute: Duration,
    /// The number of REST calls in an hour.
    pub core: u64,
    /// The number of GraphQL points in an hour.
    pub graphql: u64,
    /// The number of REST points in a minute.
    pub rest_points: u64,
    /// The number of GraphQL points in a minute.
    pub graphql_points: u64,
    /// The maximum number of concurrent requests.
    pub concurrent: usize,
    /// The numbers of requests that create content, in a minute and in an hour. `None` means no
    /// limit.
    pub content: Option<(usize, usize)>,
}

impl Limits {
    /// The documented limit for requests that create content.
    pub const CONTENT: (usize, usize) = (80, 500);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            minute: Duration::from_secs(60),
            core: 5_000,
            graphql: 5_000,
            rest_points: 900,
            graphql_points: 2_000,
            concurrent: 100,
            content: None,
        }
    }
}

#[derive(Debug)]
struct RateAccount {
    used: u64,
    resets: Instant,
}

#[derive(Debug, Default)]
struct Minute(VecDeque<(Instant, u64)>);

impl Minute {
    fn spent(&mut self, now: Instant, window: Duration) -> u64 {
        while self.0.front().is_some_and(|(at, _)| now.duration_since(*at) >= window) {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, points)| points).sum()
    }
}

/// The used part of each token's limits.
#[derive(Debug)]
pub(crate) struct Accounts {
    limits: Limits,
    hours: HashMap<(String, &'static str), RateAccount>,
    minutes: HashMap<(String, &'static str), Minute>,
    /// The times in the last hour at which each token created content.
    created: HashMap<String, VecDeque<Instant>>,
    /// True if the present hour never ends. Each answer then states that the limit resets in an
    /// hour.
    held: bool,
    pub(crate) at_once: usize,
}

/// Returns the present time by the clock of the rate limits.
#[expect(clippy::disallowed_methods, reason = "a simulated vendor has a clock of its own")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

impl Accounts {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hours: HashMap::new(),
            minutes: HashMap::new(),
            created: HashMap::new(),
            held: false,
            at_once: 0,
        }
    }

    fn limit(&self, resource: &str) -> (u64, u64) {
        if resource == "graphql" {
            (self.limits.graphql, self.limits.graphql_points)
        } else {
            (self.limits.core, self.limits.rest_points)
        }
    }

    fn account(&mut self, token: &str, resource: &'static str) -> &mut RateAccount {
        let now = instant();
        let hour = self.limits.minute * 60;
        let account = self
            .hours
            .entry((token.to_owned(), resource))
            .or_insert_with(|| RateAccount { used: 0, resets: now + hour });
        if self.held {
            account.resets = now + hour;
        } else if account.resets <= now {
            *account = RateAccount { used: 0, resets: now + hour };
        }
        account
    }

    /// Returns an error if a call exceeds a limit.
    pub(crate) fn admit(
        &mut self,
        token: &str,
        resource: &'static str,
        points: u64,
    ) -> Result<(), Box<Reply>> {
        let (whole, minute) = self.limit(resource);
        if self.at_once > self.limits.concurrent {
            return Err(Box::new(secondary(60)));
        }
        let window = self.limits.minute;
        let spent = self.minutes.entry((token.to_owned(), resource)).or_default().spent(instant(), window);
        if spent + points > minute {
            return Err(Box::new(secondary(window.as_secs().max(1))));
        }
        if self.account(token, resource).used >= whole {
            let mut reply = Reply::message(403, "API rate limit exceeded for installation.");
            reply.headers = self.headers(token, resource);
            return Err(Box::new(reply));
        }
        Ok(())
    }

    /// Counts a request that creates content. Returns an error if the request exceeds a limit.
    pub(crate) fn create(&mut self, token: &str) -> Result<(), Box<Reply>> {
        let Some((most_a_minute, most_an_hour)) = self.limits.content else { return Ok(()) };
        let (now, minute) = (instant(), self.limits.minute);
        let created = self.created.entry(token.to_owned()).or_default();
        while created.front().is_some_and(|at| now.duration_since(*at) >= minute * 60) {
            created.pop_front();
        }
        let lately = created.iter().rev().take_while(|at| now.duration_since(**at) < minute).count();
        if created.len() >= most_an_hour {
            return Err(Box::new(secondary((minute * 60).as_secs().max(1))));
        }
        if lately >= most_a_minute {
            return Err(Box::new(secondary(minute.as_secs().max(1))));
        }
        created.push_back(now);
        Ok(())
    }

    /// Counts a call against the limits of its token.
    pub(crate) fn book(&mut self, token: &str, resource: &'static str, cost: u64, points: u64) {
        self.account(token, resource).used += cost;
        let minute = self.minutes.entry((token.to_owned(), resource)).or_default();
        minute.0.push_back((instant(), points));
    }

    /// Changes the used part of the limits for every token that a client has used. `{"core": 4900,
    /// "graphql": 0}` spends 4,900 calls and no points, so that only a small part of the limit
    /// remains for a test. `{"held": true}` keeps the present hour from ending during a test. After
    /// `{"held": false}`, each hour ends at the reset time that the last answer stated.
    pub(crate) fn spend(&mut self, spent: &Value) {
        self.held = spent["held"].as_bool().unwrap_or(self.held);
        for ((_, resource), account) in &mut self.hours {
            account.used += spent[*resource].as_u64().unwrap_or(0);
        }
    }

    /// Returns the answer of `GET /rate_limit`. This call does not count toward any limit.
    pub(crate) fn overview(&mut self, token: &str) -> Value {
        let mut of = |resource: &'static str| {
            let headers = self.headers(token, resource);
            let number = |name: &str| {
                let value = headers.iter().find(|(other, _)| other.ends_with(name));
                json!(value.and_then(|(_, value)| value.parse::<u64>().ok()))
            };
            json!({ "limit": number("-limit"), "remaining": number("-remaining"), "used": number("-used"), "reset": number("-reset") })
        };
        let (core, graphql) = (of("core"), of("graphql"));
        json!({ "resources": { "core": core, "graphql": graphql, "search": core }, "rate": core })
    }

    /// Returns the `x-ratelimit-*` headers for an answer.
    pub(crate) fn headers(&mut self, token: &str, resource: &'static str) -> Vec<(&'static str, String)> {
        let (limit, _) = self.limit(resource);
        let account = self.account(token, resource);
        let (used, left) = (account.used, account.resets.saturating_duration_since(instant()));
        let now = jiff::Timestamp::now().as_second();
        let reset = now + i64::try_from(left.as_secs()).unwrap_or(0) + 1;
        vec![
            ("x-ratelimit-limit", limit.to_string()),
            ("x-ratelimit-remaining", limit.saturating_sub(used).to_string()),
            ("x-ratelimit-used", used.to_string()),
            ("x-ratelimit-reset", reset.to_string()),
            ("x-ratelimit-resource", resource.to_owned()),
        ]
    }
}

fn secondary(seconds: u64) -> Reply {
    let mut reply = Reply::message(
        403,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    );
    reply.headers.push(("retry-after", seconds.to_string()));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_create_content_have_their_own_limit() {
        let limits = Limits { content: Some((2, 500)), ..Limits::default() };
        let mut accounts = Accounts::new(limits);
        assert!(accounts.create("a").is_ok() && accounts.create("a").is_ok());
        let refused = accounts.create("a").unwrap_err();
        assert_eq!(refused.headers, [("retry-after", "60".to_owned())]);
        assert!(accounts.create("b").is_ok());
        let mut free = Accounts::new(Limits::default());
        assert!((0..1_000).all(|_| free.create("a").is_ok()));
    }

    #[test]
    fn a_held_hour_ends_at_the_reset_of_the_last_answer() {
        let limits = Limits { minute: Duration::ZERO, core: 2, ..Limits::default() };
        let mut accounts = Accounts::new(limits);
        accounts.spend(&json!({ "held": true }));
        for _ in 0..2 {
            assert!(accounts.admit("a", "core", 1).is_ok());
            accounts.book("a", "core", 1, 1);
        }
        assert!(accounts.admit("a", "core", 1).is_err(), "the hour has no length and does not end");
        accounts.spend(&json!({ "core": 0 }));
        assert!(accounts.admit("a", "core", 1).is_err(), "it is still held");
        accounts.spend(&json!({ "held": false }));
        assert!(accounts.admit("a", "core", 1).is_ok(), "the reset that was named is over");
    }
}
