//! Writes the planned changes of one group.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::apply::Session;
use beadle_engine::{Change, Class, Clock, Failure, Key, Lane, Plan, PlanWriter, Store, Time};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::accounts::{Accounts, PersonAccount};
use crate::departures::Departures;
use crate::due::due;
use crate::guard::Departure;
use crate::links::{GroupLink, GroupLinks, Waits, is_form_of};
use crate::mapping::GroupKey;
use crate::mark::KIND;
use crate::planner::{OLDEST, What, Write, forget_members};
use crate::sources::Person;
use crate::stop::Stop;
use crate::targets::{NewGroup, Refused, StopNote as _, TargetWriter};

/// Writes the planned changes of one target's groups.
#[derive(Clone)]
pub struct GroupWriter {
    target: Arc<dyn TargetWriter>,
    name: String,
    clock: Clock,
    links: GroupLinks,
    accounts: Accounts,
    departures: Departures,
    /// How long Beadle remembers who left a group.
    window: Duration,
    adopting: Arc<Mutex<()>>,
}

impl GroupWriter {
    /// Creates a writer that stores links and departures in `store`. Beadle keeps each departure
    /// for the duration `window`.
    pub fn new(
        target: Arc<dyn TargetWriter>,
        name: &str,
        window: Duration,
        clock: Clock,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        Self {
            target,
            name: name.to_owned(),
            clock,
            links: GroupLinks(store.clone()),
            accounts: Accounts(store.clone()),
            departures: Departures(store),
            window,
            adopting: Arc::default(),
        }
    }
}

struct Run {
    writer: GroupWriter,
    group_key: GroupKey,
    lane: Lane,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<GroupLink>,
    /// The ids of the accounts that this run created, by the person's id.
    made: HashMap<String, String>,
}

#[async_trait]
impl PlanWriter<Write> for GroupWriter {
    async fn open(
        &self,
        key: &Key,
        _: &Plan<Write>,
        _: Time,
        lane: Lane,
    ) -> Result<Box<dyn Session<Write>>, Failure> {
        let group_key: GroupKey =
            key.id().parse().map_err(|why: String| Failure::new(Class::Rejected, why))?;
        // Another process might have stopped the target. Or this process might have stopped the
        // target before a restart.
        if let Some(why) = self.links.stopped(&self.name).await? {
            return Err(Failure::new(Class::Rejected, format!("{}: {why}", crate::links::STOPPED)));
        }
        let link = self.links.of(&self.name, &group_key).await?;
        let state = Mutex::new(State { link, made: HashMap::new() });
        let writer = Self { target: self.target.in_lane(lane), ..self.clone() };
        Ok(Box::new(Run { writer, group_key, lane, state }))
    }
}

#[async_trait]
impl Session<Write> for Run {
    async fn write(&self, change: &Change<Write>) -> Result<(), Failure> {
        let Write { facts, what } = &change.write;
        let target = &self.writer.target;
        let mut state = self.state.lock().await;
        let (wanted, out): (BTreeSet<String>, Arc<BTreeSet<String>>) = match what {
            What::Add { wanted, out, .. } | What::Remove { wanted, out, .. } => {
                (wanted.iter().chain(state.made.values()).cloned().collect(), out.clone())
            }
            _ => (BTreeSet::new(), Arc::default()),
        };
        let stop = Stop { links: &self.writer.links, target: &self.writer.name, wanted: &wanted, out: &out };
        let link = |group: String, name: String| GroupLink {
            group,
            name,
            shown: None,
            from: facts.from.clone(),
            sources: facts.sources.clone(),
            filled: Some(facts.filled.clone()),
            waits: None,
        };
        match what {
            What::Create => {
                let made = target
                    .create(&NewGroup {
                        name: &facts.name,
                        external_id: &facts.external_id,
                        description: facts.description.as_deref(),
                        parent: facts.parent.as_deref(),
                        // Without this value, anyone could see a secret group until Beadle writes
                        // the settings.
                        is_secret: facts.settings.get("privacy").is_some_and(|value| value == "secret"),
                    })
                    .await?;
                // The target can show the same name in a different form.
                let known = if is_form_of(&facts.name, &made.name) {
                    GroupLink { shown: Some(made.name), ..link(made.id, facts.name.clone()) }
                } else {
                    link(made.id, made.name)
                };
                self.keep(&mut state, known).await
            }
            What::Adopt { group, name, replaces } => {
                // Only one run at a time can take over a group. Without this limit, two runs could
                // take over the same group for two source groups.
                let _one = self.writer.adopting.lock().await;
                for (other, known) in self.writer.links.all(&self.writer.name).await? {
                    if other == self.group_key || known.group != *group {
                        continue;
                    }
                    if !replaces.contains(&other) {
                        let text = format!(
                            "{other} took over the group {name} at the same time; Beadle reads the group again"
                        );
                        return Err(Failure::new(Class::Conflict, text));
                    }
                    self.writer.links.forget(&self.writer.name, &other).await?;
                }
                self.keep(&mut state, link(group.clone(), name.clone())).await
            }
            What::Rename => {
                let mut known = ours(&state)?;
                let (name, now) = (&facts.name, self.writer.clock.now());
                let waiting = self.writer.links.waiting(&self.writer.name, now).await?;
                let renamed = target.rename(&known.group, name, &waiting).await;
                match renamed {
                    Ok(shown) => known.shown = shown,
                    Err(failure) => {
                        // This note tells other processes that the group waits for its name.
                        // Another process might rename the group that still has this name.
                        known.waits = Some(Waits { name: name.clone(), at: now });
                        self.keep(&mut state, known).await?;
                        return Err(failure);
                    }
                }
                known.waits = None;
                known.name.clone_from(name);
                known.from.clone_from(&facts.from);
                self.keep(&mut state, known).await
            }
            What::Describe => {
                let known = ours(&state)?;
                let description = facts.description.as_deref().unwrap_or_default();
                target.describe(&known.group, &facts.external_id, description).await
            }
            What::Configure(settings) => {
                let known = ours(&state)?;
                target.configure(&known.group, settings).await
            }
            What::Provision { person, source } => {
                let made = target.provision(person).await.map_err(|failure| lacking(failure, person))?;
                let whose = PersonAccount {
                    source: source.clone(),
                    person: person.id.clone(),
                    account: made.id.clone(),
                    login: person.login.clone(),
                };
                state.made.insert(person.id.clone(), made.id);
                self.writer.accounts.made(&self.writer.name, &whose).await
            }
            What::Update { whose, values } => {
                target.update(&whose.account, values).await?;
                // Beadle also remembers an inactive account, because somebody can activate it at
                // the target, and because the person can come back.
                let active = values.iter().find(|(path, _)| *path == "active").map(|(_, value)| value);
                match active.and_then(Value::as_bool) {
                    Some(true) => self.writer.accounts.activated(&self.writer.name, whose).await,
                    Some(false) => self.writer.accounts.left(&self.writer.name, whose).await,
                    None => Ok(()),
                }
            }
            What::SetAttributes { account, values } => target.set_attributes(account, values).await,
            What::Add { accounts, people, role, .. } => {
                let mut known = ours(&state)?;
                let made = people.iter().filter_map(|(person, _)| state.made.get(person));
                let accounts: Vec<String> = accounts.iter().chain(made).cloned().collect();
                // If one of the people has no account, Beadle still adds all other people.
                let without = people.iter().filter(|(person, _)| !state.made.contains_key(person));
                let without: Vec<Refused> = without
                    .map(|(_, login)| Refused {
                        account: login.clone(),
                        why: "Beadle could not create an account for this person".into(),
                    })
                    .collect();
                if accounts.is_empty() {
                    return report_refused("add", &without);
                }
                let mut refused = self.noting_stop(target.add(&known.group, &accounts, *role, &stop)).await?;
                refused.extend(without);
                let before = known.clone();
                known.add_sources(&facts.sources, &facts.filled);
                if known != before {
                    self.keep(&mut state, known).await?;
                }
                report_refused("add", &refused)
            }
            What::Remember => {
                let mut known = ours(&state)?;
                known.add_sources(&facts.sources, &facts.filled);
                known.from.clone_from(&facts.from);
                self.keep(&mut state, known).await
            }
            What::Remove { accounts, read, members, confirmed, watched, settles, .. } => {
                if self.writer.clock.now().since(*read) > OLDEST {
                    let text = "the last read is too old to remove a member; Beadle reads the group again";
                    return Err(Failure::new(Class::Conflict, text));
                }
                let mut known = ours(&state)?;
                let Run { writer, group_key, .. } = self;
                for whose in watched {
                    writer.accounts.left(&writer.name, whose).await?;
                }
                // The remembered members can still contain the removed people, and a sweep would
                // use this list.
                forget_members(writer.accounts.0.as_ref(), &known.sources).await?;
                // An operator approved this removal, so it does not count against the group's
                // limit.
                let is_approved = change.stop.is_some();
                if !is_approved {
                    let departure = Departure {
                        at: writer.clock.now(),
                        accounts: accounts.clone(),
                        confirmed: confirmed.clone(),
                        members: *members,
                    };
                    writer.departures.book(&writer.name, group_key, departure, writer.window).await?;
                }
                let refused = self.noting_stop(target.remove(&known.group, accounts, &stop)).await?;
                if is_approved {
                    writer.departures.approved(&writer.name, group_key, accounts).await?;
                }
                let is_settled = known.sources == facts.sources && known.filled() == facts.filled.as_slice();
                self.check_accounts(watched).await?;
                if *settles && !is_settled {
                    known.sources.clone_from(&facts.sources);
                    known.filled = Some(facts.filled.clone());
                    self.keep(&mut state, known).await?;
                }
                report_refused("remove", &refused)
            }
            What::Delete => {
                let known = ours(&state)?;
                target.delete(&known.group).await?;
                stop.forget_write(&known.group).await?;
                state.link = None;
                self.writer.links.forget(&self.writer.name, &self.group_key).await
            }
        }
    }
}

impl Run {
    /// Runs a write. If the write stopped the target, stores this fact, so that all processes stop
    /// writing until a probe succeeds. If the target was already stopped before the write, this
    /// function stores nothing. A probe might have succeeded after the earlier stop, and this
    /// process might not know that.
    async fn noting_stop(
        &self,
        write: impl Future<Output = Result<Vec<Refused>, Failure>> + Send,
    ) -> Result<Vec<Refused>, Failure> {
        let was_stopped = self.writer.target.stopped().is_some();
        let result = write.await;
        if !was_stopped
            && result.is_err()
            && let Some(why) = self.writer.target.stopped()
        {
            self.writer.links.stop(&self.writer.name, &why).await?;
        }
        result
    }

    /// Makes the keys of these accounts due. The owner of each account left a group, which might
    /// have been the owner's last group. If the process is killed before this step, the next sweep
    /// makes the keys due.
    async fn check_accounts(&self, watched: &[PersonAccount]) -> Result<(), Failure> {
        let GroupWriter { accounts, name, clock, .. } = &self.writer;
        let Some(store) = accounts.0.as_ref().filter(|_| !watched.is_empty()) else { return Ok(()) };
        let mark = |whose: &PersonAccount| {
            let (source, person) = (whose.source.clone(), whose.person.clone());
            due(Key::new(KIND, name, GroupKey::TargetAccount { source, person }), self.lane, None)
        };
        store.mark_readable(watched.iter().map(mark).collect(), clock.now()).await?;
        Ok(())
    }

    async fn keep(&self, state: &mut State, link: GroupLink) -> Result<(), Failure> {
        self.writer.links.keep(&self.writer.name, &self.group_key, &link).await?;
        state.link = Some(link);
        Ok(())
    }
}

fn ours(state: &State) -> Result<GroupLink, Failure> {
    let none =
        || Failure::new(Class::Conflict, "the group of the target is no longer known; Beadle reads it again");
    state.link.clone().ok_or_else(none)
}

/// If the target refused a person who lacks a first or last name at the directory, adds this fact
/// to the error. Some servers need these names, but the servers' errors do not state this clearly.
fn lacking(failure: Failure, person: &Person) -> Failure {
    if failure.class != Class::Rejected {
        return failure;
    }
    let lacks = match (person.given.is_empty(), person.family.is_empty()) {
        (false, false) => return failure,
        (true, false) => "first name",
        (false, true) => "last name",
        (true, true) => "first name and no last name",
    };
    failure.during(format!("{} has no {lacks} in the directory, and the target may need one", person.login))
}

/// Returns an error with the accounts that the target refused. The target accepted all other
/// accounts.
fn report_refused(what: &str, refused: &[Refused]) -> Result<(), Failure> {
    let Some(first) = refused.first() else { return Ok(()) };
    let text = match refused.len() {
        1 => format!("the target refused to {what} {}: {}", first.account, first.why),
        more => {
            format!("the target refused to {what} {more} accounts, first {}: {}", first.account, first.why)
        }
    };
    Err(Failure::new(Class::Rejected, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_accounts_are_counted_and_the_first_is_named() {
        let refused = |account: &str| Refused { account: account.into(), why: "404".into() };
        assert!(report_refused("add", &[]).is_ok());
        let text = |refused: &[Refused]| report_refused("add", refused).unwrap_err().text;
        assert_eq!(text(&[refused("a1")]), "the target refused to add a1: 404");
        assert_eq!(
            text(&[refused("a1"), refused("a2")]),
            "the target refused to add 2 accounts, first a1: 404"
        );
    }

    #[test]
    fn a_refused_account_names_the_missing_names_of_its_person() {
        let person = |given: &str, family: &str| Person {
            id: "00u1".into(),
            login: "ada@acme.example".into(),
            email: None,
            given: given.into(),
            family: family.into(),
            display: "Ada".into(),
            is_leaving: false,
            status: "ACTIVE".into(),
            may_be_made: true,
            profile: serde_json::Map::new(),
            account: None,
            role: None,
        };
        let text = |class: Class, given: &str, family: &str| {
            lacking(Failure::new(class, "400"), &person(given, family)).text
        };
        assert!(text(Class::Rejected, "Ada", "").contains("ada@acme.example has no last name"));
        assert!(text(Class::Rejected, "", "Lovelace").contains("has no first name in the directory"));
        assert!(text(Class::Rejected, "", "").contains("has no first name and no last name"));
        assert_eq!(text(Class::Rejected, "Ada", "Lovelace"), "400");
        assert_eq!(text(Class::Retry, "", ""), "400", "the target may be down");
    }
}
