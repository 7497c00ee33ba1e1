//! A target whose groups are the teams of a GitHub organisation.

mod external_groups;
mod organisation;
mod people;
mod writer;

use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Lane, Time};
use beadle_github::{Member, NameKind, Names, Reader, Team};
use beadle_scim::Finding;
use futures::future::join_all;
use serde_json::{Value, json};

use super::{Found, TargetAccount, TargetGroup, TargetReader};
use crate::mapping::Role;
use crate::membership::{GROUP, MembershipLimits};
use crate::sources::Person;

pub use people::{Listed, Match};
pub use writer::TeamWriter;

use people::{AT_ONCE, People, account};

/// How long Beadle remembers the list of the organisation's members, and the owner of each account.
/// But Beadle never uses a remembered list of a team's members.
const BELIEVED: Duration = Duration::from_secs(600);
/// The maximum age of the list of teams when Beadle takes over a team by its name.
const SURE: Duration = Duration::from_secs(60);
/// How long Beadle remembers that no identity provider manages a team.
const KEPT: Duration = Duration::from_secs(3600);
/// The beginning of Beadle's mark. Beadle writes the mark at the end of a team's description. If a
/// process is killed before it stores which team it created, Beadle finds the team by this mark.
const MARK: &str = " (beadle:";

/// GitHub's answers that this process remembers.
#[derive(Default)]
struct Seen {
    teams: Option<(Time, HashMap<u64, Team>)>,
    people: Option<(Time, Arc<People>)>,
    /// All accounts in the answers so far. Some of these accounts are possibly not members of the
    /// organisation.
    accounts: HashMap<u64, Member>,
    /// For each team, the people with an open invitation at the last read of the team.
    invited: HashMap<u64, BTreeSet<u64>>,
    /// The accounts that Beadle found in earlier searches for people.
    found: HashMap<String, u64>,
    kept: HashMap<u64, (Time, Option<String>)>,
}

/// Reads the teams of a GitHub organisation.
#[derive(Clone)]
pub struct TeamReader {
    github: Reader,
    matches: Vec<Match>,
    listed: Listed,
    /// The stored ids behind the logins that sources contain.
    names: Names,
    /// The limits of the organisation's membership, if Beadle manages the membership.
    membership: Option<MembershipLimits>,
    seen: Arc<Mutex<Seen>>,
    loading: Arc<tokio::sync::Mutex<()>>,
    /// The lock for the read of all teams. Runs that need the teams at the same moment share one
    /// read.
    listing: Arc<tokio::sync::Mutex<()>>,
}

fn id_of(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::new(Class::Rejected, format!("invalid GitHub id `{text}`")))
}

/// Splits a description into the text and Beadle's mark.
fn marked(description: &str) -> (&str, Option<String>) {
    let mark = description.strip_suffix(')').and_then(|text| text.rsplit_once(MARK));
    mark.map_or((description, None), |(text, slot)| (text, Some(format!("beadle:{slot}"))))
}

/// Returns the slug that GitHub makes from a name. If two names have the same slug, they are names
/// of the same team.
fn slug_of(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || c == '_' { c } else { '-' };
    let text: String = name.to_lowercase().chars().map(kept).collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn described(description: &str, external_id: &str) -> String {
    format!("{description} ({external_id})")
}

fn target(team: &Team) -> TargetGroup {
    let (description, external_id) = marked(&team.description);
    TargetGroup {
        id: team.id.to_string(),
        name: team.name.clone(),
        external_id,
        description: Some(description.to_owned()),
        settings: settings(team),
    }
}

/// Returns the known settings of a team.
fn settings(team: &Team) -> BTreeMap<&'static str, Value> {
    let mut settings = BTreeMap::from([("parent", json!(team.parent))]);
    let texts = [("privacy", &team.privacy), ("notification_setting", &team.notifications)];
    settings.extend(texts.into_iter().filter_map(|(name, text)| Some((name, json!(text.as_ref()?)))));
    settings
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock()
}

impl TeamReader {
    /// Creates a reader for the organisation's teams. `matches` lists the ways to find a person's
    /// account. The most reliable way comes first.
    pub fn new(github: Reader, matches: Vec<Match>, listed: Listed, names: Names) -> Self {
        Self {
            github,
            matches,
            listed,
            names,
            membership: None,
            seen: Arc::default(),
            loading: Arc::default(),
            listing: Arc::default(),
        }
    }

    /// Returns the reader of the organisation. This reader has the token of the target.
    pub fn github(&self) -> &Reader {
        &self.github
    }

    /// Returns a reader that also reads the membership of the organisation. `membership` contains
    /// the limits of the membership.
    #[must_use]
    pub fn with_membership(self, membership: Option<MembershipLimits>) -> Self {
        Self { membership, ..self }
    }

    /// Returns a copy of this reader that uses this lane for its reads.
    fn with_lane(&self, lane: Lane) -> Self {
        Self { github: self.github.in_lane(lane), ..self.clone() }
    }

    /// Checks whether GitHub shows all the data that Beadle needs about the organisation.
    pub async fn probe(&self) -> Result<Vec<Finding>, Failure> {
        let organisation = self.github.organisation();
        let mut findings =
            vec![Finding::Fine(format!("the organisation has {} teams", self.reload_teams().await?.len()))];
        lock(&self.seen).people = None;
        match self.people().await {
            Ok(people) => {
                let (all, known) = (people.members.len(), people.names.len());
                let text = format!(
                    "{known} of the {all} members of {organisation} have a name that the directory knows"
                );
                findings.push(if known == 0 && all > 0 && !self.matches.is_empty() {
                    Finding::Unknown(format!(
                        "{text}; Beadle adds and removes no member before at least one member has such a name"
                    ))
                } else {
                    Finding::Fine(text)
                });
            }
            Err(failure) if failure.class == Class::Rejected => {
                findings.push(Finding::Contradiction(failure.text));
            }
            Err(failure) => return Err(failure),
        }
        Ok(findings)
    }

    /// Checks that the login in a source still belongs to the account to which it belonged before. The
    /// new owner of a login must get no access.
    async fn same_owner(&self, login: &str, found: Found) -> Result<Found, Failure> {
        let Found::TargetAccount(account) = &found else { return Ok(found) };
        let other = self.names.another_owner(NameKind::User, login, id_of(&account.id)?, None).await?;
        Ok(other.map_or(found, Found::NewOwner))
    }

    fn now(&self) -> Time {
        self.github.clock().now()
    }

    fn is_fresh(&self, read: Time, believed: Duration) -> bool {
        let now = self.now();
        read <= now && now.since(read) <= believed
    }

    /// Forgets the owners of the accounts, if Beadle's last read of the owners is older than
    /// `believed`. Returns whether Beadle still knows the owners.
    fn believe(&self, believed: Duration) -> bool {
        let mut seen = lock(&self.seen);
        let is_known = seen.people.as_ref().is_some_and(|(read, _)| self.is_fresh(*read, believed));
        if !is_known {
            seen.people = None;
        }
        is_known
    }

    async fn reload_teams(&self) -> Result<HashMap<u64, Team>, Failure> {
        let now = self.now();
        let teams = self.github.all_teams().await?;
        let teams: HashMap<u64, Team> = teams.into_iter().map(|team| (team.id, team)).collect();
        lock(&self.seen).teams = Some((now, teams.clone()));
        Ok(teams)
    }

    async fn teams(&self, believed: Duration) -> Result<HashMap<u64, Team>, Failure> {
        let _one = self.listing.lock().await;
        let known = lock(&self.seen).teams.clone();
        match known {
            Some((read, teams)) if self.is_fresh(read, believed) => Ok(teams),
            _ => self.reload_teams().await,
        }
    }

    /// Returns the only team for which `is_it` is true. If the remembered list has the team, Beadle
    /// reads the list again, because somebody might have renamed the team in the meantime. If the
    /// remembered list lacks the team, Beadle reads no list. Beadle then tries to create the team,
    /// and GitHub refuses the creation if the team exists.
    async fn one(&self, is_it: impl Fn(&Team) -> bool) -> Result<Option<Team>, Failure> {
        let find = |teams: HashMap<u64, Team>| {
            let mut found: Vec<Team> = teams.into_values().filter(&is_it).collect();
            if found.len() == 1 { found.pop() } else { None }
        };
        match find(self.teams(BELIEVED).await?) {
            Some(_) => Ok(find(self.teams(SURE).await?)),
            None => Ok(None),
        }
    }

    /// Returns the team with this id. If the remembered list lacks the team, Beadle reads all teams
    /// again.
    async fn team(&self, id: u64) -> Result<Option<Team>, Failure> {
        if let Some(known) = known(&self.seen, id) {
            return Ok(Some(known));
        }
        Ok(self.reload_teams().await?.remove(&id))
    }
}

fn known(seen: &Mutex<Seen>, id: u64) -> Option<Team> {
    lock(seen).teams.as_ref().and_then(|(_, teams)| teams.get(&id).cloned())
}

#[async_trait]
impl TargetReader for TeamReader {
    fn in_lane(&self, lane: Lane) -> Arc<dyn TargetReader> {
        Arc::new(self.with_lane(lane))
    }

    fn for_preview(&self) -> Option<Arc<dyn TargetReader>> {
        Some(Arc::new(Self { names: self.names.apart(), ..self.clone() }))
    }

    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure> {
        if id == GROUP {
            return Ok(Some(organisation::group(None)));
        }
        Ok(self.reload_teams().await?.get(&id_of(id)?).map(target))
    }

    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure> {
        let slug = slug_of(name);
        let is_it = |team: &Team| team.name.eq_ignore_ascii_case(name) || slug_of(&team.name) == slug;
        Ok(self.one(is_it).await?.as_ref().map(target))
    }

    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure> {
        if organisation::is_owned_as(external_id) {
            return Ok(Some(organisation::group(Some(external_id))));
        }
        // Every maintainer of a team can copy a mark into the description of the team. If two teams
        // have the same mark, Beadle trusts neither of them.
        let is_it = |team: &Team| marked(&team.description).1.as_deref() == Some(external_id);
        Ok(self.one(is_it).await?.as_ref().map(target))
    }

    fn known(&self, id: &str) -> Option<TargetGroup> {
        known(&self.seen, id.parse().ok()?).as_ref().map(target)
    }

    async fn look(&self) -> Result<usize, Failure> {
        // Beadle keeps accounts that it read in the last minute, because a probe might have just
        // read them.
        self.believe(SURE);
        Ok(self.teams(SURE).await?.len())
    }

    async fn members(&self, id: &str) -> Result<Option<Vec<TargetAccount>>, Failure> {
        if id == GROUP {
            return self.everybody().await.map(Some);
        }
        let id = id_of(id)?;
        let Some(mut team) = self.team(id).await? else { return Ok(None) };
        let mut read = self.github.team_members(&team.slug).await?;
        if read.as_ref().is_none_or(|read| read.team.id != id) {
            // After a rename of the team, another team might have the old name, so Beadle reads all
            // teams again.
            let Some(now) = self.reload_teams().await?.remove(&id) else { return Ok(None) };
            team = now;
            read = self.github.team_members(&team.slug).await?;
        }
        let Some(read) = read.filter(|read| read.team.id == id) else {
            let text = format!("the team {} was renamed during the read; Beadle reads it again", team.name);
            return Err(Failure::new(Class::Retry, text));
        };
        let people = self.people().await?;
        let mut seen = lock(&self.seen);
        if let Some((_, teams)) = &mut seen.teams {
            teams.insert(id, read.team.clone());
        }
        let everybody = read.members.iter().map(|(member, _)| member).chain(&read.invited);
        seen.accounts.extend(everybody.map(|member| (member.id, member.clone())));
        seen.invited.insert(id, read.invited.iter().map(|member| member.id).collect());
        let roles = |is_maintainer| Some(if is_maintainer { Role::Maintainer } else { Role::Member });
        let members = read
            .members
            .iter()
            .map(|(member, is_maintainer)| account(member, &people, roles(*is_maintainer)));
        let invited = read.invited.iter().map(|member| account(member, &people, None));
        Ok(Some(members.chain(invited).collect()))
    }

    async fn find(&self, group: Option<&str>, people: &[Person]) -> Vec<Result<Found, Failure>> {
        let is_membership = group == Some(GROUP);
        let group = group.and_then(|id| id.parse().ok());
        match self.people().await {
            Ok(known) if is_membership => {
                join_all(people.iter().map(|person| self.find_anybody(&known, person))).await
            }
            Ok(known) => {
                let find = async |person: &Person| {
                    let found = self.find_one(&known, person, group);
                    // An open invitation can lead to the account of a login that is not a member.
                    let login = person.account.as_ref().or_else(|| known.stranger(person));
                    let is_its = |account: &TargetAccount, login: &str| account.label() == login;
                    match (&found, login) {
                        (Found::TargetAccount(account), Some(login))
                            if person.account.is_some() || is_its(account, login) =>
                        {
                            self.same_owner(login, found).await
                        }
                        _ => Ok(found),
                    }
                };
                let mut all = Vec::with_capacity(people.len());
                for some in people.chunks(AT_ONCE) {
                    all.extend(join_all(some.iter().map(find)).await);
                }
                all
            }
            Err(failure) => people.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn refresh_identities(&self, believed: Duration) -> Result<bool, Failure> {
        if self.believe(believed) {
            return Ok(false);
        }
        self.people().await.map(|_| true)
    }

    async fn groups_of(&self, person: &str) -> Result<Vec<String>, Failure> {
        let login = {
            let seen = lock(&self.seen);
            let account = seen.found.get(person).and_then(|id| seen.accounts.get(id));
            account.map(|member| member.login.clone())
        };
        let Some(login) = login else { return Ok(Vec::new()) };
        Ok(self.github.teams_of(&login).await?.iter().map(u64::to_string).collect())
    }

    async fn kept_by(&self, id: &str) -> Result<Option<String>, Failure> {
        if id == GROUP {
            return Ok(None);
        }
        let id = id_of(id)?;
        if let Some((read, kept)) = lock(&self.seen).kept.get(&id)
            && self.is_fresh(*read, KEPT)
        {
            return Ok(kept.clone());
        }
        let Some(team) = self.team(id).await? else { return Ok(None) };
        let group = self.github.kept_by(&team.slug).await?;
        let kept = group.map(|group| {
            format!("GitHub synchronises the team with the group {group} of the identity provider")
        });
        lock(&self.seen).kept.insert(id, (self.now(), kept.clone()));
        Ok(kept)
    }

    async fn external_group(&self, id: &str) -> Result<Option<String>, Failure> {
        let Some(team) = self.team(id_of(id)?).await? else { return Ok(None) };
        self.connected_with(&team.slug).await
    }

    fn membership(&self, group: &str) -> Option<MembershipLimits> {
        self.membership.filter(|_| group == GROUP)
    }

    fn changes_at_once(&self) -> usize {
        // Beadle sends one request for each change. Before these requests, it reads the present
        // logins of the accounts with one query. This number is the maximum number of accounts in
        // this query.
        10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_tells_whose_a_team_is() {
        let text = described("People of AWS (all)", "beadle:corp/00g1");
        assert_eq!(marked(&text), ("People of AWS (all)", Some("beadle:corp/00g1".into())));
        assert_eq!(marked("People of AWS (all)"), ("People of AWS (all)", None));
        assert_eq!(marked(""), ("", None));
    }

    #[test]
    fn names_that_make_one_address_are_one() {
        assert_eq!(slug_of("Site Reliability (EU)"), "site-reliability-eu");
        assert_eq!(slug_of("site_reliability"), "site_reliability");
    }
}
