//! A simulated Okta: groups, users, the System Log, OAuth and API tokens, rate limits, and event hooks with everything
//! that can happen to them on the way.
//!
//! Control, below `/_sim/`, beside what every simulation has:
//!
//! | call | what it does |
//! |---|---|
//! | `PUT`, `DELETE hook` | a [`Hook`]: where events go, and what happens to them |
//! | `GET deliveries` | every delivery, and how it was answered |
//! | `POST deliver` | sends what was held, in the order given: `{"order": [2, 0]}`, else as it happened |
//! | `GET key.pem` | a private key that the service app `beadle` signs with, as `{"pem": ...}` |
//!
//! The state: `users.<id>` (`status`, `profile`), `groups.<id>` (`profile`, and `members.<user id>: true`),
//! `pushes.<application>.<id>` (`sourceGroupId`), `log`. A
//! change of the state is told as the events that Okta records of such a change.

mod events;
mod filter;
mod hook;
mod rest;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::sim_state::{Call, Reply, Running, SimState, Vendor, lock};
use crate::{Fault, SimError};

pub use hook::Hook;

/// How it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state that it begins with.
    pub state: Option<Value>,
    /// Every answer takes this long.
    pub latency: Duration,
    /// Logs calls with their bodies.
    pub record: bool,
    /// Calls of each family of addresses in a minute.
    pub limit: u64,
    /// What stands for a minute.
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
    /// By family: the period, and what is left of it.
    spent: Mutex<BTreeMap<&'static str, (i64, u64)>>,
}

/// A running simulation. It ends when this is dropped.
pub struct OktaSim(Running<Okta>);

impl OktaSim {
    /// Starts on `addr`; port 0 takes any that is free.
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

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.addr)
    }

    /// An API token that it takes.
    pub fn token(&self) -> String {
        self.0.sim_state.mint()
    }

    /// A private key of the service app `beadle`, in PEM form.
    pub fn app_pem(&self) -> &str {
        &self.0.vendor.key.pem
    }

    /// Answers a request without any network, for tests in simulated time. `None`: the connection breaks.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, http::HeaderMap, Bytes)> {
        self.0.exchange(request).await
    }

    /// Puts another state in place, and tells nobody.
    pub fn begin_with(&self, state: Value) {
        self.0.replace(state);
    }

    /// A JSON merge patch of the state, told as events.
    pub fn patch(&self, patch: &Value) {
        self.0.patch(patch);
    }

    /// The state as it is.
    pub fn state(&self) -> Value {
        lock(&self.0.sim_state.state).clone()
    }

    /// The log of calls.
    pub fn calls(&self) -> Vec<Value> {
        self.0.sim_state.calls()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.0.sim_state.forget_calls();
    }

    /// From now on a fault strikes.
    pub fn fault(&self, fault: Fault) {
        self.0.sim_state.fault(fault);
    }

    /// No fault strikes any more.
    pub fn no_faults(&self) {
        self.0.sim_state.no_faults();
    }

    /// Where events go from now on.
    pub fn send_events_to(&self, hook: Option<Hook>) {
        self.0.vendor.hook.set(hook);
    }

    /// Asks the hook's address for the one-time verification: whether it answered with what it was asked.
    ///
    /// <https://developer.okta.com/docs/concepts/event-hooks/#one-time-verification-request>
    pub async fn verify(&self) -> bool {
        self.0.vendor.hook.verify().await
    }

    /// Sends what was held, in the order given.
    pub fn deliver(&self, order: Option<Vec<usize>>) {
        self.0.vendor.clone().deliver(order);
    }

    /// Takes the deliveries that are held: whoever takes them decides what becomes of them.
    pub fn take_held(&self) -> Vec<Value> {
        self.0.vendor.hook.take_held()
    }

    /// Whether a delivery is on its way: sent, and not answered yet.
    pub fn is_sending(&self) -> bool {
        self.0.vendor.hook.is_sending()
    }

    /// Every delivery, and how it was answered.
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
    /// Takes a call off the family's budget: the headers to send, and whether it may go on.
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
