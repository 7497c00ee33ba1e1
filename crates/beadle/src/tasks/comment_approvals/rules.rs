//! The rules for approvals by a comment. The rules are pure functions.
//!
//! Beadle sends the texts of refusals to GitHub, so these texts contain nothing that a person
//! wrote.

use beadle_engine::guard::{Decision, HoldGroup};
use beadle_engine::{Hold, Time};
use beadle_github::IssueComment;

use crate::app::operations::approval_rules::{PolicyFacts, closed, involved};
use crate::app::operations::held_change_decisions::{Effect, NamedChange, effect, named_changes};
use crate::output::plural::counted;

/// The maximum length of a reason, in characters. A comment can have 65,536 characters, and the
/// journal repeats the reason for each change of a group.
const LONGEST: usize = 500;

/// A command in a comment: `/beadle approve CODE`, followed by an optional reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApproveCommand<'a> {
    pub(super) code: &'a str,
    pub(super) reason: Option<&'a str>,
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

/// Returns the login of the person who wrote a comment. If the comment can never approve anything,
/// returns the reason.
pub(super) fn sender(comment: &IssueComment) -> Result<&str, &'static str> {
    // Some people can edit the comments of other people. With an edit, such a person could approve
    // in the name of the author.
    if comment.is_edited {
        return Err("the comment was edited");
    }
    comment.person.as_deref().ok_or("no person wrote the comment")
}

/// Returns the changes that a person's command approves. If the command approves no change, returns
/// the reason.
pub(super) fn approved<'a>(
    groups: &'a [HoldGroup],
    command: &ApproveCommand<'_>,
    (person, created): (&str, Time),
    policy: &PolicyFacts<'_>,
) -> Result<Vec<NamedChange<'a>>, &'static str> {
    let named = named_changes(groups, command.code);
    if named.is_empty() {
        return Err("no held change and no group of held changes has this code now");
    }
    // GitHub shows times in whole seconds.
    if named.iter().any(|one| one.hold.since.seconds() > created.seconds()) {
        return Err("Beadle held the changes again after the comment");
    }
    match closed(&named, policy).or_else(|| involved(person, policy)) {
        Some(why) => Err(why),
        None => Ok(named),
    }
}

/// Returns the number of approved changes, and the answer to the command. `decided` contains the
/// stored holds after the decision.
pub(super) fn answer(decided: &[Option<Hold>], decision: &Decision) -> (usize, String) {
    let count = |wanted: fn(&Effect<'_>) -> bool| {
        decided.iter().flatten().filter(|hold| wanted(&effect(hold, decision))).count()
    };
    let approved = count(|effect| *effect == Effect::Done);
    let rejected = count(|effect| matches!(effect, Effect::Rejected(_)));
    let which = match approved {
        0 if rejected > 0 => "nothing".to_owned(),
        approved => counted(approved, "change", "changes"),
    };
    let text = match rejected {
        0 => format!("Beadle approves {which}."),
        rejected => {
            let rejected = counted(rejected, "change was", "changes were");
            format!("Beadle approves {which}: {rejected} already rejected by an operator.")
        }
    };
    (approved, text)
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::{Rejection, group_holds};
    use beadle_engine::testing;

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
    fn an_answer_counts_the_changes_that_an_operator_rejected_in_the_meantime() {
        let decision = Decision::approve("mona", None);
        let approved = || Some(Hold { approved_by: Some("mona".into()), ..hold(1) });
        let rejection = || Rejection { by: "@bob".into(), reason: None, at: Time(0) };
        let rejected = || Some(Hold { rejected: Some(rejection()), ..hold(2) });
        for (decided, count, text) in [
            (vec![approved()], 1, "Beadle approves 1 change."),
            (vec![None], 0, "Beadle approves 0 changes."),
            (
                vec![approved(), rejected()],
                1,
                "Beadle approves 1 change: 1 change was already rejected by an operator.",
            ),
            (
                vec![rejected(), rejected()],
                0,
                "Beadle approves nothing: 2 changes were already rejected by an operator.",
            ),
        ] {
            assert_eq!(answer(&decided, &decision), (count, text.to_owned()));
        }
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
            ("the author", vec![hold(1)], "d1", "Ann", vec!["mona", "ann"], Err("that they wrote")),
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
