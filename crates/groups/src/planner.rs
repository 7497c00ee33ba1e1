//! From both sides to a plan: who is declared to be in a group, who is, and what has to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use beadle_engine::{
    Asked, Change, Class, Clock, Failure, Field, Key, Plan, Planner, Risk, Store, Time, Unknown,
};
use serde_json::{Value, json};

use crate::guard::GroupLimits;
use crate::mapping::{Mapping, Mappings, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Slot, Users};
use crate::pairs::{Pair, Pairs};
use crate::sources::{Person, Source, SourceGroup};
use crate::targets::{Account, Found, TargetReader};

/// The aspect of the group itself.
pub(crate) const GROUP: &str = "group";
/// The aspect of who is in it.
pub(crate) const MEMBERS: &str = "members";

/// What is remembered of a group once something of it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What it is called at the target.
    pub(crate) name: String,
    /// What its source is called.
    pub(crate) from: String,
    /// The groups that it is made of.
    pub(crate) sources: Vec<String>,
    /// What the target is told to know it by.
    pub(crate) external_id: String,
}

/// How a change is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub(crate) facts: Arc<Facts>,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Makes the group.
    Create,
    /// Takes over a group that is there.
    Adopt {
        /// Its id.
        group: String,
        /// Its name.
        name: String,
    },
    /// Gives it another name.
    Rename,
    /// Makes an account for a person.
    Provision(Box<Person>),
    /// Adds accounts; people who were given theirs just before are named by person.
    Add {
        /// The accounts.
        accounts: Vec<String>,
        /// People whose account is made before.
        people: Vec<String>,
    },
    /// Takes accounts out.
    Remove {
        /// The accounts.
        accounts: Vec<String>,
        /// When both sides were read.
        read: Time,
    },
    /// Deletes the group.
    Delete,
}

/// Directories and targets, by name, and how groups go from one to the other.
#[derive(Clone)]
pub struct Directory {
    /// Directories.
    pub sources: HashMap<String, Arc<dyn Source>>,
    /// One target.
    pub target: Arc<dyn TargetReader>,
    /// Its name.
    pub name: String,
    /// The mappings in force.
    pub mappings: Arc<RwLock<Arc<Mappings>>>,
}

impl Directory {
    /// The mappings in force.
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn source(&self, name: &str) -> Result<&Arc<dyn Source>, Failure> {
        self.sources.get(name).ok_or_else(|| {
            Failure::new(Class::Rejected, format!("the directory {name} is no longer in the configuration"))
        })
    }
}

/// Plans the groups of one target.
#[derive(Clone)]
pub struct GroupPlanner {
    directory: Directory,
    limits: GroupLimits,
    clock: Clock,
    pub(crate) pairs: Pairs,
}

/// What a group is declared to be.
struct Desired<'a> {
    mapping: &'a Mapping,
    facts: Arc<Facts>,
    is_protected: bool,
    /// How many each source listed, whatever their status: by directory and group.
    listed: Vec<(&'a str, String, usize)>,
    people: BTreeMap<String, Person>,
}

/// Who is to come and who to go.
#[derive(Default)]
struct Difference {
    come: Vec<(Person, Account)>,
    provision: Vec<Person>,
    go: Vec<Account>,
}

impl GroupPlanner {
    /// A planner that remembers in `store` which groups are ours.
    pub fn new(
        directory: Directory,
        limits: GroupLimits,
        clock: Clock,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        Self { directory, limits, clock, pairs: Pairs(store) }
    }

    /// What it plans from.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    async fn plan_slot(&self, slot: &Slot) -> Result<Plan<Write>, Failure> {
        let mappings = self.directory.mappings();
        let pair = self.pairs.of(&self.directory.name, slot).await?;
        let groups = match self.sources_of(&mappings, slot).await? {
            Sources::Groups(groups) => groups,
            Sources::Gone => return self.plan_gone(&mappings, slot, pair.as_ref()).await,
        };
        let subject = format!("{}/{}", self.directory.name, name_of(slot, &groups, pair.as_ref()));
        let mut plan = Plan::new(subject);
        let Some((mapping, _)) = groups.first() else {
            // Whatever became of the mapping: nobody is taken out because nobody says any more who should be in.
            let what = if pair.is_some() {
                "no mapping names it any more; it is left as it is"
            } else {
                "no mapping names it"
            };
            plan.skipped = Some(what.into());
            return Ok(plan);
        };
        let read = self.clock.now();
        let desired = match self.desired(mapping, slot, &groups).await {
            Ok(desired) => desired,
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
            Err(failure) => {
                plan.unknowns.push(unknown(MEMBERS, None, &failure));
                return Ok(plan);
            }
        };
        let seen = self.observed(&desired, pair.as_ref(), &mut plan).await?;
        let Some(seen) = seen else { return Ok(plan) };
        let mut difference = self.compare(&desired, &seen, &mut plan).await?;
        if !difference.go.is_empty()
            && let Some(why) = self.listed_less(&desired).await?
        {
            difference.go.clear();
            plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: true });
        }
        self.changes(&desired, &seen, difference, read, &mut plan).await?;
        Ok(plan)
    }

    /// The groups that a slot is made of, each with the mapping that says so.
    async fn sources_of<'a>(&self, mappings: &'a Mappings, slot: &Slot) -> Result<Sources<'a>, Failure> {
        match slot {
            Slot::One { source, group } => {
                let Some(found) = self.directory.source(source)?.group(group).await? else {
                    return Ok(Sources::Gone);
                };
                let mapping = mappings.one(&self.directory.name, source, &found.id, &found.name);
                Ok(Sources::Groups(mapping.map(|mapping| (mapping, found)).into_iter().collect()))
            }
            Slot::Union(into) => {
                let mut groups: Vec<(&Mapping, SourceGroup)> = Vec::new();
                for mapping in mappings.union(&self.directory.name, into) {
                    let source = self.directory.source(&mapping.source)?;
                    for found in source.groups().await? {
                        let known = |(other, group): &(&Mapping, SourceGroup)| {
                            other.source == mapping.source && group.id == found.id
                        };
                        if !mapping.is_for(&found.id, &found.name) || groups.iter().any(known) {
                            continue;
                        }
                        // With its count, which the list does not have.
                        if let Some(found) = source.group(&found.id).await? {
                            groups.push((mapping, found));
                        }
                    }
                }
                Ok(Sources::Groups(groups))
            }
        }
    }

    /// Everybody in all the sources. One that cannot be read whole leaves the whole group unknown.
    async fn desired<'a>(
        &self,
        mapping: &'a Mapping,
        slot: &Slot,
        groups: &[(&'a Mapping, SourceGroup)],
    ) -> Result<Desired<'a>, Failure> {
        let mut people = BTreeMap::new();
        let mut listed = Vec::with_capacity(groups.len());
        for (mapping, group) in groups {
            let members = self.directory.source(&mapping.source)?.members(group).await?;
            listed.push((mapping.source.as_str(), group.id.clone(), members.len()));
            people.extend(members.into_iter().map(|person| (person.id.clone(), person)));
        }
        people.retain(|_, person| !person.is_leaving);
        let facts = Facts {
            name: name_of(slot, groups, None),
            from: groups.first().map(|(_, group)| group.name.clone()).unwrap_or_default(),
            sources: groups
                .iter()
                .map(|(mapping, group)| format!("{}/{}", mapping.source, group.id))
                .collect(),
            external_id: owned_as(slot),
        };
        Ok(Desired {
            mapping,
            facts: Arc::new(facts),
            is_protected: groups.iter().any(|(mapping, group)| mapping.protects(&group.id, &group.name)),
            listed,
            people,
        })
    }

    /// The target's group, and what has to be written to have it. `None`: there is nothing to compare with.
    async fn observed(
        &self,
        desired: &Desired<'_>,
        pair: Option<&Pair>,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Seen>, Failure> {
        if let Some(pair) = pair
            && let Some(members) = self.read(&pair.group, plan).await?
        {
            let Some(members) = members else { return Ok(None) };
            let name = self.directory.target.known_name(&pair.group).unwrap_or_else(|| pair.name.clone());
            if name != desired.facts.name {
                let mut change = desired.change("rename", &name, Risk::Changes, What::Rename);
                if desired.mapping.on_rename == OnRename::Hold {
                    change.stop =
                        Some(format!("on_rename = hold: {name} would become {}", desired.facts.name));
                }
                plan.changes.push(change);
            }
            let is_gone = |source: &&String| !desired.facts.sources.contains(source);
            let vanished = pair.sources.iter().filter(is_gone).cloned().collect();
            return Ok(Some(Seen { members, first: None, vanished }));
        }
        // What was made before and is not remembered, because a kill came between, may have been renamed since.
        let target = &self.directory.target;
        let found = match target.group_owned_as(&desired.facts.external_id).await? {
            Some(ours) => Some(ours),
            None => target.group_named(&desired.facts.name).await?,
        };
        match found {
            Some(found) => {
                let is_ours = found.external_id.as_ref() == Some(&desired.facts.external_id);
                if !is_ours && !desired.mapping.adopt {
                    let why = format!(
                        "the target has a group {} that Beadle did not make; say adopt = true in the mapping, or rename one",
                        desired.facts.name
                    );
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                    return Ok(None);
                }
                let Some(Some(members)) = self.read(&found.id, plan).await? else { return Ok(None) };
                let first = plan.changes.len();
                let adopt = What::Adopt { group: found.id, name: found.name.clone() };
                plan.changes.push(desired.change("take over", "", Risk::Adds, adopt));
                if found.name != desired.facts.name {
                    let mut rename = desired.change("rename", &found.name, Risk::Changes, What::Rename);
                    rename.after = vec![first];
                    plan.changes.push(rename);
                }
                Ok(Some(Seen { members, first: Some(first), vanished: Vec::new() }))
            }
            None => match desired.mapping.on_missing_group {
                OnMissingGroup::Create => {
                    plan.changes.push(desired.change("create", "", Risk::Adds, What::Create));
                    Ok(Some(Seen {
                        members: Vec::new(),
                        first: Some(plan.changes.len() - 1),
                        vanished: Vec::new(),
                    }))
                }
                other => {
                    let why = format!(
                        "the target has no group {}; make it, or say on_missing_group = \"create\"",
                        desired.facts.name
                    );
                    let transient = other == OnMissingGroup::Wait;
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient });
                    Ok(None)
                }
            },
        }
    }

    /// Who is in the target's group. `None`: it is not there. `Some(None)`: unknown, and said so.
    async fn read(
        &self,
        group: &str,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Option<Vec<Account>>>, Failure> {
        match self.directory.target.members(group).await {
            Ok(None) => Ok(None),
            Ok(Some(members)) => Ok(Some(Some(members))),
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(failure) => {
                plan.unknowns.push(unknown(MEMBERS, None, &failure));
                Ok(Some(None))
            }
        }
    }

    async fn compare(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        plan: &mut Plan<Write>,
    ) -> Result<Difference, Failure> {
        let mut difference = Difference::default();
        let by_person: HashMap<&str, &Account> =
            seen.members.iter().filter_map(|account| Some((account.person.as_deref()?, account))).collect();
        let mut stay: HashSet<&str> = HashSet::new();
        let mut strange = Vec::new();
        for person in desired.people.values() {
            match by_person.get(person.id.as_str()) {
                Some(account) => {
                    stay.insert(&account.id);
                }
                None => strange.push(person.clone()),
            }
        }
        // Names and addresses of people whose account is not known: whoever has one of them may be that person.
        let mut doubtful: BTreeSet<String> = BTreeSet::new();
        let found = if strange.is_empty() { Vec::new() } else { self.directory.target.find(&strange).await };
        for (person, found) in strange.into_iter().zip(found) {
            let mut doubt = |person: &Person, why: String, transient: bool| {
                doubtful.insert(person.login.to_lowercase());
                doubtful.extend(person.email.as_ref().map(|email| email.to_lowercase()));
                let part = Some(person.login.clone());
                plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part, why, transient });
            };
            match found {
                Ok(Found::Account(account)) => match seen.members.iter().find(|other| other.id == account.id)
                {
                    Some(is) => {
                        stay.insert(&is.id);
                    }
                    None => difference.come.push((person, account)),
                },
                Ok(Found::Another(why)) => doubt(&person, why, false),
                Ok(Found::Missing) if desired.mapping.users == Users::Provision => {
                    difference.provision.push(person);
                }
                Ok(Found::Missing) => {
                    let why = format!(
                        "the target has no user {} (or with the externalId {})",
                        person.login, person.id
                    );
                    match desired.mapping.on_missing_user {
                        OnMissingUser::Skip => tracing::info!(group = plan.subject, why, "skipped"),
                        OnMissingUser::Wait => doubt(&person, format!("{why}; it is looked for again"), true),
                        OnMissingUser::Error => doubt(&person, why, false),
                    }
                }
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                // Who it is is not known: nobody is taken out while that is so.
                Err(failure) => plan.unknowns.push(unknown(MEMBERS, None, &failure)),
            }
        }
        let may_be = |account: &Account| {
            let known = [account.name.as_ref(), account.email.as_ref()];
            known.into_iter().flatten().any(|text| doubtful.contains(&text.to_lowercase()))
        };
        difference.go = seen
            .members
            .iter()
            .filter(|account| !stay.contains(account.id.as_str()) && !may_be(account))
            .cloned()
            .collect();
        Ok(difference)
    }

    /// Why a list may have been short all the same, asked before anybody leaves: one that somebody joined while it was
    /// counted and read would hide that it lacks another.
    async fn listed_less(&self, desired: &Desired<'_>) -> Result<Option<String>, Failure> {
        for (source, id, listed) in &desired.listed {
            let group = self.directory.source(source)?.group(id).await?;
            let count = group.and_then(|group| group.count);
            if count.is_none_or(|count| count > *listed as u64) {
                return Ok(Some(format!(
                    "{source}/{id} changed while it was read; nobody is removed before it was read again"
                )));
            }
        }
        Ok(None)
    }

    /// Adds before removes, in the fewest requests.
    async fn changes(
        &self,
        desired: &Desired<'_>,
        seen: &Seen,
        difference: Difference,
        read: Time,
        plan: &mut Plan<Write>,
    ) -> Result<(), Failure> {
        let mode = desired.mapping.mode;
        let asked = &desired.mapping.asked;
        let change = |what: &str, fields: Vec<Field>, after: Vec<usize>, write: What| Change {
            aspect: MEMBERS.into(),
            what: what.into(),
            fields,
            mode,
            after,
            stop: None,
            write: Write { facts: desired.facts.clone(), what: write },
        };
        let first: Vec<usize> = seen.first.into_iter().collect();
        let member = |name: &str, risk: Risk| {
            let (before, after) = match risk {
                Risk::Removes => (json!(true), Value::Null),
                _ => (Value::Null, json!(true)),
            };
            Field { name: name.to_owned(), before, after, asked: asked.clone(), risk }
        };
        let mut made = Vec::new();
        for person in &difference.provision {
            let field = Field {
                name: person.login.clone(),
                before: Value::Null,
                after: json!(person.display),
                asked: asked.clone(),
                risk: Risk::Adds,
            };
            let write = What::Provision(Box::new(person.clone()));
            plan.changes.push(change("make the user", vec![field], Vec::new(), write));
            made.push(plan.changes.len() - 1);
        }
        let at_once = self.directory.target.changes_at_once().max(1);
        for part in difference.come.chunks(at_once) {
            let fields = part.iter().map(|(person, _)| member(&person.login, Risk::Adds)).collect();
            let accounts = part.iter().map(|(_, account)| account.id.clone()).collect();
            plan.changes.push(change(
                "add",
                fields,
                first.clone(),
                What::Add { accounts, people: Vec::new() },
            ));
        }
        for (part, before) in difference.provision.chunks(at_once).zip(made.chunks(at_once)) {
            let fields = part.iter().map(|person| member(&person.login, Risk::Adds)).collect();
            let people = part.iter().map(|person| person.id.clone()).collect();
            let after = first.iter().chain(before).copied().collect();
            plan.changes.push(change("add", fields, after, What::Add { accounts: Vec::new(), people }));
        }
        let (leaving, members) = (difference.go.len(), seen.members.len());
        let listed = desired.listed.iter().map(|(.., listed)| listed).sum();
        let stop = match seen.vanished.as_slice() {
            [first, ..] if leaving > 0 => {
                Some(format!("{first} was a source of it, and no mapping names it any more"))
            }
            _ => self.limits.stops(leaving, members, listed, desired.is_protected),
        };
        let (sure, rest) = match &stop {
            Some(_) => self.confirmed(desired.mapping, difference.go).await?,
            None => (difference.go, Vec::new()),
        };
        for (what, accounts, stop) in [("remove", sure, None), ("remove", rest, stop)] {
            for part in accounts.chunks(at_once) {
                let fields = part.iter().map(|account| member(account.label(), Risk::Removes)).collect();
                let accounts = part.iter().map(|account| account.id.clone()).collect();
                let mut change = change(what, fields, first.clone(), What::Remove { accounts, read });
                change.stop.clone_from(&stop);
                plan.changes.push(change);
            }
        }
        Ok(())
    }

    /// Of those who would leave: those of whom the directory, asked for each alone, says that their access should go; as
    /// many as the ceiling allows. And the others.
    async fn confirmed(
        &self,
        mapping: &Mapping,
        go: Vec<Account>,
    ) -> Result<(Vec<Account>, Vec<Account>), Failure> {
        let source = self.directory.source(&mapping.source)?;
        let (mut sure, mut rest) = (Vec::new(), Vec::new());
        let mut asked = 0;
        for account in go {
            let person = match &account.person {
                // Beyond the ceiling nobody is asked about.
                Some(person) if sure.len() < self.limits.leavers && asked < self.limits.leavers * 5 => {
                    asked += 1;
                    source.person(person).await?
                }
                _ => None,
            };
            match person {
                Some(person) if person.is_leaving => sure.push(account),
                _ => rest.push(account),
            }
        }
        Ok((sure, rest))
    }

    /// The source's group is gone.
    async fn plan_gone(
        &self,
        mappings: &Mappings,
        slot: &Slot,
        pair: Option<&Pair>,
    ) -> Result<Plan<Write>, Failure> {
        let name = pair.map_or_else(|| slot.to_string(), |pair| pair.name.clone());
        let mut plan = Plan::new(format!("{}/{name}", self.directory.name));
        let (Some(pair), Slot::One { source, group }) = (pair, slot) else {
            plan.skipped = Some("the directory has no such group".into());
            return Ok(plan);
        };
        let Some(mapping) = mappings.one(&self.directory.name, source, group, &pair.from) else {
            plan.skipped =
                Some("its source is gone, and no mapping names it any more; it is left as it is".into());
            return Ok(plan);
        };
        let facts = Facts {
            name: pair.name.clone(),
            from: pair.from.clone(),
            sources: pair.sources.clone(),
            external_id: owned_as(slot),
        };
        let facts = Arc::new(facts);
        let stop = Some(format!("the source of {} is gone (on_delete)", pair.name));
        match mapping.on_delete {
            OnDelete::Keep => {
                plan.skipped = Some("its source is gone; it is kept as it is (on_delete = keep)".into());
            }
            OnDelete::Empty => {
                let read = self.clock.now();
                let Some(Some(members)) = self.read(&pair.group, &mut plan).await? else { return Ok(plan) };
                for part in members.chunks(self.directory.target.changes_at_once().max(1)) {
                    let field = |account: &Account| Field {
                        name: account.label().to_owned(),
                        before: json!(true),
                        after: Value::Null,
                        asked: mapping.asked.clone(),
                        risk: Risk::Removes,
                    };
                    plan.changes.push(Change {
                        aspect: MEMBERS.into(),
                        what: "remove".into(),
                        fields: part.iter().map(field).collect(),
                        mode: mapping.mode,
                        after: Vec::new(),
                        stop: stop.clone(),
                        write: Write {
                            facts: facts.clone(),
                            what: What::Remove {
                                accounts: part.iter().map(|account| account.id.clone()).collect(),
                                read,
                            },
                        },
                    });
                }
            }
            OnDelete::Delete => {
                if self.directory.target.group(&pair.group).await?.is_some() {
                    let fields = vec![named(&pair.name, "", mapping.asked.as_ref(), Risk::Removes)];
                    plan.changes.push(Change {
                        aspect: GROUP.into(),
                        what: "delete".into(),
                        fields,
                        mode: mapping.mode,
                        after: Vec::new(),
                        stop,
                        write: Write { facts, what: What::Delete },
                    });
                }
            }
        }
        Ok(plan)
    }
}

impl Desired<'_> {
    fn change(&self, what: &str, before: &str, risk: Risk, write: What) -> Change<Write> {
        Change {
            aspect: GROUP.into(),
            what: what.into(),
            fields: vec![named(before, &self.facts.name, self.mapping.asked.as_ref(), risk)],
            mode: self.mapping.mode,
            after: Vec::new(),
            stop: None,
            write: Write { facts: self.facts.clone(), what: write },
        }
    }
}

/// Groups of directories, each with the mapping that means it.
enum Sources<'a> {
    Groups(Vec<(&'a Mapping, SourceGroup)>),
    Gone,
}

/// The target's group.
struct Seen {
    members: Vec<Account>,
    /// The change of the plan that has to be written before anything else of it.
    first: Option<usize>,
    /// Sources that it was made of, and is no longer.
    vanished: Vec<String>,
}

/// What a group is called at the target.
fn name_of(slot: &Slot, groups: &[(&Mapping, SourceGroup)], pair: Option<&Pair>) -> String {
    match (slot, groups, pair) {
        (Slot::Union(into), ..) => into.clone(),
        (_, [(mapping, group)], _) => mapping.naming.of(&group.name),
        (_, _, Some(pair)) => pair.name.clone(),
        (Slot::One { source, group }, ..) => format!("{source}/{group}"),
    }
}

/// What the target is told to know a group by.
fn owned_as(slot: &Slot) -> String {
    match slot {
        Slot::One { group, .. } => group.clone(),
        Slot::Union(_) => slot.to_string(),
    }
}

fn named(before: &str, after: &str, asked: Option<&Asked>, risk: Risk) -> Field {
    let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    Field {
        name: "displayName".into(),
        before: value(before),
        after: value(after),
        asked: asked.cloned(),
        risk,
    }
}

fn unknown(aspect: &str, part: Option<String>, failure: &Failure) -> Unknown {
    let transient = failure.class != Class::Rejected;
    Unknown { aspect: aspect.into(), part, why: failure.text.clone(), transient }
}

#[async_trait]
impl Planner for GroupPlanner {
    type Write = Write;

    async fn plan(&self, key: &Key, _: Option<&str>) -> Result<Plan<Write>, Failure> {
        let slot: Slot = key.id().parse().map_err(|why: String| Failure::new(Class::Rejected, why))?;
        self.plan_slot(&slot).await
    }

    fn generation(&self) -> String {
        self.directory.mappings().generation.clone()
    }
}
