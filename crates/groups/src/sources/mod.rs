//! Sources: the directories that declare the members of groups.

mod okta;
mod survey;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Failure, Lane, Time};
use serde_json::{Value, json};

pub use okta::{Catchup, Caught, OktaSource};
pub use survey::{People, Survey, Surveyed};

/// A group of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    /// The id, which does not change.
    pub id: String,
    /// The name, which may change.
    pub name: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The directory's id, which does not change.
    pub id: String,
    /// The sign-in name.
    pub login: String,
    /// The mail address.
    pub email: Option<String>,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// The display name.
    pub display: String,
    /// Whether the person's access should go.
    pub is_leaving: bool,
    /// The status, in the directory's word.
    pub status: String,
    /// Whether Beadle may create an account for the person: the person is active.
    pub may_be_made: bool,
}

impl Person {
    /// Returns the values that the person's account must have, by SCIM path.
    pub(crate) fn values(&self) -> Vec<(&'static str, Value)> {
        let mut values = vec![
            ("userName", json!(self.login)),
            ("externalId", json!(self.id)),
            ("active", json!(true)),
            ("name.givenName", json!(self.given)),
            ("name.familyName", json!(self.family)),
            ("displayName", json!(self.display)),
        ];
        values.extend(self.email.as_ref().map(|email| ("emails", json!(email))));
        values
    }
}

/// A directory.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Returns the same directory for reads in this lane. Both share their surveys.
    fn in_lane(&self, lane: Lane) -> Arc<dyn Source>;
    /// Returns all groups.
    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure>;
    /// Returns one group as it is now; `None` if there is none.
    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure>;
    /// Returns the number of members of a group by the directory's own count; `None` if the
    /// directory does not count.
    async fn count(&self, group: &str) -> Result<Option<u64>, Failure>;
    /// Returns the people of a group from one list. The list may lack somebody, so it removes
    /// nobody.
    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Returns the people of a group, compared with the directory's count: all of them, or an
    /// error.
    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Returns all people of the directory except the deactivated ones.
    async fn people(&self) -> Result<Vec<Person>, Failure>;
    /// Returns the groups that the directory pushes to a target itself, as far as it shows them.
    async fn pushed(&self) -> Result<BTreeSet<String>, Failure>;
    /// Reads one person. Returns `None` if the person does not exist.
    async fn person(&self, id: &str) -> Result<Option<Person>, Failure>;
    /// Returns one survey of the whole directory for all runs whose last mark is a sweep's, made at
    /// `mark`. The survey begins after that mark; `now` is the present time. `None`: there is no
    /// survey, and each run reads for itself.
    async fn survey(&self, mark: Time, now: Time) -> Result<Option<Arc<Survey>>, Failure>;
    /// Returns all people of the directory except the deactivated ones, read after a survey began;
    /// `None` if they cannot be read, or cost too many calls.
    async fn surveyed_people<'a>(&self, survey: &'a Survey) -> Result<Option<&'a People>, Failure>;
    /// Returns the groups of a person.
    async fn groups_of(&self, person: &str) -> Result<Vec<SourceGroup>, Failure>;
}
