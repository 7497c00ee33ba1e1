//! Calls, and lists page by page.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::{Budgets, Clock, Resource};
use beadle_transport::{Answer, Body, Client, Method, Path, Request, Settings, TransportError};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::dialect::{Dialect, Paging};
use crate::filter::Filter;

/// More pages than a server has; a list without an end is no list.
const MOST_PAGES: usize = 10_000;

/// One server.
#[derive(Clone)]
pub struct Api {
    client: Client,
    authorization: SecretString,
    dialect: Dialect,
    /// The version of each group as it was read last (RFC 7644, 3.14); `None` while the server does not say that it offers them.
    versions: Arc<Mutex<Option<HashMap<String, String>>>>,
}

/// RFC 7644, 3.4.2; RFC 9865, 2.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
struct ListResponse<T> {
    total_results: Option<u64>,
    /// May be missing where there is none.
    #[serde(rename = "Resources", default)]
    resources: Vec<T>,
    next_cursor: Option<String>,
}

impl Api {
    /// The server whose `Users` and `Groups` are directly below `base`.
    pub fn new(
        base: &str,
        bearer: &SecretString,
        dialect: Dialect,
        budgets: Budgets,
        clock: &Clock,
        settings: Settings,
    ) -> Result<Self, String> {
        let authorization = SecretString::from(format!("Bearer {}", bearer.expose_secret()));
        let client = Client::new(base, budgets, clock.clone(), settings)?;
        Ok(Self { client, authorization, dialect, versions: Arc::default() })
    }

    /// The server says whether it offers versions.
    pub(crate) fn offers_versions(&self, offers: bool) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        *versions = offers.then(|| versions.take().unwrap_or_default());
    }

    /// The version of a group is this one now, or is not known.
    pub(crate) fn is_version(&self, group: &str, version: Option<String>) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(versions) = versions.as_mut() else { return };
        match version {
            Some(version) => versions.insert(group.to_owned(), version),
            None => versions.remove(group),
        };
    }

    /// What a write to a group depends on: that it is as it was read.
    pub(crate) fn as_read(&self, group: &str) -> HeaderMap {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let version = versions
            .as_ref()
            .and_then(|versions| versions.get(group))
            .and_then(|version| HeaderValue::from_str(version).ok());
        version.map(|version| (header::IF_MATCH, version)).into_iter().collect()
    }

    /// How it is talked to.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Time.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// The budget that calls are booked on.
    pub fn budgets(&self) -> &Budgets {
        self.client.budgets()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, TransportError> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, TransportError> {
        self.send_if(method, path, body, HeaderMap::new()).await
    }

    pub(crate) async fn send_if(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: HeaderMap,
    ) -> Result<Answer, TransportError> {
        let request = Request {
            writes: method != Method::GET,
            method,
            path: Path::given(path),
            accept: "application/scim+json, application/json",
            authorization: Some(self.authorization.clone()),
            headers,
            body: body.map(Body::scim),
            resource: Resource::Core,
            counted: true,
        };
        self.client.send(&request).await.map_err(|error| match error.status() {
            Some(401) => self.client.denied(error),
            _ => error,
        })
    }

    /// Every resource of a list, complete or not at all.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        resource: &str,
        filter: Option<&Filter>,
        without: Option<&str>,
    ) -> Result<Vec<T>, TransportError> {
        let mut fixed = format!("count={}", self.dialect.page);
        if let Some(filter) = filter {
            fixed = format!("{fixed}&filter={}", encoded(&filter.to_string()));
        }
        if let Some(attribute) = without.filter(|_| self.dialect.attributes) {
            fixed = format!("{fixed}&excludedAttributes={attribute}");
        }
        match self.dialect.paging {
            Paging::Index => self.by_index(resource, &fixed).await,
            Paging::Cursor => self.by_cursor(resource, &fixed).await,
        }
    }

    async fn by_index<T: DeserializeOwned>(
        &self,
        resource: &str,
        fixed: &str,
    ) -> Result<Vec<T>, TransportError> {
        let mut rows: Vec<T> = Vec::new();
        let mut most = 0;
        for _ in 0..MOST_PAGES {
            let path = format!("{resource}?startIndex={}&{fixed}", rows.len() + 1);
            let page: ListResponse<T> = self.get(&path).await?.json()?;
            let nonsense =
                |why: String| TransportError::Nonsense { request: format!("GET /{resource}"), why };
            // What is taken out of an early page moves the rest forward, over the edge of one that was read already.
            most = page.total_results.ok_or_else(|| nonsense("it lacks totalResults".into()))?.max(most);
            let got = page.resources.len();
            rows.extend(page.resources);
            if rows.len() as u64 >= most {
                return Ok(rows);
            }
            if got == 0 {
                let why = format!("the list came back short ({} of {most})", rows.len());
                return Err(nonsense(why));
            }
        }
        Err(TransportError::Nonsense { request: resource.to_owned(), why: "the list has no end".into() })
    }

    async fn by_cursor<T: DeserializeOwned>(
        &self,
        resource: &str,
        fixed: &str,
    ) -> Result<Vec<T>, TransportError> {
        let mut rows = Vec::new();
        // The first page has a cursor without a value; pages may be short, and only a missing nextCursor ends the list.
        let mut path = format!("{resource}?cursor&{fixed}");
        for _ in 0..MOST_PAGES {
            let page: ListResponse<T> = self.get(&path).await?.json()?;
            rows.extend(page.resources);
            let Some(cursor) = page.next_cursor.filter(|cursor| !cursor.is_empty()) else { return Ok(rows) };
            path = format!("{resource}?cursor={}&{fixed}", encoded(&cursor));
        }
        Err(TransportError::Nonsense { request: resource.to_owned(), why: "the list has no end".into() })
    }
}

/// Percent-encoded for a path or a query.
pub(crate) fn encoded(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}
