//! Tests traces. A trace contains a webhook and the writes that follow from it. The journal and the
//! log contain the id of the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, acme};

const POLICY: &str = "
repository: { description: From the policy }
secrets: [{ name: NPM_TOKEN, secret: npm }]
";

/// A receiver of OTLP over HTTP.
#[derive(Default)]
struct Endpoint {
    /// True if the receiver accepts requests but never answers them.
    hangs: bool,
    requests: AtomicUsize,
    /// The head and the body of each request.
    received: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Endpoint {
    /// Starts a receiver, and configures it.
    async fn start(world: &mut World, hangs: bool) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        world.lines = format!("[traces]\nendpoint = \"http://{address}/v1/traces\"\n");
        let endpoint = Arc::new(Self { hangs, ..Self::default() });
        let own = endpoint.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.answer(stream).await });
            }
        });
        endpoint
    }

    /// Reads one request, and answers it.
    async fn answer(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let request = loop {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(request) = parsed(&bytes) {
                break request;
            }
        };
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.received.lock().push(request);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\
                      connection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes()).await; // the client may have gone
    }

    /// Waits for the first request.
    async fn until_asked(&self) {
        for _ in 0..3000 {
            if self.requests.load(Ordering::SeqCst) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no request arrived");
    }

    /// Returns whether any request contains a text.
    fn has(&self, text: &str) -> bool {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        self.received.lock().iter().any(|(head, body)| has(head.as_bytes()) || has(body))
    }

    /// Returns the exported spans by their ids.
    fn spans(&self) -> BTreeMap<String, Span> {
        let received = self.received.lock();
        let resources = received.iter().flat_map(|(_, body)| messages(body, 1));
        let scopes = resources.flat_map(|resource| messages(resource, 2));
        let spans = scopes.flat_map(|scope| messages(scope, 2)).map(Span::read);
        spans.map(|span| (span.id.clone(), span)).collect()
    }
}

/// Parses a request. Returns `None` if a part of the request is missing.
fn parsed(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let body = &bytes[end + 4..];
    (body.len() >= length.parse().ok()?).then(|| (head, body.to_vec()))
}

/// A span that the endpoint received.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
}

impl Span {
    /// Reads a span of `opentelemetry/proto/trace/v1/trace.proto`.
    fn read(bytes: &[u8]) -> Self {
        let hex = |field: u64| {
            let digits = messages(bytes, field).into_iter().flatten().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>()
        };
        Self { trace: hex(1), id: hex(2), parent: hex(4), name: text(bytes, 5) }
    }
}

/// Returns the values of a field. The values can be messages, texts or bytes.
///
/// <https://protobuf.dev/programming-guides/encoding/>
fn messages(mut bytes: &[u8], field: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = number(&mut bytes);
        let length = match tag & 7 {
            0 => {
                number(&mut bytes);
                0
            }
            1 => 8,
            2 => usize::try_from(number(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("unknown type of a field: {other}"),
        };
        let (value, rest) = bytes.split_at(length);
        if tag >> 3 == field {
            found.push(value);
        }
        bytes = rest;
    }
    found
}

/// Reads a number of variable length.
fn number(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return number;
        }
    }
    panic!("a number is too long");
}

/// Returns the text in a field. If the field is missing, the text is empty.
fn text(bytes: &[u8], field: u64) -> String {
    messages(bytes, field).first().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// Returns a repository with a description. GitHub sends a webhook when the description changes.
fn repository(description: &str) -> Value {
    json!({ "description": description })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_a_webhook_to_its_writes_and_has_no_secret() {
    let mut world = World::new(acme(json!({ "widgets": repository("From the policy") }))).await;
    let value = format!("value-{:032x}", rand::random::<u128>());
    std::fs::write(world.path().join("npm.secret"), &value).unwrap();
    world.org_lines += "[org.secrets]\nnpm = \"file:npm.secret\"\n";
    world.policy("settings.yml", POLICY);
    let endpoint = Endpoint::start(&mut world, false).await;
    let variables = [("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-this-test")];
    let serving = world.spawn(&variables).ready(world.ports[1]).await;
    world.connect();
    // A sweep that has not begun yet would repair the drift too, and the repair would be in the
    // trace of the sweep.
    world.until_swept(&serving).await;
    world.until_idle().await;
    world.patch(json!({ "widgets": repository("By hand") }), true).await;
    world.until("widgets", "repair", |widgets| widgets["description"] == "From the policy").await;
    world.until_idle().await;
    let strange = "a".repeat(32);
    let ping = world.delivery("ping-of-this-test", "ping", br#"{"zen":"x","hook":{}}"#);
    let ping = ping.header("traceparent", format!("00-{strange}-{}-01", "b".repeat(16)));
    assert_eq!(ping.send().await.unwrap().status().as_u16(), 202);
    let entries = world.beadle(&["journal", "--format", "ndjson"]).await.expect(0);
    let log = serving.log();
    assert_eq!(serving.stop().await, Some(0));

    let spans = endpoint.spans();
    let root = |span: &Span| {
        let mut at = span;
        while let Some(parent) = spans.get(&at.parent) {
            assert_eq!(parent.trace, span.trace);
            at = parent;
        }
        (at.name.clone(), at.parent.is_empty())
    };
    let writes = spans.values().filter(|span| span.name == "write");
    let of_delivery = writes.filter(|span| root(span) == ("delivery".to_owned(), true));
    let traces: BTreeSet<&String> = of_delivery.map(|span| &span.trace).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let trace = traces.into_iter().next().unwrap();
    let its: Vec<&Span> = spans.values().filter(|span| span.trace == *trace).collect();
    for name in ["delivery", "wait in queue", "run", "plan", "apply", "guard", "PATCH /repos/{name}/{name}"] {
        assert!(its.iter().any(|span| span.name == name), "{name}: {its:#?}");
    }

    // The journal and the log have the id.
    let entries: Vec<Value> = entries.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_trace = entries.iter().filter(|entry| entry["trace"] == json!(trace));
    let kinds: BTreeSet<&str> = of_trace.map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["intent", "result", "run"]), "{entries:#?}");
    let has_line = |line: &str| line.contains("changes written") && line.contains(trace.as_str());
    assert!(log.lines().any(has_line), "{log}");

    // A sender cannot choose the trace, and nothing secret leaves the machine.
    assert!(endpoint.has("ping-of-this-test") && !spans.values().any(|span| span.trace == strange));
    assert!(endpoint.has("x-api-key: of-this-test"), "a standard variable sets a header");
    for secret in [value.as_str(), &world.secret, "ghs_", "NPM_TOKEN", "Bearer"] {
        assert!(!endpoint.has(secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_delays_no_repair_and_no_stop() {
    let mut world = World::new(acme(json!({ "widgets": repository("From the policy") }))).await;
    world.policy("settings.yml", "repository: { description: From the policy }\n");
    let endpoint = Endpoint::start(&mut world, true).await;
    let serving = world.serve().await;
    world.connect();
    endpoint.until_asked().await;
    world.patch(json!({ "widgets": repository("By hand") }), true).await;
    world.until("widgets", "repair", |widgets| widgets["description"] == "From the policy").await;
    assert!(endpoint.spans().is_empty());
    assert_eq!(serving.stop().await, Some(0));
}
