//! Where it is declared who is in a group.

mod okta;
mod survey;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Failure, Time};
use serde_json::{Value, json};

pub use okta::{Catchup, Caught, OktaSource};
pub use survey::{People, Survey, Surveyed};

/// A group of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceGroup {
    /// Its id, which stays.
    pub id: String,
    /// Its name, which may change.
    pub name: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The directory's id of them, which stays.
    pub id: String,
    /// What they sign in with.
    pub login: String,
    /// Their address.
    pub email: Option<String>,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// As they want to be called.
    pub display: String,
    /// Their access should go.
    pub is_leaving: bool,
    /// How it stands with them, in the directory's word.
    pub status: String,
    /// An account may be made for them: they are active.
    pub may_be_made: bool,
}

impl Person {
    /// What an account of theirs has to say, by SCIM's paths.
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
    /// All groups.
    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure>;
    /// One group, as it is now; `None` where there is none.
    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure>;
    /// How many members the directory says a group has; `None` where it does not.
    async fn count(&self, group: &str) -> Result<Option<u64>, Failure>;
    /// Everybody in a group, as one list shows it. Who is not in it may have been left out: nobody
    /// leaves because of it.
    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Everybody in a group, held against how many the directory says there are: complete or not at
    /// all.
    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure>;
    /// Everybody of the directory, but for those who are deactivated.
    async fn people(&self) -> Result<Vec<Person>, Failure>;
    /// The groups that the directory itself brings to a target, as far as that can be asked. Theirs is the word.
    async fn pushed(&self) -> Result<BTreeSet<String>, Failure>;
    /// One person, asked for alone; `None` where there is none.
    async fn person(&self, id: &str) -> Result<Option<Person>, Failure>;
    /// One look at the whole directory for all runs whose last mark is a sweep's, made at `mark`. It
    /// begins after that mark; `now` is the time of the question. `None`: there is none, and each
    /// run reads for itself.
    async fn survey(&self, mark: Time, now: Time) -> Result<Option<Arc<Survey>>, Failure>;
    /// Everybody of the directory but for those who are deactivated, read after a survey began.
    /// `None`: they cannot be read, or not at a fair cost.
    async fn surveyed_people<'a>(&self, survey: &'a Survey) -> Result<Option<&'a People>, Failure>;
    /// The groups that a person is in.
    async fn groups_of(&self, person: &str) -> Result<Vec<SourceGroup>, Failure>;
}
