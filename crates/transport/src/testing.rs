//! Tools for tests of the vendors' clients: dangerous values, a recorder of requests, and a test
//! that makes every call with every dangerous value.
//!
//! The test makes each call twice: with a plain value and with a dangerous one. The second call
//! must send the same requests as the first one, with the dangerous value in the same places. If
//! the dangerous value cannot be a part of the request, the call must not send the request.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::path::segment;
use crate::wire::{Exchanged, Wire};

/// A value that has no special meaning anywhere in a request.
pub const PLAIN: &str = "plain-value";

/// Returns dangerous values. Each of them has a special meaning somewhere: in an address, a filter,
/// a query, a header or a line.
pub fn hostile() -> Vec<String> {
    let short = [
        "",
        " ",
        ".",
        "..",
        "...",
        "/",
        "//",
        "a/b",
        "/a",
        "a/",
        "../a",
        "a/..",
        "a/./b",
        "a/../b",
        "%2e",
        "%2e%2e",
        "%2E%2E",
        "%252e%252e",
        "..%2f..",
        "%2f",
        "a%2fb",
        "%",
        "100%",
        "%00",
        "a%0d%0ab",
        "%zz",
        "\"",
        "'",
        "\\",
        "a\\b",
        "..\\a",
        "a\" or id pr or id eq \"",
        "\\\" or id pr",
        "\"]) or members[value pr",
        "\0",
        "\n",
        "a\nb",
        "a\r\nx-header: b",
        "a\tb",
        "\u{7f}",
        "\u{85}",
        "a b",
        "a?b=c",
        "a#b",
        "a&b=c",
        "a;b=c",
        "a:b",
        "a@b",
        "a,b",
        "a+b",
        "*",
        "~",
        "{a}",
        "$input",
        "\") { id } x: node(id: \"",
        "}) { id }",
        "https://example.com/",
        "//example.com",
        "\u{ff0e}\u{ff0e}",
        "\u{2024}\u{2024}",
        "a\u{2215}..",
        "a\u{ff0f}b",
        "\u{202e}b",
        "\u{200b}",
        "\u{feff}",
        "Ärger",
        "A\u{308}rger",
        "проверка",
        "検証",
        "اختبار",
        "\u{1f648}",
        "null",
        "true",
        "-1",
        "0",
    ];
    let long = ["x".repeat(1024), "x".repeat(1025), "x".repeat(20_000), "é".repeat(2_000), "../".repeat(200)];
    short.into_iter().map(str::to_owned).chain(long).collect()
}

/// A request as a server understands it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// The HTTP method.
    pub method: String,
    /// The host and the port of the address.
    authority: String,
    /// The segments of the path, decoded once.
    pub segments: Vec<String>,
    /// The parameters of the query, decoded once. A filter is split into its parts.
    pub query: Vec<(String, Value)>,
    /// The headers of the request.
    pub headers: HeaderMap,
    /// The body as JSON. A filter in the body is split into its parts.
    pub body: Value,
    /// The segment that cannot name a resource, if the path has such a segment.
    wrong: Option<String>,
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Splits a filter into its parts. The filter is a comparison such as `attribute eq "value"` or
/// `list[attribute eq "value"]`. The function does not change any other text.
fn parts(text: &str) -> Value {
    let comparison = |text: &str| {
        let (attribute, rest) = text.split_once(' ')?;
        let (operator, value) = rest.split_once(' ')?;
        let value: String = serde_json::from_str(value).ok()?;
        Some(json!({ "attribute": attribute, "operator": operator, "value": value }))
    };
    let within = |text: &str| {
        let (list, rest) = text.split_once('[')?;
        Some(json!({ "list": list, "where": comparison(rest.strip_suffix(']')?)? }))
    };
    comparison(text).or_else(|| within(text)).unwrap_or_else(|| json!(text))
}

/// Applies `change` to every text inside a JSON value.
fn each_text<F: Fn(&str) -> Value>(value: &Value, change: &F) -> Value {
    match value {
        Value::String(text) => change(text),
        Value::Array(items) => items.iter().map(|item| each_text(item, change)).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), each_text(value, change))).collect()
        }
        other => other.clone(),
    }
}

impl Arrived {
    fn read(request: &Request<Bytes>) -> Self {
        let uri = request.uri();
        let segments: Vec<String> = uri.path().split('/').skip(1).map(decoded).collect();
        let wrong = segments.iter().find(|segment| matches!(segment.as_str(), "" | "." | "..")).cloned();
        let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), parts(&decoded(value)))
        });
        let body = match serde_json::from_slice::<Value>(request.body()) {
            Ok(body) => each_text(&body, &parts),
            Err(_) if request.body().is_empty() => Value::Null,
            Err(_) => json!(String::from_utf8_lossy(request.body())),
        };
        Self {
            method: request.method().to_string(),
            authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
            query: query.collect(),
            headers: request.headers().clone(),
            segments,
            body,
            wrong,
        }
    }

    /// Returns the host and the port of the request.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the method and the decoded path, such as `GET /users/42`.
    fn route(&self) -> String {
        format!("{} /{}", self.method, self.segments.join("/"))
    }

    /// Returns the same request with `value` in every place that contains [`PLAIN`].
    fn with(&self, value: &str) -> Self {
        let put = |text: &str| text.replace(PLAIN, value);
        let leaf = |text: &str| json!(put(text));
        Self {
            segments: self.segments.iter().map(|segment| put(segment)).collect(),
            query: self.query.iter().map(|(name, value)| (name.clone(), each_text(value, &leaf))).collect(),
            body: each_text(&self.body, &leaf),
            ..self.clone()
        }
    }

    fn is_named_by_plain(&self) -> bool {
        self.segments.iter().any(|segment| segment.contains(PLAIN))
    }

    fn has_plain(&self) -> bool {
        let has = |value: &Value| value.to_string().contains(PLAIN);
        self.is_named_by_plain() || self.query.iter().any(|(_, value)| has(value)) || has(&self.body)
    }
}

type Answering = dyn Fn(&Arrived) -> (u16, Value) + Send + Sync;

/// A simulated network that records every request and returns configured answers.
pub struct Recorder {
    arrived: Mutex<Vec<Arrived>>,
    answer: Box<Answering>,
}

impl Recorder {
    /// Creates a recorder. `answer` returns the status and the body for each request. `null` means
    /// that there is no body.
    pub fn new(answer: impl Fn(&Arrived) -> (u16, Value) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { arrived: Mutex::default(), answer: Box::new(answer) })
    }

    /// Returns all requests that were sent so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().clone()
    }
}

#[async_trait::async_trait]
impl Wire for Recorder {
    async fn exchange(&self, request: Request<Bytes>) -> Result<Exchanged, String> {
        let arrived = Arrived::read(&request);
        let (status, body) = (self.answer)(&arrived);
        self.arrived.lock().push(arrived);
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        Ok((status, HeaderMap::new(), body))
    }
}

/// The texts that a test uses in a call. The value of each text is its name, except for the text
/// under test.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    at: String,
    value: String,
}

impl Texts {
    fn new(at: &str, value: &str) -> Self {
        Self { at: at.to_owned(), value: value.to_owned() }
    }

    /// Returns the text with this name.
    pub fn pick(&self, name: &'static str) -> &str {
        if self.at == name { &self.value } else { name }
    }
}

/// One call of a client, as the test makes it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name of the call, `Type::method`, as [`methods`] returns it.
    pub call: &'static str,
    /// The names of the texts that the call uses. The texts come from the caller or from an answer
    /// of the server.
    pub texts: &'static [&'static str],
    /// The requests that the call sends, in any order, in the form `METHOD /path`. If a segment
    /// equals the name of a text, the segment stands for the value of this text.
    pub sends: &'static [&'static str],
}

/// Makes every call with every dangerous value. The value replaces each text of the call, and each
/// text that all calls use.
///
/// # Panics
///
/// If the requests of a call with a dangerous value differ from the requests of the same call with
/// a plain value. Only the value itself is allowed to differ.
pub async fn walk(
    entries: &[Entry],
    everywhere: &[&str],
    perform: &impl AsyncFn(&str, &Texts) -> Vec<Arrived>,
) {
    let values = hostile();
    for entry in entries {
        let Entry { call, texts, sends } = *entry;
        // A call without texts must still send the listed requests.
        for at in [""].iter().chain(texts.iter()).chain(everywhere) {
            let plain = perform(call, &Texts::new(at, PLAIN)).await;
            let in_place = |part: &'static str| if part == *at { PLAIN } else { part };
            let meant =
                |template: &&'static str| template.split('/').map(in_place).collect::<Vec<_>>().join("/");
            let mut meant: Vec<String> = sends.iter().map(meant).collect();
            let mut sent: Vec<String> = plain.iter().map(Arrived::route).collect();
            meant.sort();
            sent.sort();
            assert_eq!(sent, meant, "{call} sends something else for a plain `{at}`");
            let is_document = |arrived: &Arrived| arrived.body["query"].to_string().contains(PLAIN);
            assert!(!plain.iter().any(is_document), "{call}: `{at}` is in the text of a document");
            if at.is_empty() {
                continue;
            }
            let is_used = everywhere.contains(at) || plain.iter().any(Arrived::has_plain);
            assert!(is_used, "{call} does not use `{at}`");
            for value in &values {
                let arrived = perform(call, &Texts::new(at, value)).await;
                compare(&format!("{call}, `{at}` is {value:?}"), value, &plain, &arrived);
            }
        }
    }
}

/// Compares the requests that a call sent for a dangerous value with its requests for [`PLAIN`].
fn compare(what: &str, value: &str, plain: &[Arrived], arrived: &[Arrived]) {
    let is_name = segment(value).is_ok();
    let meant: Vec<(&Arrived, Arrived)> = plain.iter().map(|plain| (plain, plain.with(value))).collect();
    for one in arrived {
        assert_eq!(one.wrong, None, "{what}: {one:?}");
        let is_meant =
            |(plain, meant): &(&Arrived, Arrived)| meant == one && (is_name || !plain.is_named_by_plain());
        assert!(meant.iter().any(is_meant), "{what}: another request was sent: {one:?}");
    }
    // If a value is allowed as a name and has no character that would close a filter too early, the
    // client must send the request.
    if is_name && !value.contains(['"', '\\']) {
        assert_eq!(arrived.len(), plain.len(), "{what}: a request is missing");
    }
}

/// Returns the public asynchronous methods and functions of a package, in the form `Type::method`
/// or `function`. The function finds them in the source text. A test compares its entries with
/// these methods, so that the test covers every method.
///
/// # Panics
///
/// If the source cannot be read.
pub fn methods(package: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![FilePath::new(package).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the package has its source") {
            let path = entry.expect("the folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file can be read");
                found.extend(methods_in(&text));
            }
        }
    }
    found
}

fn methods_in(source: &str) -> Vec<String> {
    let (mut found, mut of) = (Vec::new(), "");
    for line in source.lines() {
        if line.starts_with("impl") {
            let named = line.trim_end_matches(['{', ' ']).rsplit(' ').next().unwrap_or_default();
            of = named.split('<').next().unwrap_or_default();
        } else if line.starts_with('}') {
            of = "";
        }
        if let Some(rest) = line.trim_start().strip_prefix("pub async fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.push(if of.is_empty() { name.to_owned() } else { format!("{of}::{name}") });
        }
    }
    found
}

/// Checks that the entries of a test cover all methods of a package.
///
/// # Panics
///
/// If a method has no entry, or if an entry has no method.
pub fn holds_all(entries: &[Entry], package: &str) {
    let walked: BTreeSet<String> = entries.iter().map(|entry| entry.call.to_owned()).collect();
    let there = methods(package);
    let new: Vec<&String> = there.difference(&walked).collect();
    assert!(new.is_empty(), "{new:?}: add an entry to the walk, with every text that the method takes");
    let gone: Vec<&String> = walked.difference(&there).collect();
    assert!(gone.is_empty(), "{gone:?}: no such method is there any more, remove the entry of the walk");
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn arrived(method: &str, uri: &str, body: &'static str) -> Arrived {
        let request = Request::builder().method(method).uri(uri).body(Bytes::from_static(body.as_bytes()));
        Arrived::read(&request.unwrap())
    }

    #[test]
    fn another_resource_is_told_from_the_one_that_was_meant() {
        let plain = [arrived("DELETE", "https://api.test/repos/acme/svc/labels/plain-value", "")];
        let fails = |value: &str, uri: &str| {
            let sent = [arrived("DELETE", uri, "")];
            catch_unwind(AssertUnwindSafe(|| compare("a call", value, &plain, &sent))).is_err()
        };
        assert!(!fails("a/b", "https://api.test/repos/acme/svc/labels/a%2Fb"));
        assert!(fails("a/b", "https://api.test/repos/acme/svc/labels/a/b"));
        assert!(fails("", "https://api.test/repos/acme/svc/labels/"));
        assert!(fails("..", "https://api.test/repos/acme/svc/labels/.."));
        assert!(fails("..", "https://api.test/repos/acme/svc/"));
        assert!(
            fails("%2e%2e", "https://api.test/repos/acme/svc/labels/%252e%252e"),
            "a proxy may decode it again"
        );
        assert!(fails("a", "https://other.test/repos/acme/svc/labels/a"));
    }

    #[test]
    fn a_filter_is_one_comparison_or_no_filter() {
        let plain = [arrived("GET", "https://api.test/Users?filter=userName%20eq%20%22plain-value%22", "")];
        let fails = |value: &str, filter: &str| {
            let sent = [arrived("GET", &format!("https://api.test/Users?filter={filter}"), "")];
            catch_unwind(AssertUnwindSafe(|| compare("a call", value, &plain, &sent))).is_err()
        };
        assert!(!fails("a\"b", "userName%20eq%20%22a%5C%22b%22"));
        assert!(fails("a\" or id eq \"b", "userName%20eq%20%22a%22%20or%20id%20eq%20%22b%22"));
        assert!(fails("a", "userName%20ne%20%22a%22"));
    }

    #[test]
    fn methods_are_found_by_their_type() {
        let source = "pub async fn free(a: &str) {}\nimpl<T: Row> Rows<T> {\n    pub async fn all<R>(&self) {\n    }\n}\n";
        assert_eq!(methods_in(source), ["free", "Rows::all"]);
    }
}
