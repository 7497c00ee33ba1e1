//! One organisation's way to GitHub: address, credential, headers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::{Budgets, Clock, Lane, Resource, Store, Time};
use beadle_transport::{Answer, Body, Client, Method, Path, Request, TransportError};
use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::{Auth, Credential};
use crate::connection::Distinct;
use crate::owners::Owners;
use crate::{conditional, documents};

/// GitHub's versioned media type.
pub(crate) const ACCEPT: &str = "application/vnd.github+json";
/// <https://docs.github.com/rest/about-the-rest-api/api-versions>
const VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");
/// The rows of a page that is full.
const WHOLE_PAGE: usize = 100;

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
    graphql: Path,
    organisation: Arc<str>,
    /// GraphQL fields that this server turned out not to know: an older Enterprise Server.
    lacking: Arc<Mutex<BTreeSet<String>>>,
    /// Where answers are kept, so that what did not change is not sent again.
    kept: Option<Arc<dyn Store>>,
    /// The last answers about names that writes address.
    owners: Arc<Owners>,
    /// The time until which the plan of the writes is valid.
    valid_until: Option<Time>,
}

impl Api {
    /// The way to `organisation`.
    pub fn new(
        endpoint: &Endpoint,
        organisation: &str,
        credential: Credential,
        budgets: Budgets,
        clock: &Clock,
        settings: beadle_transport::ClientSettings,
    ) -> Result<Self, String> {
        let client = Client::new(&endpoint.rest, budgets, clock.clone(), settings)?;
        let auth = Arc::new(Auth::new(credential, organisation, clock.clone()));
        Ok(Self {
            client,
            auth,
            graphql: Path::given(&endpoint.graphql),
            organisation: organisation.into(),
            lacking: Arc::default(),
            kept: None,
            owners: Arc::default(),
            valid_until: None,
        })
    }

    /// The same for the writes of one plan. A write that waits for longer than the plan is valid is
    /// not sent: [`TransportError::Outdated`].
    pub(crate) fn until(&self, valid_until: Time) -> Self {
        Self { valid_until: Some(valid_until), ..self.clone() }
    }

    /// Returns the same for calls in this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { client: self.client.in_lane(lane), ..self.clone() }
    }

    pub(crate) fn lane(&self) -> Lane {
        self.client.lane()
    }

    /// Keeps answers in `store` between runs.
    #[must_use]
    pub fn keeping(mut self, store: Arc<dyn Store>) -> Self {
        self.kept = Some(store);
        self
    }

    pub(crate) fn kept(&self) -> Option<&Arc<dyn Store>> {
        self.kept.as_ref()
    }

    /// A document without the fields that this server does not know.
    pub(crate) fn without_lacking(&self, document: &str) -> String {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.iter().fold(document.to_owned(), |document, field| documents::without(&document, field))
    }

    pub(crate) fn is_lacking(&self, field: &str) -> bool {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner).contains(field)
    }

    /// This server does not know a field. `false` when it cannot be done without, or was left out
    /// already.
    pub(crate) fn lacks(&self, field: &str) -> bool {
        let new = documents::OPTIONAL.contains(&field)
            && self.lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(field.to_owned());
        if new {
            tracing::warn!(field, "field missing in this version of GitHub, its values are unknown");
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

    /// The client below, for those who share its budget.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn owners(&self) -> &Owners {
        &self.owners
    }

    pub(crate) fn is_app(&self) -> bool {
        self.auth.is_app()
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Answer, TransportError> {
        self.get_accepting(path, ACCEPT).await
    }

    pub(crate) async fn get_accepting(
        &self,
        path: &Path,
        accept: &'static str,
    ) -> Result<Answer, TransportError> {
        self.call(Call { accept, ..Call::read(path) }).await.map(|(answer, _)| answer)
    }

    /// A read with the tag that `tag` gives for the token in use; and that token.
    pub(crate) async fn get_if_changed(
        &self,
        path: &Path,
        tag: &Tag<'_>,
    ) -> Result<(Answer, SecretString), TransportError> {
        self.call(Call { tag: Some(tag), ..Call::read(path) }).await
    }

    /// A read that costs nothing while nothing changed.
    pub(crate) async fn read(&self, path: &Path) -> Result<Answer, TransportError> {
        conditional::read(self, path).await
    }

    /// Every row of a list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &Path) -> Result<Vec<T>, TransportError> {
        self.pages(path, true).await
    }

    /// The same, which is not kept between runs.
    pub(crate) async fn list_anew<T: DeserializeOwned>(&self, path: &Path) -> Result<Vec<T>, TransportError> {
        self.pages(path, false).await
    }

    async fn pages<T: DeserializeOwned>(&self, path: &Path, kept: bool) -> Result<Vec<T>, TransportError> {
        let (mut rows, mut distinct) = (Vec::new(), Distinct::default());
        let mut next = Some(path.clone());
        while let Some(path) = next {
            let mut answer = if kept { self.read(&path).await? } else { self.get(&path).await? };
            let mut page: Vec<Value> = answer.json()?;
            if kept && page.len() == WHOLE_PAGE && answer.next().is_none() {
                // The body does not tell whether another page follows: an unchanged page may have a
                // next one now.
                answer = self.get(&path).await?;
                page = answer.json()?;
            }
            let invalid =
                |why: String| TransportError::InvalidResponse { request: answer.request.clone(), why };
            distinct.page(&page, answer.next()).map_err(invalid)?;
            for row in page {
                rows.push(serde_json::from_value(row).map_err(|error| invalid(error.to_string()))?);
            }
            next = answer.next().map(Path::given);
        }
        Ok(rows)
    }

    /// A call in the App's own name.
    pub(crate) async fn get_as_app(&self, path: Path) -> Result<Answer, TransportError> {
        self.client.send(&self.auth.as_app(Method::GET, path, None).await?).await
    }

    /// A write in the App's own name.
    pub(crate) async fn post_as_app(&self, path: Path) -> Result<Answer, TransportError> {
        self.client.send(&self.auth.as_app(Method::POST, path, None).await?).await
    }

    pub(crate) async fn write(
        &self,
        method: Method,
        path: &Path,
        body: Option<Value>,
    ) -> Result<Answer, TransportError> {
        let call = Call { method, body, writes: true, by: self.valid_until, ..Call::read(path) };
        self.call(call).await.map(|(answer, _)| answer)
    }

    /// The same, at a path that holds a name which is worth something until `by` only.
    pub(crate) async fn write_by(
        &self,
        method: Method,
        path: &Path,
        body: Option<Value>,
        by: Time,
    ) -> Result<Answer, TransportError> {
        let by = Some(self.valid_until.map_or(by, |valid_until| valid_until.min(by)));
        let call = Call { method, body, writes: true, by, ..Call::read(path) };
        self.call(call).await.map(|(answer, _)| answer)
    }

    pub(crate) async fn post_graphql(&self, body: Value, writes: bool) -> Result<Answer, TransportError> {
        let call = Call {
            method: Method::POST,
            body: Some(body),
            resource: Resource::GraphQl,
            writes,
            by: self.valid_until.filter(|_| writes),
            ..Call::read(&self.graphql)
        };
        self.call(call).await.map(|(answer, _)| answer)
    }

    fn is_outdated(&self) -> bool {
        self.valid_until.is_some_and(|valid_until| valid_until < self.clock().now())
    }

    async fn call(&self, call: Call<'_>) -> Result<(Answer, SecretString), TransportError> {
        let mut again = true;
        loop {
            let authorization = match self.auth.authorization(&self.client).await {
                // Also an App that is not installed any more denies every key.
                Err(error) if matches!(error.status(), Some(401 | 403 | 404)) => {
                    return Err(self.client.denied(error));
                }
                authorization => authorization?,
            };
            let (method, path) = (call.method.clone(), call.path.clone());
            let mut request = request(method, path, call.body.as_ref(), call.resource, authorization.clone());
            if let Some(tag) = call.tag.and_then(|tag| HeaderValue::from_str(&tag(&authorization)?).ok()) {
                request.headers.insert(http::header::IF_NONE_MATCH, tag);
            }
            let request = Request { writes: call.writes, accept: call.accept, ..request };
            match self.client.send_by(&request, call.by).await {
                Err(TransportError::Late { request }) if call.writes && self.is_outdated() => {
                    return Err(TransportError::Outdated { request, now: self.clock().now() });
                }
                // The token may have been revoked early: once more with a new one.
                Err(error)
                    if error.status() == Some(401) && again && self.auth.forget(&authorization).await =>
                {
                    again = false;
                }
                // GraphQL tells in its answer what single objects are denied: a whole query that is
                // denied is the credential's. A mutation that is denied is the mutation's own
                // matter.
                Err(error)
                    if error.status() == Some(401)
                        || (error.status() == Some(403)
                            && call.resource == Resource::GraphQl
                            && !call.writes) =>
                {
                    return Err(self.client.denied(error));
                }
                result => return result.map(|answer| (answer, authorization)),
            }
        }
    }
}

/// Returns the tag of the known body for the token in use.
pub(crate) type Tag<'a> = dyn Fn(&SecretString) -> Option<String> + Send + Sync + 'a;

/// A call in the installation's name.
struct Call<'a> {
    method: Method,
    path: &'a Path,
    body: Option<Value>,
    resource: Resource,
    accept: &'static str,
    writes: bool,
    /// Until when the path is worth something.
    by: Option<Time>,
    /// Asks only whether it changed.
    tag: Option<&'a Tag<'a>>,
}

impl<'a> Call<'a> {
    fn read(path: &'a Path) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            resource: Resource::Core,
            accept: ACCEPT,
            writes: false,
            by: None,
            tag: None,
        }
    }
}

pub(crate) fn request(
    method: Method,
    path: Path,
    body: Option<&Value>,
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
        body: body.map(Body::json),
        resource,
        counted: true,
        writes: true,
    }
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
