//! From both sides to a plan: who is declared to be in a group, who is, and what has to be written.

mod changes;
mod compare;
mod directory;
mod explain;
mod gone;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{
    Asked, Change, Class, Clock, Failure, Field, Key, Mode, Plan, Planner, Risk, Store, Unknown,
};
use serde_json::{Value, json};

use crate::guard::GroupLimits;
use crate::mapping::{Mapping, Mappings, OnMissingGroup, OnRename, Role, Slot, Users};
use crate::pairs::{Pair, Pairs};
use crate::sources::{Person, SourceGroup};
use crate::targets::{Account, TargetGroup};
use crate::writer::OLDEST;

pub use directory::Directory;
pub use explain::Explained;
pub use write::Write;
pub(crate) use write::{Facts, What};

/// The aspect of the group itself.
const GROUP: &str = "group";
/// The aspect of who is in it.
const MEMBERS: &str = "members";
/// The aspect of the accounts of those who are.
const USERS: &str = "users";

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
    /// The most careful one of all mappings that make it.
    mode: Mode,
    facts: Arc<Facts>,
    is_protected: bool,
    /// How many each source listed, whatever their status: by directory and group.
    listed: Vec<(&'a str, String, usize)>,
    people: BTreeMap<String, Person>,
    /// What they are in the group, by person; `None`: whatever they are.
    roles: Option<BTreeMap<String, Role>>,
    /// Those of them whose access should go.
    leaving: BTreeSet<String>,
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
        let seen = self.observed(&desired, slot, pair.as_ref(), &mut plan).await?;
        let Some(seen) = seen else { return Ok(plan) };
        let seen_as = seen.group.clone();
        let unknowns = plan.unknowns.len();
        let mut difference = self.compare(&desired, &seen, &mut plan).await?;
        // Nobody loses anything because of what was known longer ago than the members were read.
        if difference.takes() && self.directory.target.told_apart_anew(OLDEST).await? {
            plan.unknowns.truncate(unknowns);
            difference = self.compare(&desired, &seen, &mut plan).await?;
        }
        if difference.takes()
            && let Some(why) = self.listed_less(&desired).await?
        {
            difference.take_nothing();
            plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: true });
        }
        if desired.mapping.users == Users::Provision {
            self.deactivations(&desired, &seen, &mut difference).await?;
        }
        self.changes(&desired, &seen, difference, read, &mut plan).await?;
        if let Some(source) = self.directory.first_pushed(&desired.facts.sources) {
            plan.skipped = Some(format!("the directory pushes {source} itself; it is only observed"));
            observe(&mut plan);
        } else if let Some(group) = seen_as
            && !plan.changes.is_empty()
        {
            match self.directory.target.kept_by(&group).await {
                Ok(None) => {}
                Ok(Some(what)) => {
                    plan.skipped = Some(format!("{what}; it is only observed"));
                    observe(&mut plan);
                }
                Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => return Err(failure),
                Err(failure) => {
                    plan.changes.clear();
                    plan.unknowns.push(unknown(GROUP, None, &failure));
                }
            }
        }
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
                        groups.push((mapping, found));
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
        let mut roles: BTreeMap<String, Role> = BTreeMap::new();
        let mut listed = Vec::with_capacity(groups.len());
        for (mapping, group) in groups {
            let members = self.directory.source(&mapping.source)?.members(group).await?;
            listed.push((mapping.source.as_str(), group.id.clone(), members.len()));
            for person in members {
                let role = roles.entry(person.id.clone()).or_default();
                *role = (*role).max(mapping.role.unwrap_or_default());
                people.insert(person.id.clone(), person);
            }
        }
        let leaving =
            people.values().filter(|person| person.is_leaving).map(|person| person.id.clone()).collect();
        people.retain(|_, person| !person.is_leaving);
        let facts = Facts {
            name: name_of(slot, groups, None),
            from: groups.first().map(|(_, group)| group.name.clone()).unwrap_or_default(),
            sources: groups
                .iter()
                .map(|(mapping, group)| format!("{}/{}", mapping.source, group.id))
                .collect(),
            external_id: owned_as(slot),
            description: groups.iter().find_map(|(mapping, group)| {
                Some(mapping.description.as_ref()?.replace("{group}", &group.name))
            }),
            parent: groups.iter().find_map(|(mapping, _)| mapping.parent.clone()),
        };
        let says_roles = groups.iter().any(|(mapping, _)| mapping.role.is_some());
        Ok(Desired {
            mapping,
            mode: groups.iter().map(|(mapping, _)| mapping.mode).min().unwrap_or_default(),
            facts: Arc::new(facts),
            is_protected: groups.iter().any(|(mapping, group)| mapping.protects(&group.id, &group.name)),
            listed,
            people,
            roles: says_roles.then_some(roles),
            leaving,
        })
    }

    /// The target's group, and what has to be written to have it. `None`: there is nothing to compare with.
    async fn observed(
        &self,
        desired: &Desired<'_>,
        slot: &Slot,
        pair: Option<&Pair>,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Seen>, Failure> {
        if let Some(pair) = pair
            && let Some(members) = self.read(&pair.group, plan).await?
        {
            let Some(members) = members else { return Ok(None) };
            let all = self.pairs.all(&self.directory.name).await?;
            if let Some((other, _)) =
                all.iter().find(|(other, known)| other != slot && known.group == pair.group)
            {
                let why = format!(
                    "{other} is remembered as the same group of the target; give one of them another name"
                );
                plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                return Ok(None);
            }
            let further = desired.facts.sources.iter().filter(|source| !pair.sources.contains(source));
            let fields: Vec<Field> = further.map(|source| desired.source(source)).collect();
            if !fields.is_empty() {
                let mut change = desired.change("remember", "", Risk::Adds, What::Remember);
                change.fields = fields;
                plan.changes.push(change);
            }
            let known = self.directory.target.known(&pair.group);
            let name = known.as_ref().map_or_else(|| pair.name.clone(), |known| pair.named(&known.name));
            describe(desired, known.as_ref(), None, plan);
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
            return Ok(Some(Seen { group: Some(pair.group.clone()), members, first: None, vanished }));
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
                let (other, replaces) = self.made_of_others(slot, &found).await?;
                if let Some(other) = other {
                    let why = format!(
                        "the target's group {} is made of {other} already; give one of them another name, or make both one \
                         with `into`",
                        found.name
                    );
                    plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
                    return Ok(None);
                }
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
                let adopt = What::Adopt { group: found.id.clone(), name: found.name.clone(), replaces };
                plan.changes.push(desired.change("take over", "", Risk::Adds, adopt));
                if found.name != desired.facts.name {
                    let mut rename = desired.change("rename", &found.name, Risk::Changes, What::Rename);
                    rename.after = vec![first];
                    plan.changes.push(rename);
                }
                describe(desired, Some(&found), Some(first), plan);
                Ok(Some(Seen { group: Some(found.id), members, first: Some(first), vanished: Vec::new() }))
            }
            None => match desired.mapping.on_missing_group {
                OnMissingGroup::Create => {
                    plan.changes.push(desired.change("create", "", Risk::Adds, What::Create));
                    Ok(Some(Seen {
                        group: None,
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

    /// What else a group of the target is made of, and is still: two would take each other's people out, for ever. And
    /// what it was made of, and nothing is any more.
    async fn made_of_others(
        &self,
        slot: &Slot,
        found: &TargetGroup,
    ) -> Result<(Option<Slot>, Vec<Slot>), Failure> {
        let told = found.external_id.as_deref().and_then(|id| id.strip_prefix(OWNED)?.parse().ok());
        let pairs = self.pairs.all(&self.directory.name).await?;
        let remembered = pairs.into_iter().filter(|(_, pair)| pair.group == found.id).map(|(other, _)| other);
        let mut others: Vec<Slot> =
            told.into_iter().chain(remembered).filter(|other| other != slot).collect();
        others.sort();
        others.dedup();
        let mappings = self.directory.mappings();
        let mut dead = Vec::new();
        for other in others {
            match self.sources_of(&mappings, &other).await? {
                Sources::Groups(groups) if !groups.is_empty() => return Ok((Some(other), dead)),
                _ => dead.push(other),
            }
        }
        Ok((None, dead))
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
}

impl Desired<'_> {
    /// The directories that its groups are of.
    fn sources(&self) -> BTreeSet<&str> {
        self.listed.iter().map(|(source, ..)| *source).collect()
    }

    /// What somebody is to be in the group.
    fn role(&self, person: &str) -> Role {
        self.roles.as_ref().and_then(|roles| roles.get(person).copied()).unwrap_or_default()
    }

    fn source(&self, source: &str) -> Field {
        Field {
            name: "source".into(),
            before: Value::Null,
            after: json!(source),
            asked: self.mapping.asked.clone(),
            risk: Risk::Adds,
        }
    }

    fn change(&self, what: &str, before: &str, risk: Risk, write: What) -> Change<Write> {
        Change {
            aspect: GROUP.into(),
            what: what.into(),
            fields: vec![named(before, &self.facts.name, self.mapping.asked.as_ref(), risk)],
            mode: self.mode,
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

/// What a group says about itself, where the target has that and a mapping says what.
fn describe(desired: &Desired<'_>, is: Option<&TargetGroup>, first: Option<usize>, plan: &mut Plan<Write>) {
    let before = is.and_then(|group| group.description.as_ref());
    let (Some(before), Some(after)) = (before, &desired.facts.description) else { return };
    if before == after {
        return;
    }
    let mut change = desired.change("describe", "", Risk::Changes, What::Describe);
    change.fields = vec![Field {
        name: "description".into(),
        before: json!(before),
        after: json!(after),
        asked: desired.mapping.asked.clone(),
        risk: Risk::Changes,
    }];
    change.after = first.into_iter().collect();
    plan.changes.push(change);
}

/// Two that write one group fight over it.
fn observe(plan: &mut Plan<Write>) {
    for change in &mut plan.changes {
        change.mode = Mode::Observe;
    }
}

/// The target's group.
struct Seen {
    /// Its id; `None` where it has to be made.
    group: Option<String>,
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

/// What that begins with.
const OWNED: &str = "beadle:";

/// What the target is told to know a group by. It is ours to see: Okta's own push may tell its own id of the same group.
fn owned_as(slot: &Slot) -> String {
    format!("{OWNED}{slot}")
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
