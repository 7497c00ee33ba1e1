//! Sends the requests of one organisation to GitHub, with the right address, credential and
//! headers.

use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Lane, Resource, Store, Time};
use beadle_transport::{Answer, Body, Client, Method, Path, Request, TokenError, TransportError};
use http::{HeaderMap, HeaderValue};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::{Access, Auth, Credential};
use crate::connection::{Distinct, WHOLE_PAGE, page_after};
use crate::credential_digest::CredentialDigest;
use crate::endpoint::Endpoint;
use crate::owners::Owners;
use crate::{conditional, documents};

/// The versioned media type of GitHub's REST API. Every request asks for this media type.
pub(crate) const ACCEPT: &str = "application/vnd.github+json";
/// The version of the REST API. Every request asks for this version.
///
/// <https://docs.github.com/rest/about-the-rest-api/api-versions>
const VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");

/// The connection to GitHub for one organisation. The organisation's reader and writer share this
/// connection.
#[derive(Clone)]
pub struct Api {
    client: Client,
    auth: Arc<Auth>,
    graphql: Path,
    organisation: Arc<str>,
    /// The GraphQL fields that this server reported as unknown. An older Enterprise Server lacks
    /// some fields.
    lacking: Arc<Mutex<BTreeSet<String>>>,
    /// The store that keeps GitHub's answers. If an answer has not changed, GitHub does not send
    /// the answer again, and Beadle uses the stored answer.
    kept: Option<Arc<dyn Store>>,
    /// If the store has an answer that is not older than this time, a read uses the answer.
    /// Otherwise, the read sends a request. `None` means that every read sends a request.
    last_seen: Option<Time>,
    /// The id of the repository, if this connection reads only paths below one repository. `None`
    /// if this connection reads other paths too.
    repository: Option<u64>,
    /// GitHub's latest answer about the name of each team and account. The paths of write requests
    /// contain names of teams and accounts.
    owners: Arc<Owners>,
    /// The time at which the plan becomes invalid. `None` if no plan limits the writes.
    valid_until: Option<Time>,
}

impl Api {
    /// Creates the connection for `organisation`.
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
            last_seen: None,
            repository: None,
            owners: Arc::default(),
            valid_until: None,
        })
    }

    /// Returns a copy of this connection for the writes of one plan. If the plan is no longer valid
    /// at the time of a write, Beadle does not send the write, and returns
    /// [`TransportError::Outdated`].
    pub(crate) fn until(&self, valid_until: Time) -> Self {
        Self { valid_until: Some(valid_until), ..self.clone() }
    }

    /// Returns a copy of this connection that sends its calls in `lane`.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { client: self.client.in_lane(lane), ..self.clone() }
    }

    pub(crate) fn lane(&self) -> Lane {
        self.client.lane()
    }

    /// Returns a copy of this connection. A read with the copy can use a stored answer if a process
    /// read this answer from GitHub at the time `since` or later. If the store has no such answer,
    /// the read sends a request.
    pub(crate) fn as_last_seen(&self, since: Time) -> Self {
        Self { last_seen: Some(since), ..self.clone() }
    }

    pub(crate) fn last_seen(&self) -> Option<Time> {
        self.last_seen
    }

    /// Returns a copy of this connection for the paths of one repository. The connection needs the
    /// id because the name in these paths can belong to another repository later.
    pub(crate) fn of_repository(&self, id: u64) -> Self {
        Self { repository: Some(id), ..self.clone() }
    }

    pub(crate) fn repository(&self) -> Option<u64> {
        self.repository
    }

    /// Returns the credential for the next request, with the digest of the credential.
    pub(crate) async fn access(&self) -> Result<Access, TokenError> {
        Box::pin(self.auth.access(&self.client, self.kept.as_deref())).await
    }

    /// See [`Auth::drop_token`].
    pub(crate) async fn drop_token(&self) {
        self.auth.drop_token().await;
    }

    /// See [`Auth::heed_accepted_permissions`].
    pub(crate) async fn heed_accepted_permissions(&self, at: Time, permissions: CredentialDigest) {
        self.auth.heed_accepted_permissions(at, permissions).await;
    }

    /// Sets the store in which this connection keeps GitHub's answers between runs.
    #[must_use]
    pub fn keeping(mut self, store: Arc<dyn Store>) -> Self {
        self.kept = Some(store);
        self
    }

    pub(crate) fn kept(&self) -> Option<&Arc<dyn Store>> {
        self.kept.as_ref()
    }

    /// Returns a GraphQL document without the fields that this server does not know.
    pub(crate) fn without_lacking(&self, document: &str) -> String {
        let lacking = self.lacking.lock();
        lacking.iter().fold(document.to_owned(), |document, field| documents::without(&document, field))
    }

    pub(crate) fn is_lacking(&self, field: &str) -> bool {
        self.lacking.lock().contains(field)
    }

    /// Remembers that this server does not know a field. Returns `false` if the field is not
    /// optional, or if Beadle already leaves out the field.
    pub(crate) fn lacks(&self, field: &str) -> bool {
        let new = documents::OPTIONAL.contains(&field) && self.lacking.lock().insert(field.to_owned());
        if new {
            tracing::warn!(field, "field not supported by this GitHub server, its values are unknown");
        }
        new
    }

    /// Returns the organisation's login.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// Returns the clock that the calls use.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// Returns the budgets of the calls.
    pub fn budgets(&self) -> &Budgets {
        self.client.budgets()
    }

    /// Returns the HTTP client of this connection, for code that must share the client's budget.
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
        self.call(Call { accept, ..Call::read(path) }, &mut None).await.map(|(answer, _)| answer)
    }

    /// Reads a path. The request contains the `ETag` that `tag` returns for the present token.
    /// Returns the answer and this token. Sets `used` to the digest of the credential that got the
    /// answer or the error.
    pub(crate) async fn get_if_changed(
        &self,
        path: &Path,
        tag: &Tag<'_>,
        used: &mut Option<CredentialDigest>,
    ) -> Result<(Answer, SecretString), TransportError> {
        self.call(Call { tag: Some(tag), ..Call::read(path) }, used).await
    }

    /// Reads a path. The read costs nothing from the budget if the answer has not changed since the
    /// last read.
    pub(crate) async fn read(&self, path: &Path) -> Result<Answer, TransportError> {
        conditional::read(self, path).await
    }

    /// Reads all rows of a list, page by page. The store keeps the pages between runs.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &Path) -> Result<Vec<T>, TransportError> {
        self.pages(path, true).await
    }

    /// Reads all rows of a list, page by page. The store does not keep the pages.
    pub(crate) async fn list_anew<T: DeserializeOwned>(&self, path: &Path) -> Result<Vec<T>, TransportError> {
        self.pages(path, false).await
    }

    async fn pages<T: DeserializeOwned>(&self, path: &Path, kept: bool) -> Result<Vec<T>, TransportError> {
        let (mut rows, mut distinct) = (Vec::new(), Distinct::default());
        let mut next = Some(path.clone());
        while let Some(path) = next {
            let mut answer = if kept { self.read(&path).await? } else { self.get(&path).await? };
            let mut page: Vec<Value> = answer.json()?;
            let mut following = answer.next().map(Path::given);
            if kept && page.len() == WHOLE_PAGE && following.is_none() {
                // The stored answer of this page can be out of date. If the list got a new page and
                // this page did not change, the stored answer has no link to the new page.
                following = page_after(&path);
                if following.is_none() {
                    answer = self.get(&path).await?;
                    page = answer.json()?;
                    following = answer.next().map(Path::given);
                }
            }
            let invalid =
                |why: String| TransportError::InvalidResponse { request: answer.request.clone(), why };
            distinct.page(&page, answer.next()).map_err(invalid)?;
            for row in page {
                rows.push(serde_json::from_value(row).map_err(|error| invalid(error.to_string()))?);
            }
            next = following;
        }
        Ok(rows)
    }

    /// Reads all rows of a list that is part of a JSON object. The key `key` of the object contains
    /// the rows, and the key `total_count` contains their number. If this number is wrong or
    /// missing, the list is unknown. The store keeps the pages between runs.
    pub(crate) async fn list_in(&self, path: &Path, key: &str) -> Result<Vec<Value>, TransportError> {
        let (mut rows, mut distinct) = (Vec::new(), Distinct::default());
        let mut next = Some(path.clone());
        while let Some(path) = next {
            let answer = self.read(&path).await?;
            let body: Value = answer.json()?;
            let invalid =
                |why: String| TransportError::InvalidResponse { request: answer.request.clone(), why };
            let page = body.get(key).and_then(Value::as_array);
            let page = page.ok_or_else(|| invalid(format!("the answer has no list `{key}`")))?;
            distinct.page(page, answer.next()).map_err(invalid)?;
            rows.extend(page.iter().cloned());
            next = answer.next().map(Path::given);
            let total = body["total_count"].as_u64().and_then(|total| usize::try_from(total).ok());
            if next.is_none() && total != Some(rows.len()) {
                let total = total.map_or_else(|| "missing".to_owned(), |total| total.to_string());
                let why = format!("`total_count` is {total}, and the list has {} rows", rows.len());
                return Err(invalid(why));
            }
        }
        Ok(rows)
    }

    /// Sends a read as the App itself, not as one of its installations.
    pub(crate) async fn get_as_app(&self, path: Path) -> Result<Answer, TransportError> {
        self.client.send(&self.auth.as_app(Method::GET, path, None).await?).await
    }

    /// Sends a write as the App itself, not as one of its installations.
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
        self.call(call, &mut None).await.map(|(answer, _)| answer)
    }

    /// Sends a write to a path that contains a name. After the time `by`, the name might belong to
    /// something else, so Beadle no longer sends the write.
    pub(crate) async fn write_by(
        &self,
        method: Method,
        path: &Path,
        body: Option<Value>,
        by: Time,
    ) -> Result<Answer, TransportError> {
        let by = Some(self.valid_until.map_or(by, |valid_until| valid_until.min(by)));
        let call = Call { method, body, writes: true, by, ..Call::read(path) };
        self.call(call, &mut None).await.map(|(answer, _)| answer)
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
        self.call(call, &mut None).await.map(|(answer, _)| answer)
    }

    fn is_outdated(&self) -> bool {
        self.valid_until.is_some_and(|valid_until| valid_until < self.clock().now())
    }

    /// Sends a call. Returns the answer and the token of the call. Sets `used` to the digest of the
    /// call's credential.
    async fn call(
        &self,
        call: Call<'_>,
        used: &mut Option<CredentialDigest>,
    ) -> Result<(Answer, SecretString), TransportError> {
        let mut again = true;
        loop {
            let Access { authorization, digest } = self.access().await?;
            *used = Some(digest);
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
                // GitHub can revoke a token early, so Beadle tries once more with a new token.
                Err(error)
                    if error.status() == Some(401) && again && self.auth.forget(&authorization).await =>
                {
                    again = false;
                }
                // For a GraphQL query, GitHub reports each denied object in its answer. If GitHub
                // denies the whole query, the credential itself is denied. If GitHub denies a
                // mutation, only this mutation is denied.
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

/// A function that returns the `ETag` of the stored body for a token, if Beadle knows this `ETag`.
pub(crate) type Tag<'a> = dyn Fn(&SecretString) -> Option<String> + Send + Sync + 'a;

/// A call that Beadle sends as the App's installation, or with the configured token.
struct Call<'a> {
    method: Method,
    path: &'a Path,
    body: Option<Value>,
    resource: Resource,
    accept: &'static str,
    writes: bool,
    /// The time at which the name in the path becomes too old to use. `None` if the path contains
    /// no name that can belong to something else later.
    by: Option<Time>,
    /// The `ETag` to send. If a request has an `ETag`, GitHub sends the body only if the body has
    /// changed.
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
    use beadle_engine::Class;
    use beadle_transport::ClientSettings;
    use beadle_transport::testing::Recorder;
    use serde_json::json;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Sent {
        Query,
        Mutation,
        Read,
        Write,
    }

    /// Returns the error class of a call that GitHub answered with `status`.
    async fn class(sent: Sent, status: u16) -> Class {
        let wire = Recorder::new(move |_| (status, json!({ "message": "Resource not accessible" })));
        let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
        let token = Credential::Token(SecretString::from("token"));
        let (endpoint, budgets) = (Endpoint::new("https://github.test"), Budgets::new("acme", 0));
        let api = Api::new(&endpoint, "acme", token, budgets, &Clock::simulated(Time(0)), settings).unwrap();
        let path = Path::at("repos/acme/shop/labels");
        let answer = match sent {
            Sent::Query => api.post_graphql(json!({}), false).await,
            Sent::Mutation => api.post_graphql(json!({}), true).await,
            Sent::Read => api.get(&path).await,
            Sent::Write => api.write(Method::POST, &path, Some(json!({}))).await,
        };
        answer.err().unwrap().class()
    }

    /// If GitHub denies the credential, all keys wait and Beadle parks no key. If GitHub refuses a
    /// call for another reason, Beadle parks only the key of this call.
    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_told_from_a_refused_request() {
        for sent in [Sent::Query, Sent::Mutation, Sent::Read, Sent::Write] {
            let unauthorised = class(sent, 401).await;
            assert!(matches!(unauthorised, Class::RateLimited { .. }), "{sent:?}: {unauthorised:?}");
            // In REST, a 403 is ambiguous. GitHub also sends a 403 for one archived repository, for
            // one feature without a licence, or for one permission that the App lacks. All other
            // requests with the credential still succeed. If Beadle treated each 403 as a denied
            // credential, one archived repository would stop the whole organisation. A 403 of a
            // mutation is ambiguous too. A 403 of a query always means a denied credential, because
            // GitHub reports a denied object in the answer to the query.
            let forbidden = class(sent, 403).await;
            let is_denied = matches!(forbidden, Class::RateLimited { .. });
            assert_eq!(is_denied, sent == Sent::Query, "{sent:?}: {forbidden:?}");
            assert!(is_denied || forbidden == Class::Rejected, "{sent:?}: {forbidden:?}");
        }
    }
}
