//! Okta's groups.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Class, Failure};
use beadle_okta::{Group, Okta, Status, User};

use super::{Person, Source, SourceGroup};

/// Groups of an Okta organisation.
#[derive(Clone)]
pub struct OktaSource {
    okta: Okta,
    leaving: Vec<Status>,
    made: Vec<Status>,
    apps: Vec<String>,
}

impl OktaSource {
    /// `leaving`: the statuses of those whose access should go. `made`: of those for whom an account may be made. `apps`:
    /// applications into which Okta may push groups itself.
    pub fn new(okta: Okta, leaving: Vec<Status>, made: Vec<Status>, apps: Vec<String>) -> Self {
        Self { okta, leaving, made, apps }
    }

    /// What it reads.
    pub fn okta(&self) -> &Okta {
        &self.okta
    }

    fn person(&self, user: User) -> Person {
        let profile = user.profile;
        let given = profile.first_name.unwrap_or_default();
        let family = profile.last_name.unwrap_or_default();
        let display = profile.display_name.unwrap_or_else(|| format!("{given} {family}").trim().to_owned());
        let login = if profile.login.is_empty() { user.id.clone() } else { profile.login };
        Person {
            is_leaving: self.leaving.contains(&user.status),
            may_be_made: self.made.contains(&user.status),
            status: user.status.to_string(),
            id: user.id,
            email: profile.email,
            display: if display.is_empty() { login.clone() } else { display },
            login,
            given,
            family,
        }
    }
}

fn group(group: Group) -> SourceGroup {
    SourceGroup { id: group.id, name: group.name }
}

fn unknown(group: &SourceGroup, why: &str) -> Failure {
    Failure::new(Class::Retry, format!("group {}: {why}", group.name))
}

#[async_trait]
impl Source for OktaSource {
    async fn groups(&self) -> Result<Vec<SourceGroup>, Failure> {
        Ok(self.okta.groups().await?.into_iter().map(group).collect())
    }

    async fn group(&self, id: &str) -> Result<Option<SourceGroup>, Failure> {
        Ok(self.okta.group(id).await?.map(group))
    }

    async fn count(&self, group: &str) -> Result<Option<u64>, Failure> {
        self.okta.count(group).await
    }

    async fn members(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        let users = self.okta.members(&group.id).await?;
        let users = users.ok_or_else(|| unknown(group, "it went away while it was read"))?;
        Ok(users.into_iter().map(|user| OktaSource::person(self, user)).collect())
    }

    async fn members_counted(&self, group: &SourceGroup) -> Result<Vec<Person>, Failure> {
        // Counted first: who comes after that makes the list longer, and who goes makes it short, and read again.
        let count = self.okta.count(&group.id).await?;
        let count = count.ok_or_else(|| unknown(group, "Okta did not say how many members it has"))?;
        let members = self.members(group).await?;
        if (members.len() as u64) < count {
            let why = format!("the list of its members came back short ({} of {count})", members.len());
            return Err(unknown(group, &why));
        }
        Ok(members)
    }

    async fn people(&self) -> Result<Vec<Person>, Failure> {
        Ok(self.okta.users().await?.into_iter().map(|user| OktaSource::person(self, user)).collect())
    }

    async fn pushed(&self) -> Result<BTreeSet<String>, Failure> {
        let mut pushed = BTreeSet::new();
        for app in &self.apps {
            pushed.extend(self.okta.pushed(app).await?);
        }
        Ok(pushed)
    }

    async fn person(&self, id: &str) -> Result<Option<Person>, Failure> {
        Ok(self.okta.user(id).await?.map(|user| OktaSource::person(self, user)))
    }

    async fn groups_of(&self, person: &str) -> Result<Vec<SourceGroup>, Failure> {
        Ok(self.okta.groups_of(person).await?.into_iter().map(group).collect())
    }
}
