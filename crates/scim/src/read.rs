//! Everything that can be asked without changing anything.

use beadle_engine::{Class, Failure};
use beadle_transport::TransportError;

use crate::api::{Api, encoded};
use crate::dialect::{Dialect, Members};
use crate::filter::Filter;
use crate::model::{Group, User};

/// Reads a server.
#[derive(Clone)]
pub struct Reader {
    pub(crate) api: Api,
}

impl Reader {
    /// A reader of this server.
    pub fn new(api: Api) -> Self {
        Self { api }
    }

    /// How the server is talked to.
    pub fn dialect(&self) -> Dialect {
        self.api.dialect()
    }

    /// All groups, without their members.
    pub async fn groups(&self) -> Result<Vec<Group>, Failure> {
        Ok(self.api.list("Groups", None, Some("members")).await?)
    }

    /// One group; `None` where there is none.
    pub async fn group(&self, id: &str) -> Result<Option<Group>, Failure> {
        let group = found(self.api.get(&format!("Groups/{}", encoded(id))).await)?;
        self.api.is_version(id, group.as_ref().and_then(|group| group.version.clone()));
        Ok(group)
    }

    /// The group of this name; names are unique, and compared without case.
    pub async fn group_named(&self, name: &str) -> Result<Option<Group>, Failure> {
        let filter = Filter::eq("displayName", name);
        let found: Vec<Group> = self.api.list("Groups", Some(&filter), Some("members")).await?;
        only(found.into_iter().filter(|group| group.name.eq_ignore_ascii_case(name)), "group", name)
    }

    /// The group that its owner gave this id. Where the server does not let groups be asked for by it, none is known.
    pub async fn group_with_external_id(&self, id: &str) -> Result<Option<Group>, Failure> {
        let filter = Filter::eq("externalId", id);
        let found: Vec<Group> = match self.api.list("Groups", Some(&filter), Some("members")).await {
            Ok(found) => found,
            Err(error) if error.status() == Some(400) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        only(found.into_iter().filter(|group| group.external_id.as_deref() == Some(id)), "group", id)
    }

    /// All users.
    pub async fn users(&self) -> Result<Vec<User>, Failure> {
        Ok(self.api.list("Users", None, None).await?)
    }

    /// The user that its owner gave this id.
    pub async fn user_with_external_id(&self, id: &str) -> Result<Option<User>, Failure> {
        let filter = Filter::eq("externalId", id);
        let found: Vec<User> = self.api.list("Users", Some(&filter), None).await?;
        only(found.into_iter().filter(|user| user.external_id.as_deref() == Some(id)), "user", id)
    }

    /// The user of this name; names are unique, and compared without case.
    pub async fn user_named(&self, name: &str) -> Result<Option<User>, Failure> {
        let filter = Filter::eq("userName", name);
        let found: Vec<User> = self.api.list("Users", Some(&filter), None).await?;
        only(found.into_iter().filter(|user| user.user_name.eq_ignore_ascii_case(name)), "user", name)
    }

    /// Who is in a group, by user where the server shows users, else by id alone. `None` where there is no such group,
    /// as far as the server says so: AWS gives an empty list.
    pub async fn members(&self, group: &str) -> Result<Option<Vec<Member>>, Failure> {
        match self.api.dialect().members {
            Members::Users => {
                let filter = Filter::eq("groups.value", group);
                let users: Vec<User> = self.api.list("Users", Some(&filter), None).await?;
                Ok(Some(
                    users.into_iter().map(|user| Member { id: user.id.clone(), user: Some(user) }).collect(),
                ))
            }
            Members::Group => {
                let found = self.group(group).await?;
                Ok(found.map(|group| group.members.into_iter().map(|id| Member { id, user: None }).collect()))
            }
        }
    }

    /// The groups that a user is in.
    pub async fn groups_of(&self, user: &str) -> Result<Vec<Group>, Failure> {
        let filter = Filter::eq("members.value", user);
        Ok(self.api.list("Groups", Some(&filter), Some("members")).await?)
    }
}

/// A member as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The user's id.
    pub id: String,
    /// The user, where the server shows it.
    pub user: Option<User>,
}

fn found(answer: Result<beadle_transport::Answer, TransportError>) -> Result<Option<Group>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer.json()?)),
        Err(error) if error.status() == Some(404) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The only one there is. Two are none that could be trusted.
fn only<T>(mut found: impl Iterator<Item = T>, what: &str, name: &str) -> Result<Option<T>, Failure> {
    let first = found.next();
    if first.is_some() && found.next().is_some() {
        let text = format!("the target has more than one {what} `{name}`; leave only one of them");
        return Err(Failure::new(Class::Rejected, text));
    }
    Ok(first)
}
