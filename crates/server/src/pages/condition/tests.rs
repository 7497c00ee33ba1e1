//! Tests of the lists of repositories and groups. The engine tests how the state of a key follows
//! from its last run, the queue and the holds.

use beadle_engine::{
    Change, Lane, Limits, Mark, Outcome, ParkReason, Report, Risk, Step, StepResult, Unknown, testing,
};

use super::*;
use crate::exchange;

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
    let trouble = Trouble::read(store, &[], Time(9)).await.unwrap();
    let found = things(store, "repository", &names, &trouble).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0].key, found[0].subject.as_str()), (&key, "acme/New"));
    let groups = things(store, "target-group", &names, &trouble).await.unwrap();
    assert_eq!(groups.len(), 2, "{groups:?}");
    assert!(called(store, "repository", ("acme", "ACME/NEW"), Time(9)).await.unwrap().is_some());
    assert!(called(store, "repository", ("acme", "acme/old"), Time(9)).await.unwrap().is_none());
    let group = of_key(store, &Key::new("target-group", "acme", "corp/1"), Time(9)).await.unwrap().unwrap();
    assert_eq!(group.state, Condition::AsDeclared);
    assert!(of_key(store, &Key::new("target-group", "acme", "corp/3"), Time(9)).await.unwrap().is_none());
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

#[tokio::test]
async fn a_list_has_every_key_that_needs_attention_and_each_of_its_problems() {
    let folder = tempfile::tempdir().unwrap();
    let store = exchange::store(&folder);
    let store = store.as_ref();
    let key = |id: u64| Key::new("repository", "acme", id);
    let change = || testing::change("labels", "bug", &[Risk::Changes]);
    let held = StepResult::Held { digest: "d1".into(), why: "limit".into() };
    let results = [held, StepResult::Postponed("contested".into()), StepResult::Withheld];
    let steps = results.map(|outcome| Step { change: change(), outcome }).into();
    let both = Report { steps, ..report("acme/r1") };
    KeyState::record(store, &key(1), &both, Time(1)).await.unwrap();
    // No run stored a state of the next two keys.
    let limits = Limits { removes: 0, ..Limits::default() };
    store.reserve(None, &limits, vec![testing::hold(2)], Time(1)).await.unwrap().unwrap();
    store.mark(vec![Mark::new(key(3), Lane::Manual)], Time(1)).await.unwrap();
    let claim = store.claim_key(&key(3), Time(1)).await.unwrap().unwrap();
    store.finish(&claim.lease, Outcome::Park(ParkReason::Failed, "403".into()), Time(2)).await.unwrap();
    let holds = store.all_holds().await.unwrap().holds;
    let trouble = Trouble::read(store, &holds, Time(9)).await.unwrap();
    let found = things(store, "repository", &["acme".to_owned()], &trouble).await.unwrap();
    let states = |thing: &Thing| thing.findings().map(|(state, ..)| state.as_str()).collect::<Vec<_>>();
    let seen: Vec<(&str, Vec<&str>)> =
        found.iter().map(|thing| (thing.subject.as_str(), states(thing))).collect();
    assert_eq!(
        seen,
        [
            ("acme/r1", vec!["held", "contested", "drifted"]),
            ("acme/r2", vec!["held"]),
            ("repository:acme:3", vec!["parked"]),
        ]
    );
    for thing in &found {
        let alone = of_key(store, &thing.key, Time(9)).await.unwrap();
        assert_eq!(alone.as_ref(), Some(thing), "the page of the key shows the same");
    }
    assert!(found[0].is_in(Condition::Drifted) && !found[1].is_in(Condition::Drifted));
}
