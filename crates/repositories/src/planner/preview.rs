//! Plans what a new policy would change, compared with the policy before it. A preview writes
//! nothing and does not change the planner's memory.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use beadle_engine::{Caused, Class, Failure, Instructions, Key, Plan, PlannedValues};
use beadle_github::{Cursor, Reader, Repository, SelectedBy};
use futures::future::join_all;
use serde_json::Value;

use super::RepositoryPlanner;
use crate::affected::{differs, differs_later};
use crate::aspects::Step;
use crate::creation::{creation_key, name_in};
use crate::in_force::PolicyHandle;
use crate::overrides::Overrides;
use crate::planner::later::later;
use crate::planner::own_sections::declared;
use crate::planner::pages::Pages;
use crate::policy::{Creation, Policy};

/// The maximum number of repositories that Beadle reads one by one. If more repositories are
/// affected, Beadle reads the pages of the whole list.
const FEW: usize = 40;

/// The maximum number of successive plans of one repository that a preview makes.
const ROUNDS: usize = 3;

/// Reports the number of completed repositories and the number of all repositories.
type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// The changes that a new policy would cause.
#[derive(Debug, Default)]
pub struct Preview {
    /// The plans with the values that only the new policy asks for. A plan has at least one change
    /// or one unknown part.
    pub plans: Vec<(Key, Plan<()>)>,
    /// The changes that an approval of `plans` allows, each with all values of its write. See
    /// [`Caused::approvable`].
    pub approvable: Vec<(Key, Plan<()>)>,
    /// The number of planned values that the earlier policy plans as well.
    pub drift: usize,
    /// The number of repositories with another resolved policy.
    pub affected: usize,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// Why parts could not be planned.
    pub incomplete: Vec<String>,
    /// The keys with another resolved policy, each with GitHub's node id as a hint.
    pub due: Vec<(Key, Option<String>)>,
}

/// The keys that have different resolved policies in two generations.
#[derive(Debug, Default)]
pub struct Affected {
    /// The keys of the repositories, each with GitHub's node id.
    pub repositories: BTreeMap<Key, String>,
    /// The keys of the repositories that the new policy creates. Each key contains the name of its
    /// repository.
    pub creations: Vec<Key>,
    /// The key of the organisation, if the sections about the organisation itself differ.
    pub organisation: Option<Key>,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// Why the list of repositories is incomplete. `None` if it is complete.
    pub short: Option<String>,
    /// The owners of the files in repos/. Because of them, a preview does not ask GitHub again.
    pub owners: FileOwners,
}

/// The owners of the files in repos/, for the earlier policy and for the new one.
#[derive(Default)]
pub struct FileOwners(Option<(Overrides, Overrides)>);

impl fmt::Debug for FileOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileOwners").field(&self.0.is_some()).finish()
    }
}

impl RepositoryPlanner {
    /// Finds the repositories with different declarations in two policies. The function reads only
    /// the parts of a repository that the policies select by.
    pub async fn affected(
        &self,
        before: &Policy,
        after: &Policy,
        progress: Progress<'_>,
    ) -> Result<Affected, Failure> {
        let asks = before.selection_asks().union(after.selection_asks());
        let reader = self.reader.apart(asks, selected_by(Some(before), after));
        let (old, new) = (self.apart(before, &reader), self.apart(after, &reader));
        old.overrides.follow(before, &reader).await?;
        new.overrides.follow(after, &reader).await?;
        let owners = FileOwners(Some((old.overrides.clone(), new.overrides.clone())));
        let (old, new) = (&old, &new);
        let mut pages = Pages::at(&Cursor::of_large_pages(), &reader).await?;
        let total = pages.total();
        let bulk = reader.bulk(usize::try_from(total).unwrap_or(usize::MAX)).await;
        let mut affected = Affected { total, owners, ..Affected::default() };
        if own(before) != own(after) {
            affected.organisation = Some(self.own_key().await?);
        }
        loop {
            let mut repositories = pages.take();
            progress(pages.seen(), total);
            let found = async {
                reader.complete(&mut repositories, &bulk).await?;
                let each = repositories.iter().map(|repository| async move {
                    let was = old.standing(before, repository).await?;
                    let is = new.standing(after, repository).await?;
                    Ok::<bool, Failure>(differs((before, &was), (after, &is), repository))
                });
                join_all(each).await.into_iter().collect::<Result<Vec<bool>, Failure>>()
            };
            let (found, has_more) = futures::join!(found, pages.advance(&reader));
            for (repository, differs) in repositories.iter().zip(found?) {
                if differs {
                    affected.repositories.insert(self.key(repository), repository.node_id.clone());
                }
            }
            if !has_more? {
                break;
            }
        }
        let (names, short) = pages.end();
        affected.short = short;
        let names: Vec<&str> = names.values().map(String::as_str).collect();
        let declared = after.creations(&names).into_iter();
        // If both policies create a repository in the same way, the new policy does not cause the
        // creation.
        let is_new = |creation: &Creation| before.creation(&creation.name).as_ref() != Some(creation);
        affected.creations =
            declared.filter(is_new).map(|creation| self.created_key(&creation.name)).collect();
        Ok(affected)
    }

    /// Plans the repositories and the sections of the organisation with different declarations in
    /// `before` and `after`. Without `before`, the function plans everything. The result contains
    /// only the values that `before` does not ask for.
    pub async fn preview(
        &self,
        before: Option<&Policy>,
        after: &Policy,
        progress: Progress<'_>,
    ) -> Result<Preview, Failure> {
        let affected = match before {
            Some(before) => Some(Box::pin(self.affected(before, after, progress)).await?),
            None => None,
        };
        Box::pin(self.preview_of(before, after, affected.as_ref(), progress)).await
    }

    /// Plans like [`Self::preview`] for affected keys that are already known. Without `affected`,
    /// the function plans everything.
    pub async fn preview_of(
        &self,
        before: Option<&Policy>,
        after: &Policy,
        affected: Option<&Affected>,
        progress: Progress<'_>,
    ) -> Result<Preview, Failure> {
        let asks = after.asks().union(before.map(Policy::asks).unwrap_or_default());
        let reader = self.reader.apart(asks, selected_by(before, after));
        let mut new = self.apart(after, &reader);
        let mut old = before.map(|before| (self.apart(before, &reader), before));
        if let Some((of_before, of_after)) = affected.and_then(|affected| affected.owners.0.as_ref()) {
            new.overrides = of_after.clone();
            if let Some((old, _)) = &mut old {
                old.overrides = of_before.clone();
            }
        } else {
            if let Some((old, before)) = &old {
                old.overrides.follow(before, &reader).await?;
            }
            new.overrides.follow(after, &reader).await?;
        }
        let comparison =
            Comparison { new: &new, after, old: old.as_ref().map(|(old, before)| (old, *before)) };
        let mut preview = Preview::default();
        if affected.is_none_or(|affected| affected.organisation.is_some()) {
            Box::pin(comparison.organisation(&mut preview)).await?;
        }
        // A repository that the list lacks may be affected too.
        preview.incomplete.extend(affected.and_then(|affected| affected.short.clone()));
        match affected {
            Some(affected) if affected.repositories.len() <= FEW => {
                preview.total = affected.total;
                Box::pin(comparison.few(affected, &reader, &mut preview)).await?;
            }
            _ => Box::pin(comparison.many(affected, &reader, progress, &mut preview)).await?,
        }
        if let Some(affected) = affected {
            Box::pin(comparison.creations(&affected.creations, &mut preview)).await?;
        }
        Ok(preview)
    }

    /// Returns a planner for a preview. It shares no memory with this planner and stores nothing.
    fn apart(&self, policy: &Policy, reader: &Reader) -> Self {
        let reached = self.reached.clone().map(|mut reached| {
            reached.only_look();
            reached
        });
        Self {
            reader: reader.clone(),
            policy: PolicyHandle::new(policy.clone()),
            overrides: self.overrides.apart(),
            reached,
            // A preview shows the changes of the policy. It ignores the undone values of operators.
            undone: None,
            names: self.names.apart(),
            secret_memory: self.secret_memory.only_looking(),
            controls: None,
            ..self.clone()
        }
    }

    fn key(&self, repository: &Repository) -> Key {
        Key::new("repository", self.reader.organisation(), repository.id)
    }

    fn created_key(&self, name: &str) -> Key {
        creation_key(self.reader.organisation(), name)
    }

    /// Returns the key of the organisation itself.
    async fn own_key(&self) -> Result<Key, Failure> {
        let (answer, _) = self.reader.organisation_and_clock().await?;
        let id = answer["id"].as_u64();
        let id =
            id.ok_or_else(|| Failure::new(Class::Retry, "GitHub's answer has no id of the organisation"))?;
        Ok(Key::new("organisation", self.reader.organisation(), id))
    }
}

/// Returns the sections about the organisation itself, without the lines that declare them.
fn own(policy: &Policy) -> Vec<(&'static str, Value, [bool; 2])> {
    let sections = declared(policy).into_iter();
    sections.map(|one| (one.aspect.name, one.node.json(), [one.exclusive, one.says_exclusive])).collect()
}

/// Returns the names that the layers of both policies select by.
fn selected_by(before: Option<&Policy>, after: &Policy) -> SelectedBy {
    let mut names = after.selected_by();
    if let Some(other) = before.map(Policy::selected_by) {
        names.teams.extend(other.teams);
        names.properties.extend(other.properties);
    }
    for list in [&mut names.teams, &mut names.properties] {
        list.sort_unstable();
        list.dedup();
    }
    names
}

/// Two policies, each with its planner.
struct Comparison<'a> {
    new: &'a RepositoryPlanner,
    after: &'a Policy,
    old: Option<(&'a RepositoryPlanner, &'a Policy)>,
}

impl Comparison<'_> {
    /// Plans the organisation itself.
    async fn organisation(&self, preview: &mut Preview) -> Result<(), Failure> {
        let new = self.new;
        let declares = RepositoryPlanner::declares_organisation;
        if !declares(self.after) && !self.old.is_some_and(|(_, before)| declares(before)) {
            return Ok(());
        }
        let key = new.own_key().await?;
        let plan = new.of_organisation(self.after).await?;
        let mut known = PlannedValues::default();
        if let Some((old, before)) = self.old {
            known.learn(&old.of_organisation(before).await?);
        }
        preview.due.push((key.clone(), None));
        preview.add(key, known.caused(&plan));
        Ok(())
    }

    /// Plans a few affected repositories.
    async fn few(&self, affected: &Affected, reader: &Reader, preview: &mut Preview) -> Result<(), Failure> {
        let reads = affected.repositories.values().map(|node_id| reader.repository(node_id));
        let mut found = Vec::new();
        for (key, read) in affected.repositories.keys().zip(join_all(reads).await) {
            // If the repository is gone by now, no policy changes it.
            found.extend(read?.filter(|repository| self.new.key(repository) == *key));
        }
        self.compare(&found, preview).await
    }

    /// Plans the affected repositories of every page of the list.
    async fn many(
        &self,
        affected: Option<&Affected>,
        reader: &Reader,
        progress: Progress<'_>,
        preview: &mut Preview,
    ) -> Result<(), Failure> {
        let mut pages = Pages::first(reader).await?;
        preview.total = pages.total();
        let bulk = reader.bulk(usize::try_from(preview.total).unwrap_or(usize::MAX)).await;
        loop {
            let mut repositories = pages.take();
            progress(pages.seen(), pages.total());
            repositories.retain(|repository| {
                affected.is_none_or(|all| all.repositories.contains_key(&self.new.key(repository)))
            });
            reader.complete(&mut repositories, &bulk).await?;
            self.compare(&repositories, preview).await?;
            if !pages.advance(reader).await? {
                break;
            }
        }
        let (names, short) = pages.end();
        preview.incomplete.extend(short);
        if affected.is_none() {
            let names: Vec<&str> = names.values().map(String::as_str).collect();
            let creations = self.after.creations(&names).into_iter();
            let keys: Vec<Key> = creations.map(|creation| self.new.created_key(&creation.name)).collect();
            self.creations(&keys, preview).await?;
        }
        Ok(())
    }

    /// Plans the creation of repositories. The preview does not contain the later changes, because
    /// GitHub decides what a new repository looks like.
    async fn creations(&self, keys: &[Key], preview: &mut Preview) -> Result<(), Failure> {
        for (key, name) in keys.iter().filter_map(|key| Some((key, name_in(key)?))) {
            let plan = self.new.creation(self.after, name).await?;
            let mut known = PlannedValues::default();
            if let Some((old, before)) = self.old.filter(|(_, before)| before.creation(name).is_some()) {
                known.learn(&old.creation(before, name).await?);
            }
            preview.affected += 1;
            preview.due.push((key.clone(), None));
            preview.add(key.clone(), known.caused(&plan));
        }
        Ok(())
    }

    /// Plans these repositories at the same time, and adds the results to the preview.
    async fn compare(&self, repositories: &[Repository], preview: &mut Preview) -> Result<(), Failure> {
        let plans = join_all(repositories.iter().map(|repository| self.caused(repository))).await;
        for (repository, caused) in repositories.iter().zip(plans) {
            let key = self.new.key(repository);
            preview.affected += 1;
            preview.due.push((key.clone(), Some(repository.node_id.clone())));
            preview.add(key, caused?);
        }
        Ok(())
    }

    /// Plans one repository with both policies.
    async fn caused(&self, repository: &Repository) -> Result<Caused, Failure> {
        let plans = Box::pin(rounds(self.new, self.after, repository)).await?;
        let mut earlier = Vec::new();
        if let Some((old, before)) = self.old.filter(|_| plans.iter().any(|plan| !plan.changes.is_empty())) {
            earlier = Box::pin(rounds(old, before, repository)).await?;
        }
        Ok(caused_by(&plans, &earlier).unwrap_or_else(|| Caused {
            plan: Plan::new(repository.full_name()),
            writes: Vec::new(),
            drift: 0,
        }))
    }
}

/// Plans one repository. The writes of the plan can change what the policy declares for the
/// repository. The function then also plans the repository in its later state. Without this second
/// plan, the gate would not see what the second run of the key removes.
async fn rounds(
    planner: &RepositoryPlanner,
    policy: &Policy,
    repository: &Repository,
) -> Result<Vec<Plan<Box<dyn Step>>>, Failure> {
    let mut plans = Vec::new();
    let mut seen = Cow::Borrowed(repository);
    while plans.len() < ROUNDS {
        let (plan, _) = planner.attempt(policy, &seen).await?;
        let next = later(&seen, &plan.changes, &planner.names).await?;
        plans.push(plan);
        let Some(next) = next else { break };
        let is = planner.standing(policy, &seen).await?;
        let will = planner.standing(policy, &next).await?;
        if !differs_later(policy, (seen.as_ref(), &is), (&next, &will)) {
            break;
        }
        seen = Cow::Owned(next);
    }
    Ok(plans)
}

/// Returns the part of a policy's successive plans that the successive plans of the earlier policy
/// (`earlier`) do not have. Returns `None` if there are no plans.
fn caused_by<W: Instructions>(plans: &[Plan<W>], earlier: &[Plan<W>]) -> Option<Caused> {
    let mut known = PlannedValues::default();
    let mut all: Option<Caused> = None;
    for (round, plan) in plans.iter().enumerate() {
        // The guard can hold the earlier writes of the earlier policy forever. The later plan of
        // that policy then never comes. If the new policy causes the same later changes in another
        // way, the new policy is the reason for them.
        let (may_wait, later) = earlier.split_at_checked(round).unwrap_or((earlier, &[]));
        let is_same_way = all.as_ref().is_none_or(|all| all.plan.changes.is_empty());
        if let Some(before) = later.first().filter(|_| is_same_way || !may_wait.iter().any(can_be_held)) {
            known.learn(before);
        }
        let caused = known.caused(plan);
        known.learn(plan);
        match &mut all {
            None => all = Some(caused),
            Some(all) => append(all, caused),
        }
    }
    all
}

/// Returns whether a plan has a change that the guard can hold.
fn can_be_held<W>(plan: &Plan<W>) -> bool {
    plan.changes.iter().any(|change| change.risks().is_guarded() || change.stop.is_some())
}

/// Adds the changes of a later plan. The first plan already contains its drift, so the drift does
/// not count again.
fn append(all: &mut Caused, later: Caused) {
    let first = all.plan.changes.len();
    all.writes.extend(later.writes);
    for mut change in later.plan.changes {
        change.after.iter_mut().for_each(|at| *at += first);
        all.plan.changes.push(change);
    }
}

impl Preview {
    fn add(&mut self, key: Key, caused: Caused) {
        let approvable = caused.approvable();
        let Caused { plan, drift, .. } = caused;
        self.drift += drift;
        for unknown in plan.unknowns.iter().filter(|unknown| unknown.transient) {
            self.incomplete.push(format!("{}: {} is unknown: {}", plan.subject, unknown.aspect, unknown.why));
        }
        if !approvable.is_empty() {
            self.approvable.push((key.clone(), Plan { changes: approvable, ..Plan::new(&plan.subject) }));
        }
        if !plan.is_silent() {
            self.plans.push((key, plan));
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Change, Risk};

    use super::*;

    fn plan(changes: &[&Change<()>]) -> Plan<()> {
        Plan { changes: changes.iter().map(|change| (*change).clone()).collect(), ..Plan::new("acme/shop") }
    }

    fn shown(plans: &[Plan<()>], earlier: &[Plan<()>]) -> Vec<String> {
        let changes = caused_by(plans, earlier).unwrap().plan.changes.into_iter();
        changes.map(|change| format!("{} {}", change.aspect, change.what)).collect()
    }

    #[test]
    fn what_waits_behind_a_held_write_of_the_policy_before_is_not_drift() {
        let held = change("topics", "gone", &[Risk::Removes]);
        let topic = change("topics", "new", &[Risk::Adds]);
        let team = change("teams", "team core", &[Risk::Removes]);
        let issue = change("settings", "", &[Risk::Changes]);
        let before = [plan(&[&held]), plan(&[&team])];
        // Both policies cause the same changes in the same way.
        assert_eq!(shown(&before, &before), Vec::<String>::new());
        // The new policy removes the team now, or in another way that no guard holds.
        assert_eq!(shown(&[plan(&[&team])], &before), ["teams team core"]);
        let after = [plan(&[&topic]), plan(&[&topic, &team])];
        assert_eq!(shown(&after, &before), ["topics new", "teams team core"]);
        // If nothing holds the earlier policy, its later plan comes too.
        let before = [plan(&[&topic]), plan(&[&team])];
        let after = [plan(&[&topic, &issue]), plan(&[&team])];
        assert_eq!(shown(&after, &before), ["settings "]);
    }
}
