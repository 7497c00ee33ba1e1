//! The requests to Okta. Okta has a separate rate limit for each family of addresses, so each
//! family has its own budget.

use std::sync::Arc;

use beadle_engine::{Budgets, Clock, Failure, Lane, Resource, Time};
use beadle_transport::{
    Answer, Client, ClientSettings, Method, Path, RateLimitHeaders, Request, TransportError,
};
use serde::de::DeserializeOwned;

use crate::auth::{Auth, Credential};
use crate::filter::comparison;
use crate::list::{Listed, Row};
use crate::model::{Group, PushMapping, User};

/// The number of members or users in one page. Okta recommends this number.
const PAGE: usize = 200;

/// A client of one directory.
#[derive(Clone)]
pub struct Okta {
    name: Arc<str>,
    auth: Arc<Auth>,
    groups: Client,
    users: Client,
    logs: Client,
    apps: Client,
}

impl Okta {
    /// Creates a client of the directory at `url`, such as `https://acme.okta.com`. `name` is the
    /// name of the directory in Beadle's configuration.
    pub fn new(
        url: &str,
        name: &str,
        credential: Credential,
        reserve: u64,
        clock: &Clock,
        settings: &ClientSettings,
    ) -> Result<Self, String> {
        let settings = ClientSettings { rate_limit_headers: RateLimitHeaders::OKTA, ..settings.clone() };
        let client = |family: &str| {
            let budgets = Budgets::new(&format!("{name} {family}"), reserve);
            Client::new(url, budgets, clock.clone(), settings.clone())
        };
        Ok(Self {
            name: name.into(),
            auth: Arc::new(Auth::new(credential, url, clock.clone())),
            groups: client("groups")?,
            users: client("users")?,
            logs: client("logs")?,
            apps: client("apps")?,
        })
    }

    /// Returns a copy of this client that uses this lane for its requests.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self {
            groups: self.groups.in_lane(lane),
            users: self.users.in_lane(lane),
            logs: self.logs.in_lane(lane),
            apps: self.apps.in_lane(lane),
            ..self.clone()
        }
    }

    /// Returns the lane that the requests use.
    pub fn lane(&self) -> Lane {
        self.groups.lane()
    }

    /// Returns the name of the directory in Beadle's configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the budgets of all families of addresses, so that operators can see them.
    pub fn budgets(&self) -> impl Iterator<Item = &Budgets> {
        [&self.groups, &self.users, &self.logs, &self.apps].into_iter().map(Client::budgets)
    }

    /// Returns all groups. The groups do not contain the numbers of their members.
    pub async fn groups(&self) -> Result<Vec<Group>, Failure> {
        self.list(&self.groups, Path::at("api/v1/groups").query("limit", PAGE)).await
    }

    /// Returns all groups, and the time at which Okta sent the first page. The time comes from
    /// Okta's clock. The time is `None` if no page states a time.
    pub async fn groups_and_clock(&self) -> Result<(Vec<Group>, Option<Time>), Failure> {
        let path = Path::at("api/v1/groups").query("limit", PAGE);
        Ok(self.pages_within(&self.groups, path, usize::MAX).await?.unwrap_or_default())
    }

    /// Returns the present state of one group, or `None` if the group does not exist.
    pub async fn group(&self, id: &str) -> Result<Option<Group>, Failure> {
        match self.get(&self.groups, &Path::at("api/v1/groups").value(id)).await {
            Ok(answer) => Ok(Some(answer.json()?)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the number of a group's members from Okta's statistics, or `None` if Okta does not
    /// show this number. The statistics can be slightly out of date.
    pub async fn count(&self, group: &str) -> Result<Option<u64>, Failure> {
        let filter = comparison("id", "eq", group)?;
        let path =
            Path::at("api/v1/groups").query("filter", filter).query("expand", "stats").query("limit", 2);
        let found: Vec<Group> = self.list(&self.groups, path).await?;
        Ok(found.into_iter().find(|found| found.id == group).and_then(|found| found.count))
    }

    /// Returns the groups that got or lost members after `moment`, a time in Okta's notation.
    pub async fn groups_changed_since(&self, moment: &str) -> Result<Vec<Group>, Failure> {
        let filter = comparison("lastMembershipUpdated", "gt", moment)?;
        let path = Path::at("api/v1/groups").query("filter", filter).query("limit", PAGE);
        self.list(&self.groups, path).await
    }

    /// Returns all members of a group, with any status. Returns `None` if the group does not exist.
    pub async fn members(&self, group: &str) -> Result<Option<Vec<User>>, Failure> {
        let path = Path::at("api/v1/groups").value(group).then("users").query("limit", PAGE);
        match self.pages(&self.groups, path).await {
            Ok(users) => Ok(Some(users)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns all users except the deactivated ones. Okta's list of users does not contain
    /// deactivated users.
    ///
    /// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/#tag/User/operation/listUsers>
    pub async fn users(&self) -> Result<Vec<User>, Failure> {
        self.list(&self.users, Path::at("api/v1/users").query("limit", PAGE)).await
    }

    /// Returns the same list as [`Self::users`], or `None` if the list has more than `pages` pages.
    pub async fn users_within(&self, pages: usize) -> Result<Option<Vec<User>>, Failure> {
        let path = Path::at("api/v1/users").query("limit", PAGE);
        Ok(self.pages_within(&self.users, path, pages).await?.map(|(users, _)| users))
    }

    /// Returns a user, or `None` if the user does not exist.
    pub async fn user(&self, id: &str) -> Result<Option<User>, Failure> {
        match self.get(&self.users, &Path::at("api/v1/users").value(id)).await {
            Ok(answer) => Ok(Some(answer.json()?)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the groups of a user, or `None` if the user does not exist.
    pub async fn groups_of(&self, user: &str) -> Result<Option<Vec<Group>>, Failure> {
        let path = Path::at("api/v1/users").value(user).then("groups").query("limit", PAGE);
        match self.pages(&self.users, path).await {
            Ok(groups) => Ok(Some(groups)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the ids of the groups that Okta itself pushes into an application. Okta pushes a
    /// group if a push mapping is active.
    ///
    /// <https://developer.okta.com/docs/api/openapi/okta-management/management/tag/GroupPushMapping/>
    pub async fn pushed(&self, app: &str) -> Result<Vec<String>, Failure> {
        let path = Path::at("api/v1/apps").value(app).then("group-push/mappings").query("limit", PAGE);
        let mappings: Vec<PushMapping> = self.list(&self.apps, path).await?;
        // Beadle treats a push mapping with an error as active, because Okta retries it.
        let active = mappings.into_iter().filter(|mapping| mapping.status != "INACTIVE");
        Ok(active.map(|mapping| mapping.source_group_id).collect())
    }

    pub(crate) async fn logs(&self, path: &Path) -> Result<Answer, Failure> {
        Ok(self.get(&self.logs, path).await?)
    }

    async fn list<T: DeserializeOwned + Row>(&self, client: &Client, path: Path) -> Result<Vec<T>, Failure> {
        Ok(self.pages(client, path).await?)
    }

    /// Returns all rows of a list. Each page except the last one contains the address of the next
    /// page.
    async fn pages<T: DeserializeOwned + Row>(
        &self,
        client: &Client,
        path: Path,
    ) -> Result<Vec<T>, TransportError> {
        Ok(self.pages_within(client, path, usize::MAX).await?.unwrap_or_default().0)
    }

    /// Returns all rows of a list, and the time of the first page. The time comes from Okta's
    /// clock. Returns `None` if the list has more than `most` pages.
    async fn pages_within<T: DeserializeOwned + Row>(
        &self,
        client: &Client,
        path: Path,
        most: usize,
    ) -> Result<Option<(Vec<T>, Option<Time>)>, TransportError> {
        let mut list = Listed::new(&path.to_string());
        let mut next = Some(path);
        let (mut read, mut began) = (0, None);
        while let Some(path) = next {
            if read == most {
                return Ok(None);
            }
            read += 1;
            let answer = self.get(client, &path).await?;
            began = began.or_else(|| answer.date());
            list.take(answer.json::<Vec<T>>()?, answer.next())?;
            next = answer.next().map(Path::given);
        }
        Ok(Some((list.rows(), began)))
    }

    async fn get(&self, client: &Client, path: &Path) -> Result<Answer, TransportError> {
        let mut again = true;
        loop {
            // All families share one client for token requests, because a refusal by Okta applies
            // to the tokens of all families. So no family requests another token while this client
            // waits after a refusal.
            let authorization = self.auth.authorization(&self.groups).await?;
            let request = Request {
                method: Method::GET,
                path: path.clone(),
                accept: "application/json",
                authorization: Some(authorization.clone()),
                headers: http::HeaderMap::new(),
                body: None,
                resource: Resource::Core,
                counted: true,
                writes: false,
            };
            match client.send(&request).await {
                // Okta can revoke a token before the token expires. So Beadle requests a new token
                // and sends the request once more.
                Err(error)
                    if error.status() == Some(401) && again && self.auth.forget(&authorization).await =>
                {
                    again = false;
                }
                // A 403 does not mean that Okta denies the whole credential, because an admin role
                // can be restricted to some groups, and a token can lack the scope for one kind of
                // object.
                Err(error) if error.status() == Some(401) => return Err(client.denied(error)),
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Class;
    use beadle_transport::testing::Recorder;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;

    /// If Okta denies access to one group, Beadle parks only the key of this group. If Beadle
    /// treated this 403 answer as a denied credential, one forbidden group would stop all other
    /// groups of the directory.
    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_told_from_a_forbidden_group() {
        for (status, is_denied) in [(401, true), (403, false)] {
            let wire = Recorder::new(move |_| (status, json!({ "errorSummary": "no" })));
            let settings = ClientSettings { wire: Some(wire), ..ClientSettings::default() };
            let credential = Credential::Token(SecretString::from("token"));
            let clock = Clock::simulated(Time(0));
            let okta = Okta::new("https://okta.test", "corp", credential, 0, &clock, &settings).unwrap();
            let class = okta.group("00g1").await.err().unwrap().class;
            assert_eq!(matches!(class, Class::RateLimited { .. }), is_denied, "{status}: {class:?}");
            assert!(is_denied || class == Class::Rejected, "{status}: {class:?}");
        }
    }
}
