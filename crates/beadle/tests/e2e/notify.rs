//! Notifications: each change of state reaches the receiver once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::repair::{POLICY, declared};
use crate::world::{World, acme};

const SECRET: &str = "a secret of this test";

/// A message: its headers and its body.
type Message = (HashMap<String, String>, String);

/// A receiver of webhooks. A test can make the receiver unavailable.
#[derive(Default)]
pub(crate) struct Receiver {
    is_away: AtomicBool,
    tries: AtomicUsize,
    received: Mutex<Vec<Message>>,
}

impl Receiver {
    /// Starts a receiver, and configures it as the channel `ops`.
    pub(crate) async fn start(world: &mut World) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        std::fs::write(world.path().join("notify.url"), url).unwrap();
        std::fs::write(world.path().join("notify.secret"), SECRET).unwrap();
        world.lines = "[[notify]]\nname = \"ops\"\nonly = [\"held\"]\nsettle = \"1s\"\n\
                       webhook = { url = \"file:notify.url\", secrets = [\"file:notify.secret\"] }\n"
            .into();
        let receiver = Arc::new(Self::default());
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.answer(stream).await });
            }
        });
        receiver
    }

    /// Reads one request, and answers it.
    async fn answer(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let message = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(message) = parsed(&String::from_utf8_lossy(&bytes)) {
                break message;
            }
        };
        let is_away = self.is_away.load(Ordering::SeqCst);
        let status = if is_away { "503 Service Unavailable" } else { "200 OK" };
        if !is_away {
            self.received.lock().push(message);
        }
        self.tries.fetch_add(1, Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await; // the client may have gone
    }

    /// Returns the topics of all messages, one list for each message.
    pub(crate) fn topics(&self) -> Vec<Value> {
        let topics = |(_, body): &Message| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["data"]["topics"].clone()
        };
        self.received.lock().iter().map(topics).collect()
    }

    /// Returns the id and the topics of each message. A repeated message has the same id.
    pub(crate) fn messages(&self) -> Vec<(String, Value)> {
        let ids: Vec<String> =
            self.received.lock().iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
        ids.into_iter().zip(self.topics()).collect()
    }

    /// Returns the ids of all messages. A repeated message has the same id.
    fn ids(&self) -> BTreeSet<String> {
        self.received.lock().iter().map(|(headers, _)| headers["webhook-id"].clone()).collect()
    }

    /// Waits until a condition is true. If a kill interrupted a message, Beadle sends the message
    /// again after 60 s.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..6000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what} did not come true: {:#?}", self.received.lock());
    }
}

/// Parses a request. Returns `None` if a part of the request is missing.
fn parsed(text: &str) -> Option<Message> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> =
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| (headers, body.to_owned()))
}

/// Returns a world with 30 removals. Beadle holds 20 of these removals.
pub(crate) async fn held() -> World {
    let mut repositories = json!({});
    for n in 0..30 {
        let mut repository = declared();
        repository["teams"]["contractors"] = json!("admin");
        repositories[format!("r{n:02}")] = repository;
    }
    let mut world = World::new(acme(repositories)).await;
    world.org_lines = "[org.guard]\nremoves = 10\n".into();
    world.policy("settings.yml", POLICY);
    world
}

/// Returns the issues of a repository in the state of the simulator.
fn issues(world: &World, repository: &str) -> Vec<Value> {
    world.repository(repository)["issues"].as_array().cloned().unwrap_or_default()
}

async fn digests(world: &World) -> Vec<String> {
    let holds = world.beadle(&["holds", "--json"]).await.expect(0);
    let digest =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["digest"].as_str().unwrap().to_owned();
    holds.out.lines().map(digest).collect()
}

/// Returns how many times the task has run since the start of the service.
async fn runs(world: &World) -> u64 {
    let url = format!("http://127.0.0.1:{}/tasks", world.operator());
    let tasks = world.http.get(&url).send().await.unwrap().text().await.unwrap();
    let tasks: Value = tasks.parse().unwrap();
    let all = tasks.as_array().unwrap();
    let task = all.iter().find(|task| task["name"] == "notifications").unwrap();
    task["runs"].as_u64().unwrap()
}

/// Waits until the task has run this number of times since the start of the service.
async fn until_looked(world: &World, wanted: u64) {
    for _ in 0..3000 {
        if runs(world).await >= wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the task did not run {wanted} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_make_one_message_after_an_outage_and_their_end_another_also_over_a_restart() {
    let mut world = held().await;
    let receiver = Receiver::start(&mut world).await;
    receiver.is_away.store(true, Ordering::SeqCst);
    world.beadle(&["apply", "--yes"]).await.expect(2);
    assert_eq!(digests(&world).await.len(), 20);
    let serving = world.serve().await;
    receiver.until("two tries", |receiver| receiver.tries.load(Ordering::SeqCst) >= 2).await;
    let metrics = format!("http://127.0.0.1:{}/metrics", world.operator());
    let metrics = world.http.get(metrics).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("beadle_notifications_total{channel=\"ops\",outcome=\"failed\"}"), "{metrics}");
    receiver.is_away.store(false, Ordering::SeqCst);
    receiver.until("a message", |receiver| !receiver.topics().is_empty()).await;
    let opened = receiver.topics().remove(0);
    let [topic] = opened.as_array().unwrap().as_slice() else { panic!("{opened:#}") };
    assert_eq!(
        json!([topic["kind"], topic["aspect"], topic["state"], topic["count"]]),
        json!(["held", "teams", "opened", 20])
    );
    let (headers, body) = receiver.received.lock()[0].clone();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{}.{}.{body}", headers["webhook-id"], headers["webhook-timestamp"]).as_bytes());
    assert_eq!(headers["webhook-signature"], format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    // The receiver gets a message before the store records this. If a kill comes between these two
    // steps, Beadle repeats the message.
    let looked = runs(&world).await;
    until_looked(&world, looked + 1).await;
    serving.kill();
    let serving = world.serve().await;
    until_looked(&world, 4).await;
    assert_eq!(receiver.topics().len(), 1);
    let code = topic["problems"][0]["code"].as_str().unwrap();
    world.beadle(&["approve", code, "--reason", "as meant"]).await.expect(0);
    receiver.until("the recovery", |receiver| receiver.topics().len() == 2).await;
    let recovered = receiver.topics()[1][0].clone();
    assert_eq!(
        json!([recovered["kind"], recovered["state"], recovered["count"]]),
        json!(["held", "recovered", 0])
    );
    assert_eq!(serving.stop().await, Some(0));
}

/// Returns the number of kills from the variable `NOTIFY_KILLS`. If this variable is not set,
/// returns a small number.
fn kills() -> usize {
    std::env::var("NOTIFY_KILLS").map_or(6, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_kills_a_change_of_state_has_one_message() {
    let mut world = held().await;
    let receiver = Receiver::start(&mut world).await;
    world.beadle(&["apply", "--yes"]).await.expect(2);
    // If a process ends before the settling time, the next process sends the message.
    for looks in [1, 2, 1, 3, 2, 1].into_iter().cycle().take(kills()) {
        let serving = world.serve().await;
        until_looked(&world, looks).await;
        serving.kill();
    }
    let serving = world.serve().await;
    receiver.until("a message", |receiver| !receiver.topics().is_empty()).await;
    let looked = runs(&world).await;
    until_looked(&world, looked + 3).await;
    assert_eq!(receiver.ids().len(), 1, "{:#?}", receiver.received.lock());
    let topics = receiver.topics();
    assert!(topics.iter().all(|topics| topics[0]["state"] == "opened"), "{topics:#?}");
    assert_eq!(serving.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_has_one_issue_that_beadle_opens_and_closes() {
    let mut world = held().await;
    world.lines = "[[notify]]\nname = \"issues\"\nonly = [\"held\"]\nsettle = \"1s\"\n\
                   github = { org = \"acme\", repository = \"r00\" }\n"
        .into();
    world.beadle(&["apply", "--yes"]).await.expect(2);
    let digests = digests(&world).await;
    let serving = world.serve().await;
    let is_open = |repository: &Value| repository["issues"][0]["title"].is_string();
    world.until("r00", "the issue", is_open).await;
    assert_eq!(issues(&world, "r00")[0]["title"], "acme: 20 changes of teams held");
    // A rejected change is still held, but the change no longer waits for a decision.
    world.beadle(&["reject", &digests[0], "--reason", "the contract goes on"]).await.expect(0);
    let approve = ["approve", "--reason", "as meant"].into_iter();
    let approve: Vec<&str> = approve.chain(digests[1..].iter().map(String::as_str)).collect();
    world.beadle(&approve).await.expect(0);
    let is_closed = |repository: &Value| repository["issues"][0]["state"] == "closed";
    world.until("r00", "the end of the issue", is_closed).await;
    assert_eq!(issues(&world, "r00").len(), 1);
    assert_eq!(serving.stop().await, Some(0));
}
