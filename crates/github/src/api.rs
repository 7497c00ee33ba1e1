//! One organisation's way to GitHub: address, credential, headers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::{Budgets, Clock, Resource};
use beadle_transport::{Answer, Client, Method, Request, TransportError};
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::{Auth, Credential};
use crate::documents;

/// GitHub's versioned media type.
const ACCEPT: &str = "application/vnd.github+json";
/// <https://docs.github.com/rest/about-the-rest-api/api-versions>
const VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");
/// More pages than any list has; a list that goes on for ever is cut and counts as short.
const MOST_PAGES: usize = 1000;

/// Where GitHub is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where REST paths begin, such as `https://api.github.com/` or `https://ghe.example.com/api/v3/`.
    pub rest: String,
    /// Where GraphQL is, relative to the server's root.
    pub graphql: String,
}

impl Endpoint {
    /// From the configured address: `https://api.github.com`, or an Enterprise Server with or without `/api/v3`.
    pub fn new(address: &str) -> Self {
        let address = address.trim_end_matches('/');
        match address.strip_suffix("/api/v3") {
            Some(server) => Self { rest: format!("{address}/"), graphql: format!("{server}/api/graphql") },
            None => Self { rest: format!("{address}/"), graphql: format!("{address}/graphql") },
        }
    }
}

/// Shared by the reader and the writer of one organisation.
#[derive(Clone)]
pub struct Api {
    client: Client,
    auth: Arc<Auth>,
    graphql: Arc<str>,
    organisation: Arc<str>,
    /// GraphQL fields that this server turned out not to know: an older Enterprise Server.
    lacking: Arc<Mutex<BTreeSet<String>>>,
}

impl Api {
    /// The way to `organisation`.
    pub fn new(
        endpoint: &Endpoint,
        organisation: &str,
        credential: Credential,
        budgets: Budgets,
        clock: &Clock,
        settings: beadle_transport::Settings,
    ) -> Result<Self, String> {
        let client = Client::new(&endpoint.rest, budgets, clock.clone(), settings)?;
        let auth = Arc::new(Auth::new(credential, organisation, clock.clone()));
        Ok(Self {
            client,
            auth,
            graphql: endpoint.graphql.as_str().into(),
            organisation: organisation.into(),
            lacking: Arc::default(),
        })
    }

    /// A document without the fields that this server does not know.
    pub(crate) fn without_lacking(&self, document: &str) -> String {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.iter().fold(document.to_owned(), |document, field| documents::without(&document, field))
    }

    pub(crate) fn is_lacking(&self, field: &str) -> bool {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).contains(field)
    }

    /// This server does not know a field. `false` when it cannot be done without, or was left out already.
    pub(crate) fn lacks(&self, field: &str) -> bool {
        let new = documents::OPTIONAL.contains(&field)
            && self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(field.to_owned());
        if new {
            tracing::warn!(field, "this GitHub does not know a field; what depends on it is unknown");
        }
        new
    }

    /// The organisation's login.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Time.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// The budget that calls are booked on.
    pub fn budgets(&self) -> &Budgets {
        self.client.budgets()
    }

    pub(crate) fn is_app(&self) -> bool {
        self.auth.is_app()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, TransportError> {
        self.get_accepting(path, ACCEPT).await
    }

    pub(crate) async fn get_accepting(
        &self,
        path: &str,
        accept: &'static str,
    ) -> Result<Answer, TransportError> {
        self.call(Method::GET, path, None, Resource::Core, accept, false).await
    }

    /// Every row of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, TransportError> {
        let mut rows = Vec::new();
        let mut next = Some(path.to_owned());
        for _ in 0..MOST_PAGES {
            let Some(path) = next else { return Ok(rows) };
            let answer = self.get(&path).await?;
            rows.extend(answer.json::<Vec<T>>()?);
            next = answer.next().map(str::to_owned);
        }
        Err(TransportError::Nonsense { request: path.to_owned(), why: "the list has no end".into() })
    }

    /// A call in the App's own name.
    pub(crate) async fn get_as_app(&self, path: &str) -> Result<Answer, TransportError> {
        self.client.send(&self.auth.as_app(Method::GET, path.to_owned(), None)?).await
    }

    pub(crate) async fn write(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, TransportError> {
        self.call(method, path, body, Resource::Core, ACCEPT, true).await
    }

    pub(crate) async fn post_graphql(&self, body: Value, writes: bool) -> Result<Answer, TransportError> {
        self.call(Method::POST, &self.graphql, Some(body), Resource::GraphQl, ACCEPT, writes).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        resource: Resource,
        accept: &'static str,
        writes: bool,
    ) -> Result<Answer, TransportError> {
        let mut again = true;
        loop {
            let authorization = self.auth.authorization(&self.client).await?;
            let request =
                request(method.clone(), path.to_owned(), body.clone(), resource, authorization.clone());
            match self.client.send(&Request { writes, accept, ..request }).await {
                // The token may have been revoked early: once more with a new one.
                Err(error)
                    if error.status() == Some(401) && again && self.auth.forget(&authorization).await =>
                {
                    again = false;
                }
                result => return result,
            }
        }
    }
}

pub(crate) fn request(
    method: Method,
    path: String,
    body: Option<Value>,
    resource: Resource,
    authorization: SecretString,
) -> Request {
    let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-github-api-version"), VERSION)]);
    Request {
        method,
        path,
        accept: ACCEPT,
        authorization: Some(authorization),
        headers,
        body,
        resource,
        counted: true,
        writes: true,
    }
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> impl std::fmt::Display + '_ {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enterprise_server_has_its_graphql_beside_its_rest() {
        let endpoint = Endpoint::new("https://ghe.example.com/api/v3/");
        assert_eq!(endpoint.rest, "https://ghe.example.com/api/v3/");
        assert_eq!(endpoint.graphql, "https://ghe.example.com/api/graphql");
        assert_eq!(Endpoint::new("https://api.github.com").graphql, "https://api.github.com/graphql");
    }
}
