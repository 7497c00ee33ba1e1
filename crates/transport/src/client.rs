//! The HTTP client for one vendor's address and one credential.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::backoff::backoff;
use beadle_engine::{Budgets, Class, Clock, Lane, Resource, Time, Wait};
use http::header;
use reqwest::Url;
use tokio::sync::Semaphore;

use crate::answer::{self, Answer};
use crate::content::{ContentLimits, ContentPace, MINUTES};
use crate::error::{TokenError, TransportError};
use crate::pace::Pace;
use crate::path::Path;
use crate::request::{Request, label, outgoing, unsendable};
use crate::spans;
use crate::wire::{Network, Wire};

/// The maximum number of redirects that one read follows.
const REDIRECTS: usize = 3;
/// How long the client waits if the vendor refused a request because too many requests were in
/// progress.
const AT_ONCE: Duration = Duration::from_secs(5);
/// How long the client waits before it retries a failed read for the first time.
const AGAIN: Duration = Duration::from_secs(1);
/// The maximum extra wait of a request. Without extra waits, the client would send all waiting
/// requests in the same instant.
const NEARLY: Duration = Duration::from_millis(500);
/// How long the client remembers that a token was refused, if the refusal does not block a budget.
const REFUSED: Duration = Duration::from_secs(10);
/// How many times the client retries a failed read before it returns the error.
const READ_RETRIES: u32 = 2;

/// The settings of a client.
#[derive(Clone)]
pub struct ClientSettings {
    /// The maximum number of requests that are in progress at the same time. GitHub accepts 100
    /// simultaneous requests for each credential, and other programs might use the same credential.
    pub concurrency: usize,
    /// The maximum duration of one request.
    pub deadline: Duration,
    /// The period that the vendor uses to count points for its secondary rate limits.
    pub window: Duration,
    /// The maximum number of points that REST requests may use in this period.
    pub rest_points: u32,
    /// The maximum number of points that GraphQL requests may use in this period.
    pub graphql_points: u32,
    /// The maximum number of requests that create content. `None` means that the vendor has no such
    /// limit.
    pub content: Option<ContentLimits>,
    /// True if the client waits until a used-up budget is available again. Commands set this to
    /// `true`, because they have no queue for work that must wait. If this is `false`, the client
    /// returns an error instead.
    pub patient: bool,
    /// The names of the headers that report the vendor's limits.
    pub rate_limit_headers: RateLimitHeaders,
    /// Where the client sends requests. `None` means the network. Tests use a simulated vendor.
    pub wire: Option<Arc<dyn Wire>>,
}

/// The headers that report a vendor's limits: `<prefix>-limit`, `<prefix>-remaining` and
/// `<prefix>-reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// The first characters of each header name.
    pub prefix: &'static str,
    /// The share of the vendor's limits that this credential may use, in percent.
    pub share: u64,
}

impl RateLimitHeaders {
    /// The headers that GitHub uses.
    pub const GITHUB: Self = Self { prefix: "x-ratelimit", share: 100 };
    /// The headers that Okta uses. One API token may use half of Okta's limits.
    ///
    /// <https://developer.okta.com/docs/reference/rl-best-practices/>
    pub const OKTA: Self = Self { prefix: "x-rate-limit", share: 50 };
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            concurrency: 32,
            deadline: Duration::from_secs(30),
            window: Duration::from_secs(60),
            // GitHub's limits are 900 and 2,000 points. The settings are lower, because requests
            // can arrive at GitHub closer together than Beadle sent them.
            rest_points: 850,
            graphql_points: 1800,
            content: None,
            patient: false,
            rate_limit_headers: RateLimitHeaders::GITHUB,
            wire: None,
        }
    }
}

/// An HTTP client for one vendor's address and one credential. The client respects the budget and
/// retries failed reads.
#[derive(Clone)]
pub struct Client {
    wire: Arc<dyn Wire>,
    base: Arc<Url>,
    budgets: Budgets,
    clock: Clock,
    settings: ClientSettings,
    /// The lane of the requests.
    lane: Lane,
    slots: Arc<Semaphore>,
    rest: Arc<Pace>,
    graphql: Arc<Pace>,
    content: Option<Arc<ContentPace>>,
    /// The end of the last logged wait, so that the client logs each wait only once.
    said: Arc<Mutex<Time>>,
    /// The last refusal of a token, and the time at which the client may request a token again.
    refused_token: Arc<Mutex<Option<(Time, TransportError)>>>,
}

impl Client {
    /// Creates a client for all paths below `base`, such as `https://api.github.com/`.
    pub fn new(base: &str, budgets: Budgets, clock: Clock, settings: ClientSettings) -> Result<Self, String> {
        let mut base = Url::parse(base).map_err(|error| format!("invalid address `{base}`: {error}"))?;
        if !matches!(base.scheme(), "https" | "http") || base.host_str().is_none() {
            return Err(format!(
                "invalid address `{base}`: must begin with `https://` or `http://` and have a host"
            ));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self {
            wire: match &settings.wire {
                Some(wire) => wire.clone(),
                None => Arc::new(Network::new()?),
            },
            base: Arc::new(base),
            budgets,
            clock,
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            rest: Arc::new(Pace::new(settings.window, settings.rest_points)),
            graphql: Arc::new(Pace::new(settings.window, settings.graphql_points)),
            content: settings.content.map(|limits| Arc::new(ContentPace::new(limits, settings.window))),
            settings,
            lane: Lane::Manual,
            said: Arc::default(),
            refused_token: Arc::default(),
        })
    }

    /// Returns a client that sends its requests in `lane`. Both clients share the budget, the pace
    /// and the limit of requests in progress. The client that [`Client::new`] returns uses the lane
    /// `manual`.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
    }

    /// Returns the lane of the requests.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Returns the budget that pays for the requests.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// Returns the points that this process has used for REST requests and for GraphQL requests
    /// within the period of the secondary limits.
    pub fn spent(&self, now: Time) -> (u32, u32) {
        (self.rest.own(now), self.graphql.own(now))
    }

    /// Returns the number of this process's requests that created content within [`Self::hour`].
    pub fn created(&self, now: Time) -> u32 {
        self.content.as_ref().map_or(0, |content| content.created(now))
    }

    /// Sets three numbers. `processes` is the number of processes that use the credential. `others`
    /// are the points that the other processes have used within the period. `created` is the number
    /// of requests of other processes that created content within [`Self::hour`]. `guessed` means
    /// that the number of processes is only an estimate.
    pub fn share(&self, processes: u32, others: (u32, u32), created: u32, guessed: bool) {
        self.rest.share(processes, others.0, guessed);
        self.graphql.share(processes, others.1, guessed);
        if let Some(content) = &self.content {
            content.share(processes, created, guessed);
        }
    }

    /// Returns the period that the vendor uses to count points for its secondary limits.
    pub fn window(&self) -> Duration {
        self.settings.window
    }

    /// Returns the period that the vendor uses to count the requests that create content.
    pub fn hour(&self) -> Duration {
        self.settings.window * MINUTES
    }

    /// Returns whether the client waits until a used-up budget is available again.
    pub fn is_patient(&self) -> bool {
        self.settings.patient
    }

    /// Returns the source of the current time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Converts an error if the vendor denied the credential. The credential is then blocked for
    /// all requests, so that no key is parked. If the client is patient, because a command uses it,
    /// the error stays unchanged.
    pub fn denied(&self, error: TransportError) -> TransportError {
        let TransportError::Status { request, status, message } = error else { return error };
        if self.settings.patient {
            return TransportError::Status { request, status, message };
        }
        let until = self.budgets.deny(self.clock.now());
        TransportError::Denied { request, status, message, until }
    }

    /// Runs `request`, which requests a token for the credential of this client. A refusal of this
    /// request counts as a denial of the credential, see [`Self::denied`]. After a refusal, the
    /// client returns an error for some time without running `request`, because otherwise each read
    /// would request a token. In the service, this time ends when the credential is no longer
    /// blocked. In a command, it ends after ten seconds.
    ///
    /// The caller keeps the tokens. The caller must not make several calls of this method at the
    /// same time, because all of them would run their requests before the first refusal arrives.
    ///
    /// # Errors
    ///
    /// Returns the error of `request`, or the last refusal.
    pub async fn token<T>(
        &self,
        request: impl Future<Output = Result<T, TransportError>>,
    ) -> Result<T, TokenError> {
        self.may_request_token().map_err(TokenError::new)?;
        let error = match request.await {
            Ok(token) => {
                *self.refused_token.lock() = None;
                return Ok(token);
            }
            Err(error) => error,
        };
        let is_refused = error.status().is_some() && error.class() == Class::Rejected;
        let error = if is_refused { self.denied(error) } else { error };
        // If Beadle cannot use the credential, no budget is blocked, because the vendor denied
        // nothing.
        let is_unusable = matches!(error, TransportError::Credential { .. });
        if is_unusable || (is_refused && self.settings.patient) {
            *self.refused_token.lock() = Some((self.clock.now() + REFUSED, error.clone()));
        }
        Err(TokenError::new(error))
    }

    fn may_request_token(&self) -> Result<(), TransportError> {
        let now = self.clock.now();
        if !self.settings.patient {
            self.budgets.admit_token(now)?;
        }
        match &*self.refused_token.lock() {
            // If `until` is later than `now + REFUSED`, the clock was set back.
            Some((until, error)) if *until > now && *until <= now + REFUSED => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Sends a request. If the network or the vendor fails, the client retries a read after a short
    /// wait, but does not retry a write. A read follows redirects within the configured origin. A
    /// write follows no redirects.
    pub async fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        self.send_by(request, None).await
    }

    /// Sends a request, but not later than `by`, because the path of the request might be outdated
    /// after this time. If the request has to wait longer for a budget or for its turn, the client
    /// does not send it, and the error is [`TransportError::Late`].
    pub async fn send_by(&self, request: &Request, by: Option<Time>) -> Result<Answer, TransportError> {
        let mut tries = 0;
        loop {
            match self.follow(request, by).await {
                Err(error) if !request.writes && error.class() == Class::Retry && tries < READ_RETRIES => {
                    tries += 1;
                    tracing::debug!(%error, tries, "read request failed, retrying");
                    self.clock.sleep(backoff(&request.path.to_string(), tries, AGAIN, AGAIN * 4)).await;
                }
                // If the vendor refused a request because of a budget, it did not carry the request
                // out. So the client can send even a write again.
                Err(error) if self.settings.patient && error.limited_until().is_some() => {
                    let until = error.limited_until().unwrap_or_default();
                    self.say_waiting(&error, until);
                    // A short extra wait spreads the requests that wait until the same time.
                    let later = backoff(&request.path.to_string(), 1, NEARLY, NEARLY);
                    self.clock.sleep_until(until + later).await;
                }
                result => return result,
            }
        }
    }

    /// Logs that requests wait until `until`. All requests that wait until the same time cause only
    /// one line.
    fn say_waiting(&self, error: &TransportError, until: Time) {
        let mut said = self.said.lock();
        if until.since(*said) > Duration::from_secs(1) {
            *said = until;
            // This is not a warning, because every long job waits for its turn again and again.
            if error.is_pacing() {
                tracing::info!(%error, %until, "request delayed, Beadle spreads its requests over time");
            } else {
                tracing::warn!(%error, %until, "API budget used up, request waits for the reset");
            }
        }
    }

    async fn follow(&self, request: &Request, by: Option<Time>) -> Result<Answer, TransportError> {
        let label = label(request);
        let mut target = self.target(&label, &request.path)?;
        for _ in 0..REDIRECTS {
            let answer = self.once(request, by, &label, &target).await?;
            if !(300..400).contains(&answer.status) || answer.status == 304 {
                return Ok(answer);
            }
            let location = answer.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
            let moved = TransportError::Status {
                request: label.clone(),
                status: answer.status,
                message: format!("moved to {}", location.unwrap_or("nowhere")),
            };
            if request.writes {
                return Err(moved);
            }
            target = self.target(&label, &Path::given(location.ok_or(moved)?))?;
        }
        Err(TransportError::InvalidResponse {
            request: label,
            why: format!("more than {REDIRECTS} redirects"),
        })
    }

    /// Returns the whole address for a path. Returns an error if a value would change which
    /// resource the address names.
    fn target(&self, label: &str, path: &Path) -> Result<Url, TransportError> {
        let unaddressable = |why: String| TransportError::Unaddressable { request: label.to_owned(), why };
        if let Some(refused) = path.refused() {
            return Err(unaddressable(refused.to_string()));
        }
        let text = path.to_string();
        let whole = path.is_given() && text.contains("://");
        let target = if whole { Url::parse(&text) } else { self.base.join(text.trim_start_matches('/')) };
        let target = target
            .ok()
            .filter(|target| target.origin() == self.base.origin())
            .ok_or_else(|| TransportError::ForeignOrigin { request: label.to_owned(), target: text })?;
        let meant = format!("{}{}", self.base.path(), path.without_query().trim_start_matches('/'));
        if !path.is_given() && target.path() != meant {
            return Err(unaddressable(format!("the path `{meant}` would change to `{}`", target.path())));
        }
        Ok(target)
    }

    async fn once(
        &self,
        request: &Request,
        by: Option<Time>,
        label: &str,
        target: &Url,
    ) -> Result<Answer, TransportError> {
        let lane = self.lane;
        let (pace, points) = match request.resource {
            Resource::GraphQl => (&self.graphql, if request.writes { 5 } else { 1 }),
            _ => (&self.rest, if request.writes { 5 } else { 1 }),
        };
        if request.counted {
            self.budgets.admit(request.resource, 0, lane, self.clock.now())?;
        }
        if let Some(content) = self.content.as_ref().filter(|_| request.creates()) {
            // A sweep leaves a part of the limit to events. In all other lanes, this error means
            // that the limit is used up.
            let spares_events = lane == Lane::Sweep;
            let wait = |until| Wait { spares_others: true, ..self.pacing(until, spares_events) };
            content.take(lane, &self.clock).await.map_err(wait)?;
        }
        let network = |why: String| TransportError::Network { request: label.to_owned(), why };
        // The client takes the points only directly before it sends the request. While a request
        // waits for points, it does not occupy a slot.
        let (slot, taken) = loop {
            let slot = self.slots.acquire().await.map_err(|error| network(error.to_string()))?;
            if by.is_some_and(|by| by < self.clock.now()) {
                return Err(TransportError::Late { request: label.to_owned() });
            }
            let now = self.clock.now();
            let Some(at) = pace.try_take(points, lane, now) else { break (slot, now) };
            drop(slot);
            pace.wait(at, lane, &self.clock).await.map_err(|until| self.pacing(until, true))?;
        };
        if request.counted {
            self.budgets.admit(request.resource, 1, lane, self.clock.now())?;
        }
        let sent = outgoing(request, target).map_err(|error| unsendable(label, &error))?;
        let exchange = async { self.wire.exchange(sent).await.map_err(network) };
        let span = spans::of_request(request, target);
        let answered = span.run(tokio::time::timeout(self.settings.deadline, exchange)).await;
        spans::end_request(span, answered.as_ref().ok().map(Result::as_ref));
        drop(slot);
        pace.answered(points, taken, self.clock.now());
        let (status, headers, body) = answered.map_err(|_| TransportError::Timeout {
            request: label.to_owned(),
            seconds: self.settings.deadline.as_secs(),
        })??;
        let now = self.clock.now();
        if request.counted && status == 304 {
            self.budgets.give_back(request.resource, 1);
        }
        if let Some((resource, account)) =
            answer::account(&headers, self.settings.rate_limit_headers, now).filter(|_| request.counted)
        {
            self.budgets.report(resource, account, now);
        }
        let answer = Answer { request: label.to_owned(), status, headers, body };
        if (200..400).contains(&status) {
            self.budgets.went_through(request.resource);
            self.budgets.went_through(Resource::Secondary);
            if request.counted {
                self.budgets.accepted();
            }
            return Ok(answer);
        }
        Err(self.refused(request.resource, request.writes, answer, now))
    }

    /// Returns the error for a request that has to wait, because Beadle's own pace delays the
    /// request.
    fn pacing(&self, until: Time, spares_events: bool) -> Wait {
        let credential = self.budgets.credential().to_owned();
        Wait { credential, resource: Resource::Secondary, until, spares_events, spares_others: false }
    }

    /// Converts an answer that reports a failure into an error.
    fn refused(&self, resource: Resource, writes: bool, answer: Answer, now: Time) -> TransportError {
        let message = answer::message(&answer.body);
        let asks_for_patience = answer.headers.contains_key(header::RETRY_AFTER);
        let figure = |what| answer::figure(&answer.headers, self.settings.rate_limit_headers, what);
        let used_up = figure("remaining") == Some(0);
        let reset = figure("reset").and_then(|reset| answer::on_our_clock(reset, &answer.headers, now));
        // Okta uses these headers if too many requests are in progress. It is enough to wait until
        // some of these requests end.
        let at_once = used_up && figure("limit") == Some(0);
        let limited = match answer.status {
            429 => true,
            403 => used_up || asks_for_patience || message.to_lowercase().contains("rate limit"),
            // If the server asks for a wait, a read waits. The client does not treat a write as
            // limited, because the server might have carried out the write.
            503 => asks_for_patience && !writes,
            _ => false,
        };
        let retry_after = answer::retry_after(&answer.headers, now);
        if !limited {
            if answer.status == 503 && asks_for_patience {
                // All other requests wait as long as the server asks.
                self.budgets.refuse(Resource::Secondary, retry_after, now);
            }
            return TransportError::Status { request: answer.request, status: answer.status, message };
        }
        let primary = used_up && !asks_for_patience && !at_once;
        let resource = if primary { resource } else { Resource::Secondary };
        let soon = at_once.then(|| now + AT_ONCE);
        let named = retry_after.or(if primary { reset } else { soon });
        let until = self.budgets.refuse(resource, named, now);
        TransportError::Limited { request: answer.request, resource, until }
    }
}
