//! Tests the sign-in and the decisions. The requests come from a browser or an attacker.

use std::net::IpAddr;

use async_trait::async_trait;
use axum::body::Body;
use beadle_engine::guard::Ruling;
use beadle_engine::{Hold, Key, Limits, StoreError, Time, testing};
use http::response::Parts;
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::exchange::{exchange, request, store};
use crate::sign_in::{
    Challenge, DecisionDone, DecisionEnd, DecisionRefusal, DecisionRequest, Decisions, IdentityProvider,
    KeyPlan, Operation, OperationDone, OperationRequest, Person, Proof, Role, SignInFailure, Standing,
    UndoPreview, UndoRequest, WaiverDone, WaiverRequest,
};

pub(super) const ORIGIN: &str = "https://beadle.example.com";
pub(super) const HOST: (&str, &str) = ("host", "beadle.example.com");
const TOKEN: (&str, &str) = ("authorization", "Bearer secret");

/// A simulated identity provider. The provider accepts the name of a role as a code.
pub(super) struct Provider(pub(super) Mutex<Option<Role>>);

fn role(name: &str) -> Option<Role> {
    [Role::Viewer, Role::Operator, Role::Approver].into_iter().find(|role| role.as_str() == name)
}

#[async_trait]
impl IdentityProvider for Provider {
    fn name(&self) -> &'static str {
        "test"
    }

    fn setup(&self) -> String {
        "test".to_owned()
    }

    async fn address(&self, challenge: &Challenge) -> Result<String, SignInFailure> {
        assert_eq!(challenge.redirect, format!("{ORIGIN}/sign-in/return"));
        Ok(format!("https://idp.example/authorize?state={}", challenge.state))
    }

    async fn identify(&self, proof: &Proof) -> Result<(Person, Option<Role>), SignInFailure> {
        if proof.code == "invalid" {
            return Err(SignInFailure("<script>".to_owned()));
        }
        let role = role(&proof.code);
        *self.0.lock() = role;
        let name = "<b>mona</b>".to_owned();
        Ok((Person { id: "7".to_owned(), name, login: Some("mona".to_owned()) }, role))
    }

    async fn standing(&self, _: &Person) -> Result<Standing, SignInFailure> {
        let role = *self.0.lock();
        Ok(Standing::Role(role))
    }
}

/// Stores the decisions, the waivers and the operations that it receives.
#[derive(Default)]
pub(super) struct Remembered(
    Mutex<Vec<DecisionRequest>>,
    pub(super) Mutex<Vec<WaiverRequest>>,
    pub(super) Mutex<Vec<OperationRequest>>,
    pub(super) Slow,
);

/// Lets a test act while a decision is under way.
#[derive(Default)]
pub(super) struct Slow {
    pub(super) begun: Notify,
    pub(super) may_end: Notify,
}

/// The plan code of each undo.
pub(super) const PLAN: &str = "0a1b2c3d4e5f";

#[async_trait]
impl Decisions for Remembered {
    async fn decide(&self, asked: &DecisionRequest) -> Result<DecisionEnd, DecisionRefusal> {
        if asked.codes == ["stale"] {
            return Err(DecisionRefusal::Conflict("held again".to_owned()));
        }
        if asked.codes == ["part"] {
            return Err(DecisionRefusal::Partial("stored only for 1 change".to_owned()));
        }
        if asked.codes == ["slow"] {
            self.3.begun.notify_one();
            self.3.may_end.notified().await;
        }
        let pair = asked.codes == ["pair"] || asked.codes == ["d1", "d2"];
        if pair && asked.ruling == Ruling::Approve && !asked.confirmed {
            return Ok(DecisionEnd::Unconfirmed(vec![testing::hold(1), testing::hold(2)]));
        }
        self.0.lock().push(asked.clone());
        Ok(DecisionEnd::Done(DecisionDone { changes: 1 + usize::from(pair) }))
    }

    async fn waive(&self, asked: &WaiverRequest) -> Result<WaiverDone, DecisionRefusal> {
        if asked.keys == ["topics"] {
            return Err(DecisionRefusal::Invalid("did you mean `repository.topics`?".to_owned()));
        }
        self.1.lock().push(asked.clone());
        let undeclared = asked.keys.iter().filter(|key| *key == "labels[bug]").count();
        Ok(WaiverDone { code: "w1".to_owned(), until: Time(5), undeclared: Some(undeclared) })
    }

    fn waivable_keys(&self, organisation: &str) -> Vec<String> {
        let key = if organisation == "acme" { "repository.topics" } else { "labels" };
        vec![key.to_owned()]
    }

    fn key_of_value(&self, _: &str, _: (&str, &str, &str)) -> Option<String> {
        None
    }

    async fn operate(&self, asked: &OperationRequest) -> Result<OperationDone, DecisionRefusal> {
        if let Operation::Undo { plan, .. } | Operation::ApprovePolicy { plan, .. } = &asked.operation
            && plan != PLAN
        {
            return Err(DecisionRefusal::Conflict("another <plan>".to_owned()));
        }
        self.2.lock().push(asked.clone());
        let undo = if matches!(asked.operation, Operation::Undo { .. }) { vec![7, 8] } else { Vec::new() };
        Ok(OperationDone { done: vec!["<b>it is done</b>".to_owned()], undo })
    }

    async fn plan_undo(&self, asked: &UndoRequest) -> Result<UndoPreview, DecisionRefusal> {
        let mut plan = beadle_engine::Plan::new("acme/<b>shop</b>");
        plan.changes.push(testing::change("teams", "<b>core</b>", &[beadle_engine::Risk::Adds]));
        let plans = vec![KeyPlan { key: Key::new("repository", "acme", 7), plan }];
        let (name, plan, left) = ("undo of run 7".to_owned(), PLAN.to_owned(), Vec::new());
        let summary = vec!["undo in <b>acme</b>: 1 restoration".to_owned()];
        let notes = vec!["policy <b>g1</b> first asked for 1 write".to_owned()];
        let afterwards = vec!["policy <b>g1</b> asked for this write".to_owned()];
        let (request, guard, earlier_undos) = (asked.clone(), Vec::new(), Vec::new());
        Ok(UndoPreview { name, plan, summary, request, plans, left, notes, earlier_undos, guard, afterwards })
    }
}

struct NoFacts;

#[async_trait]
impl Facts for NoFacts {
    async fn organisations(&self) -> Result<Vec<OrganisationFacts>, StoreError> {
        Ok(Vec::new())
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn pulls(&self) -> Result<Vec<PullFacts>, StoreError> {
        Ok(Vec::new())
    }

    async fn installations(&self) -> Result<Vec<InstallationFacts>, StoreError> {
        Ok(Vec::new())
    }

    async fn waivers(&self, _: &str, _: &str) -> Result<CoveringWaivers, StoreError> {
        Ok(CoveringWaivers::default())
    }

    async fn undone(&self, _: &Key) -> Result<Vec<UndoneFacts>, StoreError> {
        Ok(Vec::new())
    }

    fn targets(&self) -> Vec<String> {
        Vec::new()
    }
}

pub(super) struct World {
    _folder: tempfile::TempDir,
    router: axum::Router,
    pub(super) provider: Arc<Provider>,
    pub(super) decided: Arc<Remembered>,
}

/// Returns a listener with a held change. The address of the listener is not the loopback address.
pub(super) async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let (store, clock) = (store(&folder), Clock::system());
    let hold = Hold { since: Time(1), ..testing::hold(1) };
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![hold], Time(1)).await.unwrap();
    let (provider, decided) = (Arc::new(Provider(Mutex::new(None))), Arc::new(Remembered::default()));
    let parts = (store.clone(), clock.clone());
    let sign_in = SignIn::new(ORIGIN, provider.clone(), decided.clone(), parts);
    let driver = Driver::new(store.clone(), clock.clone(), Vec::new());
    let live = Live::new(store.clone(), clock.clone(), driver.clone(), CancellationToken::new());
    let pages = Pages {
        store,
        clock,
        driver,
        facts: Arc::new(NoFacts),
        access: Access::new(Some("secret".to_owned().into()), IpAddr::from([0, 0, 0, 0])),
        sign_in: Some(Arc::new(sign_in)),
        live: Arc::new(live),
        requests: tokio_util::task::TaskTracker::new(),
    };
    World { _folder: folder, router: Arc::new(pages).router(), provider, decided }
}

/// Returns the value of a cookie that an answer sets.
pub(super) fn cookie(head: &Parts, name: &str) -> Option<String> {
    let lines = head.headers.get_all("set-cookie").into_iter().map(|line| line.to_str().unwrap());
    let mut values = lines.filter_map(|line| line.split(';').next()?.strip_prefix(name)?.strip_prefix('='));
    values.next().map(str::to_owned)
}

impl World {
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (Parts, String) {
        let asked = request(method, path, headers, Body::from(body.to_owned()));
        exchange(self.router.clone(), asked).await
    }

    pub(super) async fn get(&self, path: &str, cookies: &str) -> (Parts, String) {
        self.send("GET", path, &[HOST, ("cookie", cookies)], "").await
    }

    /// Begins a sign-in. Returns the cookie line and the state.
    async fn begin(&self) -> (String, String) {
        let (head, _) = self.get("/sign-in", "").await;
        assert_eq!(head.status, 303);
        let address = head.headers["location"].to_str().unwrap();
        let state = address.strip_prefix("https://idp.example/authorize?state=").unwrap();
        let value = cookie(&head, "__Host-beadle-sign-in").unwrap();
        (format!("__Host-beadle-sign-in={value}"), state.to_owned())
    }

    /// Signs a person in. Returns the cookie line of the session.
    pub(super) async fn sign_in(&self, role: &str) -> String {
        let (attempt, state) = self.begin().await;
        let (head, text) = self.get(&format!("/sign-in/return?code={role}&state={state}"), &attempt).await;
        assert_eq!((head.status.as_u16(), head.headers["location"].to_str().unwrap()), (303, "/"), "{text}");
        format!("__Host-beadle-session={}", cookie(&head, "__Host-beadle-session").unwrap())
    }

    pub(super) async fn token(&self, session: &str) -> String {
        let (_, text) = self.get("/api/v1/session", session).await;
        let session: serde_json::Value = serde_json::from_str(&text).unwrap();
        session["token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn post(&self, path: &str, session: &str, body: &str) -> (u16, String) {
        let headers = [HOST, ("cookie", session), ("origin", ORIGIN)];
        let (head, text) = self.send("POST", path, &headers, body).await;
        (head.status.as_u16(), text)
    }

    fn count(&self) -> usize {
        self.decided.0.lock().len()
    }

    pub(super) fn decisions(&self) -> Vec<DecisionRequest> {
        self.decided.0.lock().clone()
    }
}

const DECISION: &str = "code=d1&shown=5&reason=read+it&ruling=";

#[tokio::test]
async fn without_a_session_nothing_is_shown_and_nothing_is_done() {
    let world = world().await;
    let random = format!("__Host-beadle-session={}", "0".repeat(64));
    for cookies in ["", "__Host-beadle-session=", "beadle-session=x", random.as_str()] {
        for (path, _) in super::pages().into_iter().chain(super::api()).filter(|(path, _)| *path != STYLE) {
            let (head, text) = world.get(path, cookies).await;
            assert_eq!(head.status, 401, "{path} {cookies}: {text}");
            assert!(!text.contains("acme"), "{path}: {text}");
        }
        for path in ["/account", "/api/v1/session", "/live?part=holds"] {
            assert_eq!(world.get(path, cookies).await.0.status, 401, "{path}");
        }
        for path in [
            "/sign-out",
            "/holds/decide",
            "/holds/confirm",
            "/waivers",
            "/api/v1/waivers",
            "/api/v1/holds/d1/approve",
            "/api/v1/holds/d1/reject",
        ] {
            assert_eq!(world.post(path, cookies, DECISION).await.0, 401, "{path}");
        }
    }
    let (head, _) = world.send("GET", "/holds", &[HOST, TOKEN], "").await;
    assert_eq!(head.status, 200, "a program with the operator token reads");
    let (head, _) = world.send("POST", "/holds/decide", &[HOST, TOKEN, ("origin", ORIGIN)], DECISION).await;
    assert_eq!(head.status, 401, "the operator token is no person");
    assert_eq!(world.count(), 0);
}

const STYLE: &str = layout::STYLE_PATH;

#[tokio::test]
async fn a_person_signs_in_decides_and_signs_out() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let (head, page) = world.get("/holds", &session).await;
    assert_eq!(head.status, 200, "{page}");
    assert_eq!(head.headers["referrer-policy"], "same-origin", "otherwise forms have no origin");
    assert!(page.contains("method=\"post\"") && page.contains("value=\"approve\""), "{page}");
    assert!(page.find("value=\"approve\"").unwrap() < page.find("value=\"reject\"").unwrap(), "{page}");
    let (_, account) = world.get("/account", &session).await;
    assert!(account.contains("&lt;b&gt;mona&lt;/b&gt;") && account.contains("approver"), "{account}");
    let token = world.token(&session).await;
    assert!(page.contains(&token));
    let (status, text) =
        world.post("/holds/decide", &session, &format!("{DECISION}approve&token={token}")).await;
    assert!(status == 200 && text.contains("1 change approved."), "{text}");
    let asked = world.decided.0.lock().pop().unwrap();
    assert_eq!((asked.codes.join(","), asked.shown), ("d1".to_owned(), Time(5)));
    assert_eq!(asked.reason, "read it");
    assert_eq!(asked.by, "<b>mona</b> (signed in with test)");
    let headers =
        [HOST, ("cookie", session.as_str()), ("origin", ORIGIN), ("x-beadle-token", token.as_str())];
    for (path, status) in [("/api/v1/holds/d1/reject", 200), ("/api/v1/holds/stale/approve", 409)] {
        let body = "{\"reason\":\"read it\",\"shown\":5}";
        let (head, text) = world.send("POST", path, &headers, body).await;
        assert_eq!(head.status, status, "{text}");
    }
    assert_eq!(world.post("/sign-out", &session, "token=x").await.0, 403);
    assert_eq!(world.post("/sign-out", &session, &format!("token={token}")).await.0, 303);
    assert_eq!(world.get("/holds", &session).await.0.status, 401, "the cookie of an ended session");
}

#[tokio::test]
async fn the_events_of_an_open_page_end_with_the_session() {
    let world = world().await;
    let session = world.sign_in("operator").await;
    let token = world.token(&session).await;
    let asked = request("GET", "/live?part=holds", &[HOST, ("cookie", session.as_str())], Body::empty());
    let answer = TowerToHyperService::new(world.router.clone()).call(asked).await.unwrap();
    assert_eq!(answer.status(), 200);
    let reading = tokio::spawn(async move { answer.into_body().collect().await.unwrap().to_bytes() });
    assert_eq!(world.post("/sign-out", &session, &format!("token={token}")).await.0, 303);
    let text = String::from_utf8(reading.await.unwrap().to_vec()).unwrap();
    assert!(text.ends_with("event: end\ndata: session\n\n"), "{text}");
}

#[tokio::test]
async fn another_website_cannot_use_the_session() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let body = format!("{DECISION}approve&token={token}");
    for origin in
        ["", "null", "https://evil.example", "http://beadle.example.com", "https://beadle.example.com.evil"]
    {
        let headers = [HOST, ("cookie", session.as_str()), ("origin", origin)];
        let (head, text) = world.send("POST", "/holds/decide", &headers, &body).await;
        assert_eq!(head.status, 403, "{origin}: {text}");
    }
    let other = world.sign_in("approver").await;
    let of_other = world.token(&other).await;
    for wrong in ["", "token=", "token=0", &format!("token={of_other}")] {
        let (status, text) =
            world.post("/holds/decide", &session, &format!("{DECISION}approve&{wrong}")).await;
        assert_eq!(status, 403, "{wrong}: {text}");
    }
    for host in ["evil.example", "127.0.0.1:8081", ""] {
        let headers = [("host", host), ("cookie", session.as_str())];
        assert_eq!(world.send("GET", "/holds", &headers, "").await.0.status, 403, "{host}");
        assert_eq!(world.send("GET", "/sign-in", &[("host", host)], "").await.0.status, 403, "{host}");
    }
    assert_eq!(world.count(), 0);
}

#[tokio::test]
async fn a_state_is_valid_once_and_only_in_its_browser() {
    let world = world().await;
    let (attempt, state) = world.begin().await;
    let (other, _) = world.begin().await;
    let back = format!("/sign-in/return?code=approver&state={state}");
    for cookies in ["", other.as_str()] {
        let (head, _) = world.get(&back, cookies).await;
        assert_eq!((head.status.as_u16(), cookie(&head, "__Host-beadle-session")), (400, None), "{cookies}");
    }
    assert_eq!(world.get("/sign-in/return?code=approver", &attempt).await.0.status, 400);
    assert_eq!(world.get(&back, &attempt).await.0.status, 303);
    let (head, _) = world.get(&back, &attempt).await;
    assert_eq!((head.status.as_u16(), cookie(&head, "__Host-beadle-session")), (400, None), "replayed");
}

#[tokio::test]
async fn a_sign_in_never_takes_over_an_id_that_the_browser_had() {
    let world = world().await;
    let fixed = format!("__Host-beadle-session={}", "a".repeat(64));
    let before = world.sign_in("viewer").await;
    for planted in [fixed, before] {
        let (attempt, state) = world.begin().await;
        let cookies = format!("{attempt}; {planted}");
        let (head, _) = world.get(&format!("/sign-in/return?code=viewer&state={state}"), &cookies).await;
        let new = cookie(&head, "__Host-beadle-session").unwrap();
        assert!(!planted.ends_with(&new));
        assert_eq!(world.get("/holds", &planted).await.0.status, 401, "the previous session ended");
        assert_eq!(world.get("/holds", &format!("__Host-beadle-session={new}")).await.0.status, 200);
    }
}

#[tokio::test]
async fn no_request_chooses_where_the_browser_goes() {
    let world = world().await;
    for path in ["/sign-in?to=https://evil.example", "/sign-in?redirect_uri=//evil.example"] {
        let (head, _) = world.get(path, "").await;
        assert!(head.headers["location"].to_str().unwrap().starts_with("https://idp.example/"), "{path}");
    }
    let (attempt, state) = world.begin().await;
    let back = format!("/sign-in/return?code=viewer&state={state}&to=//evil.example&iss=x");
    assert_eq!(world.get(&back, &attempt).await.0.headers["location"], "/");
}

#[tokio::test]
async fn a_stranger_and_a_refused_person_get_no_session() {
    let world = world().await;
    for (query, status) in
        [("code=stranger", 403), ("code=invalid", 502), ("error=access_denied", 403), ("code=a&error=b", 403)]
    {
        let (attempt, state) = world.begin().await;
        let (head, text) = world.get(&format!("/sign-in/return?{query}&state={state}"), &attempt).await;
        assert_eq!((head.status.as_u16(), cookie(&head, "__Host-beadle-session")), (status, None), "{text}");
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
    }
}

#[tokio::test]
async fn a_role_allows_only_its_own_decisions_and_a_lost_role_allows_none() {
    for (role, approves, rejects) in [("viewer", 403, 403), ("operator", 403, 200), ("approver", 200, 200)] {
        let world = world().await;
        let session = world.sign_in(role).await;
        let token = world.token(&session).await;
        let (_, page) = world.get("/holds", &session).await;
        for (ruling, status) in [("approve", approves), ("reject", rejects)] {
            let body = format!("{DECISION}{ruling}&token={token}");
            assert_eq!(world.post("/holds/decide", &session, &body).await.0, status, "{role} {ruling}");
            assert_eq!(page.contains(&format!("value=\"{ruling}\"")), status == 200, "{role} {ruling}");
        }
        let decided = world.count();
        *world.provider.0.lock() = None;
        let body = format!("{DECISION}reject&token={token}");
        assert_eq!(world.post("/holds/decide", &session, &body).await.0, 403, "{role}");
        assert_eq!(world.get("/holds", &session).await.0.status, 401, "a lost role ends the session");
        assert_eq!(world.count(), decided);
    }
}

#[tokio::test]
async fn a_decision_without_a_reason_or_with_a_wrong_value_is_refused() {
    let world = world().await;
    let session = world.sign_in("approver").await;
    let token = world.token(&session).await;
    let long = "x".repeat(501);
    for body in [
        "code=d1&shown=5&ruling=approve&reason=".to_owned(),
        "code=d1&shown=5&ruling=approve&reason=+++".to_owned(),
        "code=d1&shown=5&ruling=approve&reason=a%0Ab".to_owned(),
        format!("code=d1&shown=5&ruling=approve&reason={long}"),
        "code=d1&shown=x&ruling=approve&reason=a".to_owned(),
        "code=d1&shown=9999999999999&ruling=approve&reason=a".to_owned(),
        "code=d1&shown=5&ruling=delete&reason=a".to_owned(),
    ] {
        let (status, text) = world.post("/holds/decide", &session, &format!("{body}&token={token}")).await;
        assert_eq!(status, 400, "{body}: {text}");
    }
    let large = format!("{DECISION}approve&token={token}&x={}", "x".repeat(20_000));
    assert_eq!(world.post("/holds/decide", &session, &large).await.0, 413);
    assert_eq!(world.count(), 0);
}
