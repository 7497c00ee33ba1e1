use beadle_engine::guard::group_holds;
use beadle_engine::testing;

use super::*;
use crate::cli::DeciderArgs;

fn hold(n: u64, mode: Mode) -> Hold {
    let mut hold = testing::hold(n);
    hold.change.mode = mode;
    hold
}

fn args(only: &[&str], repo: &[&str]) -> DecideArgs {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    DecideArgs { only: owned(only), repo: owned(repo), yes: false, decider: DeciderArgs::default() }
}

#[test]
fn a_decision_in_enforce_needs_a_reason_and_the_options_must_name_changes() {
    let enforced = group_holds(vec![hold(1, Mode::Enforce), hold(2, Mode::Enforce)]);
    let code = enforced[0].code.as_str();
    let with_reason = Decision::approve("ann", Some("read it"));
    let without = Decision::reject("ann", None);
    for (name, args, decision, expected) in [
        (code, args(&[], &[]), &with_reason, Ok(vec!["d1", "d2"])),
        (code, args(&["d2"], &[]), &with_reason, Ok(vec!["d2"])),
        (code, args(&[], &["r1"]), &with_reason, Ok(vec!["d1"])),
        ("d2", args(&[], &[]), &with_reason, Ok(vec!["d2"])),
        ("d3", args(&[], &[]), &with_reason, Ok(vec![])),
        (code, args(&[], &[]), &without, Err("needs a reason")),
        (code, args(&[], &["r9"]), &with_reason, Err("`r9` is not among the named changes")),
        (code, args(&["d1"], &["r2"]), &with_reason, Err("have no change in common")),
    ] {
        let mut named = named_changes(&enforced, name);
        let outcome = chosen(&mut named, &args, decision);
        let digests: Vec<&str> = named.iter().map(|one| one.hold.digest.as_str()).collect();
        match (outcome, expected) {
            (Ok(()), Ok(expected)) => assert_eq!(digests, expected, "{name} {args:?}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{name} {args:?}: {why}"),
            (outcome, expected) => panic!("{name} {args:?}: {outcome:?}, expected {expected:?}"),
        }
    }
    let added = group_holds(vec![hold(1, Mode::AddOnly)]);
    let mut named = named_changes(&added, "d1");
    assert_eq!(chosen(&mut named, &args(&[], &[]), &without), Ok(()), "only `enforce` needs a reason");
}

#[test]
fn the_summary_counts_the_decided_changes() {
    let two = [hold(1, Mode::Enforce), hold(2, Mode::Enforce)];
    for (done, ruling, line) in [
        (&two[..0], Ruling::Approve, None),
        (
            &two[..1],
            Ruling::Approve,
            Some("d1: approved; Beadle writes the change of acme/r1 in its next run"),
        ),
        (&two[..1], Ruling::Reject, Some("d1: rejected; Beadle goes on holding the change of acme/r1")),
        (&two[..], Ruling::Approve, Some("2 changes approved; Beadle writes them in its next run")),
        (&two[..], Ruling::Reject, Some("2 changes rejected; Beadle goes on holding them")),
    ] {
        assert_eq!(summary(done, ruling).as_deref(), line);
    }
}

#[test]
fn the_summary_does_not_say_that_an_approval_writes_an_undo() {
    let of_undo = |n: u64| Hold { generation: "undo of 7".into(), ..hold(n, Mode::Enforce) };
    for (done, line) in [
        (vec![of_undo(1)], "d1: approved"),
        (vec![of_undo(1), of_undo(2)], "2 changes approved"),
        (
            vec![of_undo(1), hold(2, Mode::Enforce)],
            "2 changes approved; Beadle writes those of the policy in its next run",
        ),
    ] {
        assert_eq!(summary(&done, Ruling::Approve).as_deref(), Some(line));
    }
}
