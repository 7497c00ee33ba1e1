//! A source is a directory. The groups of a source declare which people are members.

mod file;
mod okta;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Failure, Lane, Time};
use serde_json::{Map, Value, json};

use crate::mapping::Role;

pub use file::{FileSource, FileTeam, ReadTeams};
pub use okta::{Catchup, Caught, OktaSource};
pub use survey::{People, Survey, Surveyed};

/// A group of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceGroup {
    /// The id, which never changes.
    pub id: String,
    /// The name. The name of a group can change.
    pub name: String,
    /// The description that the group at the target must have, if the source sets one.
    pub description: Option<String>,
    /// The settings that the group at the target must have, by name.
    pub settings: BTreeMap<&'static str, Value>,
}

/// A person of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The id at the directory, which never changes.
    pub id: String,
    /// The sign-in name.
    pub login: String,
    /// The mail address.
    pub email: Option<String>,
    /// The given name.
    pub given: String,
    /// The family name.
    pub family: String,
    /// The display name.
    pub display: String,
    /// True if the person's status requires that Beadle removes the person's access.
    pub is_leaving: bool,
    /// The directory's word for the status of the person.
    pub status: String,
    /// True if the person's status allows that Beadle creates an account for the person.
    pub may_be_made: bool,
    /// The person's attributes that an expression of a target uses.
    pub profile: Map<String, Value>,
    /// The name of the person's account at the target, if the source contains such names.
    pub account: Option<String>,
    /// The person's role in the group, if the source sets roles.
    pub role: Option<Role>,
}

impl Person {
    /// Returns the values that the person's account at a target must have, by SCIM path.
    pub(crate) fn values(&self) -> Vec<(&'static str, Value)> {
        if self.login == self.id {
            // If the directory did not show the profile, the names are unknown.
            return vec![("externalId", json!(self.id)), ("active", json!(true))];
        }
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

/// The methods that Beadle needs to read a directory.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Returns a copy of this directory that uses this lane for its reads. The copy shares the
    /// surveys of the original.
    fn in_lane(&self, lane: Lane) -> Arc<dyn Source>;
    /// Returns all groups of the source.
    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure>;
    /// Returns the present state of one group, or `None` if it does not exist.
    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure>;
    /// Returns the number of members that the directory itself counts in a group, or `None` if the
    /// directory does not count them.
    async fn count(&self, group: &str) -> Result<Option<u64>, Failure>;
    /// Returns the people of a group from a single list. The list can lack a person, so Beadle must
    /// not remove anybody because of this list.
    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Returns all people of a group, or an error. The list is complete, because the source
    /// compares it with the directory's count.
    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Returns all people of the directory except the deactivated ones.
    async fn people(&self) -> Result<Vec<Person>, Failure>;
    /// Returns the groups that the directory itself pushes to a target, if the directory shows
    /// these groups.
    async fn pushed(&self) -> Result<BTreeSet<String>, Failure>;
    /// Reads one person. Returns `None` if the person does not exist.
    async fn person(&self, id: &str) -> Result<Option<Person>, Failure>;
    /// Returns a survey of the whole directory. Returns `None` if each run must read the directory
    /// itself. Runs share a survey if their last marks come from the same sweep. `mark` is the time
    /// at which the sweep made its marks. The read of the survey begins after this time. `now` is
    /// the present time.
    async fn survey(&self, mark: Time, now: Time) -> Result<Option<Arc<Survey>>, Failure>;
    /// Returns all people of the directory except the deactivated ones. The read of the list begins
    /// after the start of the survey. Returns `None` if the read fails, or if the list would cost
    /// too many calls.
    async fn surveyed_people<'a>(&self, survey: &'a Survey) -> Result<Option<&'a People>, Failure>;
    /// Returns the groups of a person, or `None` if the directory does not know the person.
    async fn groups_of(&self, person: &str) -> Result<Option<Vec<SourceGroup>>, Failure>;
}
