//! A sweep of a large organisation under GitHub's limits, in simulated time and without a network.
//! The test uses the budgets and the pace of the real client. The simulated vendor counts every
//! request, and refuses a request if GitHub would refuse it.
//!
//! <https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api>
#![expect(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use beadle_engine::{Budgets, Clock, Lane, Resource, Time};
use beadle_transport::{Client, ClientSettings, Exchanged, Method, Path, Request, Wire};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use parking_lot::Mutex;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(100);
/// The percentage of the hourly limits that a sweep leaves for events.
const RESERVE: u64 = 20;
/// The number of keys that a worker runs at the same time.
const AT_ONCE: usize = 64;
/// The number of repositories that one GraphQL query reads. The benchmark `calls` measured 452
/// queries for 10,000 repositories.
const OF_ONE_QUERY: usize = 22;
/// The points that one of these queries costs. The benchmark measured 3,700 points.
const POINTS: u64 = 8;

/// The limits of one installation of an App.
#[derive(Clone, Copy)]
struct Installation {
    /// The number of REST calls in an hour.
    core: u64,
    /// The number of GraphQL points in an hour.
    graphql: u64,
}

/// The largest limits of an installation.
const LARGEST: Installation = Installation { core: 12_500, graphql: 12_500 };
/// The limits of an installation in GitHub Enterprise Cloud.
const ENTERPRISE: Installation = Installation { core: 15_000, graphql: 10_000 };

/// An hourly account and the requests of the last minute.
struct Account {
    name: &'static str,
    limit: u64,
    used: u64,
    reset: Time,
    a_minute: usize,
    recent: VecDeque<Time>,
}

impl Account {
    fn new(name: &'static str, limit: u64, a_minute: usize) -> Self {
        Self { name, limit, used: 0, reset: Time(0), a_minute, recent: VecDeque::new() }
    }

    /// Counts a request, and returns the status of its answer.
    fn count(&mut self, cost: u64, now: Time) -> u16 {
        while self.recent.front().is_some_and(|at| *at + MINUTE <= now) {
            self.recent.pop_front();
        }
        if self.reset <= now {
            (self.used, self.reset) = (0, now + HOUR);
        }
        if self.recent.len() >= self.a_minute || self.used + cost > self.limit {
            return 403;
        }
        self.recent.push_back(now);
        self.used += cost;
        if cost == 0 { 304 } else { 200 }
    }

    fn headers(&self) -> HeaderMap {
        let figures = [
            ("limit", self.limit),
            ("remaining", self.limit - self.used),
            ("reset", self.reset.0.unsigned_abs() / 1000),
        ];
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-resource", self.name.parse().unwrap());
        for (what, figure) in figures {
            let name: HeaderName = format!("x-ratelimit-{what}").parse().unwrap();
            headers.insert(name, figure.into());
        }
        headers
    }
}

/// The simulated vendor for one installation.
struct Vendor {
    clock: Clock,
    /// The cost of a REST call: 0 if Beadle has the answer of an earlier sweep, and this answer is
    /// still valid.
    rest_cost: u64,
    core: Mutex<Account>,
    graphql: Mutex<Account>,
    calls: AtomicUsize,
    refused: AtomicUsize,
}

#[async_trait::async_trait]
impl Wire for Vendor {
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchanged, String> {
        self.clock.sleep(LATENCY / 2).await;
        let is_query = request.uri().path() == "/graphql";
        let (account, cost) = if is_query { (&self.graphql, POINTS) } else { (&self.core, self.rest_cost) };
        let (status, headers) = {
            let mut account = account.lock();
            let status = account.count(cost, self.clock.now());
            (status, account.headers())
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.refused.fetch_add(usize::from(status == 403), Ordering::Relaxed);
        self.clock.sleep(LATENCY / 2).await;
        Ok((status, headers, Bytes::new()))
    }
}

fn request(resource: Resource) -> Request {
    let is_query = resource == Resource::GraphQl;
    Request {
        method: if is_query { Method::POST } else { Method::GET },
        path: Path::at(if is_query { "graphql" } else { "list" }),
        accept: "application/json",
        authorization: None,
        headers: HeaderMap::new(),
        body: None,
        resource,
        counted: true,
        writes: false,
    }
}

/// One sweep to simulate.
#[derive(Clone, Copy)]
struct Sweep {
    repositories: usize,
    /// The number of installations. Each has an equal share of the repositories.
    installations: usize,
    limits: Installation,
    /// For each repository, the number of lists that only the REST API shows.
    lists: usize,
    /// True if Beadle has the answers of an earlier sweep.
    warm: bool,
}

/// The costs of a sweep.
#[derive(Debug, PartialEq)]
struct Needed {
    time: Duration,
    calls: usize,
    refused: usize,
}

async fn simulate(sweep: Sweep) -> Needed {
    let clock = Clock::simulated(Time(1_700_000_000_000));
    let begun = clock.now();
    let share = sweep.repositories.div_ceil(sweep.installations);
    let mut installations = Vec::new();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..sweep.installations {
        let vendor = Arc::new(Vendor {
            clock: clock.clone(),
            rest_cost: u64::from(!sweep.warm),
            core: Mutex::new(Account::new("core", sweep.limits.core, 900)),
            graphql: Mutex::new(Account::new("graphql", sweep.limits.graphql, 2_000)),
            calls: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        });
        let settings =
            ClientSettings { patient: true, wire: Some(vendor.clone()), ..ClientSettings::default() };
        let budgets = Budgets::new("installation", RESERVE);
        let client = Client::new("https://api.test", budgets, clock.clone(), settings).unwrap();
        let client = client.in_lane(Lane::Sweep);
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..AT_ONCE {
            let (client, next) = (client.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let repository = next.fetch_add(1, Ordering::Relaxed);
                    if repository >= share {
                        return;
                    }
                    if repository.is_multiple_of(OF_ONE_QUERY) {
                        client.send(&request(Resource::GraphQl)).await.unwrap();
                    }
                    for _ in 0..sweep.lists {
                        client.send(&request(Resource::Core)).await.unwrap();
                    }
                }
            });
        }
        installations.push(vendor);
    }
    workers.join_all().await;
    let sum = |of: fn(&Vendor) -> &AtomicUsize| -> usize {
        installations.iter().map(|vendor| of(vendor).load(Ordering::Relaxed)).sum()
    };
    Needed {
        time: clock.now().since(begun),
        calls: sum(|vendor| &vendor.calls),
        refused: sum(|vendor| &vendor.refused),
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_uses_up_its_hour_is_never_refused() {
    let limits = Installation { core: 2_000, graphql: 500 };
    let one = Sweep { repositories: 2_000, installations: 1, limits, lists: 2, warm: false };
    let cold = simulate(one).await;
    assert_eq!((cold.calls, cold.refused), (4_000 + 2_000_usize.div_ceil(OF_ONE_QUERY), 0));
    let warm = simulate(Sweep { warm: true, ..one }).await;
    assert_eq!((warm.calls, warm.refused), (cold.calls, 0));
    let shared = simulate(Sweep { installations: 2, ..one }).await;
    assert_eq!(shared.refused, 0);
    assert!(warm.time < cold.time && shared.time < cold.time, "{cold:?} {warm:?} {shared:?}");
}

/// Prints how long sweeps of 100,000 repositories take. `LIMITS_REPOSITORIES` sets another number.
#[tokio::test(start_paused = true)]
#[ignore = "prints figures: `cargo xtask bench limits` runs it"]
#[expect(clippy::disallowed_methods, reason = "a benchmark takes its sizes from the environment")]
async fn benchmark() {
    let repositories = std::env::var("LIMITS_REPOSITORIES").map_or(100_000, |text| text.parse().unwrap());
    println!("{repositories} repositories, {} ms a call, {RESERVE} % kept for events\n", LATENCY.as_millis());
    println!("{:44} {:>14} {:>9} {:>8} {:>8}", "", "installations", "calls", "hours", "refused");
    for (name, limits) in [("12,500 an hour", LARGEST), ("Enterprise Cloud", ENTERPRISE)] {
        for (what, lists, warm) in [
            ("GraphQL alone", 0, false),
            ("two REST lists, cold", 2, false),
            ("two REST lists, warm", 2, true),
        ] {
            for installations in [1, 2, 4] {
                let Needed { time, calls, refused } =
                    simulate(Sweep { repositories, installations, limits, lists, warm }).await;
                let hours = time.as_secs_f64() / HOUR.as_secs_f64();
                let name = format!("{name}: {what}");
                println!("{name:44} {installations:>14} {calls:>9} {hours:>8.2} {refused:>8}");
            }
        }
    }
}
