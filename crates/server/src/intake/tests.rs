//! Tests how the public listener answers requests that it refuses.

use beadle_engine::History;
use beadle_hooks::github::{OrgFacts, sign};
use beadle_hooks::okta::HeaderSecret;
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::*;
use crate::exchange::{exchange, request, store};

const SECRET: &str = "a secret";
const BODY: &str = r#"{"organization":{"login":"acme"},"repository":{"id":7}}"#;

/// An intake for one organisation and one directory. The store is in a temporary folder.
struct Listener {
    intake: Arc<Intake>,
    folder: tempfile::TempDir,
}

impl Listener {
    fn new(limits: IntakeLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let organisation = beadle_hooks::github::Sender {
            instance: "acme".into(),
            login: "acme".into(),
            app_id: Some(7),
            secrets: vec![SECRET.to_owned().into()],
            known: OrgFacts::default(),
            dispatches: Vec::new(),
            keeps_teams: false,
            policies: Vec::new(),
            takes_installations: false,
        };
        let header = HeaderSecret { header: "x-secret".into(), values: vec![SECRET.to_owned().into()] };
        let directory = beadle_hooks::okta::Sender { instance: "corp".into(), header_secrets: vec![header] };
        let senders = Senders { github: vec![organisation], okta: vec![directory] };
        let (clock, bell) = (Clock::system(), Arc::new(Notify::new()));
        let intake = Intake::new(senders, store(&folder), clock, bell, Arc::default(), limits);
        Self { intake: Arc::new(intake), folder }
    }

    /// Sends a request. Returns three parts of the answer: the status, the headers, and the field
    /// `result`.
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> (u16, HeaderMap, String) {
        let request = request(method, path, headers, body);
        let (head, text) = exchange(self.intake.clone().router(), request).await;
        let json: Value = serde_json::from_str(&text).unwrap();
        (head.status.as_u16(), head.headers, json["result"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends a GitHub delivery. The headers in `replaced` replace valid headers.
    async fn github(&self, replaced: &[(&str, &str)], body: &str) -> (u16, HeaderMap, String) {
        let signature = sign(SECRET, body.as_bytes());
        let valid = [
            ("content-type", "application/json"),
            ("x-github-event", "repository"),
            ("x-github-delivery", "id"),
            ("x-hub-signature-256", signature.as_str()),
        ];
        let is_valid = |(name, _): &&(&str, &str)| !replaced.iter().any(|(other, _)| other == name);
        let headers: Vec<_> = valid.iter().filter(is_valid).chain(replaced).copied().collect();
        self.send("POST", "/hooks/github", &headers, Body::from(body.to_owned())).await
    }
}

/// One case of a test: the changed headers of a valid request, the body, the expected status, and a
/// part of the expected reason.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);

#[tokio::test]
async fn each_refusal_of_a_delivery_of_github_has_its_status_and_its_reason() {
    let listener = Listener::new(IntakeLimits::default());
    let target = ("x-github-hook-installation-target-type", "integration");
    let cases: [Case<'_>; 11] = [
        (&[("content-type", "text/xml")], BODY, 415, "x-www-form-urlencoded, found text/xml"),
        (&[("content-type", "")], BODY, 415, "x-www-form-urlencoded, found none"),
        (&[("x-hub-signature-256", "")], BODY, 401, "X-Hub-Signature-256 is missing"),
        (&[("x-hub-signature-256", "sha256=00")], BODY, 401, "the signature does not match the body"),
        (&[("x-github-event", "")], BODY, 400, "the header X-GitHub-Event is missing or invalid"),
        (&[("x-github-delivery", "a b")], BODY, 400, "the header X-GitHub-Delivery is missing or invalid"),
        (&[("content-length", "x")], BODY, 400, "Content-Length must be a number"),
        (&[("content-length", "26214401")], BODY, 413, "a body must have at most 26214400 bytes"),
        (&[], "{", 400, "the body does not match its content type: "),
        (&[], r#"{"organization":{"login":"umbrella"}}"#, 403, "the organisation umbrella is not configured"),
        (
            &[target, ("x-github-hook-installation-target-id", "8")],
            BODY,
            403,
            "the App 8 is not configured, or is configured with another secret",
        ),
    ];
    for (replaced, body, status, reason) in cases {
        let (found, _, text) = listener.github(replaced, body).await;
        assert_eq!(found, status, "{replaced:?}: {text}");
        assert!(text.contains(reason), "{replaced:?}: {text}");
    }
    assert_eq!(listener.github(&[], BODY).await.0, 202);
    let (status, _, text) = listener.github(&[], BODY).await;
    assert_eq!((status, text.as_str()), (200, "already stored"));
}

#[tokio::test]
async fn a_flood_of_unknown_senders_does_not_fill_the_journal() {
    let listener = Listener::new(IntakeLimits::default());
    for n in 0..REMEMBERED + 5 {
        let body = json!({ "organization": { "login": format!("stranger-{n}") } }).to_string();
        assert_eq!(listener.github(&[], &body).await.0, 403);
    }
    assert_eq!(listener.intake.refused.lock().len(), REMEMBERED);
    let entries = listener.intake.store.newest_entries(History { limit: 1000, ..History::default() }).await;
    assert_eq!(entries.unwrap().len(), REMEMBERED);
}

#[tokio::test]
async fn each_refusal_of_a_request_of_okta_has_its_status_and_its_reason() {
    let listener = Listener::new(IntakeLimits::default());
    let body = json!({ "eventId": "b5a188b9-5ece-4636-b041-482ffda96311", "data": { "events": [] } });
    let body = body.to_string();
    let none: &[(&str, &str)] = &[];
    for (headers, body, status, reason) in [
        (none, body.as_str(), 401, "the header with the hook's secret is missing, or its value"),
        (&[("x-secret", "another")][..], body.as_str(), 401, "the header with the hook's secret is missing"),
        (&[("x-secret", SECRET)][..], "{}", 400, "the body is not a delivery of an event hook: "),
        (&[("x-secret", SECRET)][..], body.as_str(), 202, "stored"),
        (&[("x-secret", SECRET)][..], body.as_str(), 200, "already stored"),
    ] {
        let answer = listener.send("POST", "/hooks/okta", headers, Body::from(body.to_owned())).await;
        assert_eq!(answer.0, status, "{headers:?}: {}", answer.2);
        assert!(answer.2.contains(reason), "{headers:?}: {}", answer.2);
    }
    let challenge = request("GET", "/hooks/okta", &[("x-okta-verification-challenge", "abc")], Body::empty());
    let (head, text) = exchange(listener.intake.clone().router(), challenge).await;
    assert_eq!((head.status, text.as_str()), (StatusCode::OK, r#"{"verification":"abc"}"#));
    let (status, _, text) = listener.send("GET", "/hooks/okta", &[], Body::empty()).await;
    assert_eq!(status, 400);
    assert_eq!(text, "x-okta-verification-challenge is missing: send deliveries with POST");
}

#[tokio::test]
async fn a_sender_that_pauses_is_cut_off_and_a_full_intake_asks_for_a_retry() {
    let short = Duration::from_millis(1);
    let limits = IntakeLimits { silence: short, patience: short, ..IntakeLimits::default() };
    let listener = Listener::new(limits);
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", "sha256=00")];
    let silent = futures::stream::pending::<Result<String, std::convert::Infallible>>();
    let (status, head, text) =
        listener.send("POST", "/hooks/github", &headers, Body::from_stream(silent)).await;
    assert_eq!((status, text.as_str()), (408, "the sender paused for too long"));
    assert_eq!(head["connection"], "close");
    let mut rooms = Vec::new();
    while let Some(room) = listener.intake.room.take(1024 * 1024, limits.body, Duration::ZERO).await {
        rooms.push(room);
    }
    let (status, head, text) = listener.send("POST", "/hooks/github", &headers, Body::empty()).await;
    assert_eq!((status, text.as_str()), (503, "too many bodies at the same time"));
    assert_eq!(head["retry-after"], "30");
}

/// Returns a body that sends `part` in each period `every`, `times` times, and then nothing more.
fn trickle(part: usize, every: Duration, times: u32) -> Body {
    let parts = futures::stream::unfold(0, move |sent| async move {
        if sent == times {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(every).await;
        Some((Ok::<_, std::convert::Infallible>("x".repeat(part)), sent + 1))
    });
    Body::from_stream(parts)
}

#[tokio::test(start_paused = true)]
async fn a_body_without_a_length_can_arrive_slowly() {
    let listener = Listener::new(IntakeLimits::default());
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", "sha256=00")];
    let parts = futures::stream::iter(0..6).then(async |_| {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Ok::<_, std::convert::Infallible>("x".repeat(10_000))
    });
    let (status, _, text) = listener.send("POST", "/hooks/github", &headers, Body::from_stream(parts)).await;
    assert_eq!(status, 401, "{text}");
}

#[tokio::test]
async fn a_body_that_is_larger_than_the_memory_for_large_bodies_is_received() {
    let limits = IntakeLimits { in_flight: 1024 * 1024, ..IntakeLimits::default() };
    let listener = Listener::new(IntakeLimits { patience: Duration::from_millis(50), ..limits });
    let body = "x".repeat(900 * 1024);
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", "sha256=00")];
    let (status, _, text) = listener.send("POST", "/hooks/github", &headers, Body::from(body)).await;
    assert_eq!(status, 401, "{text}");
}

#[tokio::test(start_paused = true)]
async fn senders_that_announce_large_bodies_and_send_little_leave_room_for_others() {
    let listener = Listener::new(IntakeLimits::default());
    let length = listener.intake.limits.body.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-hub-signature-256", "sha256=00"),
        ("content-length", length.as_str()),
    ];
    let send = async |body: Body| listener.send("POST", "/hooks/github", &headers, body).await;
    // 30 senders send nothing, 30 send the first part and then one byte in each second.
    let began = Instant::now();
    let ended = async |body: Body| {
        let answer = send(body).await;
        (answer.0, began.elapsed())
    };
    let silent = (0..30).map(|_| ended(trickle(1, Duration::from_secs(60), 1)));
    let strangers = futures::future::join_all(silent);
    let honest = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let whole = listener.intake.limits.body;
        listener.intake.room.take(whole, whole, Duration::ZERO).await.is_some()
    };
    let (strangers, has_room) = tokio::join!(strangers, honest);
    assert!(has_room, "announced bodies occupy no memory");
    assert!(strangers.iter().all(|(status, _)| *status == 408), "{strangers:?}");
    let began = Instant::now();
    let (status, ..) = send(trickle(70_000, Duration::from_millis(10), 1)).await;
    assert_eq!(status, 408);
    let (status, _, text) = send(trickle(66_000, Duration::from_secs(1), 9)).await;
    assert_eq!((status, text.as_str()), (408, "the sender paused for too long"));
    assert!(began.elapsed() < Duration::from_secs(3 + 6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_store_that_hangs_is_answered_before_the_sender_gives_up() {
    let limits = IntakeLimits { storing: Duration::from_millis(50), ..IntakeLimits::default() };
    let listener = Listener::new(limits);
    let lock = rusqlite::Connection::open(listener.folder.path().join("beadle.db")).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // Another process holds the lock on the store. Without the time limit, the store would wait for
    // this lock longer than `patience`.
    let patience = Duration::from_secs(5);
    let answer = tokio::time::timeout(patience, listener.github(&[], BODY)).await;
    let (status, head, text) = answer.expect("the sender gets an answer");
    assert_eq!((status, text.as_str()), (503, "the delivery could not be stored"));
    assert_eq!(head["retry-after"], "30");
}
