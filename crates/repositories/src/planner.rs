//! Plans the changes of repositories. The planner compares the policy with the observed state.

use std::sync::Arc;

use beadle_engine::{
    Change, Class, Failure, Key, Lane, Mode, Plan, SharedRead, Store, Unknown, Waiting, Waived,
};
use beadle_github::{IndexRow, Names, Reader, Repository, Unsure};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::aspects::{self, Aspect, Context, PlannedChange, Secrets, Step};
use crate::controls::ControlLog;
use crate::creation::creation_key;
use crate::in_force::{Modes, PolicyHandle};
use crate::looks::Looks;
use crate::order::in_order;
use crate::overrides::Overrides;
use crate::planner::pages::Pages;
use crate::planner::widening::wait_for_protection;
use crate::policy::{Explained, MergedLayers, Policy, Removed, Verdict, Waiver, explain};
use crate::reached::{Moves, Reached};
use crate::reread::Reread;
use crate::secret_memory::SecretMemory;
use crate::shard::Shard;
use crate::undo::Memory;
use crate::waiver_book::WaiverBook;

/// The aspects whose observed state might be old, because the state might come from a read of the
/// whole organisation.
const AGED: &[&str] = &["teams", "custom_properties"];
/// The number of repositories that Beadle plans at the same time. The transport limits the number
/// of requests.
const AT_ONCE: usize = 64;

/// Plans the repositories of one organisation. The planner has only a reader, so it cannot write.
/// All clones of a planner share the same memory.
#[derive(Clone)]
pub struct RepositoryPlanner {
    reader: Reader,
    policy: PolicyHandle,
    modes: Modes,
    overrides: Overrides,
    reached: Option<Reached>,
    /// The values that an undo restored.
    undone: Option<Memory>,
    names: Names,
    secrets: Arc<Secrets>,
    secret_memory: SecretMemory,
    waivers: WaiverBook,
    /// Records the controls that each run finds. `None` if the planner records nothing.
    controls: Option<Arc<ControlLog>>,
    /// The rule for the parts that only REST shows. The rule decides when a sweep reads these parts
    /// again. `None` if every run reads all parts.
    reread: Option<Reread>,
    /// The reads of the present run. `None` if the run reads all parts and does not record its
    /// reads.
    looks: Option<Arc<Looks>>,
    /// The list of all repositories. Beadle needs this list if the hint of a key does not lead to a
    /// repository. If somebody deletes hundreds of repositories, the runs of their keys share one
    /// read of the list.
    listing: Arc<SharedRead<Vec<IndexRow>>>,
}

/// The desired values of a repository, together with the sources of these values.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// The full name of the repository, `owner/name`.
    pub repository: String,
    /// The reason why Beadle does not manage the repository. `None` if Beadle manages the
    /// repository.
    pub skipped: Option<String>,
    /// The files that apply to the repository. Each file comes with its rank, and the lowest rank
    /// comes first.
    pub layers: Vec<(String, i64)>,
    /// The undecided sections. Each section comes with the reason.
    pub doubtful: Vec<(String, String)>,
    /// The desired values. Each value comes with the line of the policy that sets it.
    pub values: Vec<Explained>,
    /// The values that a layer of higher rank removed.
    pub removed: Vec<Removed>,
    /// The keys that Beadle does not compare, because waivers exempt them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Waived>,
    /// The keys in `waived` whose entry the policy does not declare.
    #[serde(skip)]
    pub absent_waived: Vec<String>,
}

/// Checks that GitHub's answer is about the listed repository. If the answer is about another
/// repository, the function returns an error, because the listed repository might still exist.
fn meant(row: &IndexRow, seen: Option<Repository>) -> Result<Option<Repository>, Failure> {
    match seen {
        Some(other) if other.id != row.id => {
            let text = format!("GitHub answered the node of {} with repository {}", row.name, other.id);
            Err(Failure::new(Class::Retry, text))
        }
        seen => Ok(seen),
    }
}

/// The plans for a whole organisation.
pub struct OrganisationPlan {
    /// The plan of each repository, with its key.
    pub plans: Vec<(Key, Plan<Box<dyn Step>>)>,
    /// The reason why the list of repositories is incomplete. `None` if the list is complete.
    pub short: Option<String>,
    /// The parts of the policy that apply to no repository.
    pub unmatched: Vec<String>,
}

impl RepositoryPlanner {
    /// Creates a planner that stores nothing between runs.
    pub fn new(reader: Reader, policy: PolicyHandle, modes: Modes) -> Self {
        let names = Names::new(None, reader.organisation(), reader.clock()).in_lane(reader.lane());
        let overrides = Overrides::new(None, reader.organisation());
        let secret_memory = SecretMemory::new(None, reader.organisation(), reader.clock());
        let waivers = WaiverBook::new(reader.organisation(), reader.clock());
        Self {
            reader,
            policy,
            modes,
            overrides,
            reached: None,
            undone: None,
            names,
            secrets: Arc::default(),
            secret_memory,
            waivers,
            controls: None,
            reread: None,
            looks: None,
            listing: Arc::default(),
        }
    }

    /// Sets the secrets that the policy is allowed to use, and returns the planner.
    #[must_use]
    pub fn lending(mut self, secrets: Secrets) -> Self {
        self.secrets = Arc::new(secrets);
        self
    }

    /// Makes the planner use the waivers in `store`. The planner also keeps its memory in `store`.
    /// This memory contains the repository of each file in repos/, the layers of each repository,
    /// and the ids behind names. The memory also contains three other things: digests of the
    /// secrets that Beadle wrote, the restored values of undos, and the controls that each
    /// repository met.
    #[must_use]
    pub fn remembering(mut self, store: Arc<dyn Store>) -> Self {
        let organisation = self.reader.organisation();
        self.overrides = Overrides::new(Some(store.clone()), organisation);
        self.reached = Some(Reached::new(store.clone(), organisation));
        self.undone = Some(Memory::new(store.clone(), organisation));
        self.waivers = self.waivers.stored_in(store.clone());
        self.controls = Some(Arc::new(ControlLog::new(store.clone(), self.reader.clock())));
        self.secret_memory = SecretMemory::new(Some(store.clone()), organisation, self.reader.clock());
        self.names = Names::new(Some(store), organisation, self.reader.clock()).in_lane(self.reader.lane());
        self
    }

    /// Turns off the memory for secrets. The planner then writes only secrets that do not exist at
    /// GitHub.
    #[must_use]
    pub fn without_secret_memory(mut self) -> Self {
        self.secret_memory = SecretMemory::new(None, self.reader.organisation(), self.reader.clock());
        self
    }

    /// Returns a copy of the planner for a run in this lane.
    fn in_lane(&self, lane: Lane) -> Self {
        Self { reader: self.reader.in_lane(lane), names: self.names.in_lane(lane), ..self.clone() }
    }

    /// Makes the planner's memory read-only. Only the policy in force is allowed to change the
    /// memory. But a plan that Beadle only shows might use a different policy.
    #[must_use]
    pub fn only_looking(mut self) -> Self {
        self.overrides.only_look();
        self.names.only_look();
        self.secret_memory = self.secret_memory.only_looking();
        self.controls = None;
        self.reread = None;
        if let Some(reached) = &mut self.reached {
            reached.only_look();
        }
        if let Some(undone) = &mut self.undone {
            undone.only_look();
        }
        self
    }

    /// Returns the reader that the planner uses.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Plans the organisation and every repository of `shard`. If `names` is not empty, the
    /// function plans only the repositories with these names.
    pub async fn organisation(
        &self,
        instance: &str,
        names: &[String],
        shard: Shard,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<OrganisationPlan, Failure> {
        let policy = self.policy.current();
        self.reader.ask_for(policy.asks());
        self.reader.select_by(policy.selected_by());
        self.overrides.follow(&policy, &self.reader).await?;
        let mut plan = OrganisationPlan { plans: Vec::new(), short: None, unmatched: Vec::new() };
        let mut own = None;
        if names.is_empty() {
            // If the policy has no section about the organisation itself, Beadle makes no call
            // here.
            if shard.is_first() && Self::declares_organisation(&policy) {
                let (organisation, _) = self.reader.organisation_and_clock().await?;
                let id = organisation["id"].as_u64().unwrap_or_default();
                own = Some((Key::new("organisation", instance, id), self.of_organisation(&policy).await?));
            }
            self.all(&policy, instance, shard, progress, &mut plan).await?;
        } else {
            let index = self.reader.index().await?;
            let mut found = Vec::new();
            for name in names {
                let bare = name.strip_prefix(&format!("{instance}/")).unwrap_or(name);
                match index.iter().find(|row| row.name.eq_ignore_ascii_case(bare)) {
                    Some(row) => found.push(row),
                    None if policy.creation(bare).is_some() => {
                        let created = self.creation(&policy, bare).await?;
                        plan.plans.push((creation_key(instance, bare), created));
                    }
                    None => plan.unmatched.push(format!("there is no repository `{name}` in {instance}")),
                }
            }
            let reads = found.iter().map(|row| self.reader.repository(&row.node_id));
            for (row, read) in found.iter().zip(join_all(reads).await) {
                let Some(repository) = meant(row, read?)? else { continue };
                plan.plans.push(self.keyed(&policy, instance, &repository).await?);
            }
        }
        plan.plans.sort_by(|(_, one), (_, other)| one.subject.cmp(&other.subject));
        plan.plans.splice(0..0, own);
        for (_, own) in &mut plan.plans {
            own.generation.clone_from(&policy.generation);
        }
        Ok(plan)
    }

    /// Plans all repositories of a shard, page by page. So the process never has all repositories
    /// in memory at the same time. While Beadle plans one page, it already reads the next page.
    async fn all(
        &self,
        policy: &Policy,
        instance: &str,
        shard: Shard,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        plan: &mut OrganisationPlan,
    ) -> Result<(), Failure> {
        let mut pages = Pages::first(&self.reader).await?;
        let total = pages.total();
        let bulk = self.reader.bulk(usize::try_from(total / shard.of()).unwrap_or(usize::MAX)).await;
        loop {
            let mut own = pages.take();
            progress(pages.seen(), total);
            own.retain(|repository| shard.holds(repository.id) && !policy.leaves_out(&repository.name));
            let planned = async {
                self.reader.complete(&mut own, &bulk).await?;
                let plans = own.iter().map(|repository| self.keyed(policy, instance, repository));
                // Some aspects read more data for each repository, so Beadle plans several
                // repositories at the same time.
                futures::stream::iter(plans).buffered(AT_ONCE).try_collect::<Vec<_>>().await
            };
            let (planned, has_more) = futures::join!(planned, pages.advance(&self.reader));
            plan.plans.extend(planned?);
            if !has_more? {
                break;
            }
        }
        let (names, short) = pages.end();
        plan.short = short;
        if plan.short.is_none() && shard.of() == 1 {
            let names: Vec<&str> = names.values().map(String::as_str).collect();
            plan.unmatched = policy.unmatched(&names);
        }
        // If the list is incomplete, a repository might exist although it is not in the list.
        if plan.short.is_none() && shard.is_first() {
            let names: Vec<&str> = names.values().map(String::as_str).collect();
            for creation in policy.creations(&names) {
                let created = self.creation(policy, &creation.name).await?;
                plan.plans.push((creation_key(instance, &creation.name), created));
            }
        }
        Ok(())
    }

    async fn keyed(
        &self,
        policy: &Policy,
        instance: &str,
        repository: &Repository,
    ) -> Result<(Key, Plan<Box<dyn Step>>), Failure> {
        let key = Key::new("repository", instance, repository.id);
        Ok((key, self.repository(policy, repository).await?))
    }

    /// Returns the desired values of a repository, and the source of each value. The result
    /// contains only the values below the key `key`. Returns `None` if no repository has this name.
    pub async fn explain(&self, name: &str, key: &str) -> Result<Option<Explanation>, Failure> {
        let policy = self.policy.current();
        self.reader.ask_for(policy.asks());
        self.reader.select_by(policy.selected_by());
        let index = self.reader.index().await?;
        let Some(row) = index.iter().find(|row| row.name.eq_ignore_ascii_case(name)) else { return Ok(None) };
        let Some(seen) = meant(row, self.reader.repository(&row.node_id).await?)? else { return Ok(None) };
        self.overrides.follow(&policy, &self.reader).await?;
        let standing = self.standing(&policy, &seen).await?;
        let mut explanation = Explanation { repository: seen.full_name(), ..Explanation::default() };
        match policy.resolve(&seen, &standing) {
            Verdict::Skipped(why) => explanation.skipped = Some(why),
            Verdict::Reached(target) => {
                let emptied = target.emptied.clone().zip(target.doubt());
                explanation.waived = target.waivers.iter().flat_map(Waiver::waived).collect();
                explanation.absent_waived.clone_from(&target.absent_waived);
                explanation.layers =
                    target.layers.iter().map(|layer| (layer.file.clone(), layer.rank)).collect();
                (explanation.values, explanation.removed) = explain(&policy, &target, &seen, key);
                explanation.doubtful =
                    target.undecided.into_iter().map(|(section, unsure)| (section, unsure.why)).collect();
                explanation.doubtful.extend(target.partly_undecided);
                explanation.doubtful.extend(emptied);
            }
        }
        Ok(Some(explanation))
    }

    /// Plans one repository from its observed state.
    pub async fn repository(
        &self,
        policy: &Policy,
        seen: &Repository,
    ) -> Result<Plan<Box<dyn Step>>, Failure> {
        let (plan, moves) = self.attempt(policy, seen).await?;
        let counts = |change: &Change<Box<dyn Step>>| {
            change.risks().is_guarded() || AGED.contains(&change.aspect.as_str())
        };
        // Data from a read of the whole organisation might be out of date. In three cases, Beadle
        // therefore first reads this repository's data again: the repository differs from Beadle's
        // memory or has a move that is not settled, the plan has a guarded change, or the plan
        // changes teams or properties.
        let is_old = seen.has_age && (moves.is_news() || plan.changes.iter().any(counts));
        let is_remembered = seen.last_seen.is_some()
            && (moves.is_news() || self.looks.as_ref().is_some_and(|looks| looks.wants_loaded()));
        let mut fresh = None;
        let (mut plan, moves) = if is_old || is_remembered {
            let fresh = fresh.insert(seen.clone());
            self.reader.refresh(fresh).await?;
            self.attempt(policy, fresh).await?
        } else {
            (plan, moves)
        };
        if let Some(reached) = &self.reached {
            reached.settle(moves).await?;
        }
        self.observe_undone(policy, fresh.as_ref().unwrap_or(seen), &mut plan).await?;
        Ok(plan)
    }

    async fn attempt(
        &self,
        policy: &Policy,
        seen: &Repository,
    ) -> Result<(Plan<Box<dyn Step>>, Moves), Failure> {
        let mut plan = Plan::new(seen.full_name());
        if !seen.owner.eq_ignore_ascii_case(self.reader.organisation()) {
            plan.skipped = Some(format!("the repository belongs to {} now", seen.owner));
            return Ok((plan, Moves::default()));
        }
        let standing = self.standing(policy, seen).await?;
        let target = match policy.resolve(seen, &standing) {
            Verdict::Skipped(why) => {
                plan.skipped = Some(why);
                return Ok((plan, Moves::default()));
            }
            Verdict::Reached(target) => target,
        };
        plan.waived = target.waivers.iter().flat_map(Waiver::waived).collect();
        let desired = policy.desired(&target, seen);
        let mut moves = match &self.reached {
            Some(reached) => reached.moves(policy, &target, seen, &desired).await?,
            None => Moves::default(),
        };
        let is_written = |aspect: &Aspect| self.modes.of(aspect.name) > Mode::Observe;
        // The mode `add-only` does not raise a permission.
        let is_enforced = |aspect: &Aspect| self.modes.of(aspect.name) == Mode::Enforce;
        let context = Context {
            reader: &self.reader,
            desired: &desired,
            repository: seen,
            secrets: &self.secrets,
            settings_are_written: is_written(&aspects::settings::SETTINGS),
            teams_are_written: is_enforced(&aspects::teams::TEAMS),
            collaborators_are_written: is_enforced(&aspects::collaborators::COLLABORATORS),
            names: &self.names,
            secret_memory: &self.secret_memory,
        };
        let doubt = target.doubt();
        let mut changes: Vec<PlannedChange> = Vec::new();
        // Beadle plans all aspects at the same time. So no aspect waits for the reads of another
        // aspect.
        let plans = aspects::ALL.iter().map(|aspect| self.aspect(aspect, &context, &target));
        for (aspect, planned) in aspects::ALL.iter().zip(join_all(plans).await) {
            let mode = self.modes.of(aspect.name);
            let (own, unknowns, own_waits) = planned?;
            plan.waits.extend(own_waits);
            let owns = |section: &str| aspect.owns(section);
            let moved = moves.of(owns).cloned();
            // The layers of the repository changed. This change might weaken a section that Beadle
            // could not read. A section that Beadle could not read therefore also waits for an
            // approval.
            let mut waits = moved.is_some() && !unknowns.is_empty();
            changes.extend(own.into_iter().map(|mut planned| {
                aspect.name.clone_into(&mut planned.change.aspect);
                planned.change.mode = mode;
                if let Some(moved) = moved.as_ref().filter(|_| planned.change.risks().is_guarded()) {
                    waits = true;
                    planned.change.stop.get_or_insert_with(|| moved.why.clone());
                }
                if planned.change.risks().is_guarded() && planned.change.stop.is_none() {
                    planned.change.stop.clone_from(&doubt);
                }
                planned
            }));
            if waits {
                moves.wait(owns);
            }
            plan.unknowns.extend(unknowns);
        }
        let found = (&mut changes, &mut plan.unknowns);
        Box::pin(self.protect_ahead(policy, (seen, &standing), &context, found)).await?;
        wait_for_protection(&mut changes, &mut plan.unknowns);
        plan.changes = in_order(changes);
        if let Some(log) = &self.controls {
            log.keep(seen.id, policy, policy.controls(&target, seen, &desired), &plan);
        }
        Ok((plan, moves))
    }

    /// Returns the result for one aspect: its changes, its unknown parts, and its tasks that wait
    /// for a person. If one aspect fails, Beadle still plans the other aspects.
    async fn aspect(
        &self,
        aspect: &Aspect,
        context: &Context<'_>,
        target: &MergedLayers,
    ) -> Result<(Vec<PlannedChange>, Vec<Unknown>, Vec<Waiting>), Failure> {
        let name = aspect.name.to_owned();
        let doubts = target.undecided.iter().filter(|(section, _)| aspect.owns(section));
        let doubt = doubts.map(|(_, unsure)| unsure).reduce(|one, other| Unsure::sooner(Some(one), other));
        if let Some(Unsure { why, transient }) = doubt {
            let unknown = Unknown { aspect: name, part: None, why: why.clone(), transient: *transient };
            return Ok((Vec::new(), vec![unknown], Vec::new()));
        }
        let mut plan = self.compare(aspect, context).await?;
        plan.settle();
        let waiting = target.partly_undecided.iter().filter(|(section, _)| aspect.owns(section));
        for (section, why) in waiting.take(1) {
            plan.cannot_resolve_part(section, why.clone());
        }
        let unknowns = plan.unresolved.into_iter().map(|unresolved| Unknown {
            aspect: name.clone(),
            part: unresolved.part,
            why: unresolved.reason,
            transient: unresolved.transient,
        });
        let waits = plan.waits.into_iter().map(|why| Waiting { aspect: name.clone(), why });
        Ok((plan.changes, unknowns.collect(), waits.collect()))
    }
}

mod ahead;
mod compared;
mod creations;
mod keyed;
mod later;
mod own_sections;
mod pages;
pub mod preview;
mod rounds;
mod standing;
#[cfg(test)]
mod tests;
pub mod undo;
mod undone;
mod widening;
