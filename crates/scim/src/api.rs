//! The requests to a SCIM server, and the pages of its lists.

use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Lane, Resource};
use beadle_transport::{Answer, Body, Client, ClientSettings, Method, Path, Request, TransportError};
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::dialect::{Dialect, Paging};
use crate::filter::Filter;
use crate::list::{Listed, Next, Page, Rows};
use crate::model::Record;

/// The page sizes that Beadle tries, in this order, if a server refuses a larger page.
const SMALLER: [usize; 4] = [100, 50, 20, 10];

/// A client of one SCIM server.
#[derive(Clone)]
pub struct Api {
    client: Client,
    authorization: SecretString,
    dialect: Dialect,
    /// The version of each group at the last read (RFC 7644, 3.14). `None` until the server states
    /// that it keeps versions.
    versions: Arc<Mutex<Option<HashMap<String, String>>>>,
    learned: Arc<Mutex<Learned>>,
}

/// What this client has learned from the server's answers.
#[derive(Default)]
struct Learned {
    /// The page size that the server accepts, or `None` before the first page.
    page: Option<usize>,
    /// The attributes for which the server has already applied a filter correctly.
    filters: HashSet<(String, &'static str)>,
}

impl Api {
    /// Creates a client of a server. The paths `Users` and `Groups` are directly below `base`.
    pub fn new(
        base: &str,
        bearer: &SecretString,
        dialect: Dialect,
        budgets: Budgets,
        clock: &Clock,
        settings: ClientSettings,
    ) -> Result<Self, String> {
        let authorization = SecretString::from(format!("Bearer {}", bearer.expose_secret()));
        let client = Client::new(base, budgets, clock.clone(), settings)?;
        Ok(Self { client, authorization, dialect, versions: Arc::default(), learned: Arc::default() })
    }

    /// Returns the same client, but its requests use this lane.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { client: self.client.in_lane(lane), ..self.clone() }
    }

    /// Stores whether the server has versions of groups.
    pub(crate) fn offers_versions(&self, offers: bool) {
        let mut versions = self.versions.lock();
        *versions = offers.then(|| versions.take().unwrap_or_default());
    }

    /// Stores the present version of a group. `None` means that the version is unknown.
    pub(crate) fn is_version(&self, group: &str, version: Option<String>) {
        let mut versions = self.versions.lock();
        let Some(versions) = versions.as_mut() else { return };
        match version {
            Some(version) => versions.insert(group.to_owned(), version),
            None => versions.remove(group),
        };
    }

    /// Returns a header with the version that Beadle last read. If the group has changed after this
    /// read, the server refuses the write.
    pub(crate) fn as_read(&self, group: &str) -> HeaderMap {
        let versions = self.versions.lock();
        let version = versions
            .as_ref()
            .and_then(|versions| versions.get(group))
            .and_then(|version| HeaderValue::from_str(version).ok());
        version.map(|version| (header::IF_MATCH, version)).into_iter().collect()
    }

    /// Returns the dialect of the server.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Returns the clock of the client.
    pub fn clock(&self) -> &Clock {
        self.client.clock()
    }

    /// Returns the lane that the requests use.
    pub(crate) fn lane(&self) -> Lane {
        self.client.lane()
    }

    /// Returns the budget for the requests.
    pub fn budgets(&self) -> &Budgets {
        self.client.budgets()
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Answer, TransportError> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &Path,
        body: Option<&Value>,
    ) -> Result<Answer, TransportError> {
        self.send_if(method, path, body, HeaderMap::new()).await
    }

    pub(crate) async fn send_if(
        &self,
        method: Method,
        path: &Path,
        body: Option<&Value>,
        headers: HeaderMap,
    ) -> Result<Answer, TransportError> {
        let request = Request {
            writes: method != Method::GET,
            method,
            path: path.clone(),
            accept: "application/scim+json, application/json",
            authorization: Some(self.authorization.clone()),
            headers,
            body: body.map(Body::scim),
            resource: Resource::Core,
            counted: true,
        };
        self.client.send(&request).await.map_err(|error| match error.status() {
            // A 403 does not mean that the server denies the credential. Servers also send 403 for
            // one object, such as a group that the server manages itself (RFC 7644, 3.12).
            Some(401) => self.client.denied(error),
            _ => error,
        })
    }

    /// Reads a list. Returns an error if the list is incomplete, because the content of the list is
    /// then unknown.
    pub(crate) async fn list<T: Record>(
        &self,
        resource: &'static str,
        filter: Option<&Filter>,
        without: Option<&str>,
    ) -> Result<Vec<T>, TransportError> {
        let listed = self.listed(resource, filter, without).await?;
        match listed.short {
            None => Ok(listed.rows),
            Some(why) => Err(TransportError::InvalidResponse { request: format!("GET /{resource}"), why }),
        }
    }

    /// Reads the part of a list that the server shows. The result states whether the list is
    /// complete. The rows do not contain invalid records. The result lists these records
    /// separately.
    pub(crate) async fn listed<T: Record>(
        &self,
        resource: &'static str,
        filter: Option<&Filter>,
        without: Option<&str>,
    ) -> Result<Listed<T>, TransportError> {
        let fixed = |mut path: Path| {
            if let Some(filter) = filter {
                path = path.query("filter", filter);
            }
            match without.filter(|_| self.dialect.attributes) {
                Some(attribute) => path.query("excludedAttributes", attribute),
                None => path,
            }
        };
        let mut rows = Rows::<T>::new();
        let mut cursor: Option<String> = None;
        loop {
            let place = match (self.dialect.paging, &cursor) {
                (Paging::Index, _) => Path::at(resource).query("startIndex", rows.start()),
                // The request for the first page has the parameter `cursor` without a value.
                (Paging::Cursor, None) => Path::at(resource).flag("cursor"),
                (Paging::Cursor, Some(cursor)) => Path::at(resource).query("cursor", cursor),
            };
            let sized = |count: usize| fixed(place.clone().query("count", count));
            let (mut page, asked) = match self.page(&sized).await {
                Ok(page) => page,
                // Some servers refuse a page after the last one. Beadle asks for a page after the
                // last one only to check that the list has ended. So this error is not a failure.
                Err(error) if rows.may_have_ended() && matches!(error.status(), Some(400 | 404)) => break,
                Err(error) => return Err(error),
            };
            let next = match self.dialect.paging {
                Paging::Index => rows.by_index(page, asked),
                Paging::Cursor => {
                    let next = rows.by_cursor(&mut page);
                    cursor = page.next_cursor;
                    next
                }
            };
            if next == Next::End {
                break;
            }
        }
        Ok(rows.end())
    }

    async fn get_page(&self, path: &Path) -> Result<Page, TransportError> {
        let answer = self.get(path).await?;
        let page: Page = answer.json()?;
        if page.is_list() {
            return Ok(page);
        }
        Err(TransportError::InvalidResponse { request: answer.request, why: "the answer is no list".into() })
    }

    /// Reads one page. If the server refuses the size of the page, tries smaller sizes, and
    /// remembers the size that the server accepts.
    async fn page(&self, path: &(dyn Fn(usize) -> Path + Sync)) -> Result<(Page, usize), TransportError> {
        let known = self.learned().page;
        let first = known.unwrap_or(self.dialect.page);
        let refused = match self.get_page(&path(first)).await {
            Ok(page) => {
                self.learned().page = Some(first);
                return Ok((page, first));
            }
            // If the server has already accepted a page size, the page size is not the cause of the
            // error.
            Err(error) if known.is_some() || !may_be_about_size(&error) => return Err(error),
            Err(error) => error,
        };
        for count in SMALLER.into_iter().filter(|count| *count < first) {
            match self.get_page(&path(count)).await {
                Ok(page) => {
                    self.learned().page = Some(count);
                    return Ok((page, count));
                }
                Err(error) if may_be_about_size(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock()
    }

    /// Remembers that the server has correctly filtered a list, such as `Users`. `attribute` is the
    /// attribute in the filter.
    pub(crate) fn filters_by(&self, resource: &'static str, attribute: &'static str) {
        self.learned().filters.insert((resource.to_owned(), attribute));
    }

    /// Returns whether the server has already correctly filtered a list, such as `Users`.
    /// `attribute` is the attribute in the filter.
    pub(crate) fn has_filtered_by(&self, resource: &'static str, attribute: &'static str) -> bool {
        self.learned().filters.contains(&(resource.to_owned(), attribute))
    }

    /// Returns the page size that the server accepts. Before the first page, returns the size that
    /// Beadle tries first.
    pub(crate) fn page_size(&self) -> usize {
        self.learned().page.unwrap_or(self.dialect.page)
    }
}

/// Returns whether the size of the page is a possible reason for the server's refusal.
fn may_be_about_size(error: &TransportError) -> bool {
    match error {
        TransportError::Status { status: 422, .. } => true,
        TransportError::Status { status: 400, message, .. } => {
            let message = message.to_lowercase();
            let mut words = message.split(|letter: char| !letter.is_alphanumeric());
            words.any(|word| matches!(word, "count" | "page" | "itemsperpage"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Class, Time};
    use beadle_transport::testing::Recorder;
    use serde_json::json;

    use super::*;

    /// If the server denies one group, Beadle parks only the key of this group. If Beadle treated
    /// this 403 answer as a denied credential, one forbidden group would stop all other groups of
    /// the target.
    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_told_from_a_forbidden_group() {
        for method in [Method::GET, Method::PATCH] {
            for (status, is_denied) in [(401, true), (403, false)] {
                let wire = Recorder::new(move |_| (status, json!({ "detail": "no" })));
                let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
                let (token, clock) = (SecretString::from("token"), Clock::simulated(Time(0)));
                let budgets = Budgets::new("aws", 0);
                let api =
                    Api::new("https://scim.test", &token, Dialect::AWS, budgets, &clock, settings).unwrap();
                let body = (method != Method::GET).then(|| json!({}));
                let answer = api.send(method.clone(), &Path::at("Groups/g1"), body.as_ref()).await;
                let class = answer.err().unwrap().class();
                assert_eq!(matches!(class, Class::RateLimited { .. }), is_denied, "{method} {status}");
                assert!(is_denied || class == Class::Rejected, "{method} {status}: {class:?}");
            }
        }
    }
}
