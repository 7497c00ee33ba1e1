//! An organisation of the configuration, in a process that works on keys. The organisation is not
//! open until its policy and its secrets are valid.

use parking_lot::RwLock;
use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::StoreError;
use beadle_hooks::github::OrgFacts;
use beadle_repositories::Policy;
use tokio::sync::Mutex;

use crate::app::application::App;
use crate::app::budget_share::BudgetShare;
use crate::app::file_timeout::FileReader;
use crate::app::github_organisation::{GithubOrganisation, read_policy};
use crate::config::{Config, OrgConfig};

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
        let policy = self.read_policy(&app.config).await.context(NOT_OPEN)?;
        let opened = Arc::new(app.organisation_with(policy, &self.file).context(NOT_OPEN)?);
        self.announce_policy(&opened);
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

    /// Reads the organisation's policy from the files of the policy folder.
    pub(crate) async fn read_policy(&self, config: &Config) -> anyhow::Result<Policy> {
        let mut files = self.files.lock().await;
        read_policy(config, &self.file, &mut files).await
    }

    /// Logs the policy in force, and tells the intake which branches the policy names.
    pub(crate) fn announce_policy(&self, org: &GithubOrganisation) {
        let policy = org.policy.current();
        self.known.watch(policy.branches());
        for remark in &policy.remarks {
            tracing::warn!(organisation = self.file.name, at = %remark.asked, remark = %remark.message, "policy warning");
        }
        tracing::info!(organisation = self.file.name, mode = %self.file.mode, generation = policy.generation, "policy in force");
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
