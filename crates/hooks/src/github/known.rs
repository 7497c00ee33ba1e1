//! What is known of an organisation beside its secrets. It changes while the service runs: a policy is replaced, the App's
//! name is learnt.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// Shared between those who learn it and the intake.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<RwLock<Facts>>);

#[derive(Debug, Default)]
struct Facts {
    /// Branches that the policy names; the default branch counts always. Until it is known: all.
    branches: Option<BTreeSet<String>>,
    /// The login that the App acts under.
    own: Option<String>,
}

impl Known {
    /// The policy names these branches.
    pub fn watch(&self, branches: BTreeSet<String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).branches = Some(branches);
    }

    /// Who we are: events that this login caused are our own writes.
    pub fn set_own(&self, login: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).own = Some(login);
    }

    /// Whether it matters that a branch comes or goes.
    pub(super) fn is_watched(&self, branch: &str, default: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A repository without a default branch is new, or its payload does not say.
        default.is_none_or(|default| default == branch)
            || facts.branches.as_ref().is_none_or(|branches| branches.contains(branch))
    }

    /// Whether an event is the echo of our own write.
    pub(super) fn is_own(&self, login: Option<&str>) -> bool {
        let facts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        matches!((login, &facts.own), (Some(login), Some(own)) if login.eq_ignore_ascii_case(own))
    }
}
