//! Tests of the function that decides which states a key has.

use serde_json::{Value, json};

use super::*;
use crate::delivery::Mark;
use crate::guard::{Hold, Rejection};
use crate::key::{Key, Lane};
use crate::queue::{Outcome, ParkReason, Parked, Timing};
use crate::testing;

const HOUR: i64 = 3_600_000;

fn left(more: &Value) -> KeyState {
    let mut state = json!({ "subject": "acme/shop", "since": 5, "pending": 0 });
    for (key, value) in more.as_object().into_iter().flatten() {
        state[key] = value.clone();
    }
    serde_json::from_value(state).unwrap()
}

fn unknown_part() -> Value {
    json!({ "aspect": "teams", "part": null, "why": "403", "transient": true })
}

/// Returns all findings of a key, the most important one first.
fn all(left: Option<&KeyState>, row: Option<&Row>, holds: &[Hold], now: Time) -> Vec<Finding> {
    let holds = HoldsByKey::new(holds);
    let (first, further) = key_findings(left, row, holds.of(&testing::hold(1).key), (now, 14));
    std::iter::once(first).chain(further).collect()
}

/// Returns each finding as a text.
fn texts(found: &[Finding]) -> Vec<String> {
    found.iter().map(|one| format!("{}: {}", one.state.as_str(), one.why)).collect()
}

fn parked() -> Row {
    let mut row = Row::new(testing::hold(1).key);
    row.parked = Some(Parked::new(ParkReason::Failed, "502".into(), Time(8)));
    row
}

#[test]
fn every_state_has_its_own_name_and_the_problems_are_in_the_order_of_their_ranks() {
    for state in KeyCondition::ALL {
        assert_eq!(KeyCondition::named(state.as_str()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        assert_eq!(KeyCondition::PROBLEMS.contains(&state), !state.is_fine(), "{state:?}");
    }
    assert_eq!(KeyCondition::named("fine"), None);
    assert!(KeyCondition::PROBLEMS.is_sorted_by_key(|state| state.rank()));
}

#[test]
fn the_states_follow_from_the_last_run() {
    let unknown = unknown_part();
    let mode = |aspects: Value| json!({ "pending": 1, "withheld": 1, "drift": aspects });
    for (more, expected) in [
        (json!({}), &["as-declared: "][..]),
        (json!({ "skipped": "archived" }), &["skipped: archived"]),
        (json!({ "pending": 2, "withheld": 1 }), &["drifted: the mode does not allow the changes"]),
        (
            mode(json!({ "labels": "mode", "teams": "held", "topics": "mode" })),
            &["drifted: the mode does not allow the changes of labels, topics"],
        ),
        (json!({ "pending": 1 }), &["drifted: Beadle has not written some changes"]),
        (json!({ "pending": 3, "failed": 1, "failure": "502" }), &["failing: a change failed: 502"]),
        (json!({ "pending": 1, "failed": 1 }), &["failing: the last run ended before its last change"]),
        (json!({ "unknown": [unknown, unknown] }), &["unknown: teams: 403 (and 1 more)"]),
        (
            json!({ "pending": 1, "contested": ["labels", "teams"] }),
            &[
                "contested: another writer undoes the changes of labels",
                "contested: another writer undoes the changes of teams",
            ],
        ),
        (json!({ "pending": 2, "held": 2 }), &["held: the guard holds 2 changes"]),
        // A change that depends on a held change has the reason of the held change.
        (json!({ "pending": 2, "held": 1 }), &["held: the guard holds 1 change"]),
        (
            json!({ "pending": 2, "held": 1, "withheld": 1, "unknown": [unknown] }),
            &[
                "held: the guard holds 1 change",
                "unknown: teams: 403",
                "drifted: the mode does not allow the changes",
            ],
        ),
    ] {
        let found = all(Some(&left(&more)), None, &[], Time(9));
        assert_eq!(texts(&found), expected, "{more}");
        assert!(found.iter().all(|one| one.since == Time(5)), "{more}");
        assert!(found.is_sorted_by_key(|one| one.state.rank()), "{more}");
    }
}

#[test]
fn an_undo_hides_no_other_drift() {
    let state = left(&json!({
        "pending": 3, "withheld": 2, "undone": 1, "undone_since": 50, "only_undone": ["settings"],
        "drift": { "settings": "mode", "labels": "mode" },
    }));
    let found = all(Some(&state), None, &[], Time(90));
    assert_eq!(
        texts(&found),
        [
            "drifted: an operator undid values, and Beadle only observes them until `beadle resume`",
            "drifted: the mode does not allow the changes of labels",
        ]
    );
    assert_eq!((found[0].since, found[1].since), (Time(50), Time(5)));
}

#[test]
fn a_parked_key_is_neither_failing_nor_drifted() {
    for (more, expected) in [
        (json!({ "pending": 1, "withheld": 1 }), &["parked: 502"][..]),
        (json!({ "pending": 1, "failed": 1, "failure": "502" }), &["parked: 502"]),
        (json!({ "skipped": "archived" }), &["parked: 502"]),
        (
            json!({ "pending": 2, "held": 1, "contested": ["labels"], "unknown": [unknown_part()] }),
            &[
                "parked: 502",
                "held: the guard holds 1 change",
                "contested: another writer undoes the changes of labels",
                "unknown: teams: 403",
            ],
        ),
    ] {
        assert_eq!(texts(&all(Some(&left(&more)), Some(&parked()), &[], Time(9))), expected, "{more}");
    }
    assert_eq!(all(None, Some(&parked()), &[], Time(9))[0].since, Time(8));
}

/// A key in the queue that several runs cannot repair.
struct Queued {
    row: Row,
    now: Time,
    timing: Timing,
}

impl Queued {
    fn new() -> Self {
        Self { row: Row::new(testing::hold(1).key), now: Time(HOUR), timing: Timing::default() }
    }

    fn mark(&mut self, lane: Lane) {
        self.row.mark(&Mark::new(self.row.key.clone(), lane), self.now, &self.timing);
    }

    /// Claims the key, passes the key's row to `look` during the run, and ends the run.
    fn run(&mut self, outcome: Outcome, mut look: impl FnMut(&Row)) {
        self.now = self.now.max(self.row.due_at().unwrap());
        let claim = self.row.claim(self.now, &self.timing).unwrap();
        look(&self.row);
        assert!(self.row.finish(&claim.lease, outcome, self.now, &self.timing));
    }
}

#[test]
fn a_refused_write_has_one_state_and_one_reason_during_all_tries() {
    let state = left(&json!({
        "pending": 2, "withheld": 1, "failed": 1, "failure": "refused before; ...: 422", "refused": "422",
    }));
    let mut seen: Vec<(Vec<String>, Time)> = Vec::new();
    let mut look = |row: &Row| {
        // The lists of keys leave out a row without trouble.
        let row = Some(row).filter(|row| row.is_troubled());
        let found = all(Some(&state), row, &[], Time(9));
        seen.push((texts(&found), found[0].since));
    };
    let mut queued = Queued::new();
    // After an event, Beadle tries three times.
    queued.mark(Lane::Event);
    for _ in 0..2 {
        queued.run(Outcome::Retry("422".into()), |_| {});
        look(&queued.row);
    }
    let park = || Outcome::Park(ParkReason::Failed, "422".into());
    queued.run(park(), &mut look);
    for lane in [Lane::Sweep, Lane::Sweep, Lane::Event, Lane::Manual] {
        look(&queued.row);
        queued.mark(lane);
        look(&queued.row);
        queued.run(park(), &mut look);
    }
    look(&queued.row);
    assert_eq!(seen.len(), 16);
    for found in seen {
        assert_eq!(found, (vec!["parked: a change was refused: 422".to_owned()], Time(5)));
    }
    // A later run could not read the key.
    queued.mark(Lane::Sweep);
    queued.run(Outcome::Park(ParkReason::Failed, "502".into()), |_| {});
    assert_eq!(texts(&all(Some(&state), Some(&queued.row), &[], Time(9))), ["parked: 502"]);
}

#[test]
fn a_parked_key_stays_parked_during_the_try_of_a_sweep() {
    let mut queued = Queued::new();
    let found = |row: &Row| texts(&all(None, Some(row), &[], Time(9)));
    queued.mark(Lane::Event);
    for _ in 1..14 {
        queued.run(Outcome::Retry("502".into()), |_| {});
        let is_last = queued.row.attempts == 13;
        let expected = if is_last { "parked: 502" } else { "failing: 502" };
        assert_eq!(found(&queued.row), [expected], "{}", queued.row.attempts);
    }
    queued.run(Outcome::Retry("502".into()), |row| assert_eq!(found(row), ["parked: 502"]));
    assert!(queued.row.parked.is_some());
    queued.mark(Lane::Sweep);
    assert!(queued.row.parked.is_none());
    assert_eq!(found(&queued.row), ["parked: 502"]);
    queued.run(Outcome::Done, |row| assert_eq!(found(row), ["parked: 502"]));
    assert_eq!(found(&queued.row), ["as-declared: "]);
}

#[test]
fn the_queue_knows_the_failures_of_runs_that_stored_no_state() {
    let row = |attempts: u32, is_leased: bool| {
        let mut row = Row::new(testing::hold(1).key);
        (row.attempts, row.first_dirty) = (attempts, Time(9));
        row.lease_until = is_leased.then_some(Time(100));
        row.last_error = Some("502".to_owned());
        row
    };
    let fine = left(&json!({}));
    let found = |state: Option<&KeyState>, row: &Row| texts(&all(state, Some(row), &[], Time(99)));
    assert_eq!(found(Some(&fine), &row(2, false)), ["failing: 502"]);
    assert_eq!(found(None, &row(1, false)), ["failing: 502"]);
    assert_eq!(all(None, Some(&row(1, false)), &[], Time(99))[0].since, Time(9));
    // The key waits for a budget, or its first attempt is in progress.
    assert_eq!(found(Some(&fine), &row(0, false)), ["as-declared: "]);
    assert_eq!(found(Some(&fine), &row(1, true)), ["as-declared: "]);
    let drifted = left(&json!({ "pending": 1, "withheld": 1 }));
    let expected = ["failing: 502", "drifted: the mode does not allow the changes"];
    assert_eq!(found(Some(&drifted), &row(2, false)), expected, "a failure hides no drift");
    // The error of the run is the unknown part, the postponed change or the failed change.
    for more in [
        json!({ "unknown": [unknown_part()] }),
        json!({ "pending": 1, "contested": ["labels"] }),
        json!({ "pending": 1, "failed": 1, "failure": "403" }),
    ] {
        assert_eq!(found(Some(&left(&more)), &row(2, false)).len(), 1, "{more}");
    }
}

#[test]
fn the_holds_in_the_store_decide_whether_a_key_is_held() {
    let state = left(&json!({ "pending": 1, "held": 1 }));
    let found = |state: Option<&KeyState>, holds: &[Hold]| texts(&all(state, None, holds, Time(9)));
    let approved = Hold { approved_by: Some("mona".into()), ..testing::hold(1) };
    let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
    let rejected = Hold { rejected: Some(rejection), ..testing::hold(1) };
    let held = ["held: the guard holds 1 change"];
    assert_eq!(found(Some(&state), &[testing::hold(1)]), held);
    assert_eq!(found(Some(&state), &[rejected]), held, "a rejected change stays held");
    assert_eq!(found(Some(&state), &[]), held, "the store can have lost the hold");
    assert_eq!(found(None, &[testing::hold(1)]), held, "no run stored a state");
    assert_eq!(
        found(Some(&state), std::slice::from_ref(&approved)),
        ["drifted: Beadle has not written an approved change yet"]
    );
    assert_eq!(found(Some(&left(&json!({}))), &[approved]), ["as-declared: "]);
    let others = Hold { key: Key::new("repository", "acme", 2), ..testing::hold(2) };
    assert_eq!(found(Some(&left(&json!({}))), &[others]), ["as-declared: "]);
    let old = Hold { since: Time(1), ..testing::hold(1) };
    let found = all(Some(&state), None, &[Hold { since: Time(3), ..testing::hold(1) }, old], Time(9));
    assert_eq!((texts(&found)[0].as_str(), found[0].since), ("held: the guard holds 2 changes", Time(1)));
}

#[test]
fn a_contest_names_its_writer_and_its_values_and_stays_for_an_hour_after_the_repair() {
    let contest = json!({ "aspect": "settings", "what": "", "values": ["has_wiki"], "since": 7, "at": 10 });
    let repaired = left(&json!({ "contests": [contest], "writers": { "settings": "octocat" } }));
    let shown = "contested: another writer undoes the changes of settings: has_wiki; according to a webhook, octocat \
                 made the last change";
    let found = all(Some(&repaired), None, &[], Time(HOUR));
    assert_eq!((texts(&found), found[0].since), (vec![shown.to_owned()], Time(7)));
    assert_eq!(texts(&all(Some(&repaired), None, &[], Time(10 + HOUR))), ["as-declared: "]);
    // The last run postponed the change, and no run has checked the key since then.
    let waits =
        left(&json!({ "pending": 1, "contested": ["settings"], "contests": [contest], "writers": {} }));
    assert_eq!(
        texts(&all(Some(&waits), None, &[], Time(9 * HOUR))),
        ["contested: another writer undoes the changes of settings: has_wiki"]
    );
}

#[test]
fn a_reason_names_only_some_contested_changes_of_an_aspect() {
    let contest = |what: &str| {
        json!({
            "aspect": "labels", "what": what, "values": ["color"], "more_values": 2, "since": 7, "at": 10,
        })
    };
    let all_contests = ["a", "b", "c", "d", "e"].map(contest);
    let state = left(&json!({ "pending": 1, "contested": ["labels"], "contests": all_contests }));
    assert_eq!(
        texts(&all(Some(&state), None, &[], Time(20))),
        ["contested: another writer undoes the changes of labels: a (color, 2 more), b (color, 2 more), \
             c (color, 2 more), and 2 more"]
    );
}

#[test]
fn a_contested_hold_that_waits_for_a_decision_is_held_and_contested() {
    let contested = Hold { contested: true, since: Time(3), ..testing::hold(1) };
    let rejection = Rejection { by: "mona".into(), reason: None, at: Time(2) };
    let rejected = Hold { rejected: Some(rejection), ..contested.clone() };
    // The drift is gone at the vendor, and the hold stays.
    let state = left(&json!({ "writers": { "teams": "octocat" } }));
    let found = all(Some(&state), None, std::slice::from_ref(&contested), Time(9 * HOUR));
    assert_eq!(
        texts(&found),
        [
            "held: the guard holds 1 change",
            "contested: another writer undoes the changes of teams: team engineering (x); according to a webhook, \
             octocat made the last change",
        ]
    );
    assert_eq!(found[1].since, Time(3));
    assert_eq!(texts(&all(Some(&state), None, &[rejected], Time(9))), ["held: the guard holds 1 change"]);
}
