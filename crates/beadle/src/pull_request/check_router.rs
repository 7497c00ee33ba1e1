//! Finds the reconciler for a key of the kind `check`. The parts of one policy can be in several
//! repositories.

use async_trait::async_trait;
use beadle_engine::{Failure, Reconcile, Report, Run};

use super::check::{PolicyCheck, report, subject};
use super::concurrency_limit::CheckTurns;

/// Checks the pull requests of each repository that contains a part of one organisation's policy.
pub(crate) struct PolicyChecks {
    /// One check for each repository. The list has at least one entry.
    pub(crate) checks: Vec<PolicyCheck>,
    /// Limits how many checks run at the same time.
    pub(crate) turns: CheckTurns,
}

#[async_trait]
impl Reconcile for PolicyChecks {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let _turn = self.turns.take(run.lane)?;
        if let [only] = self.checks.as_slice() {
            return only.reconcile(run).await;
        }
        let subject = subject(run)?;
        for check in &self.checks {
            if check.is_about(&subject, run.lane).await? {
                return check.reconcile(run).await;
            }
        }
        let why = "no repository of the policy has this pull request";
        Ok(report(run.lease.key.as_str(), Some(why)))
    }
}

/// Ends `check` keys that have no check. A key has no check if the policy is not in a repository,
/// or if Beadle has no App in that repository. Such keys exist only after a change of the
/// configuration.
pub(crate) struct NothingToCheck;

#[async_trait]
impl Reconcile for NothingToCheck {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let why = "the policy is not in a repository of an organisation with a GitHub App";
        Ok(report(run.lease.key.as_str(), Some(why)))
    }
}
