//! A simulated SCIM 2.0 server: AWS IAM Identity Center's, to the letter of its documentation.
//!
//! <https://docs.aws.amazon.com/singlesignon/latest/developerguide/what-is-scim.html>
//!
//! The state: `users.<id>` and `groups.<id>` as SCIM shows them, with `members.<user id>: true` in a group. What there is
//! below the address of the tenant is the API; anything may stand before `/scim/v2/`.

mod filter;
mod patch;
mod quirks;
mod rest;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use self::quirks::Quirks;
use crate::sim_state::{Call, Reply, Running, SimState, Vendor, lock};
use crate::{Fault, SimError};

pub use self::quirks::Quirk;

/// How it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state that it begins with.
    pub state: Option<Value>,
    /// Every answer takes this long.
    pub latency: Duration,
    /// Logs calls with their bodies.
    pub record: bool,
    /// Pages are shorter than was asked for.
    pub short_pages: bool,
    /// What was made is not found for so many calls after.
    pub slow_to_show: u32,
    /// The deviations from AWS.
    pub quirks: Vec<Quirk>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            state: None,
            latency: Duration::ZERO,
            record: false,
            short_pages: false,
            slow_to_show: 0,
            quirks: Vec::new(),
        }
    }
}

pub(crate) struct Scim {
    short_pages: bool,
    slow_to_show: u32,
    /// What is not found yet, and for how many calls more.
    hidden: Mutex<Vec<(String, u32)>>,
    quirks: Mutex<Quirks>,
}

/// A running simulation. It ends when this is dropped.
pub struct ScimSim(Running<Scim>);

impl ScimSim {
    /// Starts on `addr`; port 0 takes any that is free.
    pub async fn start(addr: SocketAddr, settings: Settings) -> Result<Self, SimError> {
        let scim = Scim {
            short_pages: settings.short_pages,
            slow_to_show: settings.slow_to_show,
            hidden: Mutex::default(),
            quirks: Mutex::new(Quirks(settings.quirks)),
        };
        let running = Running::start(addr, scim, settings.state, settings.latency, settings.record).await?;
        Ok(Self(running))
    }

    /// Where its API is.
    pub fn url(&self) -> String {
        format!("http://{}/9f1-tenant/scim/v2/", self.0.addr)
    }

    /// Where its control is.
    pub fn control(&self) -> String {
        format!("http://{}/_sim", self.0.addr)
    }

    /// A bearer token that it takes.
    pub fn token(&self) -> String {
        self.0.sim_state.mint()
    }

    /// Answers a request without any network, for tests in simulated time. `None`: the connection breaks.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, http::HeaderMap, Bytes)> {
        self.0.exchange(request).await
    }

    /// From now on it does these things otherwise than AWS.
    pub fn behave(&self, quirks: Vec<Quirk>) {
        *lock(&self.0.vendor.quirks) = Quirks(quirks);
    }

    /// Puts another state in place, and tells nobody.
    pub fn begin_with(&self, state: Value) {
        self.0.replace(state);
    }

    /// A JSON merge patch of the state.
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
}

impl Vendor for Scim {
    fn answer(&self, sim_state: &SimState, call: &Call<'_>) -> Reply {
        rest::answer(self, sim_state, call)
    }

    fn error(&self, status: u16, text: &str) -> Reply {
        rest::error(status, text)
    }

    fn complete(&self, state: &mut Value) {
        for list in ["users", "groups"] {
            if !state[list].is_object() {
                state[list] = json!({});
            }
        }
        for (id, user) in state["users"].as_object_mut().into_iter().flatten() {
            user["id"] = json!(id);
            if user["active"].is_null() {
                user["active"] = json!(true);
            }
        }
        for (id, group) in state["groups"].as_object_mut().into_iter().flatten() {
            group["id"] = json!(id);
            if !group["members"].is_object() {
                group["members"] = json!({});
            }
        }
    }

    fn changed(self: Arc<Self>, _: &Arc<SimState>, _: &Value) {}

    fn control(
        self: Arc<Self>,
        _: &Arc<SimState>,
        _: &str,
        _: &str,
        _: &[u8],
    ) -> Option<Result<Value, String>> {
        None
    }
}

impl Scim {
    fn hide(&self, id: &str) {
        if self.slow_to_show > 0 {
            lock(&self.hidden).push((id.to_owned(), self.slow_to_show));
        }
    }

    fn is_hidden(&self, id: &str) -> bool {
        let mut hidden = lock(&self.hidden);
        let Some(at) = hidden.iter().position(|(other, _)| other == id) else { return false };
        hidden[at].1 -= 1;
        if hidden[at].1 == 0 {
            hidden.remove(at);
        }
        true
    }
}
