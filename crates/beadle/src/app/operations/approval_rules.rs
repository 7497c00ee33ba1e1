//! The rules about who can approve held changes at GitHub or on a page. The rules are pure
//! functions.
//!
//! Beadle sends the texts of these rules to GitHub. So the texts contain nothing that a person
//! wrote.

use beadle_github::Commit;

use crate::app::operations::held_change_decisions::NamedChange;

/// The policy whose changes somebody wants to approve. For held changes, this is the policy in
/// force. For a held policy, it is the held policy itself.
pub(crate) struct PolicyFacts<'a> {
    pub(crate) generation: &'a str,
    /// The logins of the people who wrote the policy. For held changes, the list also has the
    /// people who wrote the earlier policies that might have asked for the changes. For a held
    /// policy, the list also has the people who wrote a commit since the policy in force. If the
    /// list is empty, these people are not known.
    pub(crate) authors: Vec<String>,
}

/// Returns the logins of the commits' authors and committers. If one of these logins is unknown,
/// returns an empty list.
pub(crate) fn authors<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Vec<String> {
    let mut all = Vec::new();
    for commit in commits {
        if commit.logins.is_empty() {
            return Vec::new();
        }
        all.extend(commit.logins.iter().cloned());
    }
    all
}

/// Returns the reason why nobody can approve the changes. Returns `None` if somebody can approve
/// them.
pub(crate) fn closed(named: &[NamedChange<'_>], policy: &PolicyFacts<'_>) -> Option<&'static str> {
    if named.iter().any(|one| one.hold.rejected.is_some()) {
        return Some("an operator rejected the changes");
    }
    let is_other = |one: &NamedChange<'_>| one.hold.generation != policy.generation;
    named
        .iter()
        .any(is_other)
        .then_some("another version of the policy came into force after Beadle held the changes")
}

/// Returns the reason why a person must not approve the policy's changes. Returns `None` if the
/// person can approve them.
pub(crate) fn involved(person: &str, policy: &PolicyFacts<'_>) -> Option<&'static str> {
    // If the author is unknown, every person could be the author.
    if policy.authors.is_empty() {
        return Some("the author of the policy is not known");
    }
    policy
        .authors
        .iter()
        .any(|author| author.eq_ignore_ascii_case(person))
        .then_some("nobody can approve the changes of a policy that they wrote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authors_of_a_policy_are_known_only_if_all_of_them_have_an_account() {
        let commit = |author: &str, logins: &[&str]| Commit {
            id: "a".repeat(40),
            author: author.into(),
            logins: logins.iter().map(|login| (*login).to_owned()).collect(),
            subject: "Remove a team".into(),
        };
        let (own, base) = (commit("ann", &["ann", "web-flow"]), commit("bob", &["bob", "bob"]));
        assert_eq!(authors([&own, &base]), ["ann", "web-flow", "bob", "bob"]);
        // This commit has no account, and its name looks like the login of another person.
        let forged = commit("bob", &[]);
        assert!(authors([&forged]).is_empty() && authors([&own, &forged]).is_empty());
    }
}
