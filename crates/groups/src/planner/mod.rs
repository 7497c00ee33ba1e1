//! Plans a group: reads its members at the directory and at the target, and compares the two lists.

mod account;
mod changes;
mod compare;
mod connected;
mod declared;
mod directory;
mod emptied;
mod explain;
mod gone;
mod kept;
mod last_group;
mod leavers;
mod mapped;
mod membership;
mod names;
mod observed;
mod owner;
mod preview;
mod protected;
mod raised;
mod seen;
mod settings;
mod source;
mod unknowns;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{
    Change, Class, Clock, Failure, Field, Key, Lane, Mode, Plan, Planner, Risk, Store, Time, Unknown,
};
use serde_json::{Value, json};

use self::kept::KeptMembers;
use self::names::{name_of, named};
use self::owner::Unclaimed;
use self::protected::FormerNames;
use self::seen::Seen;
use self::unknowns::{known, unknown};
use crate::accounts::{Accounts, PersonAccount};
use crate::departures::Departures;
use crate::due::swept;
use crate::guard::GroupLimits;
use crate::links::GroupLinks;
use crate::mapping::{GroupKey, Mapping, Mappings, Role};
use crate::sources::{Person, SourceGroup};
use crate::targets::TargetAccount;

pub use declared::ChangedFile;
pub use directory::Directory;
pub use explain::Explained;
pub(crate) use kept::{forget_members, members_of};
pub use preview::GroupPreview;
pub use write::Write;
pub(crate) use write::{Facts, OLDEST, What};

/// The name of the aspect for the group itself.
const GROUP: &str = "group";
/// The name of the aspect for the group's members.
const MEMBERS: &str = "members";
/// The name of the aspect for the members' accounts.
const USERS: &str = "users";

/// Plans the groups of one target.
#[derive(Clone)]
pub struct GroupPlanner {
    directory: Directory,
    limits: GroupLimits,
    clock: Clock,
    pub(crate) links: GroupLinks,
    accounts: Accounts,
    departures: Departures,
    kept: KeptMembers,
    former_names: FormerNames,
    unclaimed: Unclaimed,
    /// The time of the sweep, if the run can use the survey of that sweep. `None` if the run must
    /// read the directory itself.
    swept: Option<Time>,
}

/// The declared state of a group, which Beadle compares with the group at the target.
struct Desired<'a> {
    mapping: &'a Mapping,
    /// The most careful mode of all the mappings that include the group.
    mode: Mode,
    facts: Arc<Facts>,
    is_protected: bool,
    /// True if the source groups are allowed to be empty.
    may_empty: bool,
    /// The directory and the id of each source group, and the number of people in its list. This
    /// number includes people of any status.
    listed: Vec<(&'a str, String, usize)>,
    /// The source groups that are empty although they must not be empty, as `source/id`.
    empty: Vec<String>,
    people: BTreeMap<String, Person>,
    /// The role of each person. `None` if no mapping sets a role.
    roles: Option<BTreeMap<String, Role>>,
    /// Those people in the lists who must lose their access.
    leaving: BTreeMap<String, Person>,
    /// The directory of each person in the lists.
    homes: BTreeMap<String, &'a str>,
}

impl GroupPlanner {
    /// Creates a planner that stores its links, accounts and departures in `store`.
    pub fn new(
        directory: Directory,
        limits: GroupLimits,
        clock: Clock,
        store: Option<Arc<dyn Store>>,
    ) -> Self {
        Self {
            directory,
            limits,
            clock,
            links: GroupLinks(store.clone()),
            accounts: Accounts(store.clone()),
            departures: Departures(store.clone()),
            former_names: FormerNames::new(store.clone()),
            unclaimed: Unclaimed::default(),
            kept: KeptMembers(store),
            swept: None,
        }
    }

    async fn plan_group(&self, mappings: &Mappings, group_key: &GroupKey) -> Result<Plan<Write>, Failure> {
        if let Some(why) = mappings.incomplete.get(&self.directory.name) {
            let mut plan = Plan::new(format!("{}/{group_key}", self.directory.name));
            plan.unknowns.push(Unknown {
                aspect: GROUP.into(),
                part: None,
                why: why.clone(),
                transient: true,
            });
            return Ok(plan);
        }
        if let GroupKey::TargetAccount { source, person } = group_key {
            return self.plan_account(mappings, source, person).await;
        }
        let link = self.links.of(&self.directory.name, group_key).await?;
        // An error in one group must not delay the other groups, so the plan reports the error.
        let mut plan =
            Plan::new(format!("{}/{}", self.directory.name, name_of(group_key, &[], link.as_ref())));
        let groups = match known(self.sources_of(mappings, group_key).await, GROUP, &mut plan)? {
            Some(Sources::Groups(groups)) => groups,
            Some(Sources::Gone) => return self.plan_gone(mappings, group_key, link.as_ref()).await,
            None => return Ok(plan),
        };
        plan.subject = format!("{}/{}", self.directory.name, name_of(group_key, &groups, link.as_ref()));
        let Some((mapping, _)) = groups.first() else {
            // If no mapping includes the group, Beadle removes no member. The cause of the missing
            // mapping does not matter.
            let what = if link.is_some() {
                "no mapping includes the group now; Beadle leaves the group as it is"
            } else {
                "no mapping includes the group"
            };
            plan.skipped = Some(what.into());
            return Ok(plan);
        };
        let name = name_of(group_key, &groups, None);
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            let from: Vec<&str> = groups.iter().map(|(_, group)| group.name.as_str()).collect();
            let why = format!(
                "`{}` would have the invalid name `{}` at the target; change the naming of the mapping, or exclude the group",
                from.join(", ").escape_debug(),
                name.escape_debug()
            );
            plan.unknowns.push(Unknown { aspect: GROUP.into(), part: None, why, transient: false });
            return Ok(plan);
        }
        let read = self.clock.now();
        // For the addition of members, Beadle trusts a single list. Before a removal, Beadle reads
        // the list again and compares it with the directory's count.
        let Some(mut desired) = self.desired(mapping, group_key, &groups, false, &mut plan).await? else {
            return Ok(plan);
        };
        let seen = self.observed(&desired, group_key, link.as_ref(), &mut plan).await?;
        let Some(seen) = seen else { return Ok(plan) };
        if self.connect(&desired, &seen, &mut plan).await? {
            return Ok(plan);
        }
        let seen_as = seen.group.clone();
        let unknowns = plan.unknowns.len();
        let mut difference = self.compare(&desired, &seen, &mut plan).await?;
        if difference.takes() {
            plan.unknowns.truncate(unknowns);
            let Some(counted) = self.desired(mapping, group_key, &groups, true, &mut plan).await? else {
                plan.changes.clear();
                return Ok(plan);
            };
            desired = counted;
            // Before a removal, Beadle must know the owners of the accounts. Beadle reads the
            // owners only after it has read the list of members.
            self.directory.target.refresh_identities(OLDEST).await?;
            difference = self.compare(&desired, &seen, &mut plan).await?;
        }
        if difference.takes()
            && let Some(why) = self.incomplete_list(&desired).await?
        {
            difference.take_nothing();
            plan.unknowns.push(Unknown { aspect: MEMBERS.into(), part: None, why, transient: true });
        }
        let has_doubts = plan.unknowns.len() > unknowns;
        self.keep_owners(&seen, has_doubts, &mut difference, &mut plan);
        let parts = self.leavers(&desired, group_key, &seen, &mut difference, &mut plan).await?;
        self.changes(&desired, &seen, &difference, &parts, read, &mut plan);
        desired.remember_filled(&seen, &mut plan);
        if let Some(source) = self.directory.first_pushed(&desired.facts.sources) {
            plan.skipped =
                Some(format!("the directory pushes {source} itself; Beadle only observes the group"));
            observe(&mut plan);
        } else if let Some(group) = seen_as
            && !plan.changes.is_empty()
        {
            match self.directory.target.kept_by(&group).await {
                Ok(None) => {}
                Ok(Some(what)) => {
                    plan.skipped = Some(format!("{what}; Beadle only observes the group"));
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

    /// Returns the source groups of a group at the target. Each source group comes with its
    /// mapping.
    async fn sources_of<'a>(
        &self,
        mappings: &'a Mappings,
        group_key: &GroupKey,
    ) -> Result<Sources<'a>, Failure> {
        match group_key {
            GroupKey::One { source, group } => {
                let Some(found) = self.source_group(source, group).await? else {
                    if self.swept.is_some() {
                        self.kept.forget(source, group).await?;
                    }
                    return Ok(Sources::Gone);
                };
                let mapping = mappings.one(&self.directory.name, source, &found.id, &found.name);
                Ok(Sources::Groups(mapping.map(|mapping| (mapping, found)).into_iter().collect()))
            }
            GroupKey::TargetAccount { .. } => Ok(Sources::Groups(Vec::new())),
            GroupKey::Union(into) => {
                let mut groups: Vec<(&Mapping, SourceGroup)> = Vec::new();
                for mapping in mappings.union(&self.directory.name, into) {
                    for found in self.source_groups(&mapping.source).await? {
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

    /// Returns the people of all source groups. If the list of one source group is incomplete, the
    /// whole group is unknown. In that case, the result is `None`, and the plan reports the reason.
    async fn desired<'a>(
        &self,
        mapping: &'a Mapping,
        group_key: &GroupKey,
        groups: &[(&'a Mapping, SourceGroup)],
        counted: bool,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Desired<'a>>, Failure> {
        known(self.everybody(mapping, group_key, groups, counted).await, MEMBERS, plan)
    }

    async fn everybody<'a>(
        &self,
        mapping: &'a Mapping,
        group_key: &GroupKey,
        groups: &[(&'a Mapping, SourceGroup)],
        counted: bool,
    ) -> Result<Desired<'a>, Failure> {
        let mut people: BTreeMap<String, Person> = BTreeMap::new();
        let mut homes = BTreeMap::new();
        let mut roles: BTreeMap<String, Role> = BTreeMap::new();
        let mut listed = Vec::with_capacity(groups.len());
        let mut says_roles = groups.iter().any(|(mapping, _)| mapping.role.is_some());
        let (mut filled, mut empty) = (Vec::new(), Vec::new());
        for (mapping, group) in groups {
            let members = if counted {
                self.directory.source(&mapping.source)?.members_counted(group).await?
            } else {
                self.source_members(&mapping.source, group).await?
            };
            let own = format!("{}/{}", mapping.source, group.id);
            if !members.is_empty() {
                filled.push(own);
            } else if !mapping.may_empty {
                empty.push(own);
            }
            listed.push((mapping.source.as_str(), group.id.clone(), members.len()));
            for person in members {
                let role = roles.entry(person.id.clone()).or_default();
                *role = (*role).max(person.role.or(mapping.role).unwrap_or_default());
                says_roles |= person.role.is_some();
                homes.insert(person.id.clone(), mapping.source.as_str());
                people.insert(person.id.clone(), person);
            }
        }
        let (leaving, people): (BTreeMap<String, Person>, BTreeMap<String, Person>) =
            people.into_iter().partition(|(_, person)| person.is_leaving);
        let facts = Facts {
            name: name_of(group_key, groups, None),
            from: groups.first().map(|(_, group)| group.name.clone()).unwrap_or_default(),
            sources: groups
                .iter()
                .map(|(mapping, group)| format!("{}/{}", mapping.source, group.id))
                .collect(),
            filled,
            external_id: group_key.external_id(),
            description: groups.iter().find_map(|(mapping, group)| {
                let mapped = mapping.description.as_ref().map(|text| text.replace("{group}", &group.name));
                mapped.or_else(|| group.description.clone())
            }),
            settings: groups.iter().flat_map(|(_, group)| group.settings.clone()).collect(),
            parent: groups.iter().find_map(|(mapping, _)| mapping.parent.clone()),
        };
        Ok(Desired {
            mapping,
            mode: groups.iter().map(|(mapping, _)| mapping.mode).min().unwrap_or_default(),
            facts: Arc::new(facts),
            is_protected: self.is_protected(group_key, groups).await?,
            may_empty: groups.iter().all(|(mapping, _)| mapping.may_empty),
            listed,
            empty,
            people,
            roles: says_roles.then_some(roles),
            leaving,
            homes,
        })
    }

    /// Returns the members of the group at the target. The result is `None` if the group does not
    /// exist. The result is `Some(None)` if the members are unknown, and the plan then reports the
    /// reason.
    async fn read(
        &self,
        group: &str,
        plan: &mut Plan<Write>,
    ) -> Result<Option<Option<Vec<TargetAccount>>>, Failure> {
        Ok(match known(self.directory.target.members(group).await, MEMBERS, plan)? {
            Some(members) => members.map(Some),
            None => Some(None),
        })
    }
}

impl Desired<'_> {
    /// Returns the directories of the group's people.
    fn sources(&self) -> BTreeSet<&str> {
        self.listed.iter().map(|(source, ..)| *source).collect()
    }

    /// Returns the role of a person.
    fn role(&self, person: &str) -> Role {
        self.roles.as_ref().and_then(|roles| roles.get(person).copied()).unwrap_or_default()
    }

    /// Returns the directory of a person, or the first directory if the person is in no list.
    fn home(&self, person: &str) -> &str {
        self.homes.get(person).copied().unwrap_or(&self.mapping.source)
    }

    /// Returns the owner of an account, if the lists show that the owner must lose the access.
    fn listed_as_leaving(&self, account: &TargetAccount) -> Option<&Person> {
        let Some(id) = &account.person else {
            let is_known_as = |person: &&Person| {
                let is = |name: &String| *name == person.id || name.eq_ignore_ascii_case(&person.login);
                account.known_as.iter().any(is)
            };
            return self.leaving.values().find(is_known_as);
        };
        self.leaving.get(id)
    }

    /// Returns the data about a person's account that Beadle remembers.
    fn whose(&self, person: &str, account: &TargetAccount) -> PersonAccount {
        PersonAccount {
            source: self.home(person).to_owned(),
            person: person.to_owned(),
            account: account.id.clone(),
            login: account.label().to_owned(),
        }
    }

    fn source(&self, before: Value, after: &str) -> Field {
        Field {
            name: "source".into(),
            before,
            after: json!(after),
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
            undone: false,
            reaches: 1,
            write: Write { facts: self.facts.clone(), what: write },
        }
    }
}

/// The source groups of a group at the target, each with its mapping.
enum Sources<'a> {
    Groups(Vec<(&'a Mapping, SourceGroup)>),
    Gone,
}

/// Sets the mode of all changes to `observe`, because another system also writes this group.
fn observe(plan: &mut Plan<Write>) {
    for change in &mut plan.changes {
        change.mode = Mode::Observe;
    }
}

#[async_trait]
impl Planner for GroupPlanner {
    type Write = Write;

    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Write>, Failure> {
        let group_key: GroupKey =
            key.id().parse().map_err(|why: String| Failure::new(Class::Rejected, why))?;
        let swept = swept(self.kept.0.as_ref(), hint, lane).await?;
        let directory = self.directory.in_lane(lane);
        let mappings = directory.mappings();
        let planner = Self { directory, swept, ..self.clone() };
        let mut plan = planner.plan_group(&mappings, &group_key).await?;
        plan.generation.clone_from(&mappings.generation);
        Ok(plan)
    }

    fn origins(&self, key: &Key) -> Vec<Key> {
        match key.id().parse() {
            Ok(GroupKey::One { source, group }) => vec![Key::new("group", &source, group)],
            Ok(GroupKey::TargetAccount { source, person }) => vec![Key::new("user", &source, person)],
            Ok(GroupKey::Union(_)) | Err(_) => Vec::new(),
        }
    }
}
