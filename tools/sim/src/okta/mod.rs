//! A simulated Okta: groups, users, the System Log, OAuth and API tokens, rate limits, and event
//! hooks with the faults of their delivery.
//!
//! The control calls in `/_sim/`, in addition to the calls that all simulated vendors have:
//!
//! | call | effect |
//! |---|---|
//! | `PUT`, `DELETE hook` | sets or removes the [`Hook`], the receiver of events |
//! | `GET deliveries` | returns every delivery with its answer |
//! | `POST deliver` | sends the deliveries that wait, in the order of `{"order": [2, 0]}` or in the order in which they were recorded |
//! | `GET key.pem` | returns a private key of the service app `beadle`, as `{"pem": ...}` |
//!
//! The state has `users.<id>` (`status`, `profile`), `groups.<id>` (`profile`, and `members.<user
//! id>: true`), `pushes.<application>.<id>` (`sourceGroupId`) and `log`. When the state changes,
//! the simulated Okta records and sends the same events as Okta.

mod events;
mod filter;
mod hook;
mod rest;

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::sim_state::{Call, Reply, Running, SimState, Vendor, lock};
use crate::{Fault, SimError};

pub use hook::Hook;

/// The settings for the start of the simulated Okta.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state at the start.
    pub state: Option<Value>,
    /// The delay of every answer.
    pub latency: Duration,
    /// True if the log of calls contains the bodies of requests and answers.
    pub record: bool,
    /// The maximum number of calls in a minute, for each family of paths.
    pub limit: u64,
    /// The length of the minute in the rate limits.
    pub minute: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: None,
            latency: Duration::ZERO,
            record: false,
            limit: 600,
            minute: Duration::from_secs(60),
        }
    }
}

pub(crate) struct Okta {
    pub(crate) base: Mutex<String>,
    pub(crate) key: crate::keys::AppKey,
    hook: hook::Hooks,
    limit: u64,
    minute: Duration,
    /// For each family of paths: the present period of the rate limit, and the number of calls that
    /// remain in this period.
    spent: Mutex<BTreeMap<&'static str, (i64, u64)>>,
}

/// A running simulated Okta. The simulated Okta stops when this value is dropped.
pub struct OktaSim(Running<Okta>);

impl OktaSim {
    /// Starts the simulated Okta at the address `addr`. With port 0, the system chooses a free
    /// port.
    pub async fn start(addr: SocketAddr, settings: Settings) -> Result<Self, SimError> {
        let okta = Okta {
            base: Mutex::default(),
            key: crate::keys::AppKey::shared()?,
            hook: hook::Hooks::default(),
            limit: settings.limit,
            minute: settings.minute,
            spent: Mutex::default(),
        };
        let running = Running::start(addr, okta, settings.state, settings.latency, settings.record).await?;
        *lock(&running.vendor.base) = format!("http://{}", running.addr);
        Ok(Self(running))
    }

    /// Returns the address of the simulated Okta.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.addr)
    }

    /// Returns a valid API token.
    pub fn token(&self) -> String {
        self.0.sim_state.mint()
    }

    /// Returns a private key of the service app `beadle`, in PEM form.
    pub fn app_pem(&self) -> &str {
        &self.0.vendor.key.pem
    }

    /// Answers a request without a network, for tests in simulated time. Returns `None` if a fault
    /// breaks the connection.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, http::HeaderMap, Bytes)> {
        self.0.exchange(request).await
    }

    /// Replaces the state without recording events.
    pub fn begin_with(&self, state: Value) {
        self.0.replace(state);
    }

    /// Applies a JSON merge patch to the state, and records the events of the change.
    pub fn patch(&self, patch: &Value) {
        self.0.patch(patch);
    }

    /// Returns a copy of the state.
    pub fn state(&self) -> Value {
        lock(&self.0.sim_state.state).clone()
    }

    /// Returns the log of calls.
    pub fn calls(&self) -> Vec<Value> {
        self.0.sim_state.calls()
    }

    /// Clears the log of calls.
    pub fn forget_calls(&self) {
        self.0.sim_state.forget_calls();
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.0.sim_state.fault(fault);
    }

    /// Removes all faults.
    pub fn no_faults(&self) {
        self.0.sim_state.no_faults();
    }

    /// Sets the receiver of the events.
    pub fn send_events_to(&self, hook: Option<Hook>) {
        self.0.vendor.hook.set(hook);
    }

    /// Sends Okta's one-time verification request to the receiver. Returns whether the answer
    /// contains the challenge.
    ///
    /// <https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request>
    pub async fn verify(&self) -> bool {
        self.0.vendor.hook.verify().await
    }

    /// Sends the deliveries that wait, in this order.
    pub fn deliver(&self, order: Option<Vec<usize>>) {
        self.0.vendor.clone().deliver(order);
    }

    /// Removes and returns the deliveries that wait, so that the caller can deliver them.
    pub fn take_held(&self) -> Vec<Value> {
        self.0.vendor.hook.take_held()
    }

    /// Returns whether the simulated Okta has sent a delivery that has no answer yet.
    pub fn is_sending(&self) -> bool {
        self.0.vendor.hook.is_sending()
    }

    /// Returns every delivery that was sent, with its answer.
    pub fn deliveries(&self) -> Vec<Value> {
        self.0.vendor.hook.delivered()
    }
}

impl Vendor for Okta {
    fn answer(&self, sim_state: &SimState, call: &Call<'_>) -> Reply {
        rest::answer(self, sim_state, call)
    }

    fn error(&self, status: u16, text: &str) -> Reply {
        rest::error(status, text)
    }

    fn complete(&self, state: &mut Value) {
        events::complete(state);
    }

    fn changed(self: Arc<Self>, sim_state: &Arc<SimState>, before: &Value) {
        let told = events::of_change(before, &mut lock(&sim_state.state));
        self.tell(&told);
    }

    fn control(
        self: Arc<Self>,
        _: &Arc<SimState>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<Result<Value, String>> {
        let read = |error: serde_json::Error| error.to_string();
        Some(match (method, path) {
            ("PUT", "hook") => serde_json::from_slice::<Hook>(body).map_err(read).map(|hook| {
                self.hook.set(Some(hook));
                Value::Null
            }),
            ("DELETE", "hook") => {
                self.hook.set(None);
                Ok(Value::Null)
            }
            ("GET", "deliveries") => Ok(Value::Array(self.hook.delivered())),
            ("GET", "key.pem") => Ok(json!({ "pem": self.key.pem })),
            ("POST", "deliver") => {
                let order = serde_json::from_slice::<Value>(body).unwrap_or_default();
                self.deliver(serde_json::from_value(order["order"].clone()).ok());
                Ok(Value::Null)
            }
            _ => return None,
        })
    }
}

impl Okta {
    /// Counts a call against the rate limit of its family of paths. Returns the headers for the
    /// answer, and whether the call is allowed.
    pub(crate) fn admit(&self, family: &'static str) -> (Vec<(&'static str, String)>, bool) {
        let minute = i64::try_from(self.minute.as_millis()).unwrap_or(60_000).max(1);
        let period = jiff::Timestamp::now().as_millisecond() / minute;
        let mut spent = lock(&self.spent);
        let (of, calls) = spent.entry(family).or_insert((period, 0));
        if *of != period {
            (*of, *calls) = (period, 0);
        }
        *calls += 1;
        let left = self.limit.saturating_sub(*calls);
        let reset = (period + 1) * minute / 1000 + i64::from(minute < 1000);
        let headers = vec![
            ("x-rate-limit-limit", self.limit.to_string()),
            ("x-rate-limit-remaining", left.to_string()),
            ("x-rate-limit-reset", reset.to_string()),
            (
                "date",
                jiff::fmt::rfc2822::DateTimePrinter::new()
                    .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
                    .unwrap_or_default(),
            ),
        ];
        (headers, *calls <= self.limit)
    }
}
