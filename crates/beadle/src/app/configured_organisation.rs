//! An organisation of the configuration, in a process that works on keys. The organisation is not
//! open until its policy and its secrets are valid.

use parking_lot::RwLock;
use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::{Mode, StoreError};
use beadle_hooks::github::OrgFacts;
use beadle_repositories::Policy;
use tokio::sync::Mutex;

use crate::app::application::App;
use crate::app::budget_share::BudgetShare;
use crate::app::file_timeout::FileReader;
use crate::app::github_organisation::GithubOrganisation;
use crate::app::policy_source::{LastLook, RepositoryPolicy};
use crate::app::policy_store;
use crate::config::OrgConfig;

/// The log text that tells an operator what happens while an organisation cannot be opened.
const NOT_OPEN: &str = "organisation unavailable, Beadle keeps its webhooks and changes nothing";

/// An organisation of the configuration, whether it is open or not.
pub(crate) struct ServedOrganisation {
    pub(crate) file: Arc<OrgConfig>,
    /// The facts about the organisation that the intake needs.
    pub(crate) known: OrgFacts,
    open: RwLock<Option<Arc<GithubOrganisation>>>,
    /// A lock that lets only one caller at a time open the organisation.
    opening: Mutex<()>,
    /// The reader of the files of the policy.
    files: Mutex<FileReader>,
    /// What the last look at the repository of the policy found.
    looked: Mutex<LastLook>,
    /// The record by which this process shares the organisation's budget, once the organisation is
    /// open.
    share: Mutex<Option<BudgetShare>>,
}

impl ServedOrganisation {
    /// Makes an organisation that is not open yet.
    pub(super) fn new(file: &Arc<OrgConfig>) -> Arc<Self> {
        Arc::new(Self {
            file: file.clone(),
            known: OrgFacts::default(),
            open: RwLock::default(),
            opening: Mutex::default(),
            files: Mutex::default(),
            looked: Mutex::default(),
            share: Mutex::default(),
        })
    }

    /// Returns the parts of the organisation, if it is open.
    pub(crate) fn open(&self) -> Option<Arc<GithubOrganisation>> {
        self.open.read().clone()
    }

    /// Opens the organisation, and calls `begin` to start the work on its keys. Returns `false` if
    /// the organisation was already open.
    pub(super) async fn open_now(
        &self,
        app: &App,
        begin: impl FnOnce(&GithubOrganisation),
    ) -> anyhow::Result<bool> {
        // Two callers at the same time would create two shares of the budget.
        let _alone = self.opening.lock().await;
        if self.open().is_some() {
            return Ok(false);
        }
        let policy = self.first_policy(app).await.context(NOT_OPEN)?;
        let opened = Arc::new(app.organisation_with(policy, &self.file).context(NOT_OPEN)?);
        self.announce_policy(&opened);
        self.record_policy(app, &opened).await;
        if let Some(store) = app.store() {
            let mut share = BudgetShare::new(&self.file, (&opened.api, &opened.pace), store);
            // Before the first call, the budget must know how much the other processes have spent.
            share.try_update().await;
            *self.share.lock().await = Some(share);
        }
        begin(opened.as_ref());
        *self.open.write() = Some(opened);
        Ok(true)
    }

    /// Reads the organisation's policy from its folder or its repository.
    pub(crate) async fn read_policy(&self, app: &App) -> anyhow::Result<Policy> {
        let mut files = self.files.lock().await;
        app.read_policy(&self.file, &mut files).await
    }

    /// Returns the policy with which the organisation opens. If the policy is in a repository, this
    /// is the last accepted one, so that the organisation opens without GitHub. The next reload
    /// then reads the newest one.
    async fn first_policy(&self, app: &App) -> anyhow::Result<Policy> {
        if let Some(source) = self.file.policy.repository() {
            match app.repository_policy(&self.file, source)?.last_accepted().await {
                Ok(Some(policy)) => return Ok(policy),
                Ok(None) => {}
                // Another version of Beadle may have accepted it.
                Err(error) => tracing::warn!(
                    organisation = self.file.name,
                    error = format!("{error:#}"),
                    "last accepted policy unusable"
                ),
            }
        }
        self.read_policy(app).await
    }

    /// Reads the policy from its repository if the commit has changed, and puts a new generation in
    /// force. Returns the new generation. Does nothing if the policy is in a folder.
    pub(crate) async fn reload(&self, app: &App) -> anyhow::Result<Option<String>> {
        let (Some(source), Some(org)) = (self.file.policy.repository(), self.open()) else {
            return Ok(None);
        };
        let repository = app.repository_policy(&self.file, source)?;
        // Two callers at the same time would read the same files.
        let mut looked = self.looked.lock().await;
        let is_first = looked.is_none();
        let current = org.policy.current().generation.clone();
        let found = repository.look(&mut looked, &current, app.clock.now()).await?;
        if is_first && self.file.mode == Mode::Enforce {
            self.report_missing_review(&repository).await;
        }
        let Some(policy) = found else { return Ok(None) };
        let generation = policy.generation.clone();
        self.put_in_force(app, &org, policy).await;
        Ok(Some(generation))
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

    /// Puts a generation of the policy in force.
    pub(crate) async fn put_in_force(&self, app: &App, org: &GithubOrganisation, policy: Policy) {
        org.policy.replace(policy);
        self.announce_policy(org);
        self.record_policy(app, org).await;
    }

    /// Records in the store that the policy is in force, if it comes from a repository. If the
    /// store fails, the next start reads the policy from GitHub.
    async fn record_policy(&self, app: &App, org: &GithubOrganisation) {
        let Some(store) = app.store() else { return };
        let (policy, name) = (org.policy.current(), &self.file.name);
        if let Err(error) = policy_store::accept(store.as_ref(), name, &policy, app.clock.now()).await {
            tracing::warn!(organisation = name, %error, "policy in force not recorded");
        }
    }

    /// Logs the policy in force, and tells the intake which branches the policy names.
    pub(crate) fn announce_policy(&self, org: &GithubOrganisation) {
        let policy = org.policy.current();
        self.known.watch(policy.branches());
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

    /// Updates the record by which this process shares the organisation's budget, if the
    /// organisation is open.
    pub(crate) async fn update_share(&self) -> Result<(), StoreError> {
        match self.share.lock().await.as_mut() {
            Some(share) => share.update().await,
            None => Ok(()),
        }
    }

    /// Tells the other processes that this process no longer uses the organisation's budget.
    pub(super) async fn leave_share(&self) {
        if let Some(mut share) = self.share.lock().await.take() {
            share.leave().await;
        }
    }
}
