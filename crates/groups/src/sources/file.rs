//! A source that reads teams and their members from a file. The file identifies people by their
//! accounts at the target.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane, Time};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::{People, Person, Source, SourceGroup, Survey};
use crate::mapping::Role;

/// A team of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTeam {
    /// The id, which stays the same when the team gets a new name.
    pub id: String,
    /// The name.
    pub name: String,
    /// The description, if the file sets one.
    pub description: Option<String>,
    /// The settings that the file sets, by name.
    pub settings: BTreeMap<&'static str, Value>,
    /// The accounts of the members, in lower case. Each account has a role if the file sets the
    /// roles of the team.
    pub members: BTreeMap<String, Option<Role>>,
}

/// A function that reads the teams of the file. An error means that the teams are unknown.
pub type ReadTeams = Arc<dyn Fn() -> BoxFuture<'static, Result<Arc<Vec<FileTeam>>, String>> + Send + Sync>;

/// A source that reads teams from a file.
#[derive(Clone)]
pub struct FileSource(ReadTeams);

impl FileSource {
    /// Creates a source that reads its teams with this function.
    pub fn new(read: ReadTeams) -> Self {
        Self(read)
    }

    /// Creates a source that always has these teams. If the teams are unknown, `teams` is the
    /// reason.
    pub fn fixed(teams: Result<Vec<FileTeam>, String>) -> Self {
        let teams = teams.map(Arc::new);
        Self(Arc::new(move || {
            let teams = teams.clone();
            async move { teams }.boxed()
        }))
    }

    /// Reads all teams.
    pub async fn teams(&self) -> Result<Arc<Vec<FileTeam>>, Failure> {
        (self.0)().await.map_err(|why| Failure::new(Class::Retry, why))
    }

    async fn team(&self, id: &str) -> Result<Option<FileTeam>, Failure> {
        Ok(self.teams().await?.iter().find(|team| team.id == id).cloned())
    }
}

fn person(account: &str, role: Option<Role>) -> Person {
    Person {
        id: account.to_owned(),
        login: account.to_owned(),
        email: None,
        given: String::new(),
        family: String::new(),
        display: account.to_owned(),
        is_leaving: false,
        status: "declared".into(),
        may_be_made: false,
        profile: Map::new(),
        account: Some(account.to_owned()),
        role,
    }
}

fn group(team: &FileTeam) -> SourceGroup {
    SourceGroup {
        id: team.id.clone(),
        name: team.name.clone(),
        description: team.description.clone(),
        settings: team.settings.clone(),
    }
}

#[async_trait]
impl Source for FileSource {
    fn in_lane(&self, _: Lane) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }

    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure> {
        Ok(self.teams().await?.iter().map(group).collect())
    }

    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure> {
        Ok(self.team(id).await?.as_ref().map(group))
    }

    async fn count(&self, id: &str) -> Result<Option<u64>, Failure> {
        Ok(self.team(id).await?.map(|team| team.members.len() as u64))
    }

    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        let Some(team) = self.team(&group.id).await? else {
            let text = format!("the file no longer has the team {}; Beadle reads the file again", group.name);
            return Err(Failure::new(Class::Retry, text));
        };
        Ok(team.members.iter().map(|(account, role)| person(account, *role)).collect())
    }

    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        // Beadle reads the file as a whole, so a list from the file is always complete.
        self.members(group).await
    }

    async fn people(&self) -> Result<Vec<Person>, Failure> {
        let teams = self.teams().await?;
        let accounts: BTreeSet<&String> = teams.iter().flat_map(|team| team.members.keys()).collect();
        Ok(accounts.into_iter().map(|account| person(account, None)).collect())
    }

    async fn pushed(&self) -> Result<BTreeSet<String>, Failure> {
        Ok(BTreeSet::new())
    }

    async fn person(&self, id: &str) -> Result<Option<Person>, Failure> {
        let (teams, id) = (self.teams().await?, id.to_lowercase());
        let is_known = teams.iter().any(|team| team.members.contains_key(&id));
        Ok(is_known.then(|| person(&id, None)))
    }

    async fn survey(&self, _: Time, _: Time) -> Result<Option<Arc<Survey>>, Failure> {
        // The file needs no survey, because each run reads the file itself. This read needs no
        // request.
        Ok(None)
    }

    async fn surveyed_people<'a>(&self, _: &'a Survey) -> Result<Option<&'a People>, Failure> {
        Ok(None)
    }

    async fn groups_of(&self, person: &str) -> Result<Option<Vec<SourceGroup>>, Failure> {
        let (teams, id) = (self.teams().await?, person.to_lowercase());
        Ok(Some(teams.iter().filter(|team| team.members.contains_key(&id)).map(group).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ops() -> FileTeam {
        let members = [("ada", Some(Role::Maintainer)), ("bob", None)];
        FileTeam {
            id: "devs".into(),
            name: "Ops".into(),
            description: None,
            settings: BTreeMap::new(),
            members: members.map(|(account, role)| (account.to_owned(), role)).into(),
        }
    }

    #[tokio::test]
    async fn the_people_of_a_team_are_the_accounts_of_the_file() {
        let source = FileSource::fixed(Ok(vec![ops()]));
        let group = source.group("devs").await.unwrap().unwrap();
        assert_eq!(group.name, "Ops");
        let members = source.members_counted(&group).await.unwrap();
        let known: Vec<_> = members.iter().map(|one| (one.account.as_deref().unwrap(), one.role)).collect();
        assert_eq!(known, [("ada", Some(Role::Maintainer)), ("bob", None)]);
        assert_eq!(source.count("devs").await.unwrap(), Some(2));
        assert_eq!(source.groups_of("ADA").await.unwrap().unwrap().len(), 1);
        assert!(source.person("carl").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_unknown_and_not_empty() {
        let source = FileSource::fixed(Err("teams.yml:1: a mistake".into()));
        assert!(source.groups().await.is_err() && source.group("devs").await.is_err());
        assert!(source.people().await.is_err() && source.count("devs").await.is_err());
    }
}
