//! Opens the check of the pull requests that change the policy of an organisation.

use std::sync::Arc;

use beadle_engine::Store;
use beadle_engine::worker::Reconcile;
use beadle_github::{Asks, CheckWriter, Reader};

use crate::app::application::App;
use crate::app::github_organisation::GithubOrganisation;
use crate::pull_request::check::{NothingToCheck, PolicyCheck};

/// Returns the reconciler of the `check` keys of an organisation. If the check cannot be opened,
/// the log has the reason, and the keys end without a check.
pub(super) fn reconciler(app: &App, org: &GithubOrganisation, store: &Arc<dyn Store>) -> Arc<dyn Reconcile> {
    match open(app, org, store) {
        Ok(Some(check)) => Arc::new(check),
        Ok(None) => Arc::new(NothingToCheck),
        Err(error) => {
            let organisation = &org.file.name;
            tracing::warn!(
                organisation,
                error = format!("{error:#}"),
                "pull requests of the policy not checked"
            );
            Arc::new(NothingToCheck)
        }
    }
}

/// Returns `None` if the policy is not in a repository, if it has a base, or if Beadle has no App
/// there. Only an App can write check runs.
fn open(app: &App, org: &GithubOrganisation, store: &Arc<dyn Store>) -> anyhow::Result<Option<PolicyCheck>> {
    let Some(source) = org.file.policy.repository() else { return Ok(None) };
    // A pull request can change the base or the organisation's own policy. The check knows only one
    // repository.
    if org.file.base.is_some() {
        return Ok(None);
    }
    let home = app.config.orgs(Some(source.owner(&org.file.name)))?[0];
    let Some(id) = home.app.as_ref().map(|app| app.id) else { return Ok(None) };
    let (api, _) = app.client_of(home)?;
    Ok(Some(PolicyCheck {
        organisation: org.file.name.clone(),
        mode: org.file.mode,
        source: source.clone(),
        reader: Reader::new(api.clone(), Asks::default()),
        writer: CheckWriter::new(api, &source.repository),
        app: id,
        planner: org.preview_planner(store),
        policy: org.policy.clone(),
        secrets: org.file.secrets.keys().cloned().collect(),
        approve_by_review: org.file.approve_by_review.clone(),
        file: org.file.clone(),
        config: app.config.clone(),
        limits: org.file.gate_limits(),
        store: store.clone(),
        clock: app.clock.clone(),
    }))
}
