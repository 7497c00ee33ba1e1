//! Finds the GitHub accounts of people.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use beadle_engine::{Class, Failure};
use beadle_github::{Member, NameKind};
use futures::future::{BoxFuture, join_all};
use serde::Deserialize;

use super::{BELIEVED, TeamReader, lock};
use crate::mapping::Role;
use crate::sources::Person;
use crate::targets::{Found, TargetAccount};

/// The number of logins whose stored ids Beadle reads at the same time.
pub(super) const AT_ONCE: usize = 50;

/// A way to find a person's account at GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// By the person's name at the identity provider of the organisation.
    Saml,
    /// By a mail address in a verified domain of the organisation.
    Mail,
    /// By the list in the file that `users_from` names.
    File,
}

/// A function that reads the list of `users_from`. At the directory, a person has a login, an
/// address or an id. The list maps one of these names to a login at GitHub.
pub type Listed = Arc<dyn Fn() -> BoxFuture<'static, Result<BTreeMap<String, String>, String>> + Send + Sync>;

/// The members of the organisation, and the people who own the members' accounts.
#[derive(Default)]
pub(super) struct People {
    /// The ways to find an account. Each way has a map from a person's name at the directory to the
    /// accounts with this name.
    pub(super) named: Vec<(Match, HashMap<String, BTreeSet<u64>>)>,
    /// All names of each account.
    pub(super) names: HashMap<u64, BTreeSet<String>>,
    /// Maps each login, in lower case, to the id of its account.
    pub(super) logins: HashMap<String, u64>,
    pub(super) owners: BTreeSet<u64>,
    pub(super) members: BTreeSet<u64>,
    /// Those logins in the list that do not belong to members of the organisation. The key of each
    /// login is the person's name at the directory.
    pub(super) strangers: HashMap<String, String>,
    /// Those logins in the list that have a new owner. The key is the person's name at the
    /// directory, and the value is the message about the login.
    pub(super) taken: HashMap<String, String>,
}

impl People {
    /// If the list contains a login for a person and the login belongs to no member of the
    /// organisation, returns the login.
    pub(super) fn stranger(&self, person: &Person) -> Option<&String> {
        let names = [Some(&person.login), Some(&person.id), person.email.as_ref()];
        names.into_iter().flatten().find_map(|name| self.strangers.get(&name.to_ascii_lowercase()))
    }
}

impl TeamReader {
    /// Returns the members of the organisation, and the people who own the members' accounts.
    pub(super) async fn people(&self) -> Result<Arc<People>, Failure> {
        let _one = self.loading.lock().await;
        let known = lock(&self.seen).people.clone();
        if let Some((read, people)) = known
            && self.is_fresh(read, BELIEVED)
        {
            return Ok(people);
        }
        let now = self.now();
        // Beadle reads the list and the identity provider first. If one of these reads fails,
        // Beadle has not yet spent calls on the list of members.
        let listed = if self.matches.contains(&Match::File) {
            (self.listed)().await.map_err(|why| Failure::new(Class::Rejected, why))?
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
                Match::File => {
                    let mut pairs = Vec::new();
                    let logins = logins(&listed, &members, &mut people.strangers);
                    for some in logins.chunks(AT_ONCE) {
                        let owners = some.iter().map(|(_, login, account)| {
                            self.names.another_owner(NameKind::User, login, *account, None)
                        });
                        for ((name, _, account), other) in some.iter().zip(join_all(owners).await) {
                            match other? {
                                None => pairs.push((name.clone(), *account)),
                                Some(why) => {
                                    people.taken.insert(name.to_ascii_lowercase(), why);
                                }
                            }
                        }
                    }
                    pairs
                }
            };
            let mut named: HashMap<String, BTreeSet<u64>> = HashMap::new();
            for (name, account) in pairs {
                people.names.entry(account).or_default().insert(name.clone());
                named.entry(name.to_ascii_lowercase()).or_default().insert(account);
            }
            people.named.push((*way, named));
        }
        let ids = |owners: bool| {
            let ids = members.iter().filter(|member| member.is_owner || !owners).map(|member| member.id);
            ids.collect::<BTreeSet<u64>>()
        };
        (people.owners, people.members) = (ids(true), ids(false));
        people.logins = members.iter().map(|member| (member.login.to_ascii_lowercase(), member.id)).collect();
        let people = Arc::new(people);
        let mut seen = lock(&self.seen);
        seen.people = Some((now, people.clone()));
        seen.accounts.extend(members.into_iter().map(|member| (member.id, member)));
        Ok(people)
    }

    async fn linked(&self) -> Result<Vec<(String, u64)>, Failure> {
        let Some(identities) = self.github.identities().await? else {
            let text = format!(
                "GitHub shows no SAML identity provider of {}: the enterprise has it, or there is none, or the App lacks the \
                 permission `members`; match by \"mail\" or \"file\", or grant the permission",
                self.github.organisation()
            );
            return Err(Failure::new(Class::Rejected, text));
        };
        let pairs =
            identities.into_iter().flat_map(|one| one.names.into_iter().map(move |name| (name, one.account)));
        Ok(pairs.collect())
    }

    /// Finds the account of a person. `group` is the team that the person should join, if the team
    /// exists.
    pub(super) fn find_one(&self, people: &People, person: &Person, group: Option<u64>) -> Found {
        if let Some(login) = &person.account {
            return self.find_login(people, login, group);
        }
        // The sign-in name and the id belong to this person only. The mail address might be the
        // login of another person, so Beadle uses the mail address after the other names.
        let own = [person.login.to_ascii_lowercase(), person.id.to_ascii_lowercase()];
        let address = person.email.iter().map(|email| email.to_ascii_lowercase());
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
                    return Found::TargetAccount(account(member, people, None));
                }
                more => {
                    let seen = lock(&self.seen);
                    let logins = more.iter().filter_map(|id| Some(seen.accounts.get(id)?.login.as_str()));
                    return Found::Another(format!(
                        "the accounts {} all belong to {} ({way:?}); leave only one of them",
                        logins.collect::<Vec<_>>().join(" and "),
                        person.login
                    ));
                }
            }
        }
        let taken = own.iter().cloned().chain(address.clone()).find_map(|name| people.taken.get(&name));
        if let Some(why) = taken {
            return Found::NewOwner(why.clone());
        }
        let organisation = self.github.organisation();
        if let Some(login) = people.stranger(person) {
            return match group.and_then(|group| self.invited(group, login)) {
                Some(member) => Found::TargetAccount(account(&member, people, None)),
                None => Found::Missing(format!(
                    "{} has the GitHub account {login}, which is not a member of the organisation {organisation}; invite the account",
                    person.login
                )),
            };
        }
        let ways: Vec<String> =
            people.named.iter().map(|(way, _)| format!("{way:?}").to_lowercase()).collect();
        let ways = ways.join(", ");
        Found::Missing(format!("no member of {organisation} belongs to {} ({ways})", person.login))
    }

    /// Finds the account for a login that a source contains.
    fn find_login(&self, people: &People, login: &str, group: Option<u64>) -> Found {
        let found = {
            let mut seen = lock(&self.seen);
            let member =
                people.logins.get(&login.to_ascii_lowercase()).and_then(|id| seen.accounts.get(id)).cloned();
            if let Some(member) = &member {
                seen.found.insert(login.to_owned(), member.id);
            }
            member
        };
        match found.or_else(|| self.invited(group?, login)) {
            Some(member) => Found::TargetAccount(account(&member, people, None)),
            None => Found::Missing(format!(
                "the GitHub account {login} is not a member of the organisation {}; invite the account, or correct the \
                 login",
                self.github.organisation()
            )),
        }
    }

    /// Returns the person with this login, if the person had an open invitation at the last read of
    /// the team.
    fn invited(&self, group: u64, login: &str) -> Option<Member> {
        let seen = lock(&self.seen);
        let mut invited = seen.invited.get(&group)?.iter().filter_map(|id| seen.accounts.get(id));
        invited.find(|member| member.login.eq_ignore_ascii_case(login)).cloned()
    }
}

/// Returns each name in the list with its login and the account of this login. If a login does not
/// belong to a member of the organisation, adds the login to `strangers`.
fn logins(
    listed: &BTreeMap<String, String>,
    members: &[Member],
    strangers: &mut HashMap<String, String>,
) -> Vec<(String, String, u64)> {
    let ids: HashMap<String, u64> =
        members.iter().map(|member| (member.login.to_ascii_lowercase(), member.id)).collect();
    let mut pairs = Vec::new();
    for (name, login) in listed {
        match ids.get(&login.to_ascii_lowercase()) {
            Some(id) => pairs.push((name.clone(), login.clone(), *id)),
            None => {
                strangers.insert(name.to_ascii_lowercase(), login.clone());
            }
        }
    }
    pairs
}

fn mails(members: &[Member]) -> Vec<(String, u64)> {
    let pairs = members.iter().flat_map(|one| one.emails.iter().map(move |email| (email.clone(), one.id)));
    pairs.collect()
}

pub(super) fn account(member: &Member, people: &People, role: Option<Role>) -> TargetAccount {
    let names = people.names.get(&member.id).into_iter().flatten().cloned();
    TargetAccount {
        id: member.id.to_string(),
        name: Some(member.login.clone()),
        person: None,
        known_as: names.collect(),
        email: None,
        // GitHub treats an owner of the organisation as a maintainer of every team, even if the
        // list shows a different role.
        role: role.filter(|_| !people.owners.contains(&member.id)),
        values: BTreeMap::new(),
        attributes: BTreeMap::new(),
    }
}
