//! Records whether Beadle accepts the newest policy of an organisation. The metrics show this
//! state.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::app::policy::repository_policy::is_refused;

/// The result of the last read of a policy.
#[derive(Debug, Default)]
pub(crate) struct NewestPolicy {
    is_rejected: AtomicBool,
}

impl NewestPolicy {
    /// Returns whether Beadle rejects the newest policy. In that case an older policy stays in
    /// force.
    pub(crate) fn is_rejected(&self) -> bool {
        self.is_rejected.load(Ordering::SeqCst)
    }

    /// Records the result of a read. If Beadle could not read the policy, for example because
    /// GitHub is unavailable, the previous result stays.
    pub(crate) fn note<T>(&self, read: &anyhow::Result<T>) {
        match read {
            Ok(_) => self.is_rejected.store(false, Ordering::SeqCst),
            Err(error) if is_refused(error) => self.is_rejected.store(true, Ordering::SeqCst),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use beadle_engine::{Class, Failure};
    use beadle_repositories::Policy;

    use super::*;

    #[test]
    fn only_a_policy_that_was_read_changes_the_result() {
        let newest = NewestPolicy::default();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("settings.yml"), "repository: {\n").unwrap();
        let invalid = || Policy::load(folder.path(), "admin").context("reading the policy");
        let unavailable = || anyhow::Result::<()>::Err(Failure::new(Class::Retry, "502").into());
        newest.note(&unavailable());
        assert!(!newest.is_rejected());
        newest.note(&invalid());
        assert!(newest.is_rejected());
        newest.note(&unavailable());
        assert!(newest.is_rejected(), "an unavailable vendor makes no policy valid");
        newest.note(&Ok(()));
        assert!(!newest.is_rejected());
    }
}
