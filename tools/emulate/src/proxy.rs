//! A proxy between a store and DynamoDB. The proxy injects throttling, conflicts, lost answers, and
//! old answers of an index.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::any};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::Notify;

/// The probability of each fault, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// The table throttles a request.
    pub throttled: u32,
    /// A write fails because it conflicts with another write.
    pub conflict: u32,
    /// The answer to a write is lost.
    pub lost: u32,
    /// The index returns an answer that is older than the last writes.
    pub stale: u32,
}

/// No faults.
const NOTHING: Odds = Odds { throttled: 0, conflict: 0, lost: 0, stale: 0 };

struct Shared {
    to: String,
    odds: Odds,
    random: Mutex<StdRng>,
    /// Maps each query to an earlier answer of the index.
    said: Mutex<HashMap<String, Bytes>>,
    http: reqwest::Client,
    /// The number of requests that the proxy will still forward.
    left: AtomicU64,
    /// How many faults of each kind the proxy has injected.
    counts: Mutex<HashMap<&'static str, u32>>,
    stop: Option<Stop>,
    /// The operation that the proxy refuses.
    denied: Option<String>,
}

/// A pause of the proxy. The proxy holds back the first request of an operation until the test lets
/// it continue.
struct Stop {
    operation: String,
    has_come: AtomicBool,
    came: Notify,
    goes_on: Notify,
}

/// A proxy that injects DynamoDB faults. moto never causes these faults.
pub struct Proxy {
    /// The address of the proxy.
    pub url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy in front of the address `to`.
    pub async fn start(to: &str, odds: Odds, seed: u64) -> Self {
        Self::with(to, odds, seed, u64::MAX, (None, None)).await
    }

    /// Starts a proxy that forwards only the first `after` requests. To the store, this looks like
    /// a process that is killed at that moment.
    pub async fn closing(to: &str, after: u64) -> Self {
        Self::with(to, NOTHING, 1, after, (None, None)).await
    }

    /// Starts a proxy that holds back the first request of an operation until [`Proxy::go_on`] is
    /// called. Before this call, the test can write to the table, as another process would.
    pub async fn stopping(to: &str, operation: &str) -> Self {
        let stop = Stop {
            operation: operation.to_owned(),
            has_come: AtomicBool::new(false),
            came: Notify::new(),
            goes_on: Notify::new(),
        };
        Self::with(to, NOTHING, 1, u64::MAX, (Some(stop), None)).await
    }

    /// Starts a proxy that refuses an operation, as if the role had no permission for it.
    pub async fn denying(to: &str, operation: &str) -> Self {
        Self::with(to, NOTHING, 1, u64::MAX, (None, Some(operation.to_owned()))).await
    }

    /// Waits until the proxy holds back a request.
    pub async fn until_stopped(&self) {
        if let Some(stop) = &self.shared.stop {
            tokio::time::timeout(Duration::from_secs(30), stop.came.notified()).await.unwrap();
        }
    }

    /// Forwards the request that the proxy holds back.
    pub fn go_on(&self) {
        if let Some(stop) = &self.shared.stop {
            stop.goes_on.notify_one();
        }
    }

    async fn with(
        to: &str,
        odds: Odds,
        seed: u64,
        left: u64,
        (stop, denied): (Option<Stop>, Option<String>),
    ) -> Self {
        let shared = Arc::new(Shared {
            to: to.to_owned(),
            odds,
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            said: Mutex::default(),
            http: super::http_client(),
            counts: Mutex::default(),
            left: AtomicU64::new(left),
            stop,
            denied,
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(forward)).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared }
    }

    /// Returns how many faults of a kind the proxy has injected: `throttled`, `conflict`, `lost`,
    /// `stale` or `denied`.
    pub fn count(&self, what: &str) -> u32 {
        self.shared.counts.lock().get(what).copied().unwrap_or(0)
    }
}

impl Shared {
    fn happens(&self, what: &'static str, odds: u32) -> bool {
        let happens = self.random.lock().random_range(0..100) < odds;
        if happens {
            *self.counts.lock().entry(what).or_default() += 1;
        }
        happens
    }
}

fn refused(status: u16, kind: &str, more: &str) -> Response {
    let body =
        format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"injected"{more}}}"#);
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}

async fn forward(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let one_less = |left: u64| left.checked_sub(1);
    if shared.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
        return refused(400, "AccessDeniedException", "");
    }
    if shared.denied.as_ref() == Some(&operation) {
        *shared.counts.lock().entry("denied").or_default() += 1;
        return refused(400, "AccessDeniedException", "");
    }
    if let Some(stop) = &shared.stop
        && stop.operation == operation
        && !stop.has_come.swap(true, Ordering::SeqCst)
    {
        stop.came.notify_one();
        stop.goes_on.notified().await;
    }
    // The requests that create the table get no faults.
    let is_of_items = !operation.contains("Table") && operation != "UpdateTimeToLive";
    if is_of_items && shared.happens("throttled", shared.odds.throttled) {
        return refused(400, "ProvisionedThroughputExceededException", "");
    }
    if operation == "TransactWriteItems" && shared.happens("conflict", shared.odds.conflict) {
        return refused(
            400,
            "TransactionCanceledException",
            r#","CancellationReasons":[{"Code":"TransactionConflict","Message":"injected"},{"Code":"None"}]"#,
        );
    }
    if operation == "PutItem" && shared.happens("conflict", shared.odds.conflict) {
        return refused(400, "TransactionConflictException", "");
    }
    let query: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let part = query["IndexName"].as_str().and(query["ExpressionAttributeValues"][":p"]["S"].as_str());
    if let Some(part) = part {
        let said = shared.said.lock().get(part).cloned();
        if let Some(said) = said.filter(|_| shared.happens("stale", shared.odds.stale)) {
            return ([("content-type", "application/x-amz-json-1.0")], said).into_response();
        }
    }
    let mut sent = shared.http.post(&shared.to).body(body.clone());
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host" && *name != "content-length")
    {
        sent = sent.header(name, value);
    }
    let answer = sent.send().await.unwrap();
    let (status, answered) = (answer.status(), answer.bytes().await.unwrap());
    if let Some(part) = part {
        shared.said.lock().insert(part.to_owned(), answered.clone());
    }
    if is_of_items
        && operation != "Query"
        && operation != "GetItem"
        && shared.happens("lost", shared.odds.lost)
    {
        return refused(500, "InternalServerError", "");
    }
    (status, [("content-type", "application/x-amz-json-1.0")], answered).into_response()
}
