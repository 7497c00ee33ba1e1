//! Opens the check of the pull requests that change the policy of an organisation.

use std::sync::Arc;

use beadle_engine::{Reconcile, Store};
use beadle_github::{Asks, CheckWriter, Reader};

use crate::app::application::App;
use crate::app::groups::directories_and_targets::Directories;
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::config::OrgConfig;
use crate::pull_request::check::PolicyCheck;
use crate::pull_request::check_router::{NothingToCheck, PolicyChecks};
use crate::pull_request::concurrency_limit::CheckTurns;
use crate::pull_request::policy_parts::Part;

/// Returns the reconciler for the `check` keys of an organisation. If Beadle cannot open the check,
/// Beadle logs the reason. The runs of the keys then end without a check.
pub(in crate::app) fn reconciler(
    app: &App,
    org: &GithubOrganisation,
    directories: &Arc<Directories>,
    store: &Arc<dyn Store>,
) -> Arc<dyn Reconcile> {
    match open(app, org, directories, store) {
        Ok(checks) if checks.is_empty() => Arc::new(NothingToCheck),
        Ok(checks) => {
            let turns = CheckTurns::new(app.clock.clone());
            Arc::new(PolicyChecks { checks, turns })
        }
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

/// Returns one check for each repository that contains a part of the policy. If Beadle has no App
/// in a repository, the repository gets no check, because only an App can write check runs.
fn open(
    app: &App,
    org: &GithubOrganisation,
    directories: &Arc<Directories>,
    store: &Arc<dyn Store>,
) -> anyhow::Result<Vec<PolicyCheck>> {
    let file = &org.file;
    let mut checks: Vec<PolicyCheck> = Vec::new();
    for part in parts(app, file)? {
        if checks.iter().any(|check| check.is_in(&part)) {
            continue;
        }
        let home = app.config.orgs(Some(part.source.owner(&file.name)))?[0];
        let Some(id) = home.app.as_ref().map(|app| app.id) else { continue };
        let (api, _) = app.client_of(home)?;
        checks.push(PolicyCheck {
            organisation: file.name.clone(),
            mode: file.mode,
            is_foreign: part.is_base && home.name != file.name,
            parts: parts(app, file)?,
            writer: CheckWriter::new(api, &part.source.repository),
            source: part.source,
            web: home.web(),
            reader: part.reader,
            app: id,
            planner: org.preview_planner(store),
            policy: org.policy.clone(),
            secrets: file.secrets.keys().cloned().collect(),
            approve_by_review: file.approve_by_review.clone(),
            file: file.clone(),
            config: app.config.clone(),
            directories: directories.clone(),
            guard: org.limits.clone(),
            store: store.clone(),
            clock: app.clock.clone(),
        });
    }
    Ok(checks)
}

/// Returns the parts of a policy, if the policy is in a repository. The organisation's own part
/// comes first.
fn parts(app: &App, file: &OrgConfig) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let Some(own) = file.policy.repository() else { return Ok(parts) };
    for (source, is_base) in std::iter::once((own, false)).chain(file.base.iter().map(|base| (base, true))) {
        let (api, _) = app.client_of(app.config.orgs(Some(source.owner(&file.name)))?[0])?;
        parts.push(Part { reader: Reader::new(api, Asks::default()), source: source.clone(), is_base });
    }
    Ok(parts)
}
