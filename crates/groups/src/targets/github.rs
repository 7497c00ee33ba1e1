//! Teams of a GitHub organisation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{Class, Failure, Time};
use beadle_github::{Member, NamedTeam, NewTeam, Reader, Team, Writer};
use beadle_scim::Finding;
use serde::Deserialize;
use serde_json::Value;

use super::{Account, Found, NewGroup, Refused, TargetGroup, TargetReader, TargetWriter};
use crate::mapping::Role;
use crate::sources::Person;

/// How long is believed who is in the organisation, and whose account is whose. Nobody is in a team because of it: a
/// team's members are read each time.
const BELIEVED: Duration = Duration::from_secs(600);
/// How long teams' names are believed where a team is taken for another by its name.
const SURE: Duration = Duration::from_secs(60);
/// From what is read for a batch of writes to the last of them.
const OLDEST: Duration = Duration::from_secs(60);
/// How long is believed that nothing else keeps a team.
const KEPT: Duration = Duration::from_secs(3600);
/// How a description ends by which a team is known to be ours, if a kill came before that was remembered.
const MARK: &str = " (beadle:";

/// How a person's account is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// By what the organisation's identity provider calls them.
    Saml,
    /// By an address in a domain that the organisation has verified.
    Mail,
    /// By a list.
    File,
}

/// Logins at GitHub by login, address or id at the directory; read anew when people are.
pub type Listed = Arc<dyn Fn() -> Result<BTreeMap<String, String>, String> + Send + Sync>;

/// Whose account is whose.
#[derive(Default)]
struct People {
    /// Accounts by a name of theirs at the directory, by the way in which it is known.
    named: Vec<(Match, HashMap<String, BTreeSet<u64>>)>,
    /// The names of an account.
    names: HashMap<u64, BTreeSet<String>>,
    owners: BTreeSet<u64>,
    members: BTreeSet<u64>,
    /// What the list says of people who are not in the organisation.
    strangers: HashMap<String, String>,
}

/// What was seen before.
#[derive(Default)]
struct Seen {
    teams: Option<(Time, HashMap<u64, Team>)>,
    people: Option<(Time, Arc<People>)>,
    /// Everybody who was seen, by what GraphQL and people call them. It does not say that they are in the organisation.
    accounts: HashMap<u64, Member>,
    /// Who was invited to a team when it was read last.
    invited: HashMap<u64, BTreeSet<u64>>,
    /// Accounts of people who were looked for.
    found: HashMap<String, u64>,
    kept: HashMap<u64, (Time, Option<String>)>,
}

/// Reads an organisation's teams.
pub struct TeamReader {
    github: Reader,
    matches: Vec<Match>,
    listed: Listed,
    seen: Arc<Mutex<Seen>>,
    loading: tokio::sync::Mutex<()>,
}

fn id_of(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::new(Class::Rejected, format!("`{text}` is no id of GitHub's")))
}

/// A description, and what it says of whose the team is.
fn marked(description: &str) -> (&str, Option<String>) {
    let mark = description.strip_suffix(')').and_then(|text| text.rsplit_once(MARK));
    mark.map_or((description, None), |(text, slot)| (text, Some(format!("beadle:{slot}"))))
}

/// How GitHub makes an address of a name: two names that make one are one.
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
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TeamReader {
    /// A reader of this organisation's teams, whose people are found in these ways, the surest first.
    pub fn new(github: Reader, matches: Vec<Match>, listed: Listed) -> Self {
        Self { github, matches, listed, seen: Arc::default(), loading: tokio::sync::Mutex::default() }
    }

    /// What the organisation shows of what this needs.
    pub async fn probe(&self) -> Result<Vec<Finding>, Failure> {
        let organisation = self.github.organisation();
        let mut findings = vec![Finding::Fine(format!("{} teams are read", self.teams_anew().await?.len()))];
        lock(&self.seen).people = None;
        match self.people().await {
            Ok(people) => {
                let (all, known) = (people.members.len(), people.names.len());
                let text = format!(
                    "of the {all} members of {organisation}, {known} are known by a name of the directory"
                );
                findings.push(if known == 0 && all > 0 {
                    Finding::Unknown(format!("{text}; until some are, nobody is taken in or out"))
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

    fn now(&self) -> Time {
        self.github.clock().now()
    }

    fn is_fresh(&self, read: Time, believed: Duration) -> bool {
        let now = self.now();
        read <= now && now.since(read) <= believed
    }

    /// Forgets whose account is whose, if that is known from longer ago. Whether it is still known.
    fn believe(&self, believed: Duration) -> bool {
        let mut seen = lock(&self.seen);
        let is_known = seen.people.as_ref().is_some_and(|(read, _)| self.is_fresh(*read, believed));
        if !is_known {
            seen.people = None;
        }
        is_known
    }

    async fn teams_anew(&self) -> Result<HashMap<u64, Team>, Failure> {
        let now = self.now();
        let teams = self.github.all_teams().await?;
        let teams: HashMap<u64, Team> = teams.into_iter().map(|team| (team.id, team)).collect();
        lock(&self.seen).teams = Some((now, teams.clone()));
        Ok(teams)
    }

    async fn teams(&self, believed: Duration) -> Result<HashMap<u64, Team>, Failure> {
        let known = lock(&self.seen).teams.clone();
        match known {
            Some((read, teams)) if self.is_fresh(read, believed) => Ok(teams),
            _ => self.teams_anew().await,
        }
    }

    /// The team that is meant. One that is not there is made, and GitHub says if it is there after all; one that is there may
    /// have another name by now.
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

    /// A team; one that is not known is looked for.
    async fn team(&self, id: u64) -> Result<Option<Team>, Failure> {
        if let Some(known) = known(&self.seen, id) {
            return Ok(Some(known));
        }
        Ok(self.teams_anew().await?.remove(&id))
    }

    /// Who is in the organisation, and whose account is whose.
    async fn people(&self) -> Result<Arc<People>, Failure> {
        let _one = self.loading.lock().await;
        let known = lock(&self.seen).people.clone();
        if let Some((read, people)) = known
            && self.is_fresh(read, BELIEVED)
        {
            return Ok(people);
        }
        let now = self.now();
        // What may be wrong with the list, or with the provider, is known before a page of members is read.
        let listed = if self.matches.contains(&Match::File) {
            (self.listed)().map_err(|why| Failure::new(Class::Rejected, why))?
        } else {
            BTreeMap::new()
        };
        let linked = if self.matches.contains(&Match::Saml) { self.linked().await? } else { Vec::new() };
        let members = self.github.members().await?;
        let mut people = People::default();
        for way in &self.matches {
            let pairs = match way {
                Match::Saml => linked.clone(),
                Match::Mail => mails(&members),
                Match::File => logins(&listed, &members, &mut people.strangers),
            };
            let mut named: HashMap<String, BTreeSet<u64>> = HashMap::new();
            for (name, account) in pairs {
                people.names.entry(account).or_default().insert(name.clone());
                named.entry(name.to_lowercase()).or_default().insert(account);
            }
            people.named.push((*way, named));
        }
        let ids = |owners: bool| {
            let ids = members.iter().filter(|member| member.is_owner || !owners).map(|member| member.id);
            ids.collect::<BTreeSet<u64>>()
        };
        (people.owners, people.members) = (ids(true), ids(false));
        let people = Arc::new(people);
        let mut seen = lock(&self.seen);
        seen.people = Some((now, people.clone()));
        seen.accounts.extend(members.into_iter().map(|member| (member.id, member)));
        Ok(people)
    }

    async fn linked(&self) -> Result<Vec<(String, u64)>, Failure> {
        let Some(identities) = self.github.identities().await? else {
            let text = format!(
                "GitHub shows no SAML identity provider of {}: it is the enterprise's, or there is none, or the App lacks \
                 `members`; match by \"mail\" or \"file\", or mend that",
                self.github.organisation()
            );
            return Err(Failure::new(Class::Rejected, text));
        };
        let pairs =
            identities.into_iter().flat_map(|one| one.names.into_iter().map(move |name| (name, one.account)));
        Ok(pairs.collect())
    }

    /// `group`: the team that they are looked for, where there is one.
    fn find_one(&self, people: &People, person: &Person, group: Option<u64>) -> Found {
        // What somebody signs in with is theirs alone; an address may be another's login.
        let own = [person.login.to_lowercase(), person.id.to_lowercase()];
        let address = person.email.iter().map(|email| email.to_lowercase());
        for (way, named) in &people.named {
            let known = |name: &String| named.get(name).into_iter().flatten().copied();
            let mut accounts: BTreeSet<u64> = own.iter().flat_map(known).collect();
            if accounts.is_empty() {
                accounts = address.clone().flat_map(|name| known(&name).collect::<Vec<_>>()).collect();
            }
            let accounts: Vec<u64> = accounts.into_iter().filter(|id| people.members.contains(id)).collect();
            match accounts.as_slice() {
                [] => {}
                [one] => {
                    let mut seen = lock(&self.seen);
                    seen.found.insert(person.id.clone(), *one);
                    let Some(member) = seen.accounts.get(one) else { continue };
                    return Found::Account(account(member, people, None));
                }
                more => {
                    let seen = lock(&self.seen);
                    let logins = more.iter().filter_map(|id| Some(seen.accounts.get(id)?.login.as_str()));
                    return Found::Another(format!(
                        "the accounts {} are all {} ({way:?}); leave only one of them",
                        logins.collect::<Vec<_>>().join(" and "),
                        person.login
                    ));
                }
            }
        }
        let organisation = self.github.organisation();
        let stranger = own.iter().cloned().chain(address).find_map(|name| people.strangers.get(&name));
        if let Some(login) = stranger {
            return match group.and_then(|group| self.invited(group, login)) {
                Some(member) => Found::Account(account(&member, people, None)),
                None => Found::Missing(format!(
                    "{} is {login} at GitHub, who is not in the organisation {organisation}; invite them",
                    person.login
                )),
            };
        }
        let ways: Vec<String> =
            people.named.iter().map(|(way, _)| format!("{way:?}").to_lowercase()).collect();
        let ways = ways.join(", ");
        Found::Missing(format!("no member of {organisation} is known to be {} ({ways})", person.login))
    }

    /// Somebody who is invited to a team, as it was read last.
    fn invited(&self, group: u64, login: &str) -> Option<Member> {
        let seen = lock(&self.seen);
        let mut invited = seen.invited.get(&group)?.iter().filter_map(|id| seen.accounts.get(id));
        invited.find(|member| member.login.eq_ignore_ascii_case(login)).cloned()
    }
}

/// Accounts by what the list says; and whom it says to be somebody who is not in the organisation.
fn logins(
    listed: &BTreeMap<String, String>,
    members: &[Member],
    strangers: &mut HashMap<String, String>,
) -> Vec<(String, u64)> {
    let ids: HashMap<String, u64> =
        members.iter().map(|member| (member.login.to_lowercase(), member.id)).collect();
    let mut pairs = Vec::new();
    for (name, login) in listed {
        match ids.get(&login.to_lowercase()) {
            Some(id) => pairs.push((name.clone(), *id)),
            None => {
                strangers.insert(name.to_lowercase(), login.clone());
            }
        }
    }
    pairs
}

fn mails(members: &[Member]) -> Vec<(String, u64)> {
    let pairs = members.iter().flat_map(|one| one.emails.iter().map(move |email| (email.clone(), one.id)));
    pairs.collect()
}

fn known(seen: &Mutex<Seen>, id: u64) -> Option<Team> {
    lock(seen).teams.as_ref().and_then(|(_, teams)| teams.get(&id).cloned())
}

fn account(member: &Member, people: &People, role: Option<Role>) -> Account {
    let names = people.names.get(&member.id).into_iter().flatten().cloned();
    Account {
        id: member.id.to_string(),
        name: Some(member.login.clone()),
        person: None,
        known_as: names.collect(),
        email: None,
        // An owner maintains every team, whatever anybody says.
        role: role.filter(|_| !people.owners.contains(&member.id)),
        values: BTreeMap::new(),
    }
}

#[async_trait]
impl TargetReader for TeamReader {
    async fn group(&self, id: &str) -> Result<Option<TargetGroup>, Failure> {
        Ok(self.teams_anew().await?.get(&id_of(id)?).map(target))
    }

    async fn group_named(&self, name: &str) -> Result<Option<TargetGroup>, Failure> {
        let slug = slug_of(name);
        let is_it = |team: &Team| team.name.eq_ignore_ascii_case(name) || slug_of(&team.name) == slug;
        Ok(self.one(is_it).await?.as_ref().map(target))
    }

    async fn group_owned_as(&self, external_id: &str) -> Result<Option<TargetGroup>, Failure> {
        // Anybody who maintains a team can write what its description says: two that say it are none.
        let is_it = |team: &Team| marked(&team.description).1.as_deref() == Some(external_id);
        Ok(self.one(is_it).await?.as_ref().map(target))
    }

    fn known(&self, id: &str) -> Option<TargetGroup> {
        known(&self.seen, id.parse().ok()?).as_ref().map(target)
    }

    async fn look(&self) -> Result<usize, Failure> {
        // What a probe read a moment ago is not read again.
        self.believe(SURE);
        Ok(self.teams(SURE).await?.len())
    }

    async fn members(&self, id: &str) -> Result<Option<Vec<Account>>, Failure> {
        let id = id_of(id)?;
        let Some(mut team) = self.team(id).await? else { return Ok(None) };
        let mut read = self.github.team_members(&team.slug).await?;
        if read.as_ref().is_none_or(|read| read.team.id != id) {
            // It has another name by now, and may have left this one to another team.
            let Some(now) = self.teams_anew().await?.remove(&id) else { return Ok(None) };
            team = now;
            read = self.github.team_members(&team.slug).await?;
        }
        let Some(read) = read.filter(|read| read.team.id == id) else {
            let text = format!("the team {} is renamed while it is read; reading it again", team.name);
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
        let group = group.and_then(|id| id.parse().ok());
        match self.people().await {
            Ok(known) => people.iter().map(|person| Ok(self.find_one(&known, person, group))).collect(),
            Err(failure) => people.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    async fn told_apart_anew(&self, believed: Duration) -> Result<bool, Failure> {
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
        let id = id_of(id)?;
        if let Some((read, kept)) = lock(&self.seen).kept.get(&id)
            && self.is_fresh(*read, KEPT)
        {
            return Ok(kept.clone());
        }
        let Some(team) = self.team(id).await? else { return Ok(None) };
        let group = self.github.kept_by(&team.slug).await?;
        let kept = group
            .map(|group| format!("GitHub itself keeps it as the group {group} of the identity provider"));
        lock(&self.seen).kept.insert(id, (self.now(), kept.clone()));
        Ok(kept)
    }

    fn changes_at_once(&self) -> usize {
        // Each is a request, and what they are called now is asked once for so many.
        10
    }
}

/// Writes an organisation's teams.
pub struct TeamWriter {
    github: Writer,
    reader: Arc<TeamReader>,
}

impl TeamWriter {
    /// A writer of this organisation's teams.
    pub fn new(github: Writer, reader: Arc<TeamReader>) -> Self {
        Self { github, reader }
    }

    async fn team(&self, id: &str) -> Result<Team, Failure> {
        let team = self.reader.team(id_of(id)?).await?;
        team.ok_or_else(|| {
            Failure::new(Class::Conflict, "the team is gone since it was read; reading it again")
        })
    }

    fn accounts(&self, ids: &[String]) -> Result<Vec<Member>, Failure> {
        let seen = lock(&self.reader.seen);
        let member = |id: &String| {
            let unseen =
                || Failure::new(Class::Conflict, format!("the account {id} was not seen; reading it again"));
            seen.accounts.get(&id_of(id)?).cloned().ok_or_else(unseen)
        };
        ids.iter().map(member).collect()
    }

    fn remember(&self, team: Team) {
        if let Some((_, teams)) = &mut lock(&self.reader.seen).teams {
            teams.insert(team.id, team);
        }
    }

    /// Each by the name that they have now. `role`: `None` takes them out.
    async fn each(&self, group: &str, ids: &[String], role: Option<Role>) -> Result<Vec<Refused>, Failure> {
        let team = self.team(group).await?;
        let members = self.accounts(ids)?;
        let nodes: Vec<String> = members.iter().map(|member| member.node_id.clone()).collect();
        let read = self.reader.now();
        let named = self.github.team(&team, &nodes).await?;
        let (mut refused, mut left) = (Vec::new(), Vec::new());
        for member in members {
            if self.reader.now().since(read) > OLDEST {
                let text = "what people are called may be another's by now; reading it again";
                return Err(Failure::new(Class::Conflict, text));
            }
            let why = match (named.login(member.id), role) {
                (Some(login), Some(role)) if self.may_join(&named, team.id, member.id).await? => {
                    named.put_member(login, role == Role::Maintainer).await?
                }
                (Some(_), Some(_)) => {
                    left.push(member.login.clone());
                    None
                }
                (Some(login), None) => named.remove_member(login).await?,
                (None, Some(_)) => Some("the account is gone".into()),
                (None, None) => None,
            };
            let account = member.login.clone();
            refused.extend(why.map(|why| Refused { account, why }));
        }
        if left.is_empty() {
            return Ok(refused);
        }
        lock(&self.reader.seen).people = None;
        let text =
            format!("{} left the organisation, and would be invited; reading it again", left.join(", "));
        Err(Failure::new(Class::Conflict, text))
    }

    /// Nobody is invited to the organisation: whoever joins is in it, or was invited to the team by somebody else.
    async fn may_join(&self, named: &NamedTeam, team: u64, account: u64) -> Result<bool, Failure> {
        let is_invited = lock(&self.reader.seen).invited.get(&team).is_some_and(|all| all.contains(&account));
        Ok(is_invited || named.is_member(account).await?)
    }
}

#[async_trait]
impl TargetWriter for TeamWriter {
    async fn create(&self, new: &NewGroup<'_>) -> Result<TargetGroup, Failure> {
        let parent = match new.parent {
            None => None,
            Some(slug) => {
                let teams = self.reader.teams(SURE).await?;
                let parent =
                    teams.values().find(|team| team.slug.eq_ignore_ascii_case(slug)).map(|team| team.id);
                Some(parent.ok_or_else(|| {
                    let text = format!(
                        "parent: the organisation has no team `{slug}` (the name in its address is meant)"
                    );
                    Failure::new(Class::Rejected, text)
                })?)
            }
        };
        let description = new.description.unwrap_or("Its members are those of the directory's group");
        let description = described(description, new.external_id);
        if let Some(made) =
            self.github.create_team(&NewTeam { name: new.name, description: &description, parent }).await?
        {
            let made_target = target(&made);
            self.remember(made);
            return Ok(made_target);
        }
        self.reader.teams_anew().await?;
        self.reader.group_owned_as(new.external_id).await?.ok_or_else(|| {
            let text = format!(
                "the organisation has a team {} that is not ours; rename one of them, or say adopt = true",
                new.name
            );
            Failure::new(Class::Rejected, text)
        })
    }

    async fn rename(&self, group: &str, name: &str) -> Result<(), Failure> {
        let team = self.team(group).await?;
        self.github.team(&team, &[]).await?.rename(name).await?;
        // Its slug is another one too.
        self.reader.teams_anew().await.map(drop)
    }

    async fn describe(&self, group: &str, external_id: &str, description: &str) -> Result<(), Failure> {
        let team = self.team(group).await?;
        let description = described(description, external_id);
        self.github.team(&team, &[]).await?.describe(&description).await?;
        self.remember(Team { description, ..team });
        Ok(())
    }

    async fn add(&self, group: &str, accounts: &[String], role: Role) -> Result<Vec<Refused>, Failure> {
        self.each(group, accounts, Some(role)).await
    }

    async fn remove(&self, group: &str, accounts: &[String]) -> Result<Vec<Refused>, Failure> {
        self.each(group, accounts, None).await
    }

    async fn delete(&self, group: &str) -> Result<(), Failure> {
        let team = self.team(group).await?;
        let named = self.github.team(&team, &[]).await?;
        if named.is_parent() {
            let text = format!(
                "there are teams below {}, and GitHub would delete them too; move them first",
                team.name
            );
            return Err(Failure::new(Class::Rejected, text));
        }
        named.delete().await?;
        self.reader.teams_anew().await.map(drop)
    }

    async fn provision(&self, person: &Person) -> Result<Account, Failure> {
        Err(nobody_makes(&person.login))
    }

    async fn update(&self, account: &str, _: &[(&'static str, Value)]) -> Result<(), Failure> {
        Err(nobody_makes(account))
    }
}

fn nobody_makes(who: &str) -> Failure {
    Failure::new(
        Class::Rejected,
        format!("an account at GitHub is its owner's; {who} is not made or changed here"),
    )
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
