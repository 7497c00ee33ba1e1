//! Makes a plan from a policy and a repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::apply::OLDEST;
use beadle_engine::{Change, Class, Failure, Key, Lane, Mode, Plan, Planner, SharedRead, Store, Unknown};
use beadle_github::{Cursor, IndexRow, Reader, Repository, Unsure};
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::aspects::{self, Aspect, AspectPlan, Context, PlannedChange, Secrets, Step};
use crate::in_force::{Modes, PolicyHandle};
use crate::names::Names;
use crate::order::in_order;
use crate::organisation;
use crate::overrides::Overrides;
use crate::policy::{Explained, LayerKind, MergedLayers, Policy, Verdict, explain};
use crate::reached::{Moves, Reached};
use crate::shard::Shard;

/// The aspects whose state can come from a snapshot of the organisation.
const AGED: &[&str] = &["teams", "custom_properties"];
/// The number of attempts for a plan whose reads take too long.
const PLANS: u32 = 3;
/// The number of repositories that Beadle plans at the same time. The transport limits the
/// requests.
const AT_ONCE: usize = 64;

/// Plans repositories of one organisation. The planner has a reader and nothing that writes. All
/// clones remember the same.
#[derive(Clone)]
pub struct RepositoryPlanner {
    reader: Reader,
    policy: PolicyHandle,
    modes: Modes,
    overrides: Overrides,
    reached: Option<Reached>,
    names: Names,
    secrets: Arc<Secrets>,
    /// The list of repositories, for keys whose hint leads to no repository. Hundreds of deleted
    /// repositories can need the list at the same time.
    listing: Arc<SharedRead<Vec<IndexRow>>>,
}

/// Explains the desired values of a repository.
#[derive(Debug, Default, Serialize)]
pub struct Explanation {
    /// `owner/name`.
    pub repository: String,
    /// The reason why Beadle leaves the repository alone, if it does.
    pub skipped: Option<String>,
    /// The files that reach the repository, lowest first, each with its rank.
    pub layers: Vec<(String, i64)>,
    /// The sections that are unknown, each with the reason.
    pub doubtful: Vec<(String, String)>,
    /// Every value, with the line that sets it.
    pub values: Vec<Explained>,
}

/// Returns what GitHub answered for the node of a listed repository. Another repository in its
/// place does not mean that the listed one is gone.
fn meant(row: &IndexRow, seen: Option<Repository>) -> Result<Option<Repository>, Failure> {
    match seen {
        Some(other) if other.id != row.id => {
            let text = format!("GitHub answered the node of {} with repository {}", row.name, other.id);
            Err(Failure::new(Class::Retry, text))
        }
        seen => Ok(seen),
    }
}

/// The plans of a whole organisation.
pub struct OrganisationPlan {
    /// One plan for each repository.
    pub plans: Vec<(Key, Plan<Box<dyn Step>>)>,
    /// The reason why the list of repositories is incomplete, if it is.
    pub short: Option<String>,
    /// The parts of the policy that match no repository.
    pub unmatched: Vec<String>,
}

impl RepositoryPlanner {
    /// Creates a planner.
    pub fn new(reader: Reader, policy: PolicyHandle, modes: Modes) -> Self {
        let names = Names::new(None, reader.organisation(), reader.clock()).in_lane(reader.lane());
        let overrides = Overrides::new(None, reader.organisation());
        Self {
            reader,
            policy,
            modes,
            overrides,
            reached: None,
            names,
            secrets: Arc::default(),
            listing: Arc::default(),
        }
    }

    /// Lets the policy name these secrets.
    #[must_use]
    pub fn lending(mut self, secrets: Secrets) -> Self {
        self.secrets = Arc::new(secrets);
        self
    }

    /// Remembers three things in `store`: the repository that each file in repos/ belongs to, the
    /// layers that reached each repository, and the ids that names meant.
    #[must_use]
    pub fn remembering(mut self, store: Arc<dyn Store>) -> Self {
        let organisation = self.reader.organisation();
        self.overrides = Overrides::new(Some(store.clone()), organisation);
        self.reached = Some(Reached::new(store.clone(), organisation));
        self.names = Names::new(Some(store), organisation, self.reader.clock()).in_lane(self.reader.lane());
        self
    }

    /// Returns the same planner for a run in this lane.
    fn in_lane(&self, lane: Lane) -> Self {
        Self { reader: self.reader.in_lane(lane), names: self.names.in_lane(lane), ..self.clone() }
    }

    /// Adds nothing to the memory. A plan that is only shown can be of a policy that is not in
    /// force, and the memory must hold the state under the policy that is in force.
    #[must_use]
    pub fn only_looking(mut self) -> Self {
        self.overrides.only_look();
        self.names.only_look();
        if let Some(reached) = &mut self.reached {
            reached.only_look();
        }
        self
    }

    /// Returns the reader of the planner.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Plans the organisation and every repository of `shard`. If there are `names`, plans only the
    /// repositories with these names.
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
            // An organisation without sections of its own needs no call.
            if shard.is_first() && !self.sections_of_organisation(&policy).is_empty() {
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
        Ok(plan)
    }

    /// Plans all repositories of a shard, page by page, so that the memory never holds all of them.
    /// Reads the next page while it plans one page.
    async fn all(
        &self,
        policy: &Policy,
        instance: &str,
        shard: Shard,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
        plan: &mut OrganisationPlan,
    ) -> Result<(), Failure> {
        let mut page = self.reader.page(&Cursor::default()).await?;
        let total = page.total;
        let bulk = self.reader.bulk(usize::try_from(total / shard.of()).unwrap_or(usize::MAX)).await;
        // A repository that appears twice counts once, because another repository may be missing in
        // its place.
        let (mut names, mut pages) = (BTreeMap::new(), 0);
        loop {
            plan.short = plan.short.take().or(page.short);
            let (before, came) = (names.len(), page.repositories.len());
            let mut own = page.repositories;
            own.retain(|repository| names.insert(repository.id, repository.name.clone()).is_none());
            pages += 1;
            let is_endless = (came > 0 && names.len() == before) || pages > total.saturating_add(1);
            if page.next.is_some() && is_endless {
                // Without this check Beadle would read pages that bring nothing new for ever.
                page.next = None;
                let text = "the list has no end: a page repeats the repositories of other pages";
                plan.short.get_or_insert_with(|| text.to_owned());
            }
            progress(names.len() as u64, total);
            own.retain(|repository| shard.holds(repository.id) && !policy.leaves_out(&repository.name));
            let planned = async {
                self.reader.complete(&mut own, &bulk).await?;
                let plans = own.iter().map(|repository| self.keyed(policy, instance, repository));
                // Some aspects read more for each repository.
                futures::stream::iter(plans).buffered(AT_ONCE).try_collect::<Vec<_>>().await
            };
            let next = async {
                match &page.next {
                    Some(cursor) => self.reader.page(cursor).await.map(Some),
                    None => Ok(None),
                }
            };
            let (planned, next) = futures::join!(planned, next);
            plan.plans.extend(planned?);
            match next? {
                Some(next) => page = next,
                None => break,
            }
        }
        if (names.len() as u64) < total && plan.short.is_none() {
            plan.short = Some(format!("the list came back short ({} of {total})", names.len()));
        }
        if plan.short.is_none() && shard.of() == 1 {
            let names: Vec<&str> = names.values().map(String::as_str).collect();
            plan.unmatched = policy.unmatched(&names);
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

    /// Explains the values of a repository below `key`. Returns `None` if there is no repository of
    /// this name.
    pub async fn explain(&self, name: &str, key: &str) -> Result<Option<Explanation>, Failure> {
        let policy = self.policy.current();
        self.reader.ask_for(policy.asks());
        self.reader.select_by(policy.selected_by());
        let index = self.reader.index().await?;
        let Some(row) = index.iter().find(|row| row.name.eq_ignore_ascii_case(name)) else { return Ok(None) };
        let Some(seen) = meant(row, self.reader.repository(&row.node_id).await?)? else { return Ok(None) };
        self.overrides.follow(&policy, &self.reader).await?;
        let standing = self.overrides.of(&policy, &seen).await?;
        let mut explanation = Explanation { repository: seen.full_name(), ..Explanation::default() };
        match policy.resolve(&seen, &standing) {
            Verdict::Skipped(why) => explanation.skipped = Some(why),
            Verdict::Reached(target) => {
                let emptied = target.emptied.clone().zip(target.doubt());
                explanation.layers =
                    target.layers.iter().map(|layer| (layer.file.clone(), layer.rank)).collect();
                explanation.values = explain(&policy, &target, &seen, key);
                explanation.doubtful =
                    target.undecided.into_iter().map(|(section, unsure)| (section, unsure.why)).collect();
                explanation.doubtful.extend(target.partly_undecided);
                explanation.doubtful.extend(emptied);
            }
        }
        Ok(Some(explanation))
    }

    /// Plans the organisation itself.
    async fn of_organisation(&self, policy: &Policy) -> Result<Plan<Box<dyn Step>>, Failure> {
        let context = organisation::Context::new(&self.reader);
        organisation::plan(&context, &self.sections_of_organisation(policy)).await
    }

    /// Returns the sections of the policy about the organisation itself.
    fn sections_of_organisation<'a>(&self, policy: &'a Policy) -> Vec<organisation::DesiredSection<'a>> {
        let settings = policy.layers.iter().find(|layer| matches!(layer.kind, LayerKind::Organisation));
        let mut sections = Vec::new();
        for aspect in organisation::ALL {
            let section = aspect.section;
            let node = settings.and_then(|layer| layer.root.get(section)).filter(|node| !node.is_null());
            if let Some(node) = node.filter(|_| !policy.disabled.iter().any(|other| other == section)) {
                let exclusive = settings.is_none_or(|layer| {
                    let additive = layer.additive.iter().any(|name| name == section);
                    layer.list_modes.get(section).map_or(!additive, |word| word.exclusive)
                });
                let section = organisation::Section { node, exclusive };
                sections.push((*aspect, section, self.modes.of(aspect.name)));
            }
        }
        sections
    }

    /// Plans one repository as it was observed.
    pub async fn repository(
        &self,
        policy: &Policy,
        seen: &Repository,
    ) -> Result<Plan<Box<dyn Step>>, Failure> {
        let (plan, moves) = self.attempt(policy, seen).await?;
        let counts = |change: &Change<Box<dyn Step>>| {
            change.risks().is_guarded() || AGED.contains(&change.aspect.as_str())
        };
        // A snapshot of the organisation can be out of date. Beadle reads again before a snapshot
        // selects other layers or removes anything.
        let (plan, moves) = if seen.has_age && (moves.is_news() || plan.changes.iter().any(counts)) {
            let mut fresh = seen.clone();
            self.reader.refresh(&mut fresh).await?;
            self.attempt(policy, &fresh).await?
        } else {
            (plan, moves)
        };
        if let Some(reached) = &self.reached {
            reached.settle(moves).await?;
        }
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
        let standing = self.overrides.of(policy, seen).await?;
        let target = match policy.resolve(seen, &standing) {
            Verdict::Skipped(why) => {
                plan.skipped = Some(why);
                return Ok((plan, Moves::default()));
            }
            Verdict::Reached(target) => target,
        };
        let desired = policy.desired(&target, seen);
        let mut moves = match &self.reached {
            Some(reached) => reached.moves(policy, &target, seen, &desired).await?,
            None => Moves::default(),
        };
        let context = Context {
            reader: &self.reader,
            desired: &desired,
            repository: seen,
            secrets: &self.secrets,
            settings_are_written: self.modes.of(aspects::settings::SETTINGS.name) > Mode::Observe,
            names: &self.names,
        };
        let doubt = target.doubt();
        let mut changes: Vec<PlannedChange> = Vec::new();
        // No aspect waits for the reads of another one.
        let plans = aspects::ALL.iter().map(|aspect| self.aspect(aspect, &context, &target));
        for (aspect, planned) in aspects::ALL.iter().zip(join_all(plans).await) {
            let mode = self.modes.of(aspect.name);
            let (own, unknowns) = planned?;
            let owns = |section: &str| aspect.owns(section);
            let moved = moves.of(owns).cloned();
            // The same move may weaken a section that Beadle could not read.
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
        plan.changes = in_order(changes);
        Ok((plan, moves))
    }

    /// Returns the changes and the unknowns of one aspect. A failure in one aspect does not stop
    /// the others.
    async fn aspect(
        &self,
        aspect: &Aspect,
        context: &Context<'_>,
        target: &MergedLayers,
    ) -> Result<(Vec<PlannedChange>, Vec<Unknown>), Failure> {
        let name = aspect.name.to_owned();
        let doubts = target.undecided.iter().filter(|(section, _)| aspect.owns(section));
        let doubt = doubts.map(|(_, unsure)| unsure).reduce(|one, other| Unsure::sooner(Some(one), other));
        if let Some(Unsure { why, transient }) = doubt {
            let unknown = Unknown { aspect: name, part: None, why: why.clone(), transient: *transient };
            return Ok((Vec::new(), vec![unknown]));
        }
        let mut plan = AspectPlan::default();
        if let Err(failure) = aspect.planner.plan(context, &mut plan).await {
            plan = AspectPlan::failed(failure)?;
        }
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
        Ok((plan.changes, unknowns.collect()))
    }
}

impl RepositoryPlanner {
    /// Reads one key and plans it.
    async fn read_and_plan(&self, key: &Key, hint: Option<&str>) -> Result<Plan<Box<dyn Step>>, Failure> {
        let id: u64 = key
            .id()
            .parse()
            .map_err(|_| Failure::new(Class::Fatal, format!("`{key}` has no repository id")))?;
        let policy = self.policy.current();
        self.reader.ask_for(policy.asks());
        self.reader.select_by(policy.selected_by());
        if key.kind() == "organisation" {
            return self.of_organisation(&policy).await;
        }
        self.overrides.follow_once(&policy, &self.reader, id).await?;
        let mut seen = match hint {
            Some(node_id) => self.reader.repository(node_id).await?,
            None => None,
        };
        if seen.as_ref().is_none_or(|repository| repository.id != id) {
            // The id decides. The hint may lead to another repository or to none, and the list has
            // the node of every id.
            let index = self.listing.get(self.reader.index()).await?;
            seen = match index.iter().find(|row| row.id == id) {
                Some(row) => meant(row, self.reader.repository(&row.node_id).await?)?,
                None => None,
            };
        }
        if let Some(seen) = seen.filter(|repository| repository.id == id) {
            return self.repository(&policy, &seen).await;
        }
        let mut plan = Plan::new(format!("{}/#{id}", self.reader.organisation()));
        plan.skipped = Some("the repository does not exist, or the App cannot see it".into());
        Ok(plan)
    }
}

#[async_trait]
impl Planner for RepositoryPlanner {
    type Write = Box<dyn Step>;

    /// Some bodies replace a whole object and are made from the reads. If the reads took too long,
    /// Beadle plans again, because somebody may have written since the first read.
    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Box<dyn Step>>, Failure> {
        let planner = self.in_lane(lane);
        let clock = planner.reader.clock();
        for _ in 0..PLANS {
            let begun = clock.now();
            let plan = planner.read_and_plan(key, hint).await?;
            if plan.changes.is_empty() || clock.now().since(begun) <= OLDEST {
                return Ok(plan);
            }
            tracing::debug!(%key, "reads of a plan too slow, planning again");
        }
        let text = format!("the reads of a plan took longer than {} s; Beadle plans again", OLDEST.as_secs());
        let until = clock.now() + OLDEST;
        Err(Failure::new(Class::RateLimited { until, spares_events: true }, text))
    }

    fn generation(&self) -> String {
        self.policy.current().generation.clone()
    }

    /// A policy can name a deleted team for every repository.
    fn parks_unresolved(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
