//! Writes the groups of a SCIM server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane};
use beadle_scim::{Attribute, NewUser, Writer};
use serde_json::Value;

use super::written::Written;
use super::{By, ScimReader, target};
use crate::links::is_form_of;
use crate::mapping::{OWNED, Role};
use crate::sources::Person;
use crate::targets::{Found, NewGroup, Refused, StopNote, TargetAccount, TargetGroup, TargetWriter};

/// The maximum age of remembered members before a write. If the remembered members were older,
/// Beadle could wrongly believe that the write removed a member who had already left.
const RECENT: Duration = Duration::from_secs(5);

/// Writes the groups of a SCIM server.
pub struct ScimWriter {
    pub(super) scim: Writer,
    pub(super) reader: ScimReader,
}

impl ScimWriter {
    /// Creates a writer for the server's groups.
    pub fn new(scim: Writer, reader: &ScimReader) -> Self {
        Self { scim, reader: reader.clone() }
    }

    /// Returns an error if the target is stopped, because the target did not store an earlier write
    /// correctly.
    fn may_write(&self) -> Result<(), Failure> {
        if let Some(why) = self.stopped() {
            return Err(Failure::new(Class::Rejected, format!("{}: {why}", crate::links::STOPPED)));
        }
        if self.reader.seen().putting_back > 0 {
            let text = "Beadle first puts back members that the target removed from another group; retrying";
            return Err(Failure::new(Class::Retry, text));
        }
        Ok(())
    }

    /// Forgets the values of an account, because the values have changed.
    fn forget_values(&self, account: &str) {
        let mut seen = self.reader.seen();
        seen.accounts.remove(account);
        seen.people.retain(|_, known| known.id != account);
    }

    /// Returns the name that a server shows for a group, if this name can differ from the given
    /// name. A server with a documented dialect always shows the given name.
    async fn scim_shows(&self, group: &str) -> Result<Option<String>, Failure> {
        if self.reader.scim.dialect().trusted {
            return Ok(None);
        }
        Ok(self.reader.scim.group(group).await?.map(|group| group.name))
    }

    /// Returns the members of a group before a write of members. If the remembered members are
    /// recent, returns the remembered members. Otherwise, reads the present members. Returns `None`
    /// if the group does not exist. Also returns `None` if the members do not come from SCIM,
    /// because Beadle reads back only members that come from SCIM.
    ///
    /// Beadle then forgets the members until it has read the write back. If the effect of a write
    /// is unknown, the write possibly removed a member, and Beadle could wrongly treat the next
    /// write as the cause of this removal. So if Beadle has not read back the previous write yet,
    /// this function reads the previous write back first.
    async fn before(&self, group: &str, stop: &dyn StopNote) -> Result<Option<BTreeSet<String>>, Failure> {
        if self.reader.memberships.is_some() {
            return Ok(None);
        }
        self.settle(group, stop).await?;
        let now = self.reader.scim.clock().now();
        let known = self.reader.seen().members.get(group).cloned();
        let before = match known {
            Some((at, known)) if now.since(at) < RECENT => Some(known),
            _ => {
                let members = self.reader.scim.members(group).await?;
                members.map(|members| members.into_iter().map(|member| member.id).collect())
            }
        };
        if let Some(ids) = &before {
            self.reader.confirm_missing(group, ids).await?;
        }
        self.reader.seen().members.remove(group);
        Ok(before)
    }

    /// Handles a rename if another group already has the new name. If two groups swap their names,
    /// Beadle gives one of the groups a temporary third name.
    async fn taken(&self, group: &str, name: &str, waiting: &BTreeMap<String, String>) -> Failure {
        let holder = match self.reader.find_group(By::Name, name, true).await {
            Ok(Some(holder)) if holder.id != group => holder,
            Ok(_) => {
                let text = format!(
                    "the target reports that the name {name} is taken, and shows no other group with that name"
                );
                return Failure::new(Class::Retry, text);
            }
            Err(failure) => return failure.during(format!("looking for the owner of the name {name}")),
        };
        let whose = holder.external_id.as_deref().unwrap_or("not made by Beadle");
        if !holder.external_id.as_deref().is_some_and(|id| id.starts_with(OWNED)) {
            let text = format!(
                "the group {} of the target ({whose}) has the name {name}; rename one of them",
                holder.id
            );
            return Failure::new(Class::Rejected, text);
        }
        let known = self.reader.seen().names.get(group).cloned();
        let own = match known {
            Some(own) => Some(own),
            None => match self.reader.scim.group(group).await {
                Ok(found) => found.map(|found| found.name),
                Err(failure) => return failure,
            },
        };
        let in_circle = {
            let mut seen = self.reader.seen();
            seen.wanted.insert(group.to_owned(), name.to_owned());
            // It is possible that the other group waits until it can get the name of this group. If
            // the other group waits, this process remembers the wait, or another process has stored
            // it.
            let wants = seen.wanted.get(&holder.id).or_else(|| waiting.get(&holder.id));
            own.zip(wants).is_some_and(|(own, wants)| own.eq_ignore_ascii_case(wants))
        };
        if !in_circle {
            let text = format!("the group {} ({whose}) still has the name {name}; retrying", holder.id);
            return Failure::new(Class::Retry, text);
        }
        let between = format!("{name} ({group})");
        match self.scim.rename_group(group, &between).await {
            Ok(true) => {
                self.reader.seen().names.insert(group.to_owned(), between.clone());
                let text = format!(
                    "the groups {group} and {} ({whose}) swap their names; {group} has the temporary name {between} \
                     until the swap is complete",
                    holder.id
                );
                Failure::new(Class::Retry, text)
            }
            Ok(false) => Failure::new(Class::Retry, format!("the names {name} and {between} are both taken")),
            Err(failure) => failure,
        }
    }
}

fn refused(list: Vec<beadle_scim::Refused>) -> Vec<Refused> {
    list.into_iter().map(|one| Refused { account: one.member, why: one.why }).collect()
}

/// Returns the accounts that the target did not refuse.
fn taken_of(accounts: &[String], refused: &[Refused]) -> Vec<String> {
    let is_taken = |id: &&String| !refused.iter().any(|one| one.account == **id);
    accounts.iter().filter(is_taken).cloned().collect()
}

#[async_trait]
impl TargetWriter for ScimWriter {
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetWriter> {
        Arc::new(Self { scim: self.scim.in_lane(lane), reader: self.reader.with_lane(lane) })
    }

    fn stopped(&self) -> Option<String> {
        self.reader.seen().stopped.clone()
    }

    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure> {
        self.may_write()?;
        let NewGroup { name, external_id, .. } = *new;
        if let Some(made) = self.scim.create_group(name, external_id).await? {
            // Beadle reads the members back after a write only if the members come from SCIM.
            if self.reader.memberships.is_none() {
                let now = self.reader.scim.clock().now();
                self.reader.seen().members.insert(made.id.clone(), (now, BTreeSet::new()));
            }
            return Ok(target(made));
        }
        // The server refuses the creation in two cases: Beadle already created a group with this
        // id, or another group has the same name.
        if let Some(found) = self.reader.find_group(By::ExternalId, external_id, true).await? {
            return Ok(target(found));
        }
        match self.reader.find_group(By::Name, name, true).await? {
            Some(found) if found.external_id.as_deref() == Some(external_id) => Ok(target(found)),
            Some(found) => {
                let text = format!(
                    "the target has a group {name} that Beadle did not create ({}); rename one of them, or set adopt = true",
                    found.external_id.as_deref().unwrap_or("without an externalId")
                );
                Err(Failure::new(Class::Rejected, text))
            }
            None => {
                let text = format!("the target reports that {name} exists, and does not show it; retrying");
                Err(Failure::new(Class::Retry, text))
            }
        }
    }

    async fn rename(
        &self,
        group: &str,
        name: &str,
        waiting: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Failure> {
        self.may_write()?;
        if !self.scim.rename_group(group, name).await? {
            return Err(self.taken(group, name, waiting).await);
        }
        let shown = match self.scim_shows(group).await? {
            Some(shown) if is_form_of(name, &shown) => Some(shown),
            Some(other) if other != name => {
                let text = format!(
                    "the target answered that the group {group} was renamed to {name}, and did not rename it: the group is called {other}"
                );
                return Err(Failure::new(Class::Retry, text));
            }
            _ => None,
        };
        let mut seen = self.reader.seen();
        seen.wanted.remove(group);
        seen.names.insert(group.to_owned(), shown.clone().unwrap_or_else(|| name.to_owned()));
        Ok(shown)
    }

    async fn describe(&self, _: &str, _: &str, _: &str) -> Result<(), Failure> {
        Err(Failure::new(Class::Rejected, "groups of SCIM have no description"))
    }

    async fn add(
        &self,
        group: &str,
        accounts: &[String],
        _: Role,
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure> {
        self.may_write()?;
        let before = self.before(group, stop).await?;
        let written = Written { group, added: accounts, removed: &[], before, shown: None };
        self.begin(&written, stop).await?;
        let changed = match self.scim.add_members(group, accounts).await {
            Ok(changed) => changed,
            Err(failure) => return Err(self.verify_failed(&written, failure, stop).await),
        };
        let refused = refused(changed.refused);
        if !refused.is_empty() {
            // If the remembered account no longer exists, Beadle forgets it. The person then has
            // another account, or no account.
            let is_refused = |known: &TargetAccount| refused.iter().any(|one| one.account == known.id);
            self.reader.seen().people.retain(|_, known| !is_refused(known));
        }
        let added = taken_of(accounts, &refused);
        let written = Written { added: &added, shown: changed.shown, ..written };
        self.verify(&written, stop).await?;
        Ok(refused)
    }

    async fn remove(
        &self,
        group: &str,
        accounts: &[String],
        stop: &dyn StopNote,
    ) -> Result<Vec<Refused>, Failure> {
        self.may_write()?;
        let before = self.before(group, stop).await?;
        let written = Written { group, added: &[], removed: accounts, before, shown: None };
        self.begin(&written, stop).await?;
        let changed = match self.scim.remove_members(group, accounts).await {
            Ok(changed) => changed,
            Err(failure) => return Err(self.verify_failed(&written, failure, stop).await),
        };
        let refused = refused(changed.refused);
        let removed = taken_of(accounts, &refused);
        let written = Written { removed: &removed, shown: changed.shown, ..written };
        self.verify(&written, stop).await?;
        Ok(refused)
    }

    async fn delete(&self, group: &str) -> Result<(), Failure> {
        self.may_write()?;
        self.scim.delete_group(group).await
    }

    async fn provision(&self, person: &Person) -> Result<TargetAccount, Failure> {
        self.may_write()?;
        let user = NewUser {
            user_name: person.login.clone(),
            external_id: person.id.clone(),
            given: person.given.clone(),
            family: person.family.clone(),
            display: person.display.clone(),
            email: person.email.clone(),
            attributes: self.reader.attributes.known(person),
        };
        if let Some(made) = self.scim.create_user(&user).await? {
            return Ok(self.reader.account(made));
        }
        let found = match self.reader.find_one(person).await? {
            Found::TargetAccount(found) => found,
            Found::Another(_) | Found::NewOwner(_) => {
                let text = format!("the target has a user {} that is another person", person.login);
                return Err(Failure::new(Class::Rejected, text));
            }
            Found::Missing(_) => {
                let text = format!(
                    "the target reports that the user {} exists, and does not show it; retrying",
                    person.login
                );
                return Err(Failure::new(Class::Retry, text));
            }
        };
        let values: Vec<_> =
            found.differences(person).into_iter().map(|(path, _, after)| (path, after)).collect();
        self.update(&found.id, &values).await?;
        // The account already exists. So Beadle leaves the removal of a value to the next plan, in
        // which the guard counts the removal.
        let wanted = found.attributes_to_set(&self.reader.attributes.known(person)).into_iter();
        let wanted = wanted.filter(|(.., after)| !after.is_null());
        let wanted: Vec<_> = wanted.map(|(attribute, _, after)| (attribute, after)).collect();
        self.set_attributes(&found.id, &wanted).await?;
        Ok(found)
    }

    async fn update(&self, account: &str, values: &[(&'static str, Value)]) -> Result<(), Failure> {
        if values.is_empty() {
            return Ok(());
        }
        self.may_write()?;
        let mut values = values.to_vec();
        if let Some((_, email)) = values.iter_mut().find(|(path, _)| *path == "emails")
            && let Some(address) = email.as_str()
        {
            // The write replaces the whole list of addresses, so Beadle reads the present list first.
            let user = self.reader.scim.user(account).await?;
            *email = user.ok_or_else(|| vanished(account))?.emails_with(address);
        }
        self.scim.update_user(account, &values).await?;
        self.forget_values(account);
        Ok(())
    }

    async fn set_attributes(&self, account: &str, values: &[(Attribute, Value)]) -> Result<(), Failure> {
        if values.is_empty() {
            return Ok(());
        }
        self.may_write()?;
        // A write of a phone number or an address replaces the whole list, so Beadle reads the
        // present list before the write.
        let user = self.reader.scim.user(account).await?.ok_or_else(|| vanished(account))?;
        self.scim.set_attributes(&user, values).await?;
        self.forget_values(account);
        Ok(())
    }
}

fn vanished(account: &str) -> Failure {
    let text = format!("the target no longer has the account {account}; Beadle reads the account again");
    Failure::new(Class::Conflict, text)
}
