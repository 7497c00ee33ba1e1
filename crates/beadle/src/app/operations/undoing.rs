//! Undoes writes of Beadle. `beadle undo` and the pages use this module.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::guard::UndoName;
use beadle_engine::journal::{OperatorAction, RunCounts};
use beadle_engine::{
    Change, Clock, Detail, Entry, EntryKind, Failure, GuardPreview, Key, Lane, Mark, Plan, Report, Store,
    StoreError, Time, preview_guard, run_counts,
};
use beadle_repositories::creation::name_in;
use beadle_repositories::undo::{reversals, touches};
use beadle_repositories::{Step, UndoPlanner, UndoWriter};

use crate::app::operations::applier::{Applier, NotShown, write};
use crate::app::operations::earlier_undos::{EarlierUndo, earlier_undos};
use crate::app::operations::key_names::{called_now, repository_keys};
use crate::app::operations::not_undone::NotUndone;
use crate::app::operations::overwritten_values::without_overwritten;
use crate::app::operations::shared_writes;
use crate::app::operations::undo_afterwards;
use crate::app::operations::waiving::meant_keys;
use crate::app::operations::written_changes::{NamedWrites, Written, named, others_after, since};
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::config::{Config, OrgConfig};
use crate::output::plans_and_results::{PlanScope, WholePlan};

/// What an operator wants to undo.
#[derive(Clone, Debug, Default)]
pub(crate) struct UndoSelection {
    /// The list is empty if `since` is set. Each entry is one of these: the number of a run, sweep,
    /// policy, undo or write in the journal; the code of a change or of an approved group; the
    /// generation of a policy.
    pub(crate) what: Vec<String>,
    /// Beadle undoes all its writes after this time.
    pub(crate) since: Option<Time>,
    /// If this field is set, Beadle undoes only writes to this organisation.
    pub(crate) org: Option<String>,
    /// The repositories in which Beadle undoes writes. An empty list means all repositories.
    pub(crate) repo: Vec<String>,
    /// The policy keys whose values Beadle restores, such as `branches[main]`. The text that a plan
    /// shows for a value is also allowed. An empty list means all values.
    pub(crate) keys: Vec<String>,
}

/// The writes that an operator wants to undo.
#[derive(Debug)]
pub(crate) struct SelectedWrites {
    /// The name of the undo, such as `undo of run 1234`.
    pub(crate) name: String,
    /// The writes that Beadle can undo, oldest first.
    pub(crate) writes: Vec<Written>,
    /// The writes that Beadle cannot undo, each with the reason.
    pub(crate) left: Vec<NotUndone>,
    /// The paths of the keys whose values Beadle restores. An empty list means all values.
    pub(crate) keys: Vec<String>,
    /// Sentences about writes that two policies share (see [`shared_writes::notes`]), keys without
    /// a write, and policies without a write.
    pub(crate) notes: Vec<String>,
    /// The undos that already reverted some of the writes.
    pub(crate) earlier_undos: Vec<EarlierUndo>,
    /// Sentences about what happens after the undo, see [`undo_afterwards::sentences`].
    pub(crate) afterwards: Vec<String>,
}

/// Finds those writes in the journal that an operator wants to undo.
pub(crate) async fn select(
    config: &Config,
    store: &Arc<dyn Store>,
    asked: &UndoSelection,
) -> anyhow::Result<SelectedWrites> {
    let keys = meant_keys(&asked.keys)?;
    let found = if let Some(begun) = asked.since {
        let writes = since(store.as_ref(), begun).await?;
        NamedWrites { titles: vec![format!("everything since {begun}")], writes, ..NamedWrites::default() }
    } else {
        named(store.as_ref(), &asked.what).await?
    };
    let mut called: BTreeSet<Key> = BTreeSet::new();
    for text in &asked.repo {
        let keys = repository_keys(config, store, text).await?;
        called.extend(called_now(store.as_ref(), keys, text).await?);
    }
    let orgs = config.orgs(asked.org.as_deref())?;
    let NamedWrites { titles: of, writes: mut found, policies, mut of_others, idle } = found;
    let name = UndoName { of, only: limit(&keys, &asked.repo) }.to_string();
    let is_wanted = |one: &Written| is_selected(one, asked, (&called, &keys));
    found.retain(is_wanted);
    of_others.retain(is_wanted);
    let mut notes = shared_writes::notes(store.as_ref(), &policies, (&found, &of_others)).await?;
    notes.extend(idle.iter().map(|policy| format!("policy {policy} wrote nothing")));
    notes.extend(idle_keys(&keys, || found.iter().map(|one| &one.change)));
    let (mut writes, mut left) = (Vec::new(), Vec::new());
    for one in found {
        match obstacle(&one, &orgs) {
            Some(why) => left.push(NotUndone::new(one, why)),
            None => writes.push(one),
        }
    }
    let others = others_after(store.as_ref(), &writes).await?;
    let (mut writes, overwritten) = without_overwritten(writes, &others);
    left.extend(overwritten);
    // After the split, a part of a write might no longer have a value that the operator selected.
    writes.retain(is_wanted);
    left.retain(|one| is_wanted(&one.write));
    let earlier_undos = earlier_undos(store.as_ref(), &writes, &others).await?;
    let afterwards = undo_afterwards::sentences(store.as_ref(), &writes).await?;
    Ok(SelectedWrites { name, writes, left, keys, notes, earlier_undos, afterwards })
}

/// Returns the part of an undo's name that lists the selected keys and repositories. Returns `None`
/// if the operator selected neither keys nor repositories.
fn limit(keys: &[String], repositories: &[String]) -> Option<String> {
    let (keys, repositories) = (keys.join(" and "), repositories.join(" and "));
    match (keys.as_str(), repositories.as_str()) {
        ("", "") => None,
        (keys, "") => Some(keys.to_owned()),
        ("", repositories) => Some(format!("in {repositories}")),
        (keys, repositories) => Some(format!("{keys} in {repositories}")),
    }
}

impl SelectedWrites {
    /// Returns the changes to undo in an organisation, by key. Returns an empty map if Beadle
    /// undoes nothing in this organisation.
    pub(crate) fn of_organisation(&self, organisation: &str) -> BTreeMap<Key, Vec<&Change<()>>> {
        let mut changes: BTreeMap<Key, Vec<&Change<()>>> = BTreeMap::new();
        for one in self.writes.iter().filter(|one| one.key.instance().eq_ignore_ascii_case(organisation)) {
            changes.entry(one.key.clone()).or_default().push(&one.change);
        }
        changes
    }
}

/// Returns whether an operator selected a write. `called` contains the keys of the repositories
/// that the operator specified, and `keys` contains the paths of the selected values.
fn is_selected(one: &Written, asked: &UndoSelection, (called, keys): (&BTreeSet<Key>, &[String])) -> bool {
    let is_org = |org: &String| one.key.instance().eq_ignore_ascii_case(org);
    // The paths in `keys` specify only values of repositories.
    let has_key = || one.key.kind() == "repository" && touches(&one.change, keys);
    asked.org.as_ref().is_none_or(is_org)
        && (asked.repo.is_empty() || called.contains(&one.key))
        && (keys.is_empty() || has_key())
}

/// Returns a sentence for each key that matches no value in the changes. The name of such a key
/// might have a spelling error.
fn idle_keys<'a, C>(keys: &[String], changes: impl Fn() -> C) -> Vec<String>
where
    C: Iterator<Item = &'a Change<()>>,
{
    let is_idle = |key: &&String| !changes().any(|change| touches(change, std::slice::from_ref(*key)));
    let idle = keys.iter().filter(is_idle);
    idle.map(|key| format!("the key `{key}` selects no value of these writes")).collect()
}

/// Returns the reason why Beadle cannot undo a write. Beadle can undo writes to existing
/// repositories and to the organisation itself.
fn obstacle(one: &Written, orgs: &[&Arc<OrgConfig>]) -> Option<&'static str> {
    if !matches!(one.key.kind(), "repository" | "organisation") {
        return Some("Beadle does not undo writes to groups; change the directory or the policy");
    }
    if name_in(&one.key).is_some() {
        return Some("Beadle deletes no repository");
    }
    let is_known = orgs.iter().any(|org| one.key.instance().eq_ignore_ascii_case(&org.name));
    (!is_known).then_some("the configuration has no organisation of this name")
}

/// The parameters of one undo. The parameters are the same for all organisations.
pub(crate) struct Undo<'a> {
    /// The name of the undo, such as `undo of run 1234`.
    pub(crate) name: String,
    /// The operator.
    pub(crate) by: String,
    /// The policy keys whose values the undo restores. An empty list means all values.
    pub(crate) keys: Vec<String>,
    pub(crate) store: &'a Arc<dyn Store>,
    pub(crate) clock: &'a Clock,
}

/// The plan for undoing the changes of one key.
pub(crate) type UndoPlan = Plan<Box<dyn Step>>;

/// The planned undo of one organisation.
pub(crate) struct PlannedUndo {
    planner: UndoPlanner,
    writer: UndoWriter,
    /// The plan of each key.
    pub(crate) plans: Vec<(Key, UndoPlan)>,
}

impl PlannedUndo {
    /// Returns the plans for printing. `org` is the organisation of the undo. The plans that give
    /// access come first.
    pub(crate) fn whole(&self, org: &GithubOrganisation) -> WholePlan {
        let mut plans = self.describe();
        plans.sort_by_key(|(_, plan)| plan.undo_place());
        WholePlan {
            of: org.file.name.clone(),
            scope: PlanScope::Undo(org.file.mode),
            plans,
            short: None,
            unmatched: Vec::new(),
            links: None,
        }
    }

    /// Returns the plans as data.
    pub(crate) fn describe(&self) -> Vec<(Key, Plan<()>)> {
        self.plans.iter().map(|(key, plan)| (key.clone(), plan.describe())).collect()
    }
}

impl<'a> Undo<'a> {
    /// Plans the undo for an organisation.
    pub(crate) async fn plan(
        &self,
        org: &GithubOrganisation,
        changes: &BTreeMap<Key, Vec<&Change<()>>>,
    ) -> Result<PlannedUndo, Failure> {
        let wanted = changes.iter().map(|(key, changes)| (key.clone(), reversals(changes.iter().copied())));
        let wanted: BTreeMap<_, _> = wanted.collect();
        let named = (self.name.clone(), self.by.as_str());
        let (planner, writer) = org.undo((wanted, &self.keys), named, (self.store, self.clock));
        let plans = planner.plans(Lane::Manual).await?;
        Ok(PlannedUndo { planner, writer, plans })
    }

    /// Returns the planned changes that the guard would hold, with the name of the organisation.
    pub(crate) async fn preview_guard(
        &self,
        org: &GithubOrganisation,
        planned: &PlannedUndo,
    ) -> Result<(String, GuardPreview), StoreError> {
        let (limits, now) = (org.limits.current(), self.clock.now());
        let preview = preview_guard(self.store.as_ref(), limits, &planned.describe(), now).await?;
        Ok((org.file.name.clone(), preview))
    }

    /// Records the undo, its operator and the reason in the journal. Returns the number of the
    /// entry. An undo of this entry reverts the whole undo in the organisation.
    pub(crate) async fn begin(
        &self,
        org: &GithubOrganisation,
        reason: Option<&str>,
    ) -> anyhow::Result<Option<u64>> {
        let (undid, by, reason) = (self.name.clone(), self.by.clone(), reason.map(str::to_owned));
        let action = OperatorAction::Undid { undid, by, reason };
        let name = &org.file.name;
        let at = self.clock.now();
        let entries = vec![Entry::of_operator(action, (name, name), at)];
        let numbers = self.store.journal(None, entries, at).await?;
        Ok(numbers.and_then(|numbers| numbers.first().copied()))
    }

    /// Returns the plans of an organisation, and the applier that writes them. The applier shows no
    /// results, because the reports contain them.
    pub(crate) fn applier(
        &self,
        org: &GithubOrganisation,
        planned: PlannedUndo,
    ) -> (Applier<'a, UndoPlanner, UndoWriter>, Vec<(Key, UndoPlan)>) {
        let PlannedUndo { planner, writer, plans } = planned;
        let reader = planner.reader().clone();
        let applier = Applier {
            planner,
            writer,
            hint: Box::new(move |key| reader.node_of(key.id().parse().ok()?)),
            pace: org.pace.clone(),
            lane: Lane::Manual,
            limits: org.limits.current(),
            only_shown: true,
            store: self.store,
            clock: self.clock,
            progress: &NotShown,
        };
        (applier, plans)
    }

    /// Writes the undo of one key. Returns the result. Returns `None` if the plan has no change.
    pub(crate) async fn write(
        &self,
        applier: &Applier<'_, UndoPlanner, UndoWriter>,
        (key, plan): (&Key, &UndoPlan),
    ) -> anyhow::Result<Option<Report>> {
        if plan.changes.is_empty() {
            return Ok(None);
        }
        let (report, _) = write(applier, key, plan).await?;
        // The next run of the service records the state of the key after the undo.
        self.store.mark(vec![Mark::new(key.clone(), Lane::Manual)], self.clock.now()).await?;
        let counts = run_counts(&report, Vec::new());
        let detail = Detail::Run(RunCounts { is_undo: true, ..counts });
        let at = self.clock.now();
        let entry = Entry {
            seq: 0,
            at,
            kind: EntryKind::Run,
            key: key.to_string(),
            subject: report.subject.clone(),
            intent: None,
            trace: None,
            detail,
        };
        self.store.journal(None, vec![entry], at).await?;
        Ok(Some(report))
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Risk, testing};

    use super::*;

    #[test]
    fn the_name_of_an_undo_has_its_limits() {
        let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        for (keys, repositories, expected) in [
            (texts(&[]), texts(&[]), None),
            (texts(&["labels", "teams[core]"]), texts(&[]), Some("labels and teams[core]")),
            (texts(&[]), texts(&["shop", "store"]), Some("in shop and store")),
            (texts(&["labels"]), texts(&["shop"]), Some("labels in shop")),
        ] {
            assert_eq!(limit(&keys, &repositories).as_deref(), expected);
        }
    }

    #[test]
    fn each_key_without_a_write_has_a_note() {
        let changes = [testing::change("teams", "team core", &[Risk::Removes])];
        let keys = ["teams[core]", "teams[croe]", "labels[bug]"].map(str::to_owned);
        let expected = ["teams[croe]", "labels[bug]"];
        let expected = expected.map(|key| format!("the key `{key}` selects no value of these writes"));
        assert_eq!(idle_keys(&keys, || changes.iter()), expected);
        assert!(idle_keys(&[], || changes.iter()).is_empty());
    }
}
