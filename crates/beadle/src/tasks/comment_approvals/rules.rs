//! The rules of approvals by a comment, as pure functions.
//!
//! The texts of refusals contain nothing that a person wrote, because Beadle sends them to GitHub.

use beadle_engine::Time;
use beadle_engine::guard::HoldGroup;
use beadle_github::{Commit, IssueComment};

use crate::app::hold_decisions::{NamedChange, named_changes};

/// The maximum length of a reason, in characters. A comment can have 65,536 characters, and the
/// journal repeats the reason for each change of a group.
const LONGEST: usize = 500;

/// A command in a comment: `/beadle approve CODE`, and a reason if the line goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApproveCommand<'a> {
    pub(super) code: &'a str,
    pub(super) reason: Option<&'a str>,
}

/// The policy in force.
pub(super) struct PolicyFacts<'a> {
    pub(super) generation: &'a str,
    /// The logins of the people who wrote the commits that the policy comes from. If the list is
    /// empty, these people are not known.
    pub(super) authors: Vec<String>,
}

/// Returns the logins of the authors and the committers of commits. Returns an empty list if one of
/// them is not known.
pub(super) fn authors<'a>(commits: impl IntoIterator<Item = &'a Commit>) -> Vec<String> {
    let mut all = Vec::new();
    for commit in commits {
        if commit.logins.is_empty() {
            return Vec::new();
        }
        all.extend(commit.logins.iter().cloned());
    }
    all
}

/// Returns the command in the first line of a comment.
pub(super) fn command(body: &str) -> Option<ApproveCommand<'_>> {
    let line = body.lines().next()?;
    let mut words = line.trim().splitn(4, char::is_whitespace);
    if words.next() != Some("/beadle") || words.next() != Some("approve") {
        return None;
    }
    let code = words.next().filter(|code| !code.is_empty())?;
    let reason = words.next().map(str::trim).filter(|reason| !reason.is_empty()).map(shortened);
    Some(ApproveCommand { code, reason })
}

fn shortened(reason: &str) -> &str {
    let end = reason.char_indices().nth(LONGEST).map(|(end, _)| end);
    end.and_then(|end| reason.get(..end)).unwrap_or(reason)
}

/// Returns the login of the person who wrote a comment. Returns the reason if the comment can never
/// approve anything.
pub(super) fn sender(comment: &IssueComment) -> Result<&str, &'static str> {
    // Whoever may edit the comments of other people could otherwise approve in their name.
    if comment.is_edited {
        return Err("the comment was edited");
    }
    comment.person.as_deref().ok_or("no person wrote the comment")
}

/// Returns the changes that a command of a person approves. Returns the reason if it approves none.
pub(super) fn approved<'a>(
    groups: &'a [HoldGroup],
    command: &ApproveCommand<'_>,
    (person, created): (&str, Time),
    policy: &PolicyFacts<'_>,
) -> Result<Vec<NamedChange<'a>>, &'static str> {
    let named = named_changes(groups, command.code);
    let any = |test: &dyn Fn(&NamedChange<'_>) -> bool| named.iter().any(test);
    if named.is_empty() {
        return Err("no held change and no group of held changes has this code now");
    }
    // GitHub shows whole seconds.
    if any(&|one| one.hold.since.seconds() > created.seconds()) {
        return Err("Beadle held the changes again after the comment");
    }
    if any(&|one| one.hold.rejected.is_some()) {
        return Err("an operator rejected the changes");
    }
    if any(&|one| one.hold.generation != policy.generation) {
        return Err("another version of the policy came into force after Beadle held the changes");
    }
    // If the author is unknown, every person could be the author.
    if policy.authors.is_empty() {
        return Err("the author of the policy is not known");
    }
    if policy.authors.iter().any(|author| author.eq_ignore_ascii_case(person)) {
        return Err("the author of the last change of the policy cannot approve what the policy causes");
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::{Rejection, group_holds};
    use beadle_engine::{Hold, testing};

    use super::*;

    fn comment() -> IssueComment {
        IssueComment {
            id: 7,
            issue: 12,
            body: "/beadle approve d1".into(),
            person: Some("mona".into()),
            created: Time(5_000),
            is_edited: false,
            address: "https://github.com/acme/ops/issues/12#issuecomment-7".into(),
        }
    }

    fn hold(n: u64) -> Hold {
        Hold { since: Time(5_900), ..testing::hold(n) }
    }

    #[test]
    fn only_the_first_line_is_a_command() {
        for (body, expected) in [
            ("/beadle approve 8f0c", Some(("8f0c", None))),
            ("  /beadle approve 8f0c  ", Some(("8f0c", None))),
            ("/beadle approve 8f0c the team is closed\nthanks", Some(("8f0c", Some("the team is closed")))),
            ("/beadle approve", None),
            ("/beadle approve ", None),
            ("/beadle  approve 8f0c", None),
            ("/beadle reject 8f0c", None),
            ("/beadles approve 8f0c", None),
            ("> /beadle approve 8f0c", None),
            ("please\n/beadle approve 8f0c", None),
            ("", None),
        ] {
            let found = command(body);
            assert_eq!(found.map(|found| (found.code, found.reason)), expected, "{body:?}");
        }
        let long = format!("/beadle approve 8f0c {}", "é".repeat(60_000));
        let reason = command(&long).and_then(|found| found.reason);
        assert_eq!(reason.map(|reason| reason.chars().count()), Some(LONGEST));
    }

    #[test]
    fn an_edited_comment_and_a_comment_of_a_program_approve_nothing() {
        assert_eq!(sender(&comment()), Ok("mona"));
        assert!(sender(&IssueComment { is_edited: true, ..comment() }).is_err());
        assert!(sender(&IssueComment { person: None, ..comment() }).is_err());
    }

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
        // The name in a commit without an account looks like the login of another person.
        let forged = commit("bob", &[]);
        assert!(authors([&forged]).is_empty() && authors([&own, &forged]).is_empty());
    }

    #[test]
    fn a_command_approves_only_changes_of_the_policy_in_force_that_were_held_before() {
        let rejected = || Rejection { by: "bob".into(), reason: None, at: Time(0) };
        for (what, holds, code, person, authors, expected) in [
            ("one change", vec![hold(1)], "d1", "mona", vec!["ann"], Ok(1)),
            ("another code", vec![hold(1)], "d2", "mona", vec!["ann"], Err("has this code now")),
            (
                "held later",
                vec![Hold { since: Time(6_000), ..hold(1) }],
                "d1",
                "mona",
                vec!["ann"],
                Err("again"),
            ),
            (
                "rejected",
                vec![Hold { rejected: Some(rejected()), ..hold(1) }],
                "d1",
                "mona",
                vec!["ann"],
                Err("rejected"),
            ),
            (
                "older policy",
                vec![Hold { generation: "f".into(), ..hold(1) }],
                "d1",
                "mona",
                vec!["ann"],
                Err("another version"),
            ),
            ("unknown author", vec![hold(1)], "d1", "mona", vec![], Err("not known")),
            ("an App", vec![hold(1)], "d1", "mona", vec!["renovate[bot]"], Ok(1)),
            ("the author", vec![hold(1)], "d1", "Ann", vec!["mona", "ann"], Err("cannot approve")),
        ] {
            let groups = group_holds(holds);
            let authors = authors.into_iter().map(str::to_owned).collect();
            let policy = PolicyFacts { generation: "g", authors };
            let command = ApproveCommand { code, reason: None };
            let found = approved(&groups, &command, (person, comment().created), &policy);
            match (found.map(|named| named.len()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{what}"),
                (Err(why), Err(expected)) => assert!(why.contains(expected), "{what}: {why}"),
                (found, expected) => panic!("{what}: {found:?}, expected {expected:?}"),
            }
        }
    }
}
