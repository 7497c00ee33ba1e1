//! A storm disturbs the calls to a simulated vendor, for tests in simulated time. The weather
//! changes at random times, and a seed determines all random choices. In some weather, the vendor
//! refuses requests for hours, fails, breaks connections, answers late, shows wrong lists or shows
//! an earlier state. If the answer to a write is lost, it is possible that the vendor has carried
//! out the write.
//!
//! A witness watches the client during the storm. The witness notices a request that exceeds a
//! secondary limit of the vendor. The witness also notices a request that comes before the end of a
//! wait in `Retry-After`.

mod ledger;
mod lists;
mod refusal;
mod witness;

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::Instant;

pub use ledger::Ledger;
use refusal::Refusal;
pub use witness::SecondaryLimits;
use witness::{Call, Refused, Witness};

/// An answer: the status, the headers and the whole body.
pub type StormAnswer = (u16, HeaderMap, Bytes);

/// The vendor's clock at the beginning of a storm, in seconds since the Unix epoch. This clock
/// differs from the clocks of all tests, because a client must not compare its clock with the
/// vendor's clock.
const VENDOR_CLOCK: i64 = 1_900_000_000;
/// The largest number of earlier answers that a storm keeps for one request.
const KEPT: usize = 8;

/// The kind of weather during a period.
#[derive(Clone, Copy, Debug)]
enum Weather {
    /// Nothing happens.
    Fair,
    /// The vendor refuses all requests because of a rate limit.
    Limited,
    /// The vendor answers many requests with 5xx.
    Failing,
    /// Connections break, and answers are cut.
    Breaking,
    /// Answers come late.
    Slow,
    /// Lists are wrong.
    Wrong,
    /// Reads show an earlier state.
    Stale,
    /// All of these disturbances can happen.
    Mixed,
}

impl Weather {
    const ALL: &[Self] = &[
        Self::Fair,
        Self::Fair,
        Self::Limited,
        Self::Failing,
        Self::Breaking,
        Self::Slow,
        Self::Wrong,
        Self::Stale,
        Self::Mixed,
        Self::Mixed,
    ];

    /// Returns the maximum duration of this weather, in seconds.
    fn longest(self) -> u64 {
        match self {
            Self::Limited => 3 * 3600,
            Self::Fair => 120,
            _ => 1_200,
        }
    }
}

/// The disturbance of one request.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    Refuse(Refusal),
    /// The vendor answers with a status of 5xx. It is possible that the vendor has carried out the
    /// request.
    Fail {
        status: u16,
        is_done: bool,
    },
    /// The connection breaks. It is possible that the vendor has carried out the request.
    Break {
        is_done: bool,
    },
    /// Only the first half of the body arrives.
    Half,
    /// The request or its answer takes long.
    Delay {
        of_request: bool,
        by: Duration,
    },
    /// A list in the answer is wrong.
    WrongList,
    /// The answer is an earlier one.
    Stale,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    /// True if the vendor is GitHub. Only GitHub uses the status 403 for a limit, and only GitHub
    /// has special headers for a used-up budget. Beadle can notice an earlier state only at GitHub.
    is_github: bool,
    is_over: bool,
    weather: Weather,
    changes: Instant,
    witness: Witness,
    /// Maps a request to earlier answers.
    earlier: HashMap<String, Vec<StormAnswer>>,
    disturbed: u64,
    lost_writes: u64,
}

/// A storm that disturbs the calls to one vendor.
#[derive(Debug)]
pub struct Storm {
    begun: Instant,
    state: Mutex<State>,
}

/// A request in progress. A client that gives up drops this value.
struct InProgress<'a>(&'a Storm);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.state.lock().witness.ended();
    }
}

impl Storm {
    /// Creates a storm for a simulated GitHub. The client must stay within `limits`.
    pub fn of_github(seed: u64, limits: SecondaryLimits) -> Self {
        Self::new(seed, limits, true)
    }

    /// Creates a storm for a directory or a SCIM server. The storm shows no earlier states, because
    /// a client cannot notice them. If an old list of members agrees with an old count, the old
    /// list looks like the present list.
    pub fn of_directory(seed: u64) -> Self {
        Self::new(seed, SecondaryLimits::NONE, false)
    }

    fn new(seed: u64, limits: SecondaryLimits, is_github: bool) -> Self {
        let now = Instant::now();
        let state = State {
            random: StdRng::seed_from_u64(seed),
            is_github,
            is_over: false,
            weather: Weather::Fair,
            changes: now,
            witness: Witness::new(limits),
            earlier: HashMap::new(),
            disturbed: 0,
            lost_writes: 0,
        };
        Self { begun: now, state: Mutex::new(state) }
    }

    /// Ends the storm. The witness continues to watch.
    pub fn end(&self) {
        self.state.lock().is_over = true;
    }

    /// Records that the client was started again. The new client does not know about earlier
    /// refusals.
    pub fn restarted(&self) {
        self.state.lock().witness.forget_refusals();
    }

    /// Returns the first rule that the client broke.
    pub fn broken(&self) -> Option<String> {
        self.state.lock().witness.broken().map(str::to_owned)
    }

    /// Returns the number of requests that the storm disturbed. Also returns how many of these
    /// requests were writes that the vendor carried out without an answer to the client.
    pub fn disturbed(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.disturbed, state.lost_writes)
    }

    /// Passes a request to the vendor, if the storm allows it. Returns `None` if the connection
    /// breaks.
    pub async fn exchange<V, F>(&self, request: Request<Bytes>, vendor: V) -> Option<StormAnswer>
    where
        V: FnOnce(Request<Bytes>) -> F + Send,
        F: Future<Output = Option<StormAnswer>> + Send,
    {
        let (call, name) = (call_of(&request), name_of(&request));
        let happens = self.state.lock().begin(&call);
        let _in_progress = InProgress(self);
        match happens {
            Some(Disturbance::Refuse(refusal)) => return Some(self.refuse(&call, refusal)),
            Some(Disturbance::Fail { status, is_done: false }) => return Some(failure(status)),
            Some(Disturbance::Break { is_done: false }) => return None,
            Some(Disturbance::Delay { of_request: true, by }) => tokio::time::sleep(by).await,
            _ => {}
        }
        let answer = vendor(request).await?;
        let is_success = (200..300).contains(&answer.0);
        if call.writes && is_success && happens.is_some_and(loses) {
            self.state.lock().lost_writes += 1;
        }
        let answer = match happens {
            Some(Disturbance::Fail { status, .. }) => return Some(failure(status)),
            Some(Disturbance::Break { .. }) => return None,
            Some(Disturbance::Half) => cut(answer),
            Some(Disturbance::Delay { of_request: false, by }) => {
                tokio::time::sleep(by).await;
                answer
            }
            Some(Disturbance::WrongList) if answer.0 == 200 && !call.writes => {
                return Some(self.wrong(answer));
            }
            Some(Disturbance::Stale) if answer.0 == 200 && !call.writes => {
                self.state.lock().earlier(&name).unwrap_or(answer)
            }
            _ => answer,
        };
        // The storm does not keep an earlier answer again, because the answer would then never
        // become too old.
        let is_whole = !matches!(happens, Some(Disturbance::Half | Disturbance::Stale));
        if !call.writes && answer.0 == 200 && is_whole {
            self.state.lock().keep(name, &answer);
        }
        Some(answer)
    }

    fn refuse(&self, call: &Call, refusal: Refusal) -> StormAnswer {
        let (named, now) = (refusal.named(), Instant::now());
        let account = call.family.map_or_else(|| refusal.account(call.is_graphql), Refused::Family);
        self.state.lock().witness.refused(account, named, now);
        let passed = i64::try_from(now.duration_since(self.begun).as_secs()).unwrap_or_default();
        refusal.answer(call.is_graphql, VENDOR_CLOCK + passed)
    }

    /// Makes a list of an answer wrong.
    fn wrong(&self, (status, mut headers, body): StormAnswer) -> StormAnswer {
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else { return (status, headers, body) };
        if !lists::spoil(&mut value, &mut self.state.lock().random) {
            return (status, headers, body);
        }
        // The tag belongs to the whole body. If a client kept the tag, it would never read the list
        // again.
        headers.remove(header::ETAG);
        headers.remove(header::CONTENT_LENGTH);
        (status, headers, Bytes::from(value.to_string()))
    }
}

impl State {
    /// Records a request, and chooses a disturbance for the request.
    fn begin(&mut self, call: &Call) -> Option<Disturbance> {
        let now = Instant::now();
        self.witness.sent(call, now);
        if self.is_over {
            return None;
        }
        if self.changes <= now {
            self.weather = *Weather::ALL.choose(&mut self.random)?;
            self.changes = now + Duration::from_secs(self.random.random_range(20..=self.weather.longest()));
        }
        let happens = self.disturbance(self.weather);
        self.disturbed += u64::from(happens.is_some());
        happens
    }

    fn disturbance(&mut self, weather: Weather) -> Option<Disturbance> {
        let percent = match weather {
            Weather::Fair => 0,
            Weather::Limited => 100,
            Weather::Mixed => 20,
            _ => 40,
        };
        let (random, is_github) = (&mut self.random, self.is_github);
        if random.random_range(0..100) >= percent {
            return None;
        }
        let kind = match weather {
            Weather::Mixed => *[
                Weather::Limited,
                Weather::Failing,
                Weather::Breaking,
                Weather::Slow,
                Weather::Wrong,
                Weather::Stale,
            ]
            .choose(random)?,
            weather => weather,
        };
        Some(match kind {
            Weather::Fair | Weather::Mixed => return None,
            Weather::Limited => Disturbance::Refuse(Refusal::choose(random, is_github)),
            Weather::Failing => Disturbance::Fail {
                status: *[500, 502, 503, 504].choose(random)?,
                is_done: random.random_bool(0.5),
            },
            Weather::Breaking if random.random_bool(0.3) => Disturbance::Half,
            Weather::Breaking => Disturbance::Break { is_done: random.random_bool(0.5) },
            Weather::Slow => Disturbance::Delay {
                of_request: random.random_bool(0.5),
                by: Duration::from_millis(random.random_range(500..60_000)),
            },
            Weather::Wrong => Disturbance::WrongList,
            Weather::Stale if !is_github => return None,
            Weather::Stale => Disturbance::Stale,
        })
    }

    /// Returns an earlier answer to the same request.
    fn earlier(&mut self, name: &str) -> Option<StormAnswer> {
        self.earlier.get(name)?.choose(&mut self.random).cloned()
    }

    fn keep(&mut self, name: String, answer: &StormAnswer) {
        let kept = self.earlier.entry(name).or_default();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push(answer.clone());
    }
}

/// Returns true if the vendor carried out a request but the client does not learn this.
fn loses(happens: Disturbance) -> bool {
    match happens {
        Disturbance::Fail { is_done, .. } | Disturbance::Break { is_done } => is_done,
        Disturbance::Half => true,
        _ => false,
    }
}

fn failure(status: u16) -> StormAnswer {
    let page = "<html><head><title>Unicorn!</title></head><body>This page is taking too long.</body></html>";
    (status, HeaderMap::new(), Bytes::from_static(page.as_bytes()))
}

/// Returns an answer with only the first half of its body.
fn cut((status, mut headers, body): StormAnswer) -> StormAnswer {
    headers.remove(header::ETAG);
    headers.remove(header::CONTENT_LENGTH);
    let half = body.slice(..body.len() / 2);
    (status, headers, half)
}

fn call_of(request: &Request<Bytes>) -> Call {
    let path = request.uri().path();
    let is_graphql = path.ends_with("/graphql");
    let document = serde_json::from_slice::<Value>(request.body()).ok().filter(|_| is_graphql);
    let document = document.as_ref().and_then(|body| body["query"].as_str()).unwrap_or_default();
    let is_mutation = document.trim_start().starts_with("mutation");
    let writes = if is_graphql { is_mutation } else { *request.method() != Method::GET };
    let creates = if is_graphql {
        is_mutation && document.contains("create")
    } else {
        *request.method() == Method::POST
    };
    let label = format!("{} {path}", request.method());
    Call { label, family: family_of(path), is_graphql, writes, creates }
}

/// Returns the family of addresses to which a path belongs. Okta has a separate limit for each
/// family.
///
/// <https://developer.okta.com/docs/reference/rl-global-mgmt/>
fn family_of(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("/api/v1/")?;
    let first = rest.split('/').next().unwrap_or_default();
    Some(["groups", "users", "logs", "apps"].into_iter().find(|family| *family == first).unwrap_or("others"))
}

/// Returns a text that is equal for equal requests. Two requests are equal even if one request has
/// a tag and the other request has no tag.
fn name_of(request: &Request<Bytes>) -> String {
    format!("{} {} {}", request.method(), request.uri(), String::from_utf8_lossy(request.body()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get() -> Request<Bytes> {
        Request::builder().uri("http://127.0.0.1/repos/acme/shop/hooks").body(Bytes::new()).unwrap()
    }

    async fn answer(_: Request<Bytes>) -> Option<StormAnswer> {
        Some((200, HeaderMap::new(), Bytes::from_static(br#"[{"id":1},{"id":2}]"#)))
    }

    #[tokio::test]
    async fn a_storm_that_is_over_disturbs_nothing() {
        let storm = Storm::of_github(1, SecondaryLimits::NONE);
        storm.end();
        for _ in 0..100 {
            assert_eq!(storm.exchange(get(), answer).await, answer(get()).await);
        }
        assert_eq!((storm.disturbed(), storm.broken()), ((0, 0), None));
    }

    #[tokio::test]
    async fn a_seed_gives_the_same_disturbances() {
        let happens = |seed| {
            let storm = Storm::of_github(seed, SecondaryLimits::NONE);
            let mut state = storm.state.lock();
            let each = (0..200).map(|_| format!("{:?}", state.disturbance(Weather::Mixed)));
            each.collect::<Vec<_>>()
        };
        assert_eq!(happens(7), happens(7));
        assert_ne!(happens(7), happens(8));
    }

    #[tokio::test]
    async fn a_client_that_does_not_wait_is_noticed() {
        let storm = Storm::of_github(1, SecondaryLimits::NONE);
        storm.refuse(&call_of(&get()), Refusal::RetryAfter(429, 60));
        storm.end();
        storm.exchange(get(), answer).await.unwrap();
        let broken = storm.broken().unwrap();
        assert!(broken.contains("GET /repos/acme/shop/hooks: sent"), "{broken}");
    }
}
