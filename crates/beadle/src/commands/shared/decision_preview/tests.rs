use beadle_engine::guard::group_holds;
use beadle_engine::{Hold, Time, testing};

use super::*;
use crate::app::operations::held_change_decisions::named_changes;
use crate::commands::FAILED;

fn groups(count: u64) -> Vec<HoldGroup> {
    group_holds((1..=count).map(testing::hold).collect())
}

fn changes(groups: &[HoldGroup]) -> Vec<NamedChange<'_>> {
    groups.iter().flat_map(|group| named_changes(groups, &group.code)).collect()
}

fn preview<'a>(
    ruling: Ruling,
    groups: &'a [HoldGroup],
    changes: &'a [NamedChange<'a>],
) -> DecisionPreview<'a> {
    DecisionPreview { ruling, groups, changes, generations: &[] }
}

#[test]
fn the_question_counts_what_the_operator_decides_about() {
    for (ruling, count, question) in [
        (Ruling::Approve, 170, Some("Approve 170 changes?")),
        (Ruling::Approve, 1, Some("Approve 1 change?")),
        (Ruling::Approve, 0, None),
        (Ruling::Reject, 2, Some("Reject 2 changes?")),
        (Ruling::Reject, 1, None),
        (Ruling::Reject, 0, None),
    ] {
        let groups = groups(count);
        let changes = changes(&groups);
        assert_eq!(preview(ruling, &groups, &changes).question().as_deref(), question);
    }
}

#[test]
fn a_generation_that_the_service_and_a_command_hold_counts_once() {
    let held = HeldGeneration::new(("acme", "g1"), &[], 1, Time(0));
    let all = [("acme".to_owned(), held.clone()), ("command".to_owned(), held)];
    let generations: Vec<&(String, HeldGeneration)> = all.iter().collect();
    let groups = groups(2);
    let changes = changes(&groups);
    let question = |changes: &[NamedChange<'_>]| {
        let preview =
            DecisionPreview { ruling: Ruling::Approve, groups: &groups, changes, generations: &generations };
        preview.question().unwrap()
    };
    assert_eq!(question(&[]), "Approve 1 generation?");
    assert_eq!(question(&changes), "Approve 2 changes and 1 generation?");
}

#[test]
fn the_preview_shows_only_the_changes_of_the_decision() {
    let groups = groups(3);
    let changes = changes(&groups);
    let parts = preview(Ruling::Approve, &groups, &changes[..2]).parts();
    let digests =
        |group: &HoldGroup| group.holds.iter().map(|hold| hold.digest.clone()).collect::<Vec<String>>();
    assert_eq!(parts.iter().map(digests).collect::<Vec<_>>(), [["d1", "d2"]]);
    assert_eq!(parts[0].code, groups[0].code);
    assert!(preview(Ruling::Approve, &groups, &[]).parts().is_empty());
}

#[test]
fn the_preview_says_what_an_approval_does() {
    let of_policy = groups(1);
    let of_undo = group_holds(vec![Hold { generation: "undo of 7".into(), ..testing::hold(1) }]);
    for (groups, ruling, effect) in [
        (
            &of_policy,
            Ruling::Approve,
            "writes approved changes in its next run, even above the limits of the guard",
        ),
        (&of_undo, Ruling::Approve, "when you run the same `beadle undo` again"),
        (&of_policy, Ruling::Reject, "until somebody approves them"),
    ] {
        let changes = changes(groups);
        let effects = preview(ruling, groups, &changes).effects();
        assert!(effects.len() == 1 && effects[0].contains(effect), "{effects:?}");
    }
}

#[test]
fn a_declined_decision_leaves_changes_pending_and_an_earlier_error_counts_more() {
    assert_eq!((declined(FINE), declined(FAILED)), (PENDING, FAILED));
}
