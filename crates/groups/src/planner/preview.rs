//! Plans which changes new mappings would cause in the groups of a target. The plans leave out the
//! changes that the earlier mappings would also cause. A preview writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use beadle_engine::{Caused, Failure, Key, Lane, Mark, Plan, PlannedValues, Planner as _, Unknown};
use futures::future::join_all;
use parking_lot::RwLock;

use super::{Directory, GroupPlanner};
use crate::due::due;
use crate::mapping::{GroupKey, Mapping, Mappings, OnMissingGroup, declared};
use crate::mark::KIND;

/// The number of groups that Beadle plans at the same time.
const AT_ONCE: usize = 8;
/// The maximum number of keys that run as events. If new mappings affect more groups, the remaining
/// keys run in the sweep lane, so that they do not delay later events.
const AS_EVENTS: usize = 500;

/// The changes that new mappings would cause in the groups of one target.
#[derive(Debug, Default)]
pub struct GroupPreview {
    /// The plans. The plans contain only the values that the earlier mappings do not require.
    pub plans: Vec<(Key, Plan<()>)>,
    /// The changes that Beadle writes if an operator approves `plans`. Each of these changes has
    /// all the values that Beadle writes. See [`Caused::approvable`].
    pub approvable: Vec<(Key, Plan<()>)>,
    /// The number of planned values that Beadle would also plan with the earlier mappings.
    pub drift: usize,
    /// The plans that have no change but have an unknown part. A retry does not make this part
    /// known. For example, another group already has the wanted name.
    pub unknown: Vec<(Key, Plan<()>)>,
    /// The keys of the groups and accounts that get different mappings.
    pub due: Vec<Key>,
    /// The number of groups that Beadle makes at the target from the new mappings.
    pub total: u64,
    /// Why Beadle could not plan some parts.
    pub incomplete: Vec<String>,
}

/// The part of a write that a preview shows. The two variants have different results only if the
/// old planner also plans some values of the write.
#[derive(Clone, Copy)]
pub(super) enum Shown {
    /// Only the values that the old planner does not plan.
    Caused,
    /// All values of the write.
    Writes,
}

impl GroupPreview {
    /// Returns one mark for each key that gets different mappings. The marks make these keys due.
    pub fn marks(&self) -> Vec<Mark> {
        let lane = |at: usize| if at < AS_EVENTS { Lane::Event } else { Lane::Sweep };
        self.due.iter().enumerate().map(|(at, key)| due(key.clone(), lane(at), None)).collect()
    }

    /// Plans these groups and accounts with the old and the new planner, and adds the plans to the
    /// preview.
    pub(super) async fn add(
        &mut self,
        (old, new): (&GroupPlanner, &GroupPlanner),
        keys: &BTreeSet<GroupKey>,
        shown: Shown,
    ) -> Result<(), Failure> {
        new.directory.target.look().await?;
        let keys: Vec<Key> = keys.iter().map(|key| Key::new(KIND, &new.directory.name, key)).collect();
        for batch in keys.chunks(AT_ONCE) {
            let plans = join_all(batch.iter().map(|key| caused(old, new, key))).await;
            for (key, plan) in batch.iter().zip(plans) {
                let caused = plan?;
                let approvable = caused.approvable();
                self.drift += caused.drift;
                let plan = match shown {
                    Shown::Caused => caused.plan,
                    Shown::Writes => Plan { changes: caused.writes, ..caused.plan },
                };
                if !approvable.is_empty() {
                    let approvable = Plan { changes: approvable, ..Plan::new(&plan.subject) };
                    self.approvable.push((key.clone(), approvable));
                }
                // If `part` is set, the cause is not a failed read. In that case, a person has no
                // account at the target, possibly for a long time.
                let is_failed = |unknown: &&Unknown| unknown.transient && unknown.part.is_none();
                for unknown in plan.unknowns.iter().filter(is_failed) {
                    let text = format!("{}: {} is unknown: {}", plan.subject, unknown.aspect, unknown.why);
                    self.incomplete.push(text);
                }
                if !plan.changes.is_empty() {
                    self.plans.push((key.clone(), plan));
                } else if plan.unknowns.iter().any(|unknown| !is_failed(&unknown)) {
                    self.unknown.push((key.clone(), plan));
                }
            }
        }
        self.due.extend(keys);
        Ok(())
    }
}

impl GroupPlanner {
    /// Plans those groups of the target that have different mappings in `before` and `after`. The
    /// result contains only the values that Beadle would not write with the mappings of `before`.
    pub async fn preview(&self, before: &Mappings, after: &Mappings) -> Result<GroupPreview, Failure> {
        let (old, new) = (self.with(before), self.with(after));
        let (keys, total) = new.affected(before, after).await?;
        let mut preview = GroupPreview { total, ..GroupPreview::default() };
        if keys.is_empty() {
            return Ok(preview);
        }
        preview.add((&old, &new), &keys, Shown::Caused).await?;
        Ok(preview)
    }

    /// Returns a copy of the planner that uses these mappings. The copy treats
    /// `on_missing_group = "wait"` like `"error"`, because a group that does not exist yet must not
    /// count as a failed read.
    pub(super) fn with(&self, mappings: &Mappings) -> Self {
        let mut mappings = mappings.clone();
        let waiting = mappings.all.iter_mut().filter(|one| one.on_missing_group == OnMissingGroup::Wait);
        waiting.for_each(|mapping| mapping.on_missing_group = OnMissingGroup::Error);
        let mappings = Arc::new(RwLock::new(Arc::new(mappings)));
        let target = self.directory.target.for_preview().unwrap_or_else(|| self.directory.target.clone());
        let directory = Directory { target, mappings, ..self.directory.clone() };
        Self { directory, former_names: self.former_names.for_preview(), ..self.clone() }
    }

    /// Returns the groups and accounts whose mappings differ in `before` and `after`. Also returns
    /// the number of groups that Beadle makes from the mappings of `after`.
    async fn affected(
        &self,
        before: &Mappings,
        after: &Mappings,
    ) -> Result<(BTreeSet<GroupKey>, u64), Failure> {
        let directory = self.directory.in_lane(Lane::Sweep);
        let target = directory.name.as_str();
        let uses = |mappings: &Mappings, source: &str| mappings.targets(source).contains(&target);
        let (mut keys, mut made) = (changed_unions(before, after, target), BTreeSet::new());
        let mut listed = BTreeSet::new();
        for (source, api) in &directory.sources {
            if !uses(before, source) && !uses(after, source) {
                continue;
            }
            for group in api.groups().await? {
                let key = GroupKey::One { source: source.clone(), group: group.id.clone() };
                if differs(before, after, target, &key, &group.name) {
                    keys.insert(key.clone());
                }
                let its = after.group_keys(source, &group.id, &group.name).into_iter();
                made.extend(its.filter(|(of, _)| of == target).map(|(_, key)| key));
                listed.insert(key);
            }
            let (was, is) = (before.provisioning(target, source), after.provisioning(target, source));
            if was.map(|(_, mode)| mode) != is.map(|(_, mode)| mode) {
                let people = api.people().await?;
                let stay: BTreeSet<&str> = people
                    .iter()
                    .filter(|person| !person.is_leaving)
                    .map(|person| person.id.as_str())
                    .collect();
                let accounts = self.accounts.all(target, source).await?.into_iter();
                let leave =
                    accounts.map(|(whose, _)| whose).filter(|whose| !stay.contains(whose.person.as_str()));
                keys.extend(
                    leave.map(|whose| GroupKey::TargetAccount { source: whose.source, person: whose.person }),
                );
            }
        }
        // The mapping also decides what happens to a group if its source group is gone.
        for (key, link) in self.links.all(target).await? {
            if !listed.contains(&key) && differs(before, after, target, &key, &link.from) {
                keys.insert(key);
            }
        }
        Ok((keys, u64::try_from(made.len()).unwrap_or(u64::MAX)))
    }
}

/// Returns those unions of the target whose old and new mappings differ.
fn changed_unions(before: &Mappings, after: &Mappings, target: &str) -> BTreeSet<GroupKey> {
    let names: BTreeSet<&String> = before
        .all
        .iter()
        .chain(&after.all)
        .filter(|mapping| mapping.target == target)
        .filter_map(|mapping| mapping.into.as_ref())
        .collect();
    let texts = |mappings: &Mappings, into: &str| -> Vec<String> {
        mappings.union(target, into).into_iter().map(declared).collect()
    };
    let changed = names.into_iter().filter(|into| texts(before, into) != texts(after, into));
    changed.map(|into| GroupKey::Union(into.clone())).collect()
}

/// Returns whether the old and the new mappings differ for a group that has one source group.
fn differs(before: &Mappings, after: &Mappings, target: &str, key: &GroupKey, name: &str) -> bool {
    let GroupKey::One { source, group } = key else { return false };
    let of = |mappings: &Mappings| {
        mappings.one(target, source, group, name).map(|mapping| effect(mapping, group, name))
    };
    of(before) != of(after)
}

/// Returns what a mapping declares for a group that it includes, and whether the mapping protects
/// the group. The result leaves out the patterns that include the group.
fn effect(mapping: &Mapping, group: &str, name: &str) -> (String, bool) {
    let without_patterns =
        Mapping { include: Vec::new(), exclude: Vec::new(), protected: Vec::new(), ..mapping.clone() };
    (declared(&without_patterns), mapping.protects(group, name))
}

/// Plans a group with the new planner, and returns the changes that the old planner does not plan.
async fn caused(old: &GroupPlanner, new: &GroupPlanner, key: &Key) -> Result<Caused, Failure> {
    let plan = new.plan(key, None, Lane::Sweep).await?;
    let mut known = PlannedValues::default();
    if !plan.changes.is_empty() {
        known.learn(&old.plan(key, None, Lane::Sweep).await?);
    }
    Ok(known.caused(&plan))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_event_overtakes_most_groups_of_large_mappings() {
        let due = (0..1_000).map(|n| Key::new(KIND, "aws", format!("corp/{n}"))).collect();
        let marks = GroupPreview { due, ..GroupPreview::default() }.marks();
        assert_eq!(marks.len(), 1_000);
        assert_eq!(marks.iter().filter(|mark| mark.lane == Lane::Event).count(), AS_EVENTS);
    }
}
