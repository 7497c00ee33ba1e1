//! Reads two things: the Actions settings that have their own API addresses, and whether releases
//! are immutable. An import makes four calls for a public repository, and five calls for a private
//! or internal repository.

use beadle_engine::Failure;
use beadle_github::{Reader, Repository, Visibility};
use futures::future::OptionFuture;
use serde_json::{Value, json};

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
    let (access, retention, approval, forks, subject, immutable) = futures::join!(
        OptionFuture::from(access),
        reader.below(seen, "actions/permissions/artifact-and-log-retention"),
        OptionFuture::from(approval),
        OptionFuture::from(forks),
        reader.below(seen, "actions/oidc/customization/sub"),
        reader.below(seen, "immutable-releases"),
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
            // If no workflow of a fork runs, the other settings for forks have no effect.
            shown = json!({ RUN: false });
        }
        set(observed, FORKS, FORKS, &shown);
    }
    if let Some(shown) = known(subject, &["oidc_subject"], observed)? {
        oidc_subject(&shown.unwrap_or_default(), observed);
    }
    if let Some(immutable) = known(immutable, &["immutable_releases"], observed)? {
        // GitHub answers 404 if the setting is off.
        let on = json!(immutable.is_some_and(|immutable| immutable["enabled"] == json!(true)));
        set(observed, "immutable_releases", "immutable_releases", &on);
    }
    Ok(())
}

fn oidc_subject(shown: &Value, observed: &mut Observed) {
    set(observed, "oidc_subject", "use_default", &shown["use_default"]);
    let Some(values) = observed.values.get_mut("oidc_subject") else { return };
    if shown["use_default"] == json!(false) {
        if shown["include_claim_keys"].as_array().is_none_or(Vec::is_empty) {
            observed.values.remove("oidc_subject");
            observed.unknown.insert("oidc_subject", "GitHub shows no claims of the subject".to_owned());
            return;
        }
        values.insert("include_claim_keys".to_owned(), shown["include_claim_keys"].clone());
    }
    if shown["use_immutable_subject"] == json!(true) {
        values.insert("use_immutable_subject".to_owned(), json!(true));
    }
}
