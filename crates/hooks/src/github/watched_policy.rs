//! Policies in repositories. A push to such a repository makes the policy due.

/// A policy in a repository of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedPolicy {
    /// The configured name of the organisation that uses the policy.
    pub instance: String,
    /// The name of the repository. Comparisons ignore case.
    pub repository: String,
    /// The branch, tag or commit from which Beadle reads the policy.
    pub reference: String,
}

impl WatchedPolicy {
    /// Returns whether a push to `reference` of a repository can change the policy. A payload
    /// contains the complete reference, such as `refs/heads/main`.
    pub(super) fn is_pushed(&self, repository: &str, reference: &str) -> bool {
        self.repository.eq_ignore_ascii_case(repository) && short(&self.reference) == short(reference)
    }
}

/// Returns the short name of a branch or tag.
fn short(reference: &str) -> &str {
    let name = reference.strip_prefix("refs/").unwrap_or(reference);
    name.strip_prefix("heads/").or_else(|| name.strip_prefix("tags/")).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_to_the_reference_changes_the_policy() {
        let policy = |reference: &str| WatchedPolicy {
            instance: "acme".into(),
            repository: "Admin".into(),
            reference: reference.into(),
        };
        for (configured, repository, pushed, is_pushed) in [
            ("main", "admin", "refs/heads/main", true),
            ("heads/main", "admin", "refs/heads/main", true),
            ("refs/heads/main", "admin", "refs/heads/main", true),
            ("v1", "admin", "refs/tags/v1", true),
            ("main", "admin", "refs/heads/feature/main", false),
            ("main", "other", "refs/heads/main", false),
        ] {
            let found = policy(configured).is_pushed(repository, pushed);
            assert_eq!(found, is_pushed, "{configured}: {repository} {pushed}");
        }
    }
}
