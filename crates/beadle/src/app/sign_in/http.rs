//! Requests to a provider of identities.

use std::time::Duration;

use anyhow::Context as _;
use beadle_server::sign_in::SignInFailure;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Url};
use serde_json::Value;

/// The maximum duration of one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// The maximum size of an answer, in bytes.
const LARGEST: usize = 1024 * 1024;

/// The HTTP client for a provider. The client does not follow redirects, so that no secret goes to
/// another address.
pub(super) struct Http(reqwest::Client);

impl Http {
    pub(super) fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("beadle/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            .build();
        client.map(Self).context("cannot create the HTTP client of the sign-in")
    }

    /// Prepares a request that reads data.
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.0.get(url)
    }

    /// Prepares a request that sends a form.
    pub(super) fn post(&self, url: Url, pairs: &[(&str, &str)]) -> RequestBuilder {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        self.0.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
    }
}

/// Parses an address of a provider. The address must use HTTPS, unless the address is on this
/// machine.
pub(super) fn address(text: &str) -> Result<Url, SignInFailure> {
    let is_local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_local(&url)) => Ok(url),
        _ => Err(SignInFailure("an address of the provider must begin with `https://`".to_owned())),
    }
}

/// Sends a request, and returns the JSON of the answer. `what` is the name of the answer in error
/// texts. An answer can contain a token. So an error text contains no part of the answer except the
/// code of an OAuth error.
pub(super) async fn read(what: &str, request: RequestBuilder) -> Result<Value, SignInFailure> {
    let failed = |error: reqwest::Error| {
        SignInFailure(format!("reading {what}: {:#}", anyhow::Error::from(error.without_url())))
    };
    let mut answer = request.header(ACCEPT, "application/json").send().await.map_err(failed)?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(SignInFailure(format!("reading {what}: the answer has more than {LARGEST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if let Some(code) = json["error"].as_str() {
        let is_code = code.len() <= 60 && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let code = if is_code { code } else { "an error" };
        return Err(SignInFailure(format!("reading {what}: the provider answered `{code}`")));
    }
    if !status.is_success() || !json.is_object() {
        return Err(SignInFailure(format!("reading {what}: the provider answered {status}")));
    }
    Ok(json)
}
