//! A simulated SCIM 2.0 server. The server behaves like AWS IAM Identity Center, according to AWS's
//! documentation.
//!
//! <https://docs.aws.amazon.com/singlesignon/latest/developerguide/what-is-scim.html>
//!
//! The state has `users.<id>` and `groups.<id>` in SCIM's form. A group has `members.<user id>:
//! true`. The paths of the API contain `/scim/v2/`, after any prefix.

mod filter;
mod patch;
mod quirks;
mod rest;

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use self::quirks::Quirks;
use crate::sim_state::{Call, Reply, Running, SimState, Vendor, lock};
use crate::{Fault, SimError};

pub use self::quirks::Quirk;

/// The settings for the start of the simulated server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The state at the start.
    pub state: Option<Value>,
    /// The delay of every answer.
    pub latency: Duration,
    /// True if the log of calls contains the bodies of requests and answers.
    pub record: bool,
    /// True if a page can have fewer rows than requested.
    pub short_pages: bool,
    /// The number of calls that do not find a new resource before the server shows the resource.
    pub slow_to_show: u32,
    /// The differences between the server and AWS.
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
    /// The resources that the server does not find yet. Each entry has the number of calls until
    /// the server finds the resource.
    hidden: Mutex<Vec<(String, u32)>>,
    quirks: Mutex<Quirks>,
}

/// A running simulated SCIM server. The server stops when this value is dropped.
pub struct ScimSim(Running<Scim>);

impl ScimSim {
    /// Starts the server at the address `addr`. With port 0, the system chooses a free port.
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

    /// Returns the address of the API.
    pub fn url(&self) -> String {
        format!("http://{}/9f1-tenant/scim/v2/", self.0.addr)
    }

    /// Returns the address of the control calls.
    pub fn control(&self) -> String {
        format!("http://{}/_sim", self.0.addr)
    }

    /// Returns a valid bearer token.
    pub fn token(&self) -> String {
        self.0.sim_state.mint()
    }

    /// Answers a request without a network, for tests in simulated time. Returns `None` if a fault
    /// breaks the connection.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, http::HeaderMap, Bytes)> {
        self.0.exchange(request).await
    }

    /// Sets the differences between the server and AWS.
    pub fn behave(&self, quirks: Vec<Quirk>) {
        *lock(&self.0.vendor.quirks) = Quirks(quirks);
    }

    /// Replaces the state. Also clears the log of calls and the faults.
    pub fn begin_with(&self, state: Value) {
        self.0.replace(state);
    }

    /// Applies a JSON merge patch to the state.
    pub fn patch(&self, patch: &Value) {
        self.0.patch(patch);
    }

    /// Returns a copy of the state.
    pub fn state(&self) -> Value {
        lock(&self.0.sim_state.state).clone()
    }

    /// Passes the state to `look` without copying it, because the state of thousands of groups is
    /// large.
    pub fn look<T>(&self, look: impl FnOnce(&Value) -> T) -> T {
        look(&lock(&self.0.sim_state.state))
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
