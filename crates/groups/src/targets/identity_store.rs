//! Reads the members of an AWS IAM Identity Center group with the Identity Store API. This API and
//! SCIM use the same ids.
//!
//! <https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/welcome.html>

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_identitystore::Client;
use aws_sdk_identitystore::error::SdkError;
use aws_sdk_identitystore::operation::list_group_memberships::ListGroupMembershipsError;
use aws_sdk_identitystore::types::MemberId;
use beadle_engine::{Class, Clock, Failure};
use tokio::sync::OnceCell;

use super::scim::Memberships;

/// The maximum size of a page that AWS returns.
const PAGE: i32 = 100;
/// The maximum number of pages in a list.
const MOST_PAGES: usize = 10_000;
/// The time to wait after AWS throttles a request. AWS does not state this time in its answer.
const PAUSE: Duration = Duration::from_secs(2);
/// The maximum time to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one identity store.
pub struct IdentityStore {
    id: String,
    region: String,
    /// An address that Beadle uses instead of the AWS address, for example in tests.
    endpoint: Option<String>,
    clock: Clock,
    client: OnceCell<Client>,
}

impl IdentityStore {
    /// Returns a client of the identity store with this id. Sends no request.
    pub fn new(id: &str, region: &str, endpoint: Option<&str>, clock: Clock) -> Self {
        let (id, region, endpoint) = (id.to_owned(), region.to_owned(), endpoint.map(str::to_owned));
        Self { id, region, endpoint, clock, client: OnceCell::new() }
    }

    /// Returns an AWS client. The client's credentials come from the environment, a profile or a
    /// role, like the credentials of the AWS tools.
    async fn client(&self) -> &Client {
        let open = || async {
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .region(Region::new(self.region.clone()))
                // The client must not retry, because Beadle's queue decides when to retry.
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build());
            if let Some(endpoint) = &self.endpoint {
                loader = loader.endpoint_url(endpoint);
            }
            Client::new(&loader.load().await)
        };
        self.client.get_or_init(open).await
    }

    fn failure(&self, group: &str, error: &SdkError<ListGroupMembershipsError>) -> Failure {
        let text =
            format!("listing the members of the group {group} in the Identity Store: {}", causes(error));
        let class = match error.as_service_error() {
            // AWS sends this error with the HTTP status 400.
            Some(ListGroupMembershipsError::ThrottlingException(_)) => {
                Class::RateLimited { until: self.clock.now() + PAUSE, spares_events: false }
            }
            Some(
                ListGroupMembershipsError::AccessDeniedException(_)
                | ListGroupMembershipsError::ValidationException(_),
            ) => Class::Rejected,
            _ => Class::Retry,
        };
        Failure::new(class, text)
    }
}

/// The members of a group that AWS has returned so far.
#[derive(Default)]
struct Arrived {
    users: Vec<String>,
    known: HashSet<String>,
    /// The tokens of all pages after the first one.
    tokens: HashSet<String>,
}

impl Arrived {
    /// Adds the members of a page, and the token of the next page. The error gives the reason why
    /// the list is unknown.
    fn take(&mut self, users: Vec<String>, next: Option<&str>) -> Result<(), String> {
        for user in users {
            // A member appears twice if members moved between pages during the read. In this case,
            // another member might be missing.
            if !self.known.insert(user.clone()) {
                return Err(format!("the list shows the member {user} twice"));
            }
            self.users.push(user);
        }
        match next {
            Some(token) if !self.tokens.insert(token.to_owned()) => {
                Err("the list has no end: a page names a page that Beadle already read".to_owned())
            }
            Some(_) if self.tokens.len() >= MOST_PAGES => {
                Err(format!("the list has more than {MOST_PAGES} pages"))
            }
            _ => Ok(()),
        }
    }
}

/// Returns the text of an error and, after it, the texts of the error's causes.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn is_gone(error: &SdkError<ListGroupMembershipsError>) -> bool {
    matches!(error.as_service_error(), Some(ListGroupMembershipsError::ResourceNotFoundException(_)))
}

#[async_trait]
impl Memberships for IdentityStore {
    async fn of(&self, group: &str) -> Result<Option<Vec<String>>, Failure> {
        let mut arrived = Arrived::default();
        let mut token = None;
        loop {
            let list = self.client().await.list_group_memberships();
            let list = list.identity_store_id(&self.id).group_id(group).max_results(PAGE);
            let page = match list.set_next_token(token).send().await {
                Ok(page) => page,
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(self.failure(group, &error)),
            };
            let mut users = Vec::with_capacity(page.group_memberships.len());
            for membership in page.group_memberships {
                let Some(MemberId::UserId(user)) = membership.member_id else {
                    let text =
                        format!("a member of the group {group} is not a user: its members are unknown");
                    return Err(Failure::new(Class::Rejected, text));
                };
                users.push(user);
            }
            token = page.next_token;
            arrived.take(users, token.as_deref()).map_err(|why| {
                let text = format!("listing the members of the group {group} in the Identity Store: {why}");
                Failure::new(Class::Retry, text)
            })?;
            if token.is_none() {
                return Ok(Some(arrived.users));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pages: &[(&[&str], Option<&str>)]) -> Result<usize, String> {
        let mut arrived = Arrived::default();
        for (users, next) in pages {
            arrived.take(users.iter().map(|user| (*user).to_owned()).collect(), *next)?;
        }
        Ok(arrived.users.len())
    }

    #[test]
    fn a_list_of_members_is_whole_or_unknown() {
        const NOBODY: &[&str] = &[];
        assert_eq!(read(&[(&["a", "b"], Some("1")), (&[], Some("2")), (&["c"], None)]), Ok(3));
        let unknown = |pages: &[(&[&str], Option<&str>)], why: &str| {
            let found = read(pages).unwrap_err();
            assert!(found.contains(why), "{found}");
        };
        unknown(&[(&["a", "b"], Some("1")), (&["b"], None)], "shows the member b twice");
        unknown(&[(&["a"], Some("1")), (&["b"], Some("1"))], "no end");
        let tokens: Vec<String> = (0..MOST_PAGES).map(|page| page.to_string()).collect();
        let pages: Vec<(&[&str], Option<&str>)> =
            tokens.iter().map(|token| (NOBODY, Some(token.as_str()))).collect();
        unknown(&pages, "more than 10000 pages");
    }
}
