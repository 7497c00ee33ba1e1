//! A simulated GitHub: REST (also below `/api/v3`), GraphQL (also at
//! `/api/graphql`), an App with installation tokens, rate limits, token-bound ETags, signed webhooks and their log.
//! Its answers are held to GitHub's published descriptions by the contract tests.
//!
//! Control, below `/_sim/`:
//!
//! | call | what it does |
//! |---|---|
//! | `GET`, `PUT`, `PATCH state?webhooks=true` | the whole state as JSON; PATCH is a JSON merge patch; with `webhooks=true` the changes are told to the webhook |
//! | `GET`, `DELETE calls` | the log of API calls: method, path, operation, status, cost, ms |
//! | `POST`, `DELETE faults` | a [`crate::Fault`] |
//! | `POST`, `DELETE tokens` | makes a personal token; takes all tokens back |
//! | `GET app.pem` | the App's private key, made at the start |
//! | `PUT`, `DELETE hook` | a [`Hook`]: where webhooks go |
//! | `PUT latency` | `{"ms": 100}` |
//! | `GET deliveries` | every webhook that was sent, and how it was answered, in the order in which attempts ended |
//! | `PUT`, `DELETE log` | [`LogLies`]: the App's log of deliveries shuffles, delays or repeats its rows |
//! | `PUT limits` | `{"core": 4900, "graphql": 0}`: so much is spent of every account that was used; `{"held": true}`: no hour ends until `{"held": false}` |
//! | `DELETE limits` | all rate limits begin anew |
//!
//! The state's shape: `orgs.<login>` holds `members`, `custom_roles`, `teams.<slug>` and
//! `repos.<name>`; a repository is GitHub's REST object with, beside it, `branches.<name>`,
//! `protection.<pattern>` (the body of the REST PUT), `teams.<slug>` and `collaborators.<login>` (a
//! permission each), `invitations`, `contents.<path>`, `labels.<name>`, `autolinks.<prefix>`,
//! `rulesets.<name>`, `actions`, `hooks.<url>`, `properties`, `code_scanning` and the other
//! security switches, `workflows.<file>` (`run_name`, `inputs`) and their `runs`, `check_runs`, and
//! `issues` (an entry with `"pull_request": true` is a pull request). An organisation
//! has `rulesets` and `security_configurations` of its own, `property_definitions.<name>` (without
//! them every property counts as defined), a `plan` (`free` and `team` refuse what is for
//! enterprises) and the `permissions` of its installation. `users.<login>` and `apps.<slug>` are
//! who exists. What a document leaves out gets GitHub's defaults.

mod access;
mod address;
mod app;
mod control;
mod deliver;
mod described;
mod events;
mod grants;
mod graphql;
mod ids;
mod lies;
mod limits;
mod log;
mod protection;
mod rest;
mod rules;
mod server;
mod shapes;
mod team;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use deliver::{Hook, signature};
pub use limits::Limits;
pub use log::LogLies;

/// The id of the simulated App.
pub const APP_ID: u64 = 12_345;
/// Its slug.
pub const APP_SLUG: &str = "beadle-app";

/// Why the simulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The App's key could not be made.
    #[error("an RSA key could not be made")]
    Key,
    /// The address is taken, or not ours.
    #[error("cannot listen on {addr}: {why}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
}

/// How a simulator starts.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The limits that it enforces.
    pub limits: Limits,
    /// The state that it begins with.
    pub state: Option<Value>,
    /// Every answer takes this long.
    pub latency: std::time::Duration,
    /// Logs calls with their bodies.
    pub record: bool,
}

/// A running simulator. It ends when this is dropped.
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<server::Shared>,
    stop: CancellationToken,
}

impl Sim {
    /// Starts on `addr`; port 0 takes any that is free.
    pub async fn start(addr: SocketAddr, settings: Settings) -> Result<Self, SimError> {
        let listener = TcpListener::bind(addr).await.map_err(|why| SimError::Listen { addr, why })?;
        let addr = listener.local_addr().map_err(|why| SimError::Listen { addr, why })?;
        let key = crate::keys::AppKey::shared()?;
        let shared = Arc::new(server::Shared::new(settings.limits, settings.record, key));
        *server::lock(&shared.latency) = settings.latency;
        if let Some(state) = settings.state {
            *server::lock(&shared.world) = world::World::from(state);
        }
        let stop = CancellationToken::new();
        let router = server::router(shared.clone());
        let stopped = stop.clone();
        tokio::spawn(async move {
            let ended = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await;
            if let Err(error) = ended {
                tracing::error!(%error, "the simulator ended");
            }
        });
        Ok(Self { addr, shared, stop })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// A personal token that it takes.
    pub fn token(&self) -> String {
        self.shared.mint("ghp_", None)
    }

    /// The App's private key.
    pub fn app_pem(&self) -> &str {
        &self.shared.app_key.pem
    }

    /// Where webhooks go from now on.
    pub fn send_webhooks_to(&self, hook: Hook) {
        self.shared.set_hook(Some(hook));
    }

    /// Whether a webhook is on its way: sent, and not answered yet.
    pub fn is_sending(&self) -> bool {
        self.shared.sending.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// The log of calls, as `GET /_sim/calls` gives it.
    pub fn calls(&self) -> Vec<Value> {
        server::lock(&self.shared.calls).iter().map(|call| call.line.clone()).collect()
    }

    /// The number of calls so far.
    pub fn call_count(&self) -> usize {
        server::lock(&self.shared.calls).len()
    }

    /// The calls that fit, as `GET /_sim/calls` gives them.
    pub fn calls_that(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let calls = server::lock(&self.shared.calls);
        calls.iter().filter(|call| fits(&call.line)).map(|call| call.line.clone()).collect()
    }

    /// The state as it is.
    pub fn state(&self) -> Value {
        self.look(Value::clone)
    }

    /// Looks at the state without a copy of it: one of hundreds of repositories is large.
    pub fn look<T>(&self, look: impl FnOnce(&Value) -> T) -> T {
        look(&server::lock(&self.shared.world).doc)
    }

    /// Answers a request without any network, for tests in simulated time. `None`: the connection
    /// breaks.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, HeaderMap, Bytes)> {
        let (mut head, body) = request.into_parts();
        // Over a network it is HTTP that names the host; links between pages lead back to it.
        let host = head.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        if let Some(host) = host {
            head.headers.entry(header::HOST).or_insert(host);
        }
        let shared = State(self.shared.clone());
        let response = server::handle(shared, head.method, head.uri, head.headers, body).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        Some((head.status.as_u16(), head.headers, body))
    }

    /// Puts another state in place and tells nobody. The calls, the faults and what was spent of
    /// the limits are forgotten.
    pub fn begin_with(&self, state: Value) {
        *server::lock(&self.shared.world) = world::World::from(state);
        *server::lock(&self.shared.accounts) = limits::Accounts::new(self.shared.limits);
        self.no_faults();
        self.forget_calls();
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        server::lock(&self.shared.calls).clear();
    }

    /// From now on a fault strikes.
    pub fn fault(&self, fault: crate::Fault) {
        server::lock(&self.shared.faults).add(fault);
    }

    /// Whether a fault holds a call.
    pub fn is_holding(&self) -> bool {
        self.shared.held.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// No fault strikes any more, and what one holds goes on.
    pub fn no_faults(&self) {
        self.shared.no_faults();
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
