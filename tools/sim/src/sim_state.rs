//! The parts that the simulated directory and the simulated SCIM server share: a state, tokens,
//! faults, a log of calls, and the control calls in `/_sim/`.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::SimError;
use crate::faults::{Fault, Faults};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

/// A call of a simulated vendor.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// The segments of the path after the base, percent-decoded. Empty segments are left out.
    pub(crate) path: Vec<String>,
    /// The query, decoded. A name without `=` has an empty value.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Value,
    pub(crate) raw: &'a [u8],
}

impl Call<'_> {
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Some(body) }
    }

    pub(crate) fn nothing(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: None }
    }
}

/// A simulated vendor, built from the shared parts.
pub(crate) trait Vendor: Send + Sync + 'static {
    /// Answers a call.
    fn answer(&self, sim_state: &SimState, call: &Call<'_>) -> Reply;
    /// Returns an error in the form that the vendor uses.
    fn error(&self, status: u16, text: &str) -> Reply;
    /// Adds the default values that a state lacks.
    fn complete(&self, state: &mut Value);
    /// Runs the vendor's reaction after a control call has changed the state. For example, Okta
    /// records events. `before` is the state before the change.
    fn changed(self: Arc<Self>, sim_state: &Arc<SimState>, before: &Value);
    /// Answers a control call that only this vendor has. Returns `None` if the vendor does not have
    /// this control call.
    fn control(
        self: Arc<Self>,
        sim_state: &Arc<SimState>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Option<Result<Value, String>>;
}

/// The state of a simulated vendor, with its tokens, its faults and its log of calls.
#[derive(Default)]
pub(crate) struct SimState {
    pub(crate) state: Mutex<Value>,
    pub(crate) tokens: Mutex<HashSet<String>>,
    faults: Mutex<Faults>,
    calls: Mutex<Vec<Value>>,
    latency: Mutex<Duration>,
    record: bool,
}

/// A running simulated vendor. The vendor stops when this value is dropped.
pub(crate) struct Running<V> {
    pub(crate) addr: SocketAddr,
    pub(crate) sim_state: Arc<SimState>,
    pub(crate) vendor: Arc<V>,
    stop: CancellationToken,
}

impl<V> Drop for Running<V> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Both<V> {
    sim_state: Arc<SimState>,
    vendor: Arc<V>,
}

impl<V> Clone for Both<V> {
    fn clone(&self) -> Self {
        Self { sim_state: self.sim_state.clone(), vendor: self.vendor.clone() }
    }
}

impl<V: Vendor> Running<V> {
    /// Answers a request without a network, for tests in simulated time. Returns `None` if a fault
    /// breaks the connection.
    pub(crate) async fn exchange(&self, request: http::Request<Bytes>) -> Option<(u16, HeaderMap, Bytes)> {
        let (head, body) = request.into_parts();
        let both = Both { sim_state: self.sim_state.clone(), vendor: self.vendor.clone() };
        let response = handle::<V>(State(both), head.method, head.uri, head.headers, body).await;
        let (head, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        Some((head.status.as_u16(), head.headers, body))
    }

    pub(crate) async fn start(
        addr: SocketAddr,
        vendor: V,
        state: Option<Value>,
        latency: Duration,
        record: bool,
    ) -> Result<Self, SimError> {
        let listener = TcpListener::bind(addr).await.map_err(|why| SimError::Listen { addr, why })?;
        let addr = listener.local_addr().map_err(|why| SimError::Listen { addr, why })?;
        let mut state = state.unwrap_or_else(|| json!({}));
        vendor.complete(&mut state);
        let sim_state = SimState {
            state: Mutex::new(state),
            latency: Mutex::new(latency),
            record,
            ..SimState::default()
        };
        let (sim_state, vendor, stop) = (Arc::new(sim_state), Arc::new(vendor), CancellationToken::new());
        let limit = axum::extract::DefaultBodyLimit::max(256 * 1024 * 1024);
        let both = Both { sim_state: sim_state.clone(), vendor: vendor.clone() };
        let router = axum::Router::new().fallback(handle::<V>).layer(limit).with_state(both);
        let stopped = stop.clone();
        tokio::spawn(async move {
            let ended = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await;
            if let Err(error) = ended {
                tracing::error!(%error, "simulator ended with an error");
            }
        });
        Ok(Self { addr, sim_state, vendor, stop })
    }

    /// Replaces the state. Also clears the log of calls and the faults.
    pub(crate) fn replace(&self, mut state: Value) {
        self.vendor.complete(&mut state);
        *lock(&self.sim_state.state) = state;
        self.sim_state.no_faults();
        self.sim_state.forget_calls();
    }

    /// Applies a JSON merge patch to the state, and tells the vendor about the change.
    pub(crate) fn patch(&self, patch: &Value) {
        change(&self.sim_state, &self.vendor, |state| merge(state, patch));
    }
}

impl SimState {
    pub(crate) fn mint(&self) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        lock(&self.tokens).insert(token.clone());
        token
    }

    pub(crate) fn calls(&self) -> Vec<Value> {
        lock(&self.calls).clone()
    }

    pub(crate) fn forget_calls(&self) {
        lock(&self.calls).clear();
    }

    pub(crate) fn fault(&self, fault: Fault) {
        lock(&self.faults).add(fault);
    }

    pub(crate) fn no_faults(&self) {
        lock(&self.faults).clear();
    }
}

fn change<V: Vendor>(sim_state: &Arc<SimState>, vendor: &Arc<V>, how: impl FnOnce(&mut Value)) {
    let before = {
        let mut state = lock(&sim_state.state);
        // The log of events can be long and only grows, so the function does not compare it.
        let log = state["log"].take();
        let before = state.clone();
        if !log.is_null() {
            state["log"] = log;
        }
        how(&mut state);
        vendor.complete(&mut state);
        before
    };
    vendor.clone().changed(sim_state, &before);
}

/// Applies a JSON merge patch (RFC 7396) to a value.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(map) = target.as_object_mut() else { return };
    for (key, value) in changes {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

async fn handle<V: Vendor>(
    State(Both { sim_state, vendor }): State<Both<V>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(path) = uri.path().strip_prefix("/_sim/") {
        return control(&sim_state, &vendor, method.as_str(), path, &body);
    }
    let text = String::from_utf8_lossy(&body);
    let whole = uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string);
    let fault = lock(&sim_state.faults).strike(method.as_str(), &whole, &text);
    let delay =
        *lock(&sim_state.latency) + Duration::from_millis(fault.as_ref().map_or(0, |fault| fault.delay_ms));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let path = uri.path().split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let parsed = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let call = Call { method: method.as_str(), path, query, headers: &headers, body: parsed, raw: &body };
    let early = fault.as_ref().and_then(|fault| {
        let mut reply = vendor.error(fault.status?, "injected fault");
        reply.body = fault.body.clone().or(reply.body);
        reply.headers.extend(fault.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        Some(reply)
    });
    let mut reply = early.unwrap_or_else(|| vendor.answer(&sim_state, &call));
    let mut spoiled = false;
    if let Some(fault) = &fault {
        let whole = reply.body.clone();
        spoil(&mut reply, fault);
        spoiled = fault.truncate || fault.reset || reply.body != whole;
    }
    let at = NEXT.fetch_add(1, Ordering::Relaxed);
    let ms = u64::try_from(BEGUN.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut line = json!({ "at": at, "ms": ms, "method": call.method, "path": uri.path(), "query": uri.query(), "status": reply.status,
                           "fault": fault.is_some(), "spoiled": spoiled });
    if sim_state.record {
        line["request"] = call.body;
        line["answer"] = reply.body.clone().unwrap_or_default();
    }
    lock(&sim_state.calls).push(line);
    respond(reply, fault.as_ref())
}

/// Changes an answer according to a fault.
fn spoil(reply: &mut Reply, fault: &Fault) {
    if let Some(body) = &mut reply.body {
        let list = if body.is_array() { Some(&mut *body) } else { body.get_mut("Resources") };
        if let Some(list) = list.and_then(Value::as_array_mut) {
            if fault.short {
                list.pop();
            }
            if fault.twice && list.len() > 1 {
                let last = list.len() - 1;
                list[last] = list[0].clone();
            }
            if fault.empty {
                list.clear();
            }
        }
        if fault.last || fault.empty {
            body.as_object_mut().map(|body| body.remove("nextCursor"));
        }
        if fault.empty && body["totalResults"].is_u64() {
            body["totalResults"] = json!(0);
        }
    }
    if fault.last || fault.empty {
        reply.headers.retain(|(name, value)| *name != "link" || !value.contains("next"));
    }
}

fn respond(reply: Reply, fault: Option<&Fault>) -> Response {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    let text = reply.body.map(|body| body.to_string()).unwrap_or_default();
    if !text.is_empty() {
        response = response.header("content-type", "application/json");
    }
    if let Some(fault) = fault.filter(|fault| fault.reset || fault.truncate) {
        // The connection breaks before the answer or in the middle of it.
        let part = if fault.truncate { text.as_bytes()[..text.len() / 2].to_vec() } else { Vec::new() };
        let broken = std::io::Error::other("injected");
        let stream = futures::stream::iter([Ok(Bytes::from(part)), Err(broken)]);
        return response.body(Body::from_stream(stream)).unwrap_or_default();
    }
    response.body(Body::from(text)).unwrap_or_default()
}

fn control<V: Vendor>(
    sim_state: &Arc<SimState>,
    vendor: &Arc<V>,
    method: &str,
    path: &str,
    body: &[u8],
) -> Response {
    let parsed = || serde_json::from_slice::<Value>(body).map_err(|error| error.to_string());
    let result = match (method, path) {
        ("GET", "state") => Ok(lock(&sim_state.state).clone()),
        ("PUT", "state") => parsed().map(|new| {
            change(sim_state, vendor, |state| *state = new);
            Value::Null
        }),
        ("PATCH", "state") => parsed().map(|patch| {
            change(sim_state, vendor, |state| merge(state, &patch));
            Value::Null
        }),
        ("GET", "calls") => Ok(Value::Array(sim_state.calls())),
        ("DELETE", "calls") => {
            sim_state.forget_calls();
            Ok(Value::Null)
        }
        ("POST", "faults") => serde_json::from_slice(body).map_err(|error| error.to_string()).map(|fault| {
            sim_state.fault(fault);
            Value::Null
        }),
        ("DELETE", "faults") => {
            sim_state.no_faults();
            Ok(Value::Null)
        }
        ("POST", "tokens") => Ok(json!({ "token": sim_state.mint() })),
        ("DELETE", "tokens") => {
            lock(&sim_state.tokens).clear();
            Ok(Value::Null)
        }
        ("PUT", "latency") => parsed().map(|value| {
            *lock(&sim_state.latency) = Duration::from_millis(value["ms"].as_u64().unwrap_or(0));
            Value::Null
        }),
        _ => vendor
            .clone()
            .control(sim_state, method, path, body)
            .unwrap_or_else(|| Err(format!("{method} /_sim/{path} is not a control of this simulator"))),
    };
    let reply = match result {
        Ok(Value::Null) => Reply::nothing(204),
        Ok(value) => Reply::json(200, value),
        Err(why) => Reply::json(400, json!({ "message": why })),
    };
    respond(reply, None)
}

/// The number of the next call. All simulated vendors of a process share this number, so that a
/// test can order their calls.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// The time of the first call. In a test with simulated time, this is also simulated time.
static BEGUN: OnceLock<Instant> = OnceLock::new();

/// Returns the present time in the form that the vendors use.
pub(crate) fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
