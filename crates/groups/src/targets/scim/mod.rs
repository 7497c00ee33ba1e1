//! A target with groups on a SCIM 2.0 server.

mod find;
mod readback;
mod seen;
mod unread;
mod writer;
mod written;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane, Time};
use beadle_scim::{Answered, Group, Member, Reader, User};
use futures::future::{join_all, try_join_all};
use serde_json::Value;

use self::seen::Seen;
use super::{Found, TargetAccount, TargetGroup, TargetReader};
use crate::attributes::Attributes;
use crate::sources::Person;

pub use self::writer::ScimWriter;

/// If Beadle searches for at least this number of people, it lists all users. One page of the list
/// costs as much as the search for one person.
const MANY: usize = 20;
/// The maximum age of the list of users when Beadle reports that a person is missing.
const FRESH: Duration = Duration::from_secs(60);

/// How long a sweep or an operator's command uses a remembered account of a person. A run for an
/// event reads the accounts itself, because the event might be about one of these accounts.
const BELIEVED: Duration = Duration::from_secs(300);

/// Another source of a group's members. Beadle reads the members from this source instead of the
/// SCIM server.
#[async_trait]
pub trait Memberships: Send + Sync + 'static {
    /// Returns the ids of all members of a group, or an error if the list is incomplete. Returns
    /// `None` if the group does not exist.
    async fn of(&self, group: &str) -> Result<Option<Vec<String>>, Failure>;
}

/// The attribute that Beadle uses to search for a group.
#[derive(Clone, Copy)]
enum By {
    Name,
    ExternalId,
}

impl By {
    fn fits(self, group: &Group, value: &str) -> bool {
        match self {
            Self::Name => group.name.eq_ignore_ascii_case(value),
            Self::ExternalId => group.external_id.as_deref() == Some(value),
        }
    }
}

/// Reads the groups of a SCIM server.
#[derive(Clone)]
pub struct ScimReader {
    scim: Reader,
    memberships: Option<Arc<dyn Memberships>>,
    attributes: Attributes,
    seen: Arc<Mutex<Seen>>,
    /// The lock for the reads of whole lists. Runs that need a list at the same moment share one
    /// read.
    listing: Arc<tokio::sync::Mutex<()>>,
}

/// Those attributes of an account that get their values from the person.
const VALUES: [&str; 7] =
    ["userName", "externalId", "active", "name.givenName", "name.familyName", "displayName", "emails"];

fn account(user: User, mapped: &Attributes) -> TargetAccount {
    let attributes =
        mapped.all().map(|attribute| (attribute.name().to_owned(), user.mapped(attribute))).collect();
    let values: BTreeMap<&'static str, Value> = VALUES.iter().map(|path| (*path, user.value(path))).collect();
    let email = values["emails"].as_str().map(str::to_owned);
    let person = user.external_id.filter(|id| !id.is_empty());
    TargetAccount {
        id: user.id,
        name: Some(user.user_name),
        person,
        known_as: Vec::new(),
        email,
        role: None,
        values,
        attributes,
    }
}

/// Returns an account with a known id and no other known value.
fn unknown(id: String) -> TargetAccount {
    TargetAccount {
        id,
        name: None,
        person: None,
        known_as: Vec::new(),
        email: None,
        role: None,
        values: BTreeMap::new(),
        attributes: BTreeMap::new(),
    }
}

fn target(group: Group) -> TargetGroup {
    TargetGroup {
        id: group.id,
        name: group.name,
        external_id: group.external_id,
        description: None,
        settings: BTreeMap::new(),
    }
}

impl ScimReader {
    /// Creates a reader for the server's groups.
    pub fn new(scim: Reader) -> Self {
        Self {
            scim,
            memberships: None,
            attributes: Attributes::default(),
            seen: Arc::default(),
            listing: Arc::default(),
        }
    }

    /// Returns a copy of this reader that uses this lane for its reads.
    fn with_lane(&self, lane: Lane) -> Self {
        Self { scim: self.scim.in_lane(lane), ..self.clone() }
    }

    /// Sets another source of the groups' members. The reader then reads members from `memberships`
    /// instead of the SCIM server.
    #[must_use]
    pub fn knowing(mut self, memberships: Arc<dyn Memberships>) -> Self {
        self.memberships = Some(memberships);
        self
    }

    /// Adds mapped attributes. When the reader reads accounts, it then also reads these attributes.
    #[must_use]
    pub fn mapping(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Converts a user of the server to an account.
    fn account(&self, user: User) -> TargetAccount {
        account(user, &self.attributes)
    }

    /// Returns the members of a group, or `None` if the group does not exist.
    async fn listed(&self, id: &str) -> Result<Option<Vec<Member>>, Failure> {
        if let Some(memberships) = &self.memberships {
            let bare = |ids: Vec<String>| ids.into_iter().map(|id| Member { id, user: None }).collect();
            let members = memberships.of(id).await?.map(bare);
            if members.is_none() && self.scim.group(id).await?.is_some() {
                let text = format!(
                    "SCIM has the group {id}, and the Identity Store does not: the group is new, or the configured store is wrong"
                );
                return Err(Failure::new(Class::Retry, text));
            }
            return Ok(members);
        }
        let Some(members) = self.scim.members(id).await? else { return Ok(None) };
        // If a group does not exist, AWS returns an empty list of members for this group.
        let is_gone = members.is_empty() && self.scim.group(id).await?.is_none();
        Ok((!is_gone).then_some(members))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock()
    }

    fn now(&self) -> Time {
        self.scim.clock().now()
    }

    /// Remembers an account from an answer. Beadle sent the request for this answer at the time
    /// `asked`.
    fn remember(&self, account: &TargetAccount, asked: Time) {
        self.seen().remember(account, asked);
    }

    /// Returns the time of the oldest read that Beadle still trusts for a remembered account. If
    /// Beadle read the account before this time, Beadle must read the account again before it gives
    /// a person access.
    fn believed_since(&self) -> Time {
        if self.scim.lane() == Lane::Event { self.now() } else { self.now() - BELIEVED }
    }

    /// Reads all users that the server lists. If the list lacks a person, Beadle searches for that
    /// person in a separate request.
    async fn all_users(&self) -> Result<(), Failure> {
        let now = self.scim.clock().now();
        let users = self.scim.users().await?;
        let mut seen = self.seen();
        seen.log_odd("user", &users.odd);
        seen.users = users.rows.len();
        seen.listed = Some((now, users.short.is_none() && users.odd.is_empty()));
        seen.people.clear();
        for user in users.rows {
            seen.remember(&self.account(user), now);
        }
        Ok(())
    }

    /// Reads all users if the remembered list is not recent. Returns whether the list is complete.
    async fn users_of_now(&self) -> Result<bool, Failure> {
        let _one = self.listing.lock().await;
        let now = self.scim.clock().now();
        let listed = self.seen().listed.filter(|(at, _)| now.since(*at) < FRESH);
        if listed.is_none() {
            self.all_users().await?;
        }
        Ok(self.seen().listed.is_some_and(|(_, whole)| whole))
    }

    /// Reads the list of all groups, and remembers the list. Returns the number of groups.
    async fn list_groups(&self) -> Result<usize, Failure> {
        let groups = self.scim.groups().await?;
        if let Some(why) = &groups.short {
            tracing::warn!(
                why,
                groups = groups.rows.len(),
                "list of the target's groups is incomplete, Beadle cannot tell which other groups exist"
            );
        }
        let mut seen = self.seen();
        seen.log_odd("group", &groups.odd);
        seen.groups_short = groups.short;
        seen.names = groups.rows.iter().map(|group| (group.id.clone(), group.name.clone())).collect();
        seen.groups = Some(groups.rows);
        Ok(seen.names.len())
    }

    /// Searches for one group. Beadle asks the server with a filter. If the server's answer is not
    /// reliable, Beadle searches the list of all groups. `anew` is true if Beadle must read the
    /// list of all groups again.
    async fn find_group(&self, by: By, value: &str, anew: bool) -> Result<Option<Group>, Failure> {
        let answered = match by {
            By::Name => self.scim.group_named(value).await?,
            By::ExternalId => self.scim.group_with_external_id(value).await?,
        };
        match answered {
            Answered::One(group) => return Ok(Some(group)),
            Answered::None => return Ok(None),
            Answered::Unreliable => {}
        }
        {
            let _one = self.listing.lock().await;
            if anew || self.seen().groups.is_none() {
                self.list_groups().await?;
            }
        }
        let (fits, short) = {
            let seen = self.seen();
            let fits = seen.groups.iter().flatten().filter(|group| by.fits(group, value));
            let fits: Vec<String> = fits.map(|group| group.id.clone()).collect();
            (fits, seen.groups_short.clone())
        };
        match (fits.as_slice(), short) {
            ([], None) => Ok(None),
            ([], Some(why)) => {
                let text = format!(
                    "whether the target has a group `{value}` is unknown: the list of groups is incomplete: {why}"
                );
                Err(Failure::new(Class::Retry, text))
            }
            // The group might have changed after Beadle read the list.
            ([id], _) => Ok(self.scim.group(id).await?.filter(|group| by.fits(group, value))),
            _ => {
                let text =
                    format!("the target has more than one group `{value}`; rename or delete the others");
                Err(Failure::new(Class::Rejected, text))
            }
        }
    }

    /// Checks the members who are missing in a list. For each missing member, another request must
    /// confirm that the member has really left. Without this check, Beadle would never remove a
    /// member that the list hides.
    async fn confirm_missing(&self, group: &str, ids: &BTreeSet<String>) -> Result<(), Failure> {
        let before = self.seen().members.get(group).map(|(_, members)| members.clone());
        let Some(lost) = before.iter().flatten().find(|known| !ids.contains(*known)) else { return Ok(()) };
        if !self.scim.is_member(group, lost).await? {
            return Ok(());
        }
        let text = format!(
            "the list of members of the group {group} is incomplete: {lost} is missing, but is still a member"
        );
        Err(Failure::new(Class::Retry, text))
    }

    /// Finds out whether a member who is not in the list of users is a user or a group.
    async fn look_up(&self, member: &str) -> Result<(), Failure> {
        let asked = self.now();
        match self.scim.user(member).await {
            Ok(Some(user)) => self.remember(&self.account(user), asked),
            Ok(None) => {
                if self.scim.group(member).await?.is_some() {
                    self.seen().nested.insert(member.to_owned());
                }
            }
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                tracing::warn!(member, why = failure.text, "lookup of a member at the target failed");
            }
        }
        Ok(())
    }
}

#[async_trait]
impl TargetReader for ScimReader {
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetReader> {
        Arc::new(self.with_lane(lane))
    }

    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.scim.group(id).await?.map(target))
    }

    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.find_group(By::Name, name, false).await?.map(target))
    }

    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.find_group(By::ExternalId, external_id, false).await?.map(target))
    }

    fn known(&self, id: &str) -> Option<TargetGroup> {
        let name = self.seen().names.get(id).cloned()?;
        Some(TargetGroup {
            id: id.to_owned(),
            name,
            external_id: None,
            description: None,
            settings: BTreeMap::new(),
        })
    }

    async fn look(&self) -> Result<usize, Failure> {
        let count = self.list_groups().await?;
        self.seen().forget_people();
        Ok(count)
    }

    async fn members(&self, id: &str) -> Result<Option<Vec<TargetAccount>>, Failure> {
        let asked = self.now();
        let Some(members) = self.listed(id).await? else { return Ok(None) };
        // Beadle reads the members back after a write only if the members come from SCIM.
        if self.memberships.is_none() {
            let ids: BTreeSet<String> = members.iter().map(|member| member.id.clone()).collect();
            self.confirm_missing(id, &ids).await?;
            self.seen().members.insert(id.to_owned(), (asked, ids));
        }
        let bare = members.iter().filter(|member| member.user.is_none());
        let bare: Vec<String> = bare.map(|member| member.id.clone()).collect();
        let strange = bare.iter().filter(|member| !self.seen().is_known(member)).count();
        let is_listed = self.seen().listed.is_some();
        if strange > 0 && (!is_listed || strange >= MANY.max(self.seen().users / 100)) {
            self.users_of_now().await?;
        }
        // Beadle sends a separate request for each member that the list of users lacks.
        let unlisted = bare.iter().filter(|member| !self.seen().is_known(member));
        let looks: Vec<_> = unlisted.map(|member| self.look_up(member)).collect();
        try_join_all(looks).await?;
        let mut accounts = Vec::with_capacity(members.len());
        for member in members {
            if let Some(user) = member.user {
                let found = self.account(user);
                self.remember(&found, asked);
                accounts.push(found);
                continue;
            }
            let seen = self.seen();
            if !seen.nested.contains(&member.id) {
                let found = seen.accounts.get(&member.id).cloned();
                accounts.push(found.unwrap_or_else(|| unknown(member.id)));
            }
        }
        Ok(Some(accounts))
    }

    async fn find(&self, _: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let since = self.believed_since();
        let strange = people.iter().filter(|person| !self.seen().knows(&person.id, since)).count();
        if strange >= MANY.max(self.seen().users / 100)
            && let Err(failure) = self.all_users().await
        {
            return people.iter().map(|_| Err(failure.clone())).collect();
        }
        // The requests run at the same time. The client limits the number of simultaneous requests.
        let asked: Vec<_> = people.iter().map(|person| self.find_since(person, since)).collect();
        join_all(asked).await
    }

    async fn refresh_identities(&self, _: Duration) -> Result<bool, Failure> {
        // An account contains the id of its owner. If a group shows only the ids of accounts,
        // Beadle uses the accounts that it has read after the last sweep.
        Ok(false)
    }

    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure> {
        let account = match self.scim.user_with_external_id(person).await? {
            Answered::One(user) => Some(user.id),
            Answered::None => None,
            // If the server cannot filter reliably, the list of users might still contain the
            // account.
            Answered::Unreliable => {
                self.users_of_now().await?;
                self.seen().people.get(person).map(|account| account.id.clone())
            }
        };
        let Some(account) = account else { return Ok(Vec::new()) };
        Ok(self.scim.groups_of(&account).await?.into_iter().map(|group| group.id).collect())
    }

    async fn groups_of_account(&self, account: &str, _: &str) -> Result<Vec<String>, Failure> {
        Ok(self.scim.groups_of(account).await?.into_iter().map(|group| group.id).collect())
    }

    async fn has_account(&self, account: &str) -> Result<bool, Failure> {
        Ok(self.scim.user(account).await?.is_some())
    }

    async fn inactive_accounts(&self) -> Result<BTreeSet<String>, Failure> {
        self.users_of_now().await?;
        let seen = self.seen();
        let inactive = seen.accounts.values().filter(|account| !account.is_active());
        Ok(inactive.map(|account| account.id.clone()).collect())
    }

    async fn account_now(&self, id: &str) -> Result<Option<TargetAccount>, Failure> {
        let asked = self.now();
        let found = self.scim.user(id).await?.map(|user| self.account(user));
        if let Some(found) = &found {
            self.remember(found, asked);
        }
        Ok(found)
    }

    async fn kept_by(&self, _: &str) -> Result<Option<String>, Failure> {
        // SCIM does not show whether another system writes the group.
        Ok(None)
    }

    fn changes_at_once(&self) -> usize {
        self.scim.dialect().changes
    }

    fn attributes(&self) -> Attributes {
        self.attributes.clone()
    }
}
