//! An organisation of the configuration, in a process that works on keys. The organisation is not
//! open until its policy and its secrets are valid.

mod last_accepted;

use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use beadle_engine::{Mode, Store, StoreError, Time};
use beadle_hooks::github::OrgFacts;
use beadle_repositories::Policy;
use tokio::sync::Mutex;

use crate::app::application::App;
use crate::app::connections::budget_share::BudgetShare;
use crate::app::file_timeout::FileReader;
use crate::app::gate::accepted_limits;
use crate::app::gate::guard_limits::GuardLimits;
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::gate::planning_backoff::PlanningBackoff;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::newest_state::NewestPolicy;
use crate::app::policy::repository_policy::{LastLook, RepositoryPolicy};
use crate::app::policy::store as policy_store;
use crate::app::service::last_sweep_generation::{LastSweep, modes, swept};
use crate::app::service::record::ServiceRecord;
use crate::config::OrgConfig;

/// The log text for an organisation that Beadle cannot open. The text contains the consequence.
const NOT_OPEN: &str = "organisation unavailable, Beadle keeps its webhooks and changes nothing";
/// Before Beadle works on the keys, it waits at most this time for the first attempt to use another
/// generation. After this time, the work begins with the last accepted policy. In a large
/// organisation, an attempt can take long, and every attempt might fail.
const FIRST_ATTEMPT: Duration = Duration::from_secs(30);

/// An organisation of the configuration. The organisation can be open or not open.
pub(crate) struct ServedOrganisation {
    pub(crate) file: Arc<OrgConfig>,
    /// The facts about the organisation that the intake needs.
    pub(crate) known: OrgFacts,
    open: RwLock<Option<Arc<GithubOrganisation>>>,
    /// The time at which Beadle opened the organisation.
    opened_at: OnceLock<Time>,
    /// A lock, so that only one caller at a time opens the organisation.
    opening: Mutex<()>,
    /// The reader for the policy's files.
    files: Mutex<FileReader>,
    /// The result of the last look at the repository of the policy.
    pub(in crate::app) looked: Mutex<LastLook>,
    /// The record for the shared budget of the organisation. `None` until the organisation is open.
    share: Mutex<Option<BudgetShare>>,
    /// A lock, so that only one caller at a time plans a new generation of the policy and starts to
    /// use this generation.
    pub(in crate::app) adopting: Mutex<()>,
    /// The lock of the policy in force. A caller must have this lock to change the policy. A task
    /// must have this lock to decide whether the policy needs a sweep.
    pub(crate) generation_change: Mutex<()>,
    /// The policy that this process used before it started to use the accepted policy of another
    /// process. The other process had already marked the affected keys as due, so this process
    /// might have run some of these keys with the old policy.
    pub(in crate::app) followed: parking_lot::Mutex<Option<Arc<Policy>>>,
    /// The last failed attempt to plan a generation for the gate.
    pub(in crate::app) waits: parking_lot::Mutex<Option<PlanningBackoff>>,
    /// The generation of the last read. Somebody might be changing the policy's folder during a
    /// read. So a generation comes into force only if two reads in succession return it.
    pub(crate) candidate: parking_lot::Mutex<Option<String>>,
    /// True if the worker runs the keys of the organisation.
    has_begun: AtomicBool,
    /// True if Beadle has asked GitHub for its own login, with or without success.
    has_asked_login: AtomicBool,
    /// True if no generation was accepted with the present modes. In that case the worker runs no
    /// key until the first generation has passed the gate.
    is_first: AtomicBool,
    /// The result of the last read of the policy: accepted or rejected.
    pub(crate) newest: NewestPolicy,
}

/// How the work on an organisation begins after Beadle has read its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    /// The policy is already accepted, so the work on the keys begins immediately.
    Accepted,
    /// The policy is the last accepted one, and another generation waits for the gate. The work
    /// begins after the first attempt to use the other generation, or after [`FIRST_ATTEMPT`].
    Outdated,
    /// No generation was accepted before. The work begins after the gate lets the first generation
    /// pass.
    First,
}

/// Returns whether a first generation must pass the gate. Tests of other parts skip the gate.
pub(in crate::app) fn is_first_gated() -> bool {
    fail::fail_point!("first-generation", |_| false);
    true
}

impl ServedOrganisation {
    /// Creates an organisation that is not open yet.
    pub(in crate::app) fn new(file: &Arc<OrgConfig>) -> Arc<Self> {
        Arc::new(Self {
            file: file.clone(),
            known: OrgFacts::default(),
            open: RwLock::default(),
            opened_at: OnceLock::default(),
            opening: Mutex::default(),
            files: Mutex::default(),
            looked: Mutex::default(),
            share: Mutex::default(),
            adopting: Mutex::default(),
            generation_change: Mutex::default(),
            followed: parking_lot::Mutex::default(),
            waits: parking_lot::Mutex::default(),
            candidate: parking_lot::Mutex::default(),
            has_begun: AtomicBool::default(),
            has_asked_login: AtomicBool::default(),
            is_first: AtomicBool::default(),
            newest: NewestPolicy::default(),
        })
    }

    /// Returns the parts of the organisation, if it is open.
    pub(crate) fn open(&self) -> Option<Arc<GithubOrganisation>> {
        self.open.read().clone()
    }

    /// Returns whether no generation of the policy was accepted yet.
    pub(crate) fn is_first(&self) -> bool {
        self.is_first.load(Ordering::SeqCst)
    }

    /// Records that a generation of the policy was accepted.
    pub(in crate::app) fn set_accepted(&self) {
        self.is_first.store(false, Ordering::SeqCst);
    }

    /// Returns whether Beadle has asked GitHub for its own login, with or without success.
    pub(crate) fn has_asked_login(&self) -> bool {
        self.has_asked_login.load(Ordering::SeqCst)
    }

    /// Records that Beadle has asked GitHub for its own login.
    pub(crate) fn set_asked_login(&self) {
        self.has_asked_login.store(true, Ordering::SeqCst);
    }

    /// Records that the worker runs the keys of the organisation. Returns `false` if this was
    /// already recorded.
    pub(in crate::app) fn begins(&self) -> bool {
        !self.has_begun.swap(true, Ordering::SeqCst)
    }

    /// Opens the organisation. As soon as a policy is accepted, calls `begin` to start the work on
    /// the organisation's keys. `is_chosen` is true if several processes use the store and this
    /// process holds the lease. Returns `false` if the organisation was already open.
    pub(in crate::app) async fn open_now(
        &self,
        app: &App,
        is_chosen: bool,
        begin: impl FnOnce(&GithubOrganisation),
    ) -> anyhow::Result<bool> {
        // Without the lock, two callers would create two shares of the budget.
        let _alone = self.opening.lock().await;
        if let Some(opened) = self.open() {
            if let Some(store) = app.store()
                && self.follow(app, (store.as_ref(), is_chosen), &opened).await?
                && self.begins()
            {
                begin(opened.as_ref());
            }
            return Ok(false);
        }
        let first = self.first_policy(app).await.context(NOT_OPEN)?;
        let (policy, beginning) = match app.store() {
            Some(store) => self.accepted(app, store.as_ref(), first).await.context(NOT_OPEN)?,
            None => (first, Beginning::Accepted),
        };
        let opened = Arc::new(app.organisation_with(policy, &self.file).context(NOT_OPEN)?);
        if let Some(store) = app.store() {
            let configured = GuardLimits::of_organisation(&self.file);
            let begun = accepted_limits::begin(store.as_ref(), &self.file.name, configured).await;
            opened.limits.replace(begun.context(NOT_OPEN)?.guard);
        }
        self.is_first.store(beginning == Beginning::First, Ordering::SeqCst);
        if beginning == Beginning::First {
            let first = opened.policy.current();
            self.known.watch(first.branches(), first.watched_files());
            tracing::info!(organisation = self.file.name, "first policy waits for the gate");
        } else {
            self.announce_policy(&opened);
            self.record_policy(app, &opened).await;
        }
        if let Some(store) = app.store() {
            let mut share = BudgetShare::new(&self.file, (&opened.api, &opened.pace), store);
            // Before the first call to GitHub, the budget must know what the other processes have
            // spent.
            share.try_update().await;
            *self.share.lock().await = Some(share);
        }
        if beginning == Beginning::Accepted && self.begins() {
            begin(opened.as_ref());
        }
        self.opened_at.get_or_init(|| app.clock.now());
        *self.open.write() = Some(opened);
        Ok(true)
    }

    /// Reads the organisation's policy from its folder or its repository.
    pub(crate) async fn read_policy(&self, app: &App) -> anyhow::Result<Policy> {
        let mut files = self.files.lock().await;
        let read = app.read_policy(&self.file, &mut files).await;
        self.newest.note(&read);
        read
    }

    /// Reads the policy from its repository if the commit has changed. Returns the policy if it is
    /// not in force yet. If the policy is in a folder, returns `None`.
    pub(in crate::app) async fn look_at_repository(&self, app: &App) -> anyhow::Result<Option<Policy>> {
        let (Some(source), Some(org)) = (self.file.policy.repository(), self.open()) else {
            return Ok(None);
        };
        let repository = app.repository_policy(&self.file, source)?;
        // Without the lock, two callers would read the same files at the same time.
        let mut looked = self.looked.lock().await;
        let is_first = looked.is_none();
        let current = org.policy.current().generation.clone();
        let found = repository.look(&mut looked, &current, app.clock.now()).await;
        self.newest.note(&found);
        let found = found?;
        if is_first && self.file.mode == Mode::Enforce {
            self.report_missing_review(&repository).await;
        }
        Ok(found)
    }

    /// Logs a warning if the policy can change without a review.
    async fn report_missing_review(&self, repository: &RepositoryPolicy) {
        let organisation = &self.file.name;
        match repository.unreviewed().await {
            Ok(None) => {}
            Ok(Some(why)) => tracing::warn!(organisation, why, "policy not protected by a review"),
            Err(failure) => tracing::warn!(organisation, %failure, "review of the policy unknown"),
        }
    }

    /// If the policy comes from a repository, records in the store that the policy is in force. If
    /// the store fails, the next start reads the policy from GitHub.
    pub(in crate::app) async fn record_policy(&self, app: &App, org: &GithubOrganisation) {
        let Some(store) = app.store() else { return };
        let (policy, name) = (org.policy.current(), &self.file.name);
        if let Err(error) = policy_store::accept(store.as_ref(), name, &policy, app.clock.now()).await {
            tracing::warn!(organisation = name, %error, "policy in force not recorded");
        }
    }

    /// Returns the first policy of the service. This is the last accepted generation, or `read` if
    /// no service has accepted a generation. Another generation must pass the gate before Beadle
    /// uses it.
    async fn accepted(
        &self,
        app: &App,
        store: &dyn Store,
        read: Policy,
    ) -> anyhow::Result<(Policy, Beginning)> {
        // The mode `observe` writes nothing, so it needs no gate. If the mode changes later, an old
        // generation must not come into force again.
        if self.file.mode == Mode::Observe {
            AcceptedPolicy::forget(store, &self.file).await?;
            return Ok((read, Beginning::Accepted));
        }
        let accepted = self.accepted_with_modes(store).await?;
        let is_recorded = accepted.is_some();
        if let Some(accepted) = accepted {
            if accepted.is(&read) {
                accepted.take_over(store, &self.file, &read).await?;
                return Ok((read, Beginning::Accepted));
            }
            match self.compared(app, store, &accepted).await {
                // The store keeps only one policy for each commit, so there is no other policy for
                // the comparison.
                Ok(policy) if policy.generation == read.generation => {}
                Ok(policy) => {
                    accepted.take_over(store, &self.file, &policy).await?;
                    self.set_candidate(read.generation);
                    return Ok((policy, Beginning::Outdated));
                }
                Err(error) => self.report_unusable(&error),
            }
        }
        // An older version of Beadle recorded only the generation of the last sweep.
        let last = LastSweep::note(&self.file.name).get(store).await?;
        let was_used =
            !is_recorded && last.is_some_and(|last| last.swept == swept(&read.generation, &self.file));
        if was_used || !is_first_gated() {
            AcceptedPolicy::remember(store, &self.file, &read, false).await?;
            return Ok((read, Beginning::Accepted));
        }
        self.set_candidate(read.generation.clone());
        Ok((read, Beginning::First))
    }

    /// Returns the last accepted generation if it was accepted with the present modes. If a new
    /// mode allows more than the old mode, the new mode must pass the gate like a new policy.
    async fn accepted_with_modes(&self, store: &dyn Store) -> Result<Option<AcceptedPolicy>, StoreError> {
        let accepted = AcceptedPolicy::of(store, &self.file).await?;
        Ok(accepted.filter(|accepted| accepted.modes == modes(&self.file)))
    }

    /// Returns whether a process has accepted this policy with the present modes.
    pub(crate) async fn is_accepted(&self, store: &dyn Store, policy: &Policy) -> Result<bool, StoreError> {
        let accepted = self.accepted_with_modes(store).await?;
        Ok(accepted.is_some_and(|accepted| accepted.is(policy)))
    }

    fn set_candidate(&self, generation: String) {
        *self.candidate.lock() = Some(generation);
    }

    /// Starts to use the generation that another process has accepted in the meantime. A policy in
    /// a repository is the same for all processes. A policy in a folder can differ between
    /// processes. A process then uses the accepted generation in two cases. Either the process has
    /// read the same files, or it has the lease and no process uses this generation any more. In
    /// the second case, the fence would otherwise stop all runs. The gate then compares the
    /// process's files with the accepted files. Returns whether the work on the keys can begin.
    async fn follow(
        &self,
        app: &App,
        (store, is_chosen): (&dyn Store, bool),
        opened: &GithubOrganisation,
    ) -> anyhow::Result<bool> {
        if self.file.mode == Mode::Observe {
            return Ok(false);
        }
        let waiting = self.candidate.lock().clone();
        let is_in_git = self.file.policy.repository().is_some();
        let accepted = match &waiting {
            None if !is_in_git && !is_chosen => None,
            _ => self.accepted_with_modes(store).await?,
        };
        if let Some(accepted) = accepted {
            let is_waiting = waiting.as_ref() == Some(&accepted.generation);
            let of = (self.file.name.as_str(), accepted.generation.as_str());
            let is_left =
                is_chosen && !accepted.by_command && !ServiceRecord::uses(store, of, app.clock.now()).await?;
            if (is_waiting || is_in_git || is_left) && !self.is_in_force(&accepted.generation, opened) {
                self.put_in_force(app, store, &accepted, opened).await?;
                return Ok(self.is_in_force(&accepted.generation, opened));
            }
            if is_waiting {
                return Ok(true);
            }
        }
        if self.is_first() {
            return Ok(false);
        }
        let opened_at = self.opened_at.get();
        if opened_at.is_some_and(|at| app.clock.now().since(*at) >= FIRST_ATTEMPT) {
            return Ok(true);
        }
        // If the gate of another process holds the generation, the last accepted generation stays
        // in force.
        let Some(waiting) = waiting else { return Ok(false) };
        let held = HeldGeneration::note(&self.file.name).get(store).await?;
        Ok(held.is_some_and(|held| held.generation == waiting))
    }

    /// Returns whether an accepted generation is in force in this process.
    fn is_in_force(&self, generation: &str, opened: &GithubOrganisation) -> bool {
        !self.is_first() && opened.policy.current().generation == generation
    }

    /// Starts to use a generation that another process has accepted.
    async fn put_in_force(
        &self,
        app: &App,
        store: &dyn Store,
        accepted: &AcceptedPolicy,
        opened: &GithubOrganisation,
    ) -> anyhow::Result<()> {
        let policy = match self.stored(app, store, accepted).await {
            Ok(policy) => policy,
            Err(error) => {
                // The next look at the repository reads the policy.
                self.report_unusable(&error);
                return Ok(());
            }
        };
        let _alone = self.generation_change.lock().await;
        // This process might have started to use this generation or a newer one in the meantime.
        if !self.is_in_force(&policy.generation, opened) && self.is_accepted(store, &policy).await? {
            self.note_follow(opened);
            opened.policy.replace(policy);
            self.set_accepted();
            self.announce_policy(opened);
            self.record_policy(app, opened).await;
        }
        Ok(())
    }

    /// Keeps the present policy in `followed`. The caller calls this method before the process
    /// starts to use the accepted policy of another process.
    pub(in crate::app) fn note_follow(&self, opened: &GithubOrganisation) {
        // No key runs before the first generation is accepted.
        if !self.is_first() {
            self.followed.lock().get_or_insert_with(|| opened.policy.current());
        }
    }

    /// Logs which policy is in force, and sends the policy's branches and files to the intake.
    pub(crate) fn announce_policy(&self, org: &GithubOrganisation) {
        let policy = org.policy.current();
        self.known.watch(policy.branches(), policy.watched_files());
        for remark in &policy.remarks {
            tracing::warn!(organisation = self.file.name, at = %remark.asked, remark = %remark.message, "policy warning");
        }
        let commit = policy.origin.as_ref().map(|origin| &origin.commit);
        tracing::info!(
            organisation = self.file.name,
            mode = %self.file.mode,
            generation = policy.generation,
            author = commit.map(|commit| commit.author.as_str()),
            subject = commit.map(|commit| commit.subject.as_str()),
            "policy in force"
        );
    }

    /// Updates the record for the shared budget of the organisation, if the organisation is open.
    pub(crate) async fn update_share(&self) -> Result<(), StoreError> {
        match self.share.lock().await.as_mut() {
            Some(share) => share.update().await,
            None => Ok(()),
        }
    }

    /// Tells the other processes that this process no longer uses the organisation's budget.
    pub(in crate::app) async fn leave_share(&self) {
        if let Some(mut share) = self.share.lock().await.take() {
            share.leave().await;
        }
    }
}
