//! The HTTP server. The server adds authentication, rate limits, faults, ETags and the log of calls
//! to the API, and answers the control calls in `/_sim`.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::faults::{Faults, shorten};
use crate::github::address;
use crate::github::app;
use crate::github::control;
use crate::github::deliver::{self, Hook};
use crate::github::grants::Grant;
use crate::github::graphql;
use crate::github::installations;
use crate::github::lies;
use crate::github::limits::{Accounts, Limits, instant};
use crate::github::log::DeliveryLog;
use crate::github::manifest;
use crate::github::oauth;
use crate::github::rest::{self, Call, Reply};
use crate::github::world::World;
use crate::webhook_client::webhook_client;

/// One entry in the log of calls.
#[derive(Clone, Debug)]
pub(crate) struct Logline {
    pub(crate) line: Value,
}

/// The data that all handlers share.
pub(crate) struct Shared {
    pub(crate) world: Mutex<World>,
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) calls: Mutex<Vec<Logline>>,
    /// The valid tokens, each with its rights. `None` means a personal token, which allows
    /// everything.
    pub(crate) tokens: Mutex<HashMap<String, Option<Grant>>>,
    hook: Mutex<Option<Hook>>,
    /// The id of the webhook's App.
    pub(crate) hook_app: AtomicU64,
    pub(crate) log: Mutex<DeliveryLog>,
    next: AtomicU64,
    /// The number of calls that wait because of a fault.
    pub(crate) held: AtomicUsize,
    released: Notify,
    /// The number of webhooks that were sent and have no answer yet.
    pub(crate) sending: AtomicUsize,
    pub(crate) latency: Mutex<Duration>,
    /// The codes and the tokens of people who sign in.
    oauth: Mutex<oauth::Codes>,
    /// True if the log of calls contains bodies. The contract tests need these bodies.
    pub(crate) record: bool,
    http: OnceLock<reqwest::Client>,
    pub(crate) app_key: crate::keys::AppKey,
    pub(crate) limits: Limits,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Shared {
    pub(crate) fn new(limits: Limits, record: bool, app_key: crate::keys::AppKey) -> Self {
        Self {
            world: Mutex::new(World::new()),
            accounts: Mutex::new(Accounts::new(limits)),
            faults: Mutex::default(),
            calls: Mutex::default(),
            tokens: Mutex::default(),
            hook: Mutex::default(),
            hook_app: AtomicU64::new(crate::github::APP_ID),
            log: Mutex::default(),
            next: AtomicU64::new(1),
            held: AtomicUsize::new(0),
            released: Notify::new(),
            sending: AtomicUsize::new(0),
            latency: Mutex::new(Duration::ZERO),
            oauth: Mutex::default(),
            record,
            http: OnceLock::new(),
            app_key,
            limits,
        }
    }

    /// Returns the client that sends webhooks. The first call creates the client, because a new
    /// client reads every root certificate of the machine.
    pub(crate) fn http(&self) -> &reqwest::Client {
        self.http.get_or_init(webhook_client)
    }

    /// Clears all faults. If a call waited because of a fault, the call now continues.
    pub(crate) fn no_faults(&self) {
        lock(&self.faults).clear();
        self.released.notify_waiters();
    }

    pub(crate) fn hook(&self) -> Option<Hook> {
        lock(&self.hook).clone()
    }

    pub(crate) fn set_hook(&self, hook: Option<Hook>) {
        *lock(&self.hook) = hook;
    }

    /// Makes the simulator send the webhooks of this App instead of the webhooks of the previous
    /// App. This App comes from a manifest.
    fn send_for(&self, app: &Value) {
        self.hook_app.store(app["id"].as_u64().unwrap_or_default(), Ordering::Relaxed);
        let text = |key: &str| app[key].as_str().map(str::to_owned);
        let hook = text("hook_url").zip(text("webhook_secret")).filter(|_| app["hook_active"] == json!(true));
        self.set_hook(hook.map(|(url, secret)| Hook { url, secret, organisation: false }));
    }

    pub(crate) fn next_delivery(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn mint(&self, prefix: &str, grant: Option<Grant>) -> String {
        let bits: u128 = rand::random();
        let token = format!("{prefix}{bits:032x}");
        lock(&self.tokens).insert(token.clone(), grant);
        token
    }

    /// Revokes the tokens of installations that are gone or suspended.
    pub(crate) fn revoke(&self) {
        let world = lock(&self.world);
        let is_valid = |grant: &Grant| installations::is_valid(&world, &grant.app, grant.org());
        lock(&self.tokens).retain(|_, grant| grant.as_ref().is_none_or(is_valid));
    }

    /// Sends the webhooks for all changes since the last call. If `tell` is `false`, forgets these
    /// changes without sending webhooks.
    pub(crate) fn flush(self: &Arc<Self>, tell: bool) {
        let events = std::mem::take(&mut lock(&self.world).outbox);
        if tell {
            deliver::send(self, events);
        }
    }
}

/// The caller of a request, according to the token or JWT of the request.
enum Caller {
    Token(String, Option<Grant>),
    /// An App, with the data that the state has about it.
    App(Value),
}

pub(crate) fn router(shared: Arc<Shared>) -> axum::Router {
    let limit = axum::extract::DefaultBodyLimit::max(256 * 1024 * 1024);
    axum::Router::new().fallback(handle).layer(limit).with_state(shared)
}

pub(crate) async fn handle(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path();
    if let Some(path) = path.strip_prefix("/_sim/") {
        return control::answer(&shared, &method, path, uri.query().unwrap_or_default(), &body);
    }
    if manifest::is_page(path) {
        let page = manifest::page(&mut lock(&shared.world), &method, &uri, &headers, &body);
        if let Some(app) = &page.installed {
            shared.send_for(app);
        }
        return page.response;
    }
    if oauth::is_page(path) {
        let client = lock(&shared.world).doc["oauth"].clone();
        let mint = || shared.mint("ghu_", None);
        return oauth::page(&mut lock(&shared.oauth), &client, mint, (&method, &uri), (&headers, &body));
    }
    let of_person = oauth::of_person(&lock(&shared.oauth), (&method, &uri), &headers);
    let uri = match of_person {
        Ok(of_person) => of_person.unwrap_or(uri),
        Err(refused) => return *refused,
    };
    let started = instant();
    lock(&shared.accounts).at_once += 1;
    let response = api(&shared, &method, &uri, &headers, &body, started).await;
    lock(&shared.accounts).at_once -= 1;
    response
}

async fn api(
    shared: &Arc<Shared>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    started: std::time::Instant,
) -> Response {
    let path = uri.path().strip_prefix("/api/v3").unwrap_or(uri.path());
    let is_graphql = path == "/graphql" || path == "/api/graphql";
    let text = String::from_utf8_lossy(body);
    let latency = *lock(&shared.latency);
    // The server must begin to listen for this signal before it reads the faults. If the server
    // began later, a test could clear the faults in the meantime, and the call would wait forever.
    let released = shared.released.notified();
    let fault = lock(&shared.faults).strike(method.as_str(), path, &text);
    if fault.as_ref().is_some_and(|fault| fault.hold) {
        shared.held.fetch_add(1, Ordering::SeqCst);
        released.await;
        shared.held.fetch_sub(1, Ordering::SeqCst);
    }
    let delay = latency + Duration::from_millis(fault.as_ref().map_or(0, |fault| fault.delay_ms));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let request: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let is_broken = !body.is_empty() && !request.is_object();
    let mut log = json!({ "method": method.as_str(), "path": path, "query": uri.query(), "cost": 0 });
    let early = fault.as_ref().and_then(|fault| {
        let mut reply = Reply::message(fault.status?, "injected fault");
        reply.body = fault.body.clone().or(reply.body);
        reply.headers.extend(fault.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        reply.headers.extend(fault.location.clone().map(|location| ("location", location)));
        Some(reply)
    });
    log["fault"] = json!(fault.is_some());
    let mut reply = match early {
        Some(reply) => reply,
        None if is_broken => match caller(shared, headers) {
            Ok(_) => Reply::message(400, "Problems parsing JSON"),
            Err(reply) => *reply,
        },
        None => {
            let asked = lies::asked(uri, fault.as_ref());
            let asked = IncomingRequest {
                method,
                uri: &asked,
                path,
                headers,
                request: &request,
                fault: fault.as_ref(),
            };
            authorised(shared, &asked, is_graphql, &mut log)
        }
    };
    if let Some(fault) = &fault {
        if !is_graphql && reply.status == 200 {
            lies::rest(&mut reply, fault, uri);
        }
        reply.headers.retain(|(name, _)| !fault.headers.keys().any(|given| given.eq_ignore_ascii_case(name)));
    }
    shared.flush(true);
    if let (Some(field), Some(body)) =
        (fault.as_ref().and_then(|fault| fault.shorten.as_ref()), &mut reply.body)
    {
        shorten(body, field);
    }
    log["status"] = json!(reply.status);
    if reply.is_raw() {
        log["raw"] = json!(true);
    }
    if shared.record {
        log["request"] = request;
        log["answer"] = reply.body.clone().unwrap_or(Value::Null);
    }
    log["ms"] = json!(started.elapsed().as_secs_f64() * 1000.0);
    let response = respond(&reply, headers, uri, fault.as_ref());
    if response.status() == StatusCode::NOT_MODIFIED {
        log["status"] = json!(304);
    }
    lock(&shared.calls).push(Logline { line: log });
    response
}

/// The parts of a request.
struct IncomingRequest<'a> {
    method: &'a Method,
    uri: &'a Uri,
    path: &'a str,
    headers: &'a HeaderMap,
    request: &'a Value,
    fault: Option<&'a crate::Fault>,
}

fn authorised(shared: &Arc<Shared>, asked: &IncomingRequest<'_>, is_graphql: bool, log: &mut Value) -> Reply {
    let IncomingRequest { method, uri, path, headers, request, fault } = *asked;
    // A caller that exchanges the code of a manifest needs no credential except the code.
    if let Some(code) = manifest::code(method, path) {
        return manifest::convert(&mut lock(&shared.world), code, &shared.app_key.pem);
    }
    let caller = match caller(shared, headers) {
        Ok(caller) => caller,
        Err(reply) => return *reply,
    };
    let (token, grant) = match caller {
        Caller::Token(token, grant) => (token, grant),
        Caller::App(app) => {
            let mut reply = app::answer(shared, &app, method, path, uri, request);
            if let Some(body) = &mut reply.body {
                address::rebase(body, &address::base(headers, uri));
            }
            return reply;
        }
    };
    // All tokens of an installation share the same rate limits.
    let account = if token.starts_with("ghs_") { "installation" } else { token.as_str() }.to_owned();
    let resource = if is_graphql { "graphql" } else { "core" };
    let text = request["query"].as_str().unwrap_or_default();
    let writes = if is_graphql { text.trim_start().starts_with("mutation") } else { method != Method::GET };
    let points = if writes { 5 } else { 1 };
    let creates = if is_graphql { writes && text.contains("create") } else { method == Method::POST };
    if path != "/rate_limit" {
        let mut accounts = lock(&shared.accounts);
        let admitted = accounts.admit(&account, resource, points);
        if let Err(reply) = admitted.and_then(|()| if creates { accounts.create(&account) } else { Ok(()) }) {
            return *reply;
        }
    }
    let sender = grant.as_ref().map_or(crate::github::APP_SLUG, |grant| grant.app.as_str());
    let forbidden = grant.as_ref().filter(|_| is_graphql && writes).and_then(|grant| grant.mutation(request));
    let (mut reply, cost) = if let Some(forbidden) = forbidden {
        (forbidden, 1)
    } else if path == "/rate_limit" {
        (Reply::json(200, lock(&shared.accounts).overview(&account)), 0)
    } else if is_graphql {
        let outcome = graphql::run(&mut lock(&shared.world), request, sender, fault);
        log["operation"] = json!(outcome.operation);
        log["mutation"] = json!(outcome.is_mutation);
        (Reply::json(200, outcome.body), outcome.cost)
    } else {
        let decoded: Vec<String> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let query: Vec<(String, String)> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let call = Call {
            method,
            path: decoded.iter().map(String::as_str).collect(),
            query: &query,
            body: request,
            sender,
            accept,
        };
        let mut world = lock(&shared.world);
        let refusal = grant.as_ref().and_then(|grant| grant.refusal(&world, &call));
        let mut reply = match (refusal, &grant, call.path.as_slice()) {
            (Some(refusal), ..) => refusal,
            (None, Some(grant), ["installation", "repositories"]) => grant.repositories(&world, &call),
            _ => rest::answer(&mut world, &call),
        };
        drop(world);
        if !reply.is_raw()
            && let Some(body) = &mut reply.body
        {
            address::rebase(body, &address::base(headers, uri));
        }
        (reply, 1)
    };
    // If the answer has not changed, the primary limit does not count the call, but the limit per
    // minute does.
    let cost = if is_unchanged(&reply, headers) || path == "/rate_limit" { 0 } else { cost };
    log["cost"] = json!(cost);
    log["writes"] = json!(writes);
    let mut accounts = lock(&shared.accounts);
    accounts.book(&account, resource, cost, points);
    reply.headers.extend(accounts.headers(&account, resource));
    reply
}

fn caller(shared: &Shared, headers: &HeaderMap) -> Result<Caller, Box<Reply>> {
    let bad = || Box::new(Reply::message(401, "Bad credentials"));
    let authorization =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (_, token) = authorization.split_once(' ').ok_or_else(bad)?;
    if let Some(grant) = lock(&shared.tokens).get(token) {
        return Ok(Caller::Token(token.to_owned(), grant.clone()));
    }
    let mut validation = Validation::new(Algorithm::RS256);
    // The function compares the issuer further below, because some clients send the App's id as a
    // number.
    validation.set_required_spec_claims(&["exp"]);
    validation.leeway = 0;
    let key = DecodingKey::from_rsa_der(&shared.app_key.public);
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|_| bad())?.claims;
    let now = jiff::Timestamp::now().as_second();
    let (iat, exp) = (claims["iat"].as_i64().unwrap_or(i64::MAX), claims["exp"].as_i64().unwrap_or(i64::MAX));
    let issuer =
        claims["iss"].as_str().map(str::to_owned).or(claims["iss"].as_u64().map(|id| id.to_string()));
    if iat > now || exp - now > 600 {
        return Err(bad());
    }
    let app = issuer.and_then(|id| manifest::issuer(&lock(&shared.world), &id));
    app.map(Caller::App).ok_or_else(bad)
}

/// Returns the ETag of a body: `SHA-256(Accept ":" Authorization ":" Cookie ":" body)`. So the ETag
/// of the same body is different for each token.
fn etag(headers: &HeaderMap, body: &str) -> String {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = format!(
        "{}:{}:{}:{body}",
        value(header::ACCEPT),
        value(header::AUTHORIZATION),
        value(header::COOKIE)
    );
    Sha256::digest(text.as_bytes()).iter().fold(String::from("\""), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }) + "\""
}

fn is_unchanged(reply: &Reply, headers: &HeaderMap) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    reply.status == 200 && known.is_some_and(|known| known == etag(headers, &reply.text()))
}

fn respond(reply: &Reply, headers: &HeaderMap, uri: &Uri, fault: Option<&crate::Fault>) -> Response {
    let mut response = Response::builder().status(reply.status);
    let text = reply.text();
    for (name, value) in reply.headers.iter().filter(|(name, _)| !name.starts_with("x-sim-")) {
        response = response.header(*name, value);
    }
    for (name, value) in address::headers(reply, headers, uri) {
        response = response.header(name, value);
    }
    let given = fault.into_iter().flat_map(|fault| &fault.headers);
    if reply.status == 200 {
        let tag = etag(headers, &text);
        if is_unchanged(reply, headers) {
            let unchanged = Response::builder().status(StatusCode::NOT_MODIFIED).header(header::ETAG, tag);
            let unchanged = reply.headers.iter().fold(unchanged, |unchanged, (name, value)| {
                if name.starts_with("x-ratelimit") { unchanged.header(*name, value) } else { unchanged }
            });
            let unchanged =
                given.fold(unchanged, |unchanged, (name, value)| unchanged.header(name.as_str(), value));
            return unchanged.body(Body::empty()).unwrap_or_default();
        }
        response = response.header(header::ETAG, tag);
    }
    response = given.fold(response, |response, (name, value)| response.header(name.as_str(), value));
    let broken = || Err::<Bytes, _>(std::io::Error::other("injected fault"));
    let body = match fault {
        Some(fault) if fault.reset => Body::from_stream(futures::stream::iter([broken()])),
        Some(fault) if fault.truncate => {
            // The cut can be in the middle of a character, so the function cuts the bytes.
            let half = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
            Body::from_stream(futures::stream::iter([Ok(half), broken()]))
        }
        _ => Body::from(text),
    };
    if reply.body.is_some() {
        let json = "application/json; charset=utf-8";
        let kind = if reply.is_raw() { "application/vnd.github.raw; charset=utf-8" } else { json };
        response = response.header(header::CONTENT_TYPE, kind);
    }
    response.body(body).unwrap_or_default()
}
