//! The network between the vendors and the service. The network delays some deliveries, so that
//! later deliveries arrive first. The network sends some deliveries twice, and measures the time of
//! the answers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beadle_sim::signature;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, http_client};

/// The share of delayed deliveries, and their maximum delay. A later delivery can arrive before a
/// delayed delivery.
const DELAYED: f64 = 0.2;
const DELAY_MS: u64 = 200;
/// The share of deliveries that arrive twice.
const REPEATED: f64 = 0.1;
/// The time that GitHub waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Headers that belong to the connection, and not to the delivery.
const OF_CONNECTION: &[&str] = &["host", "content-length", "connection", "transfer-encoding", "accept"];
/// The person who changes the state of the simulator. Every other sender is Beadle itself.
const BY_HAND: &str = "octocat";

/// The measurements of the network.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The times until the service accepted a delivery.
    pub(super) intake: Vec<Duration>,
    /// The number of attempts without a 2xx answer.
    pub(super) refused: usize,
    pub(super) repeated: usize,
    pub(super) delayed: usize,
}

/// A request of a vendor.
struct Request {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// The network between the vendors and the service.
pub(super) struct Traffic {
    http: reqwest::Client,
    secret: String,
    service: u16,
    addr: SocketAddr,
    random: Mutex<StdRng>,
    seen: Mutex<Seen>,
    /// The ids of the deliveries that were accepted since the last check.
    accepted: Mutex<Vec<String>>,
    /// The time of the first answer to a webhook about a repository or a group.
    answered: Mutex<HashMap<String, Instant>>,
}

impl Traffic {
    /// Starts to listen for the deliveries of the vendors.
    pub(super) async fn start(world: &World, seed: u64) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let traffic = Arc::new(Self {
            http: http_client(),
            secret: world.secret.clone(),
            service: world.ports[0],
            addr: listener.local_addr().unwrap(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            seen: Mutex::default(),
            accepted: Mutex::default(),
            answered: Mutex::default(),
        });
        let own = traffic.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.answer(stream).await });
            }
        });
        traffic
    }

    /// Returns the address for the deliveries of a vendor.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Returns all measurements so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Returns the ids of those GitHub deliveries that the service accepted after the previous
    /// call.
    pub(super) fn take_accepted(&self) -> Vec<String> {
        std::mem::take(&mut *self.accepted.lock())
    }

    /// Forgets the answer to earlier webhooks about a repository or a group.
    pub(super) fn forget_answer(&self, subject: &str) {
        self.answered.lock().remove(subject);
    }

    /// Returns the time of the first answer to a webhook about a repository or a group.
    pub(super) fn answered(&self, subject: &str) -> Option<Instant> {
        self.answered.lock().get(subject).copied()
    }

    /// Sends a signed delivery, as GitHub does.
    pub(super) async fn deliver(&self, id: &str, event: &str, body: &Value) {
        let body = body.to_string().into_bytes();
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-github-event", event.to_owned()),
            ("x-github-delivery", id.to_owned()),
            ("x-hub-signature-256", signature(&self.secret, &body)),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        self.pass_on(&Request { path: "/hooks/github".to_owned(), headers, body }).await;
    }

    /// Reads one request of a vendor, and returns the answer of the service.
    async fn answer(&self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        let status = self.pass_on(&request).await;
        let answer = format!("HTTP/1.1 {status} Passed On\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await; // the vendor may have given up
    }

    /// Passes a delivery on to the service. The delivery might be late, or might arrive twice.
    /// Returns the first status.
    async fn pass_on(&self, request: &Request) -> u16 {
        let (delay, is_repeated) = {
            let mut random = self.random.lock();
            let is_delayed = random.random_bool(DELAYED);
            let delay = is_delayed.then(|| random.random_range(0..DELAY_MS));
            (delay, random.random_bool(REPEATED))
        };
        if let Some(delay) = delay {
            self.seen.lock().delayed += 1;
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let started = Instant::now();
        let status = self.send(request).await;
        if !(200..300).contains(&status) {
            self.seen.lock().refused += 1;
            return status;
        }
        self.note(request, started);
        if is_repeated {
            self.seen.lock().repeated += 1;
            // It is possible that the service is unavailable now.
            self.send(request).await;
        }
        status
    }

    /// Notes that the service has accepted a delivery.
    fn note(&self, request: &Request, started: Instant) {
        let ended = Instant::now();
        self.seen.lock().intake.push(ended - started);
        let id = request.headers.iter().find(|(name, _)| name == "x-github-delivery");
        if let Some((_, id)) = id {
            self.accepted.lock().push(id.clone());
        }
        let mut answered = self.answered.lock();
        for subject in subjects(&request.body) {
            answered.entry(subject).or_insert(ended);
        }
    }

    /// Sends a request to the service. If there is no answer, the status is 502, as in GitHub's
    /// log.
    async fn send(&self, request: &Request) -> u16 {
        let url = format!("http://127.0.0.1:{}{}", self.service, request.path);
        let mut sent = self.http.post(url).timeout(PATIENCE).body(request.body.clone());
        for (name, value) in &request.headers {
            sent = sent.header(name.as_str(), value.as_str());
        }
        sent.send().await.map_or(502, |answer| answer.status().as_u16())
    }
}

/// Returns the repositories and the groups in a delivery. Leaves out the writes of Beadle itself,
/// because no person made these changes.
fn subjects(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let of_github = body["repository"]["name"].as_str().filter(|_| body["sender"]["login"] == BY_HAND);
    let events = body["data"]["events"].as_array().into_iter().flatten();
    let targets = events.flat_map(|event| event["target"].as_array().into_iter().flatten());
    let groups =
        targets.filter(|target| target["type"] == "UserGroup").filter_map(|group| group["id"].as_str());
    of_github.into_iter().chain(groups).map(str::to_owned).collect()
}

/// Reads a request. Returns `None` if the vendor closes the connection before the request is
/// complete.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.lines();
        let path = lines.next()?.split(' ').nth(1)?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers: Vec<(String, String)> =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0);
        let body = end + 4;
        if bytes.len() < body + length {
            continue;
        }
        let headers = headers.into_iter().filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str()));
        let body = bytes[body..body + length].to_vec();
        return Some(Request { path, headers: headers.collect(), body });
    }
}
