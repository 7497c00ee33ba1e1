//! Compares a new policy with the earlier policy, and plans the changes that the new policy would
//! cause. A preview does not write anything, and does not change the planner's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use beadle_engine::{Class, Failure, Key, Plan, PlannedValues};
use beadle_github::{Cursor, Reader, Repository, SelectedBy};
use futures::future::join_all;
use serde_json::Value;

use super::RepositoryPlanner;
use crate::affected::differs;
use crate::creation::{creation_key, name_in};
use crate::in_force::PolicyHandle;
use crate::overrides::Overrides;
use crate::planner::own_sections::declared;
use crate::planner::pages::Pages;
use crate::planner::rounds::{Consequences, rounds};
use crate::policy::{Creation, Policy};

/// The maximum number of repositories that Beadle reads one by one. If there are more affected
/// repositories, Beadle reads the pages of the whole list.
const FEW: usize = 40;

/// A function that reports the progress: the number of completed repositories, and the number of
/// all repositories.
type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// The changes that a new policy would cause.
#[derive(Debug, Default)]
pub struct Preview {
    /// The plans. The plans contain only the values that the new policy declares and the earlier
    /// policy does not declare. A plan has at least one change or one unknown part.
    pub plans: Vec<(Key, Plan<()>)>,
    /// The changes that Beadle can write after an operator approves `plans`. Each change contains
    /// all values of its write. See [`beadle_engine::Caused::approvable`]. Changes that wait for
    /// the end of a waiver are not in the list, because the next run does not plan such changes.
    pub approvable: Vec<(Key, Plan<()>)>,
    /// The changes of `plans` that wait for the end of a waiver. Each key of the map is a text that
    /// contains the waiver's end, such as `2026-12-01T18:00:00Z (waivers.yml:2)`.
    pub delayed: BTreeMap<String, Vec<(Key, Plan<()>)>>,
    /// The number of values that are in the plans of the new policy and also in the plans of the
    /// earlier policy.
    pub drift: usize,
    /// The names of the repositories with values that are in the plans of both policies. If the
    /// organisation itself has such a value, its name is also in the list.
    pub drifted: BTreeSet<String>,
    /// The number of repositories for which the new policy declares different values.
    pub affected: usize,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// The reasons why Beadle could not plan some parts.
    pub incomplete: Vec<String>,
    /// The keys for which the new policy declares different values. Each key comes with GitHub's
    /// node id as a hint.
    pub due: Vec<(Key, Option<String>)>,
}

/// The keys for which two generations of the policy declare different values.
#[derive(Debug, Default)]
pub struct Affected {
    /// The keys of the repositories. Each key comes with GitHub's node id.
    pub repositories: BTreeMap<Key, String>,
    /// The keys of the repositories that the new policy creates. Each key contains the name of its
    /// repository.
    pub creations: Vec<Key>,
    /// The key of the organisation, if the two generations differ in the sections about the
    /// organisation itself.
    pub organisation: Option<Key>,
    /// The number of repositories in the organisation.
    pub total: u64,
    /// The reason why the list of repositories is incomplete. `None` if the list is complete.
    pub short: Option<String>,
    /// The owners of the files in repos/. With these owners, a preview does not have to ask GitHub
    /// again.
    pub owners: FileOwners,
}

/// The owners of the files in repos/. The first value is for the earlier policy, and the second
/// value is for the new policy.
#[derive(Default)]
pub struct FileOwners(Option<(Overrides, Overrides)>);

impl fmt::Debug for FileOwners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileOwners").field(&self.0.is_some()).finish()
    }
}

impl RepositoryPlanner {
    /// Finds the repositories for which two policies declare different values. A difference counts
    /// if it exists now, or if it exists only after the end of the waivers. The function reads only
    /// the parts of a repository that the policies use in selectors.
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
        let (old_at_end, at_end) = (&old.without_waivers_in(after), &new.without_waivers());
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
                    let mut is_affected = differs((before, &was), (after, &is), repository);
                    if !is_affected && !is.waivers.is_empty() {
                        let was = old_at_end.standing(before, repository).await?;
                        let will = at_end.standing(after, repository).await?;
                        is_affected = differs((before, &was), (after, &will), repository);
                    }
                    Ok::<bool, Failure>(is_affected)
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
        // If both policies create a repository in the same way, the creation is not an effect of
        // the new policy.
        let is_new = |creation: &Creation| before.creation(&creation.name).as_ref() != Some(creation);
        affected.creations =
            declared.filter(is_new).map(|creation| self.created_key(&creation.name)).collect();
        Ok(affected)
    }

    /// Plans the repositories and the organisation sections for which `before` and `after` declare
    /// different values. Without `before`, the function plans everything. The result contains only
    /// the values that `before` does not declare. The result also contains the changes that wait
    /// for the end of a waiver. Without these changes, a waiver could hide removals from the gate.
    /// Even a waiver that is already in the earlier policy could hide removals. If `before` also
    /// causes a change at the end of the same waiver, the change is not in the result.
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

    /// Makes the same plans as [`Self::preview`], but the caller already knows the affected keys.
    /// Without `affected`, the function plans everything.
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
        let at_end = new.without_waivers();
        let old =
            old.map(|(old, before)| Earlier { at_end: old.without_waivers_in(after), now: old, before });
        let comparison = Comparison { new: &new, at_end: &at_end, after, old: old.as_ref() };
        let mut preview = Preview::default();
        if affected.is_none_or(|affected| affected.organisation.is_some()) {
            Box::pin(comparison.organisation(&mut preview)).await?;
        }
        // The new policy might also affect a repository that is missing in the list.
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

    /// Returns a planner for a preview. The new planner shares no memory with this planner and
    /// stores nothing.
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
            // A preview shows the changes of the policy, including changes to values that an undo
            // restored.
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

/// Returns the sections about the organisation itself, without line numbers.
fn own(policy: &Policy) -> Vec<(&'static str, Value, [bool; 2])> {
    let sections = declared(policy).into_iter();
    sections.map(|one| (one.aspect.name, one.node.json(), [one.exclusive, one.says_exclusive])).collect()
}

/// Returns the names of teams and properties that the selectors of one or both policies use.
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

/// The earlier policy with its planners.
struct Earlier<'a> {
    now: RepositoryPlanner,
    /// The planner that ignores the waivers that are also in the new policy.
    at_end: RepositoryPlanner,
    before: &'a Policy,
}

/// The new and the earlier policy, each with its planners.
struct Comparison<'a> {
    new: &'a RepositoryPlanner,
    /// The planner that plans `after` without waivers.
    at_end: &'a RepositoryPlanner,
    after: &'a Policy,
    old: Option<&'a Earlier<'a>>,
}

impl Comparison<'_> {
    /// Plans the organisation itself.
    async fn organisation(&self, preview: &mut Preview) -> Result<(), Failure> {
        let new = self.new;
        let declares = RepositoryPlanner::declares_organisation;
        if !declares(self.after) && !self.old.is_some_and(|old| declares(old.before)) {
            return Ok(());
        }
        let key = new.own_key().await?;
        let plan = new.of_organisation(self.after).await?;
        let mut known = PlannedValues::default();
        if let Some(old) = self.old {
            known.learn(&old.now.of_organisation(old.before).await?);
        }
        preview.due.push((key.clone(), None));
        preview.add(key, known.caused(&plan).into());
        Ok(())
    }

    /// Plans a few affected repositories.
    async fn few(&self, affected: &Affected, reader: &Reader, preview: &mut Preview) -> Result<(), Failure> {
        let reads = affected.repositories.values().map(|node_id| reader.repository(node_id));
        let mut found = Vec::new();
        for (key, read) in affected.repositories.keys().zip(join_all(reads).await) {
            // If the repository no longer exists, neither policy can change it.
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

    /// Plans the creation of repositories. The preview does not contain the changes after the
    /// creation, because GitHub decides the content of a new repository.
    async fn creations(&self, keys: &[Key], preview: &mut Preview) -> Result<(), Failure> {
        for (key, name) in keys.iter().filter_map(|key| Some((key, name_in(key)?))) {
            let plan = self.new.creation(self.after, name).await?;
            let mut known = PlannedValues::default();
            if let Some(old) = self.old.filter(|old| old.before.creation(name).is_some()) {
                known.learn(&old.now.creation(old.before, name).await?);
            }
            preview.affected += 1;
            preview.due.push((key.clone(), None));
            preview.add(key.clone(), known.caused(&plan).into());
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

    /// Plans one repository with both policies. For each policy, the function makes two plans: a
    /// plan for the present, and a plan for the time after the end of the waivers. All plans use
    /// the same read of the repository.
    async fn caused(&self, repository: &Repository) -> Result<Consequences, Failure> {
        let now = Box::pin(rounds(self.new, self.after, repository)).await?;
        let (mut waivers, mut at_end) = (Vec::new(), Vec::new());
        // A waiver without an effect hides nothing, so Beadle needs no additional plan. A waiver
        // has an effect if one of the first plans has exempted keys, or if Beadle skips the
        // repository because of a waiver of `archived`. The list of waivers does not show whether a
        // waiver has an effect, because a waiver might have ended after the first plans.
        if now.iter().any(|plan| plan.skipped.is_some() || !plan.waived.is_empty()) {
            waivers = self.new.waivers_of(self.after, repository).await?;
            at_end = Box::pin(rounds(self.at_end, self.after, repository)).await?;
        }
        let (mut earlier, mut earlier_at_end) = (Vec::new(), None);
        if let Some(old) = self.old {
            let is_at_end = has_changes(&at_end);
            let is_same = is_at_end && old.ignores_nothing(repository).await?;
            if has_changes(&now) || is_same {
                earlier = Box::pin(rounds(&old.now, old.before, repository)).await?;
            }
            if is_at_end && !is_same {
                earlier_at_end = Some(Box::pin(rounds(&old.at_end, old.before, repository)).await?);
            }
        }
        let earlier_at_end = earlier_at_end.as_deref().unwrap_or(earlier.as_slice());
        let (now, at_end) = ((now.as_slice(), earlier.as_slice()), (at_end.as_slice(), earlier_at_end));
        Ok(Consequences::of(&repository.full_name(), now, at_end, &waivers))
    }
}

impl Earlier<'_> {
    /// Returns whether both planners use the same waivers for a repository. If so, both planners
    /// make the same plan.
    async fn ignores_nothing(&self, repository: &Repository) -> Result<bool, Failure> {
        let of_now = self.now.waivers_of(self.before, repository).await?;
        Ok(of_now == self.at_end.waivers_of(self.before, repository).await?)
    }
}

/// Returns whether one of the plans has a change.
fn has_changes<W>(plans: &[Plan<W>]) -> bool {
    plans.iter().any(|plan| !plan.changes.is_empty())
}

impl Preview {
    fn add(&mut self, key: Key, found: Consequences) {
        let Consequences { plan, approvable, delayed, drift } = found;
        self.drift += drift;
        if drift > 0 {
            self.drifted.insert(plan.subject.clone());
        }
        for unknown in plan.unknowns.iter().filter(|unknown| unknown.transient) {
            self.incomplete.push(format!("{}: {} is unknown: {}", plan.subject, unknown.aspect, unknown.why));
        }
        if !approvable.is_empty() {
            self.approvable.push((key.clone(), Plan { changes: approvable, ..Plan::new(&plan.subject) }));
        }
        for (end, plan) in delayed {
            self.delayed.entry(end).or_default().push((key.clone(), plan));
        }
        if !plan.is_silent() {
            self.plans.push((key, plan));
        }
    }
}
