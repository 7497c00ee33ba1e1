//! Plans the undo of Beadle's writes to repositories. The planner compares GitHub with a policy
//! that declares the earlier values. The planner keeps only the changes that are the exact opposite
//! of written changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::plan::NOT_FOUND;
use beadle_engine::{Class, Failure, Key, Lane, Plan, Planner, Waiting, Waived};
use beadle_github::{Reader, Repository, SelectedBy};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::{AT_ONCE, RepositoryPlanner, meant};
use crate::aspects::Step;
use crate::import::{self, Observed};
use crate::overrides::Overrides;
use crate::policy::{Policy, Waiver};
use crate::secret_memory::SecretMemory;
use crate::undo::{KEPT, Past, Planned, Reversal, chosen, is_kept, judge, show_deleted};
use crate::waiver_book::WaiverBook;

/// The maximum number of plans of one repository. Each plan after the first omits more values:
/// values that somebody changed, and values that Beadle cannot restore.
const PLANS: usize = 8;

/// A key, together with its plan or the reason why there is no plan.
type Planning = Result<(Key, Plan<Box<dyn Step>>), Failure>;

/// Plans how to undo written changes in the repositories of one organisation.
#[derive(Clone)]
pub struct UndoPlanner {
    planner: RepositoryPlanner,
    /// The values to restore in each repository.
    wanted: Arc<BTreeMap<Key, Vec<Reversal>>>,
    /// The name of the undo. A plan shows this name instead of a policy's generation.
    generation: String,
    /// The keys of the values that the undo does not change.
    never: Vec<String>,
    /// The keys of the values that the undo can change. If the list is empty, the undo can change
    /// all values.
    keys: Vec<String>,
}

impl UndoPlanner {
    /// Creates a planner that undoes `wanted`: the values to restore in each repository. The new
    /// planner uses the modes and the stored names of `planner`, and stores nothing new. The name
    /// of the undo is `generation`.
    pub fn new(
        planner: &RepositoryPlanner,
        wanted: BTreeMap<Key, Vec<Reversal>>,
        generation: String,
    ) -> Self {
        let (never, keys) = (Vec::new(), Vec::new());
        Self { planner: planner.clone(), wanted: Arc::new(wanted), generation, never, keys }
    }

    /// Sets the values that the undo must not change. A waiver must not exempt these values either.
    /// `never` contains the keys of these values.
    #[must_use]
    pub fn keeping(self, never: Vec<String>) -> Self {
        Self { never, ..self }
    }

    /// Limits the undo to the values of these keys of the policy, such as `branches[main]`. Without
    /// keys, the undo is not limited.
    #[must_use]
    pub fn only(self, keys: Vec<String>) -> Self {
        Self { keys, ..self }
    }

    /// Returns the reader that the planner uses.
    pub fn reader(&self) -> &Reader {
        &self.planner.reader
    }

    /// Plans the undo of every repository.
    pub async fn plans(&self, lane: Lane) -> Result<Vec<(Key, Plan<Box<dyn Step>>)>, Failure> {
        // Beadle reads the list of repositories only once for all keys.
        let index = self.planner.in_lane(lane).reader.index().await?.into_iter();
        let nodes: HashMap<String, String> = index.map(|row| (row.id.to_string(), row.node_id)).collect();
        let plans = self.wanted.keys().map(|key| self.keyed(key, nodes.get(key.id()), lane).boxed());
        let plans: Vec<BoxFuture<'_, Planning>> = plans.collect();
        futures::stream::iter(plans).buffered(AT_ONCE).try_collect().await
    }

    async fn keyed(&self, key: &Key, node_id: Option<&String>, lane: Lane) -> Planning {
        Ok((key.clone(), self.plan(key, node_id.map(String::as_str), lane).await?))
    }

    /// Returns the repository of a key. The result contains every part that a policy can declare.
    async fn find(
        &self,
        planner: &RepositoryPlanner,
        key: &Key,
        hint: Option<&str>,
    ) -> Result<Option<Repository>, Failure> {
        let id: u64 = key
            .id()
            .parse()
            .map_err(|_| Failure::new(Class::Fatal, format!("`{key}` has no repository id")))?;
        let reader = &planner.reader;
        reader.ask_for(import::ASKS);
        reader.select_by(SelectedBy::default());
        if let Some(node_id) = hint
            && let Some(seen) = reader.repository(node_id).await?.filter(|seen| seen.id == id)
        {
            return Ok(Some(seen));
        }
        let index = planner.listing.get(reader.index()).await?;
        match index.iter().find(|row| row.id == id) {
            Some(row) => meant(row, reader.repository(&row.node_id).await?),
            None => Ok(None),
        }
    }

    /// Plans the undo of one key.
    async fn of_key(
        &self,
        key: &Key,
        hint: Option<&str>,
        lane: Lane,
    ) -> Result<Plan<Box<dyn Step>>, Failure> {
        let planner = self.planner.in_lane(lane);
        let Some(all) = self.wanted.get(key) else {
            let mut plan = Plan::new(key.as_str());
            plan.skipped = Some("the undo restores nothing here".into());
            return Ok(plan);
        };
        if key.kind() == "organisation" {
            return Box::pin(self.undo(&planner, None, all)).await;
        }
        let Some(seen) = self.find(&planner, key, hint).await? else {
            let mut plan = Plan::new(format!("{}/#{}", self.planner.reader.organisation(), key.id()));
            plan.skipped = Some(NOT_FOUND.into());
            return Ok(plan);
        };
        Box::pin(self.undo(&planner, Some(&seen), all)).await
    }

    /// Plans the undo of one repository, or of the organisation itself if `seen` is `None`.
    async fn undo(
        &self,
        planner: &RepositoryPlanner,
        seen: Option<&Repository>,
        all: &[Reversal],
    ) -> Result<Plan<Box<dyn Step>>, Failure> {
        let default_branch = seen.and_then(|seen| seen.default_branch.as_deref());
        let limited: Vec<Reversal>;
        let all = if self.keys.is_empty() {
            all
        } else {
            limited = chosen(all, &self.keys, default_branch);
            limited.as_slice()
        };
        let observed = match seen {
            Some(seen) => {
                let is_wanted = |aspect: &str| all.iter().any(|one| one.aspect == aspect);
                Box::pin(import::of_aspects(&planner.reader, seen, &is_wanted)).await?
            }
            None => of_organisation(&planner.reader, all).await?,
        };
        let subject = seen.map_or_else(|| planner.reader.organisation().to_owned(), Repository::full_name);
        let kept = |one: &Reversal| seen.is_some() && is_kept(one, &self.never);
        let kept = all.iter().enumerate().filter(|(_, one)| kept(one));
        let mut left: BTreeMap<usize, String> = kept.map(|(at, _)| (at, KEPT.to_owned())).collect();
        for _ in 0..PLANS {
            let open: Vec<usize> = (0..all.len()).filter(|at| !left.contains_key(at)).collect();
            let past = Past::of(seen, &observed, all, &open);
            let mut plan = match &past.policy {
                Some(policy) => past_plan(planner, policy, seen).await?,
                None => Plan::new(subject.as_str()),
            };
            let judged: Vec<Planned> = plan.changes.iter().map(|change| judge(change, all, &open)).collect();
            let mut news = past.left;
            for planned in judged {
                if let Planned::Leaves(values) = planned {
                    news.extend(values);
                }
            }
            if !news.is_empty() {
                left.extend(news);
                continue;
            }
            plan.retain(|change| judge(change, all, &open) == Planned::Restores);
            for field in plan.changes.iter_mut().flat_map(|change| &mut change.fields) {
                // The plan does not show a line, because this policy is generated and has no files
                // that a person wrote.
                field.asked = None;
            }
            for change in &mut plan.changes {
                show_deleted(change, &observed, seen);
            }
            let restored = |at: &usize| {
                let only = [*at];
                plan.changes.iter().any(|change| judge(change, all, &only) != Planned::Other)
            };
            let partly = past.remarks.into_iter().filter(|(at, _)| restored(at));
            let left = left.into_iter().map(|(at, why)| (at, format!("is not restored: {why}")));
            let partly = partly.map(|(at, why)| (at, format!("is restored only in part: {why}")));
            let said = left.chain(partly).filter_map(|(at, why)| Some(waiting(all.get(at)?, &why)));
            let said: Vec<Waiting> = said.collect();
            plan.waits = said;
            if let Some(seen) = seen {
                let at = all.iter().enumerate();
                let restored = at.filter(|(at, _)| restored(at)).map(|(_, one)| one.clone());
                plan.waived = waived(planner, seen, &restored.collect::<Vec<_>>()).await;
            }
            return Ok(plan);
        }
        let text = format!("{subject}: the plan of the undo is different in each attempt");
        Err(Failure::new(Class::Retry, text))
    }
}

/// Returns the keys of the waivers in force that cover restored values. A waiver does not stop an
/// undo, so the plan only names these keys.
async fn waived(planner: &RepositoryPlanner, seen: &Repository, restored: &[Reversal]) -> Vec<Waived> {
    // An unreadable waiver must not stop an undo either.
    let waivers = planner.waivers.of(&planner.policy.current(), &seen.name).await.unwrap_or_default();
    let covers = |waived: &Waived| {
        !chosen(restored, std::slice::from_ref(&waived.key), seen.default_branch.as_deref()).is_empty()
    };
    waivers.iter().flat_map(Waiver::waived).filter(covers).collect()
}

/// Returns the text in the plan for a value that the undo cannot restore completely.
fn waiting(one: &Reversal, why: &str) -> Waiting {
    Waiting { aspect: one.aspect.clone(), why: format!("{} {why}", one.called()) }
}

/// Returns the lists of the organisation itself that the undo needs.
async fn of_organisation(reader: &Reader, all: &[Reversal]) -> Result<Observed, Failure> {
    let mut observed = Observed::default();
    if all.iter().any(|one| one.aspect == "organisation_rulesets") {
        observed.lists.insert("rulesets", import::organisation_rulesets(reader).await?);
    }
    Ok(observed)
}

/// Plans a repository or the organisation itself. The plan uses the policy that declares the
/// earlier values.
async fn past_plan(
    planner: &RepositoryPlanner,
    policy: &Policy,
    seen: Option<&Repository>,
) -> Result<Plan<Box<dyn Step>>, Failure> {
    let (organisation, clock) = (planner.reader.organisation(), planner.reader.clock());
    // In this generated policy, the file belongs to this repository. In the policy in force, a file
    // with the same name might have another owner. Waivers apply only to the policy in force, and
    // not to this policy.
    let own = RepositoryPlanner {
        overrides: Overrides::new(None, organisation),
        reached: None,
        undone: None,
        names: planner.names.apart(),
        secret_memory: SecretMemory::new(None, organisation, clock),
        waivers: WaiverBook::new(organisation, clock),
        ..planner.clone()
    };
    match seen {
        Some(seen) => Ok(Box::pin(own.attempt(policy, seen)).await?.0),
        None => Box::pin(own.of_organisation(policy)).await,
    }
}

#[async_trait]
impl Planner for UndoPlanner {
    type Write = Box<dyn Step>;

    async fn plan(&self, key: &Key, hint: Option<&str>, lane: Lane) -> Result<Plan<Box<dyn Step>>, Failure> {
        let mut plan = self.of_key(key, hint, lane).await?;
        plan.generation.clone_from(&self.generation);
        Ok(plan)
    }

    fn parks_unresolved(&self) -> bool {
        false
    }
}
