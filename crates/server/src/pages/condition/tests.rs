//! Tests of the states of repositories and groups.

use beadle_engine::guard::Rejection;
use beadle_engine::{Change, ParkReason, Parked, Report, Risk, Step, StepResult, Unknown, testing};
use serde_json::{Value, json};

use super::*;
use crate::exchange;

fn left(more: &Value) -> KeyState {
    let mut state = json!({ "subject": "acme/shop", "since": 5, "pending": 0 });
    for (key, value) in more.as_object().into_iter().flatten() {
        state[key] = value.clone();
    }
    serde_json::from_value(state).unwrap()
}

#[test]
fn the_state_follows_from_what_the_last_run_left() {
    let unknown = json!({ "aspect": "teams", "part": null, "why": "403", "transient": true });
    for (more, state, why) in [
        (json!({}), "as-declared", ""),
        (json!({ "skipped": "archived" }), "skipped", "archived"),
        (json!({ "pending": 2, "withheld": 1 }), "drifted", "the mode does not allow 2 changes"),
        (
            json!({ "pending": 2, "undone": 2 }),
            "drifted",
            "Beadle only observes 2 changes, because an operator undid values",
        ),
        (
            json!({ "pending": 3, "withheld": 2, "undone": 1 }),
            "drifted",
            "Beadle only observes 1 change, because an operator undid values; the mode does not allow 2 changes",
        ),
        (json!({ "pending": 1 }), "drifted", "Beadle did not write 1 change"),
        (json!({ "pending": 3, "failed": 1, "failure": "502" }), "failing", "502"),
        (json!({ "unknown": [unknown, unknown] }), "unknown", "teams: 403 (and 1 more)"),
        (
            json!({ "pending": 1, "contested": ["labels", "teams"] }),
            "contested",
            "another writer undoes the changes of labels, teams",
        ),
        (
            json!({ "pending": 3, "held": 2, "withheld": 1, "unknown": [unknown] }),
            "held",
            "the guard holds 2 changes; 1 other change is not written",
        ),
        (json!({ "pending": 1, "held": 1 }), "held", "the guard holds 1 change"),
        (
            json!({ "pending": 1, "withheld": 1, "drift": { "labels": "mode" } }),
            "drifted",
            "the mode does not allow 1 change (labels)",
        ),
        (
            json!({ "pending": 2, "held": 1, "withheld": 1, "drift": { "labels": "mode", "teams": "held" } }),
            "held",
            "the guard holds 1 change; 1 other change is not written (labels)",
        ),
    ] {
        let found = of_run(&left(&more), None);
        assert_eq!((found[0].0.as_str(), found[0].1.as_str()), (state, why), "{more}");
    }
}

#[test]
fn no_state_hides_a_further_problem() {
    let key = Key::new("repository", "acme", 7);
    let unknown = json!({ "aspect": "teams", "part": null, "why": "403", "transient": true });
    let mut parked = Row::new(key.clone());
    parked.parked = Some(Parked::new(ParkReason::Failed, "502".into(), Time(8)));
    let both = json!({ "pending": 2, "held": 1, "contested": ["labels"] });
    let all = json!({
        "pending": 3, "held": 1, "failed": 1, "failure": "502", "contested": ["labels"], "unknown": [unknown],
    });
    let failed = json!({ "pending": 1, "failed": 1, "failure": "502" });
    for (more, row, expected) in [
        (&both, None, &[Condition::Held, Condition::Contested][..]),
        (&both, Some(&parked), &[Condition::Parked, Condition::Held, Condition::Contested]),
        (&all, None, &[Condition::Held, Condition::Contested, Condition::Unknown, Condition::Failing]),
        // The reason of the parked key is the failure.
        (&failed, Some(&parked), &[Condition::Parked]),
        (&json!({ "pending": 1, "withheld": 1 }), Some(&parked), &[Condition::Parked]),
    ] {
        let thing = Thing::new(key.clone(), Some(&left(more)), row, &ContestedHolds::new());
        let found: Vec<Condition> = thing.findings().map(|(state, ..)| state).collect();
        assert_eq!(found, expected, "{more}");
        assert!(expected.iter().all(|state| thing.is_in(*state)), "{more}");
    }
    let thing = Thing::new(key, Some(&left(&both)), None, &ContestedHolds::new());
    assert_eq!(thing.further[0].why, "another writer undoes the changes of labels");
}

#[test]
fn a_contested_hold_that_waits_for_a_decision_is_contested() {
    let hold = |id: u64, contested: bool| Hold { contested, ..testing::hold(id) };
    let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
    let rejected = Hold { rejected: Some(rejection), ..hold(2, true) };
    let contested = contested_holds(&[hold(1, true), rejected, hold(3, false)]);
    let held = left(&json!({ "pending": 1, "held": 1 }));
    for (id, expected) in [(1, true), (2, false), (3, false)] {
        let thing = Thing::new(testing::hold(id).key, Some(&held), None, &contested);
        assert_eq!(thing.state, Condition::Held);
        assert_eq!(thing.is_in(Condition::Contested), expected, "{id}");
    }
}

#[test]
fn no_other_state_hides_drift() {
    let key = Key::new("repository", "acme", 7);
    let unknown = json!({ "aspect": "teams", "part": null, "why": "403", "transient": true });
    for (more, state, has_drift) in [
        (json!({}), Condition::AsDeclared, false),
        (json!({ "unknown": [unknown] }), Condition::Unknown, false),
        (json!({ "pending": 1, "unknown": [unknown] }), Condition::Unknown, true),
        (json!({ "pending": 1, "held": 1 }), Condition::Held, true),
        (json!({ "pending": 2, "held": 1, "withheld": 1 }), Condition::Held, true),
        (json!({ "pending": 1, "withheld": 1 }), Condition::Drifted, true),
    ] {
        let thing = Thing::new(key.clone(), Some(&left(&more)), None, &ContestedHolds::new());
        assert!(thing.state == state && thing.is_in(state), "{more}");
        assert_eq!(thing.is_in(Condition::Drifted), has_drift, "{more}");
        assert!(!thing.is_in(Condition::Parked), "{more}");
    }
}

#[test]
fn the_queue_knows_what_no_run_could_store() {
    let row = |attempts: u32, is_leased: bool, error: Option<&str>| {
        let mut row = Row::new(Key::new("repository", "acme", 7));
        (row.attempts, row.first_dirty) = (attempts, Time(9));
        row.lease_until = is_leased.then_some(Time(100));
        row.last_error = error.map(str::to_owned);
        row
    };
    let parked = Row {
        parked: Some(Parked::new(ParkReason::Failed, "403".into(), Time(8))),
        ..row(3, false, Some("403"))
    };
    let (fine, held) = (left(&json!({})), left(&json!({ "pending": 1, "held": 1 })));
    for (left, row, expected) in [
        (Some(&fine), None, (Condition::AsDeclared, "", Time(5))),
        (Some(&fine), Some(row(2, false, Some("502"))), (Condition::Failing, "502", Time(9))),
        (None, Some(row(1, false, Some("502"))), (Condition::Failing, "502", Time(9))),
        // The key waits for a budget, or its first attempt is in progress.
        (Some(&fine), Some(row(0, false, Some("budget"))), (Condition::AsDeclared, "", Time(5))),
        (Some(&fine), Some(row(1, true, Some("budget"))), (Condition::AsDeclared, "", Time(5))),
        (
            Some(&held),
            Some(row(2, false, Some("502"))),
            (Condition::Held, "the guard holds 1 change", Time(5)),
        ),
        (Some(&held), Some(parked), (Condition::Parked, "403", Time(8))),
    ] {
        let (Finding { state, why, since }, _) = judged(left, row.as_ref(), None);
        assert_eq!((state, why.as_str(), since), expected, "{row:?}");
    }
}

#[test]
fn every_state_has_its_own_name() {
    for state in Condition::ALL {
        assert_eq!(Condition::named(state.as_str()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
    }
    assert_eq!(Condition::named("fine"), None);
}

fn report(subject: &str) -> Report {
    Report { subject: subject.into(), steps: Vec::new(), unknowns: Vec::new(), skipped: None, failure: None }
}

#[tokio::test]
async fn a_thing_is_listed_once_under_its_present_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = exchange::store(&folder);
    let store = store.as_ref();
    let (key, creation) = (Key::new("repository", "acme", 7), Key::new("repository", "acme", "name/new"));
    for (key, report, at) in [
        (&key, report("acme/old"), 1),
        (&creation, report("acme/new"), 2),
        (&key, report("acme/New"), 3),
        (&creation, Report { skipped: Some("it exists".into()), ..report("acme/new") }, 4),
        // The organisation of this key is not in the configuration any more.
        (&Key::new("repository", "labs", 1), report("labs/r1"), 5),
        // No run has found the name of this group.
        (&Key::new("target-group", "acme", "corp/1"), report(""), 6),
        (&Key::new("target-group", "acme", "corp/2"), report(""), 7),
    ] {
        KeyState::record(store, key, &report, Time(at)).await.unwrap();
    }
    let names = ["acme".to_owned()];
    let trouble = Trouble::read(store, &[]).await.unwrap();
    let found = things(store, "repository", &names, &trouble).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0].key, found[0].subject.as_str()), (&key, "acme/New"));
    let groups = things(store, "target-group", &names, &trouble).await.unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert!(called(store, "repository", ("acme", "ACME/NEW")).await.unwrap().is_some());
    assert!(called(store, "repository", ("acme", "acme/old")).await.unwrap().is_none());
    let group = of_key(store, &Key::new("target-group", "acme", "corp/1")).await.unwrap().unwrap();
    assert_eq!(group.state, Condition::AsDeclared);
    assert!(of_key(store, &Key::new("target-group", "acme", "corp/3")).await.unwrap().is_none());
}

#[tokio::test]
async fn the_time_of_a_state_is_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let store = exchange::store(&folder);
    let key = Key::new("repository", "acme", 7);
    let unknown = Unknown { aspect: "teams".into(), part: None, why: "403".into(), transient: true };
    let broken = Report { unknowns: vec![unknown], ..report("acme/shop") };
    for (report, at, since) in [
        (report("acme/shop"), 10, 10),
        (report("acme/shop"), 20, 10),
        (broken.clone(), 30, 30),
        (broken, 40, 30),
        (report("acme/shop"), 50, 50),
        // The clock was ahead of the real time when the run ended.
        (report("acme/shop"), 45, 45),
    ] {
        KeyState::record(store.as_ref(), &key, &report, Time(at)).await.unwrap();
        let stored = KeyState::of_kind(store.as_ref(), "repository").await.unwrap();
        assert_eq!(stored[0].1.since, Time(since), "at {at}");
        let is_listed = !KeyState::all(store.as_ref()).await.unwrap().is_empty();
        assert_eq!(is_listed, !report.unknowns.is_empty(), "at {at}");
    }
}

#[tokio::test]
async fn the_time_of_an_undo_is_not_the_time_of_the_drift_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = exchange::store(&folder);
    let key = Key::new("repository", "acme", 7);
    let left = |undone: bool| {
        let change = Change { undone, ..testing::change("teams", "team core", &[Risk::Adds]) };
        Report { steps: vec![Step { change, outcome: StepResult::Withheld }], ..report("acme/shop") }
    };
    for (report, at, undone_since) in [
        (left(false), 10, None),
        (left(true), 20, Some(Time(20))),
        (left(true), 30, Some(Time(20))),
        (left(false), 40, None),
        (left(true), 50, Some(Time(50))),
    ] {
        KeyState::record(store.as_ref(), &key, &report, Time(at)).await.unwrap();
        let state = KeyState::get(store.as_ref(), &key).await.unwrap().unwrap();
        assert_eq!((state.since, state.undone_since), (Time(10), undone_since), "at {at}");
    }
}
