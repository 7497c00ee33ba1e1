//! Finds the policy that an organisation uses when it opens: the last accepted one, if there is one.

use beadle_engine::Store;
use beadle_repositories::Policy;

use super::ServedOrganisation;
use crate::app::application::App;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::mode_check;
use crate::app::policy::repository_policy::kept_from_anywhere;

impl ServedOrganisation {
    /// Returns the policy that the organisation uses when it opens. If the policy is in a
    /// repository, this is the last accepted policy. So the organisation can open without GitHub.
    /// The next look at the repository then reads the newest policy.
    pub(super) async fn first_policy(&self, app: &App) -> anyhow::Result<Policy> {
        match self.last_accepted(app).await {
            Ok(Some(policy)) => return Ok(policy),
            Ok(None) => {}
            // Another version of Beadle might have accepted a policy that this version cannot read.
            Err(error) => self.report_unusable(&error),
        }
        match self.read_policy(app).await {
            Ok(policy) => Ok(policy),
            Err(error) => self.last_accepted_folder(app).await.ok_or(error),
        }
    }

    /// Returns the last accepted policy of a folder. So an invalid folder does not close the
    /// organisation at a restart or a reload. The task that reads the policy reports the error.
    async fn last_accepted_folder(&self, app: &App) -> Option<Policy> {
        let store = app.store().filter(|_| self.file.policy.repository().is_none())?;
        let stored = async || -> anyhow::Result<Option<Policy>> {
            let accepted = self.accepted_with_modes(store.as_ref()).await?;
            let Some(accepted) = accepted.filter(AcceptedPolicy::is_of_folder) else { return Ok(None) };
            let policy = accepted.policy(store.as_ref(), &self.file).await?;
            // The configuration can have changed since then.
            let policy = mode_check::accept(policy, self.file.refusals())?;
            app.config.mappings_of_policy(&self.file, &policy)?;
            Ok(Some(policy))
        };
        stored().await.unwrap_or_else(|error| {
            self.report_unusable(&error);
            None
        })
    }

    /// Returns the last accepted policy, if the policy is in a repository.
    async fn last_accepted(&self, app: &App) -> anyhow::Result<Option<Policy>> {
        match self.file.policy.repository() {
            Some(source) => app.repository_policy(&self.file, source)?.last_accepted().await,
            None => Ok(None),
        }
    }

    /// Returns the policy of an accepted generation. Reads only the store.
    pub(super) async fn stored(
        &self,
        app: &App,
        store: &dyn Store,
        accepted: &AcceptedPolicy,
    ) -> anyhow::Result<Policy> {
        if let Some(source) = self.file.policy.repository()
            && let Some(policy) =
                app.repository_policy(&self.file, source)?.kept(&accepted.generation).await?
        {
            return Ok(policy);
        }
        accepted.policy(store, &self.file).await
    }

    /// Returns the policy of an accepted generation, for the comparison with a new policy. When
    /// that generation was accepted, the configuration might have had another repository or folder.
    pub(super) async fn compared(
        &self,
        app: &App,
        store: &dyn Store,
        accepted: &AcceptedPolicy,
    ) -> anyhow::Result<Policy> {
        match kept_from_anywhere(store, &self.file, &accepted.generation).await? {
            Some(policy) => Ok(policy),
            None => self.stored(app, store, accepted).await,
        }
    }

    pub(super) fn report_unusable(&self, error: &anyhow::Error) {
        let (organisation, error) = (&self.file.name, format!("{error:#}"));
        tracing::warn!(organisation, error, "last accepted policy unusable");
    }
}
