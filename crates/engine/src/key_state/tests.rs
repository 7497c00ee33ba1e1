//! Tests of the state of a key after a run.

use serde_json::json;

use super::*;
use crate::apply::Step;
use crate::failure::Failure;
use crate::plan::Change;

fn report(results: &[StepResult], unknowns: Vec<Unknown>) -> Report {
    let change: Change<()> = serde_json::from_value(json!({
        "aspect": "teams", "what": "team platform", "fields": [], "mode": "enforce", "after": [], "write": null,
    }))
    .unwrap();
    let step = |outcome: &StepResult| Step { change: change.clone(), outcome: outcome.clone() };
    Report {
        subject: "acme/shop".into(),
        steps: results.iter().map(step).collect(),
        unknowns,
        skipped: None,
        failure: None,
    }
}

fn unknown() -> Unknown {
    let why = "team `security` does not exist".to_owned();
    Unknown { aspect: "teams".into(), part: None, why, transient: false }
}

#[test]
fn a_key_is_settled_if_every_change_was_written_and_nothing_is_unknown() {
    let held = StepResult::Held { digest: "d".into(), why: "limit".into() };
    let failed = StepResult::Failed("403".into());
    for (results, unknowns, expected) in [
        (vec![], vec![], None),
        (vec![StepResult::Written, StepResult::Written], vec![], None),
        (vec![StepResult::Written, StepResult::Withheld], vec![], Some((1, 1, 0, 0))),
        (vec![held, failed, StepResult::NotReached], vec![], Some((3, 0, 1, 2))),
        (vec![StepResult::Blocked], vec![], Some((1, 0, 0, 0))),
        (vec![StepResult::Written], vec![unknown()], Some((0, 0, 0, 0))),
    ] {
        let state = KeyState::of(&report(&results, unknowns), Time(1));
        let counts = (state.pending, state.withheld, state.held, state.failed);
        assert_eq!((!state.is_settled()).then_some(counts), expected, "{results:?}");
    }
}

#[test]
fn an_undone_change_does_not_count_as_a_change_that_the_mode_does_not_allow() {
    let mut report = report(&[StepResult::Withheld, StepResult::Withheld, StepResult::Written], vec![]);
    let stored = serde_json::to_value(KeyState::of(&report, Time(1))).unwrap();
    assert!(stored.get("undone").is_none(), "{stored}");
    report.steps[1].change.undone = true;
    let state = KeyState::of(&report, Time(1));
    assert_eq!((state.pending, state.withheld, state.undone), (2, 1, 1));
    let stored = serde_json::to_value(&state).unwrap();
    assert_eq!(serde_json::from_value::<KeyState>(stored).unwrap(), state);
}

#[test]
fn a_state_of_an_older_version_can_be_read_and_a_state_without_a_skip_is_stored_as_before() {
    let state: KeyState =
        serde_json::from_value(json!({ "subject": "acme/shop", "since": 5, "pending": 1 })).unwrap();
    assert_eq!((state.skipped.as_deref(), state.is_settled()), (None, false));
    let stored = serde_json::to_value(KeyState::of(&report(&[], vec![]), Time(1))).unwrap();
    assert!(stored.get("skipped").is_none(), "{stored}");
    let skipped = Report { skipped: Some("archived".into()), ..report(&[], vec![]) };
    let state = KeyState::of(&skipped, Time(1));
    assert_eq!((state.skipped.as_deref(), state.is_settled()), (Some("archived"), true));
}

#[test]
fn a_state_names_the_first_failure_and_the_contested_aspects() {
    let postponed = StepResult::Postponed("another writer".into());
    let results = [
        postponed.clone(),
        StepResult::Failed("first".into()),
        StepResult::Failed("second".into()),
        postponed,
    ];
    let state = KeyState::of(&report(&results, vec![unknown(); UNKNOWNS + 5]), Time(1));
    assert_eq!(state.failure.as_deref(), Some("first"));
    assert_eq!(state.contested, BTreeSet::from(["teams".to_owned()]));
    assert_eq!(state.unknown.len(), UNKNOWNS);
}

#[test]
fn a_key_is_refused_only_if_every_failure_is_a_refusal() {
    let failed = || StepResult::Failed("refused before; ...: 422".into());
    for (results, class, expected) in [
        (vec![failed(), StepResult::Written], Some(Class::Rejected), Some("422")),
        (vec![failed(), failed()], Some(Class::Retry), None),
        (vec![failed()], None, None),
        (vec![StepResult::Withheld], Some(Class::Rejected), None),
    ] {
        let failure = class.map(|class| Failure::new(class, "422"));
        let report = Report { failure, ..report(&results, vec![]) };
        let state = KeyState::of(&report, Time(1));
        assert_eq!(state.refused.as_deref(), expected, "{class:?} {results:?}");
        let stored = serde_json::to_value(&state).unwrap();
        assert_eq!(stored.get("refused").is_some(), expected.is_some(), "{stored}");
    }
}

#[test]
fn an_aspect_has_the_most_severe_cause_of_its_changes() {
    let held = StepResult::Held { digest: "d".into(), why: "limit".into() };
    let results = [StepResult::Written, held, StepResult::Failed("403".into()), StepResult::Withheld];
    let mut report = report(&results, vec![]);
    report.steps[3].change.aspect = "labels".into();
    let state = KeyState::of(&report, Time(1));
    let expected = [("labels".to_owned(), DriftCause::Mode), ("teams".to_owned(), DriftCause::Failed)];
    assert_eq!(state.drift, BTreeMap::from(expected));
}

#[test]
fn a_change_that_the_run_did_not_reach_counts_as_failed() {
    let state = KeyState::of(&report(&[StepResult::NotReached], vec![]), Time(1));
    assert_eq!(state.drift, BTreeMap::from([("teams".to_owned(), DriftCause::Failed)]));
}

#[test]
fn an_undo_is_the_only_reason_in_an_aspect_without_another_withheld_change() {
    let mut report = report(&vec![StepResult::Withheld; 4], vec![]);
    for (at, aspect, undone) in
        [(0, "settings", true), (1, "labels", true), (2, "labels", false), (3, "topics", false)]
    {
        report.steps[at].change.aspect = aspect.into();
        report.steps[at].change.undone = undone;
    }
    let state = KeyState::of(&report, Time(1));
    assert_eq!(state.only_undone, BTreeSet::from(["settings".to_owned()]));
    assert_eq!(state.mode_aspects(), ["labels", "topics"]);
}

#[test]
fn the_state_of_an_older_version_is_read() {
    let stored = json!({ "subject": "acme/shop", "since": 1, "pending": 2 });
    let state: KeyState = serde_json::from_value(stored).unwrap();
    assert_eq!((state.pending, state.drift), (2, BTreeMap::new()));
    // This version stored the list of changes in the state.
    let change = json!({
        "aspect": "labels", "what": "label old", "values": ["color"], "risk": "removes", "asked": null,
        "because": "held",
    });
    let stored = json!({
        "subject": "acme/shop", "since": 1, "pending": 1, "held": 1, "drift": { "labels": "held" },
        "contested": ["labels"], "changes": [change],
    });
    let state: KeyState = serde_json::from_value(stored).unwrap();
    assert_eq!((state.held, state.unwritten_digest.as_deref()), (1, None));
    assert_eq!(state.contested_aspects(Time(i64::MAX)), BTreeSet::from(["labels"]));
    assert_eq!(state.present_contests(Time(2)).count(), 0);
}
