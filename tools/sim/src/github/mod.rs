//! A simulated GitHub: REST (also in `/api/v3`), GraphQL (also at `/api/graphql`), an App with
//! installation tokens, rate limits, token-bound ETags, signed webhooks and their log. The contract
//! tests check its answers against GitHub's published descriptions.
//!
//! The control calls in `/_sim/`:
//!
//! | call | effect |
//! |---|---|
//! | `GET`, `PUT`, `PATCH state?webhooks=true` | reads or replaces the whole state as JSON; PATCH is a JSON merge patch; with `webhooks=true` the changes send webhooks |
//! | `GET`, `DELETE calls` | returns or clears the log of API calls: method, path, operation, status, cost, ms |
//! | `POST`, `DELETE faults` | adds a [`crate::Fault`], or removes all faults |
//! | `POST`, `DELETE tokens` | creates a personal token, or revokes all tokens |
//! | `GET app.pem` | returns the private key of the App, which each process generates |
//! | `PUT`, `DELETE hook` | sets or removes the [`Hook`], the receiver of webhooks |
//! | `POST rerequest` | asks for another run of a check: `{"org": "acme", "repo": "admin", "id": 7}` |
//! | `PUT latency` | sets the delay of every answer: `{"ms": 100}` |
//! | `GET deliveries` | returns every webhook with its answer, in the order in which attempts ended |
//! | `PUT`, `DELETE log` | sets or removes the [`LogLies`], which shuffle, delay or repeat rows of the App's log |
//! | `PUT limits` | `{"core": 4900, "graphql": 0}` spends calls and points of every token that was used; with `{"held": true}` no hour ends until `{"held": false}` |
//! | `DELETE limits` | resets all rate limits |
//!
//! The state: `orgs.<login>` has `members`, `custom_roles`, `teams.<slug>` and `repos.<name>`. A
//! repository is GitHub's REST object with these further keys: `branches.<name>`,
//! `protection.<pattern>` (the body of the REST PUT), `teams.<slug>` and `collaborators.<login>` (a
//! permission each), `invitations`, `contents.<path>` (a text, or `mode` and `text`),
//! `labels.<name>`, `milestones.<title>`, `autolinks.<prefix>`, `deploy_keys.<key>`,
//! `rulesets.<name>`, `actions`, `hooks.<url>`, `properties`, `environments.<name>`,
//! `variables.<name>`, `secrets.<name>` (`value`), `code_scanning` and the other security switches,
//! `workflows.<file>` (`run_name`, `inputs`) and their `runs`, `check_runs`, `issues` (an entry
//! with `"pull_request": true` is a pull request), and `pulls.<number>` (the files of the head in
//! `contents`, `base`, `state`, `merged`, `fork`). An organisation has its own `settings`,
//! `actions`, `hooks.<url>`, `variables.<NAME>`, `rulesets`, `security_configurations` and
//! `property_definitions.<name>` (without this key, every property is defined). An organisation
//! also has a `plan` (with `free` and `team`, the simulator refuses the features of enterprises)
//! and the `permissions` of its installation. `users.<login>` and `apps.<slug>` are the accounts
//! that exist. The App can have `installed` and `suspended`: the organisations that installed it
//! (all organisations if the key is missing), and the organisations that suspended it. A missing
//! key gets GitHub's default value.
//!
//! The simulator also has two pages of GitHub's website, so that a program can create an App while
//! the simulator runs. A POST to `/organizations/{org}/settings/apps/new` takes a manifest. A POST
//! to `/apps/{slug}/installations/new` installs the App of a manifest.
//!
//! A person can sign in through the App: `oauth` has the `client_id`, the `client_secret`, the
//! `callbacks` and the login of the `user` who consents (without this login, the person refuses).
//!
//! Each change of `contents` makes a commit. Together with the change, a patch can set the `author`
//! and the `message` in `commit`. The state keeps all commits in `commits.<id>`. A branch points to
//! the last commit, unless the branch has another `commit` in the state.

mod access;
mod address;
mod app;
mod commits;
mod control;
mod defaults;
mod deliver;
mod described;
mod events;
mod grants;
mod graphql;
mod ids;
mod installations;
mod lies;
mod limits;
mod log;
mod manifest;
mod membership;
mod oauth;
mod protection;
mod pull_events;
mod pulls;
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

/// The id of the App that the simulator has.
pub const APP_ID: u64 = 12_345;
/// The slug of the App that the simulator has.
pub const APP_SLUG: &str = "beadle-app";

/// An error that prevents the start of the simulator.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The simulator could not generate the App's key.
    #[error("cannot generate an RSA key")]
    Key,
    /// The simulator cannot listen on the address.
    #[error("cannot listen on {addr}: {why}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The error of the operating system.
        why: std::io::Error,
    },
}

/// The settings for the start of the simulator.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The rate limits.
    pub limits: Limits,
    /// The state at the start. `None` means a state without organisations.
    pub state: Option<Value>,
    /// The delay of every answer.
    pub latency: std::time::Duration,
    /// True if the log of calls contains the bodies of requests and answers.
    pub record: bool,
}

/// A running simulated GitHub. The simulated GitHub stops when this value is dropped.
pub struct Sim {
    addr: SocketAddr,
    shared: Arc<server::Shared>,
    stop: CancellationToken,
}

impl Sim {
    /// Starts the simulated GitHub at the address `addr`. With port 0, the system chooses a free
    /// port.
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
                tracing::error!(%error, "simulator ended with an error");
            }
        });
        Ok(Self { addr, shared, stop })
    }

    /// Returns the address of the simulated GitHub.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Returns a valid personal token.
    pub fn token(&self) -> String {
        self.shared.mint("ghp_", None)
    }

    /// Returns the private key of the App in PEM form.
    pub fn app_pem(&self) -> &str {
        &self.shared.app_key.pem
    }

    /// Sets the receiver of the webhooks.
    pub fn send_webhooks_to(&self, hook: Hook) {
        self.shared.set_hook(Some(hook));
    }

    /// Returns whether the simulated GitHub has sent a webhook that has no answer yet.
    pub fn is_sending(&self) -> bool {
        self.shared.sending.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// Returns the log of calls, in the form of `GET /_sim/calls`.
    pub fn calls(&self) -> Vec<Value> {
        server::lock(&self.shared.calls).iter().map(|call| call.line.clone()).collect()
    }

    /// Returns the number of all calls in the log.
    pub fn call_count(&self) -> usize {
        server::lock(&self.shared.calls).len()
    }

    /// Returns the calls that `fits` accepts, in the form of `GET /_sim/calls`.
    pub fn calls_that(&self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let calls = server::lock(&self.shared.calls);
        calls.iter().filter(|call| fits(&call.line)).map(|call| call.line.clone()).collect()
    }

    /// Returns a copy of the state.
    pub fn state(&self) -> Value {
        self.look(Value::clone)
    }

    /// Passes the state to `look` without copying it, because the state of hundreds of repositories
    /// is large.
    pub fn look<T>(&self, look: impl FnOnce(&Value) -> T) -> T {
        look(&server::lock(&self.shared.world).doc)
    }

    /// Answers a request without a network, for tests in simulated time. Returns `None` if a fault
    /// breaks the connection.
    pub async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, HeaderMap, Bytes)> {
        let (mut head, body) = request.into_parts();
        // In HTTP, the host is in a header. This function adds the header, because the links
        // between pages need it.
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

    /// Replaces the state without sending webhooks. Also clears the log of calls and the faults,
    /// and resets the rate limits.
    pub fn begin_with(&self, state: Value) {
        *server::lock(&self.shared.world) = world::World::from(state);
        *server::lock(&self.shared.accounts) = limits::Accounts::new(self.shared.limits);
        self.no_faults();
        self.forget_calls();
    }

    /// Clears the log of calls.
    pub fn forget_calls(&self) {
        server::lock(&self.shared.calls).clear();
    }

    /// Adds a fault.
    pub fn fault(&self, fault: crate::Fault) {
        server::lock(&self.shared.faults).add(fault);
    }

    /// Returns whether a call waits because of a fault.
    pub fn is_holding(&self) -> bool {
        self.shared.held.load(std::sync::atomic::Ordering::SeqCst) > 0
    }

    /// Clears all faults. If a call waited because of a fault, the call now continues.
    pub fn no_faults(&self) {
        self.shared.no_faults();
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
