//! Reads the settings of Actions that GitHub shows at addresses of their own. An import makes two
//! calls for a public repository, and three for another one.

use beadle_engine::Failure;
use beadle_github::{Reader, Repository, Visibility};
use futures::future::OptionFuture;
use serde_json::json;

use super::noted::{known, set};
use super::observed::Observed;

const RETENTION: &str = "artifact_and_log_retention_days";
const APPROVAL: &str = "fork_pr_contributor_approval";
const FORKS: &str = "fork_pr_workflows_private_repos";
const RUN: &str = "run_workflows_from_fork_pull_requests";

/// Adds these settings of a repository to `observed`.
pub(super) async fn read(reader: &Reader, seen: &Repository, observed: &mut Observed) -> Result<(), Failure> {
    let is_public = seen.visibility == Visibility::Public;
    let access = (!is_public).then(|| reader.below(seen, "actions/permissions/access"));
    let approval = is_public.then(|| reader.below(seen, "actions/permissions/fork-pr-contributor-approval"));
    let forks =
        (!is_public).then(|| reader.below(seen, "actions/permissions/fork-pr-workflows-private-repos"));
    let (access, retention, approval, forks) = futures::join!(
        OptionFuture::from(access),
        reader.below(seen, "actions/permissions/artifact-and-log-retention"),
        OptionFuture::from(approval),
        OptionFuture::from(forks),
    );
    let single = [
        ("access_level", "access_level", access),
        (RETENTION, "days", Some(retention)),
        (APPROVAL, "approval_policy", approval),
    ];
    for (key, field, read) in single {
        let Some(read) = read else { continue };
        if let Some(shown) = known(read, &[key], observed)? {
            set(observed, key, key, &shown.unwrap_or_default()[field]);
        }
    }
    if let Some(read) = forks
        && let Some(shown) = known(read, &[FORKS], observed)?
    {
        let mut shown = shown.unwrap_or_default();
        if shown[RUN] == json!(false) {
            // While no workflow of a fork runs, the other settings have no effect.
            shown = json!({ RUN: false });
        }
        set(observed, FORKS, FORKS, &shown);
    }
    Ok(())
}
