//! Groups of a SCIM 2.0 server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure};
use beadle_scim::{Group, Member, NewUser, Reader, User, Writer};
use serde_json::Value;

use super::{Account, Found, NewGroup, Refused, TargetGroup, TargetReader, TargetWriter};
use crate::mapping::Role;
use crate::sources::Person;

/// From so many people on who are looked for at once, all users are read: a page of them costs as much as one of them.
const MANY: usize = 20;

/// What was seen before. It saves questions, and nobody is taken out of a group because of it.
#[derive(Default)]
struct Seen {
    /// Names by group id.
    names: HashMap<String, String>,
    /// Accounts by the id of the person.
    people: HashMap<String, Account>,
    /// People by the id of the account.
    accounts: HashMap<String, Account>,
    /// How many users there are, when all were read.
    users: usize,
}

/// Another way to know who is in a server's groups than asking the server itself.
#[async_trait]
pub trait Memberships: Send + Sync + 'static {
    /// The ids of everybody in a group, complete or not at all; `None` where there is no such group.
    async fn of(&self, group: &str) -> Result<Option<Vec<String>>, Failure>;
}

/// Reads a SCIM server's groups.
pub struct ScimReader {
    scim: Reader,
    memberships: Option<Arc<dyn Memberships>>,
    seen: Arc<Mutex<Seen>>,
}

/// What an account says that a person has to say too.
const VALUES: [&str; 7] =
    ["userName", "externalId", "active", "name.givenName", "name.familyName", "displayName", "emails"];

fn account(user: User) -> Account {
    let values: BTreeMap<&'static str, Value> = VALUES.iter().map(|path| (*path, user.value(path))).collect();
    let email = values["emails"].as_str().map(str::to_owned);
    let person = user.external_id.filter(|id| !id.is_empty());
    Account {
        id: user.id,
        name: Some(user.user_name),
        person,
        known_as: Vec::new(),
        email,
        role: None,
        values,
    }
}

fn target(group: Group) -> TargetGroup {
    TargetGroup { id: group.id, name: group.name, external_id: group.external_id, description: None }
}

impl ScimReader {
    /// A reader of this server's groups.
    pub fn new(scim: Reader) -> Self {
        Self { scim, memberships: None, seen: Arc::default() }
    }

    /// Knows who is in a group from elsewhere.
    #[must_use]
    pub fn knowing(mut self, memberships: Arc<dyn Memberships>) -> Self {
        self.memberships = Some(memberships);
        self
    }

    /// Who is in a group; `None` where there is no such group.
    async fn listed(&self, id: &str) -> Result<Option<Vec<Member>>, Failure> {
        if let Some(memberships) = &self.memberships {
            let bare = |ids: Vec<String>| ids.into_iter().map(|id| Member { id, user: None }).collect();
            let members = memberships.of(id).await?.map(bare);
            if members.is_none() && self.scim.group(id).await?.is_some() {
                let text = format!(
                    "SCIM has the group {id}, and where its members are read it is not known: it is new, or that is the wrong store"
                );
                return Err(Failure::new(Class::Retry, text));
            }
            return Ok(members);
        }
        let Some(members) = self.scim.members(id).await? else { return Ok(None) };
        // AWS finds nobody in a group that there is not.
        let is_gone = members.is_empty() && self.scim.group(id).await?.is_none();
        Ok((!is_gone).then_some(members))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, account: &Account) {
        let mut seen = self.seen();
        let before = seen.accounts.get(&account.id).and_then(|known| known.person.clone());
        if let Some(before) = before.filter(|before| account.person.as_ref() != Some(before)) {
            seen.people.remove(&before);
        }
        if let Some(person) = &account.person {
            seen.people.insert(person.clone(), account.clone());
        }
        seen.accounts.insert(account.id.clone(), account.clone());
    }

    async fn all_users(&self) -> Result<(), Failure> {
        let users = self.scim.users().await?;
        {
            let mut seen = self.seen();
            seen.users = users.len();
            seen.people.clear();
        }
        for user in users {
            self.remember(&account(user));
        }
        Ok(())
    }

    async fn find_one(&self, person: &Person) -> Result<Found, Failure> {
        if let Some(known) = self.seen().people.get(&person.id).cloned() {
            return Ok(Found::Account(known));
        }
        if let Some(user) = self.scim.user_with_external_id(&person.id).await? {
            let found = account(user);
            self.remember(&found);
            return Ok(Found::Account(found));
        }
        match self.scim.user_named(&person.login).await?.map(account) {
            // It carries nobody's id, or carried none yet: the name is who it is.
            Some(found) if found.person.is_none() => {
                self.remember(&found);
                Ok(Found::Account(found))
            }
            Some(found) => Ok(Found::Another(format!(
                "the user {} of the target has the externalId {}, and {} is {} in the directory: another person; mend the \
                 externalId at the target, or the login",
                found.label(),
                found.person.as_deref().unwrap_or_default(),
                person.login,
                person.id
            ))),
            None => Ok(Found::Missing(format!(
                "the target has no user {} (or with the externalId {})",
                person.login, person.id
            ))),
        }
    }
}

#[async_trait]
impl TargetReader for ScimReader {
    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.scim.group(id).await?.map(target))
    }

    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.scim.group_named(name).await?.map(target))
    }

    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.scim.group_with_external_id(external_id).await?.map(target))
    }

    fn known(&self, id: &str) -> Option<TargetGroup> {
        let name = self.seen().names.get(id).cloned()?;
        Some(TargetGroup { id: id.to_owned(), name, external_id: None, description: None })
    }

    async fn look(&self) -> Result<usize, Failure> {
        let groups = self.scim.groups().await?;
        let count = groups.len();
        // Who has which account is asked anew.
        self.seen().people.clear();
        self.seen().accounts.clear();
        self.seen().names = groups.into_iter().map(|group| (group.id, group.name)).collect();
        Ok(count)
    }

    async fn members(&self, id: &str) -> Result<Option<Vec<Account>>, Failure> {
        let Some(members) = self.listed(id).await? else { return Ok(None) };
        let bare = members.iter().filter(|member| member.user.is_none());
        let strange = bare.filter(|member| !self.seen().accounts.contains_key(&member.id)).count();
        if strange > 0 {
            self.all_users().await?;
        }
        let mut accounts = Vec::with_capacity(members.len());
        for member in members {
            let found = match member.user {
                Some(user) => {
                    let found = account(user);
                    self.remember(&found);
                    found
                }
                None => self.seen().accounts.get(&member.id).cloned().unwrap_or(Account {
                    id: member.id,
                    name: None,
                    person: None,
                    known_as: Vec::new(),
                    email: None,
                    role: None,
                    values: BTreeMap::new(),
                }),
            };
            accounts.push(found);
        }
        Ok(Some(accounts))
    }

    async fn find(&self, _: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let strange = people.iter().filter(|person| !self.seen().people.contains_key(&person.id)).count();
        if strange >= MANY.max(self.seen().users / 100)
            && let Err(failure) = self.all_users().await
        {
            return people.iter().map(|_| Err(failure.clone())).collect();
        }
        let mut found = Vec::with_capacity(people.len());
        for person in people {
            found.push(self.find_one(person).await);
        }
        found
    }

    async fn told_apart_anew(&self, _: Duration) -> Result<bool, Failure> {
        // A member is seen with the id of the person.
        Ok(false)
    }

    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure> {
        let Some(user) = self.scim.user_with_external_id(person).await? else { return Ok(Vec::new()) };
        Ok(self.scim.groups_of(&user.id).await?.into_iter().map(|group| group.id).collect())
    }

    async fn kept_by(&self, _: &str) -> Result<Option<String>, Failure> {
        // SCIM does not tell who else writes.
        Ok(None)
    }

    fn changes_at_once(&self) -> usize {
        self.scim.dialect().changes
    }
}

/// Writes a SCIM server's groups.
pub struct ScimWriter {
    scim: Writer,
    reader: Reader,
    seen: Arc<Mutex<Seen>>,
}

impl ScimWriter {
    /// A writer of this server's groups.
    pub fn new(scim: Writer, reader: &ScimReader) -> Self {
        Self { scim, reader: reader.scim.clone(), seen: reader.seen.clone() }
    }
}

fn refused(list: Vec<beadle_scim::Refused>) -> Vec<Refused> {
    list.into_iter().map(|one| Refused { account: one.member, why: one.why }).collect()
}

#[async_trait]
impl TargetWriter for ScimWriter {
    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure> {
        let NewGroup { name, external_id, .. } = *new;
        if let Some(made) = self.scim.create_group(name, external_id).await? {
            return Ok(target(made));
        }
        // There is one with this id, the echo of what we made before; or one of this name, somebody else's.
        if let Some(found) = self.reader.group_with_external_id(external_id).await? {
            return Ok(target(found));
        }
        match self.reader.group_named(name).await? {
            Some(found) if found.external_id.as_deref() == Some(external_id) => Ok(target(found)),
            Some(_) => {
                let text = format!(
                    "the target has a group {name} that is not ours; rename one of them, or say adopt = true"
                );
                Err(Failure::new(Class::Rejected, text))
            }
            None => {
                let text =
                    format!("the target says that {name} is there, and does not show it; trying again");
                Err(Failure::new(Class::Retry, text))
            }
        }
    }

    async fn rename(&self, group: &str, name: &str) -> Result<(), Failure> {
        self.scim.rename_group(group, name).await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.names.insert(group.to_owned(), name.to_owned());
        Ok(())
    }

    async fn describe(&self, _: &str, _: &str, _: &str) -> Result<(), Failure> {
        Err(Failure::new(Class::Rejected, "SCIM's groups have no description"))
    }

    async fn add(&self, group: &str, accounts: &[String], _: Role) -> Result<Vec<Refused>, Failure> {
        let refused = refused(self.scim.add_members(group, accounts).await?);
        // Whom the target does not know any more has another account, or none.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.people
            .retain(|_, known| refused.is_empty() || !refused.iter().any(|one| one.account == known.id));
        Ok(refused)
    }

    async fn remove(&self, group: &str, accounts: &[String]) -> Result<Vec<Refused>, Failure> {
        Ok(refused(self.scim.remove_members(group, accounts).await?))
    }

    async fn delete(&self, group: &str) -> Result<(), Failure> {
        self.scim.delete_group(group).await
    }

    async fn provision(&self, person: &Person) -> Result<Account, Failure> {
        let user = NewUser {
            user_name: person.login.clone(),
            external_id: person.id.clone(),
            given: person.given.clone(),
            family: person.family.clone(),
            display: person.display.clone(),
            email: person.email.clone(),
        };
        if let Some(made) = self.scim.create_user(&user).await? {
            return Ok(account(made));
        }
        let found = match self.reader.user_with_external_id(&person.id).await? {
            Some(found) => Some(found),
            None => self.reader.user_named(&person.login).await?,
        };
        let found = found.filter(|found| found.external_id.as_ref().is_none_or(|id| *id == person.id));
        let Some(found) = found else {
            let text = format!("the target has a user {} that is another person", person.login);
            return Err(Failure::new(Class::Rejected, text));
        };
        let found = account(found);
        let values: Vec<_> =
            found.differences(person).into_iter().map(|(path, _, after)| (path, after)).collect();
        self.update(&found.id, &values).await?;
        Ok(found)
    }

    async fn update(&self, account: &str, values: &[(&'static str, Value)]) -> Result<(), Failure> {
        if values.is_empty() {
            return Ok(());
        }
        self.scim.update_user(account, values).await?;
        // What was known of it is no longer so.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.accounts.remove(account);
        seen.people.retain(|_, known| known.id != account);
        Ok(())
    }
}
