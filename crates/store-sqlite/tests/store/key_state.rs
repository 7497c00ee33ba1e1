//! Tests the notes about the state of a key: the state, and the list of its unwritten changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    Change, Class, Clock, Delivery, Failure, Field, Key, KeyScope, KeyState, Lane, Limits, LimitsInForce,
    Mark, Mode, Outcome, Plan, PlanWriter, Planner, Reconcile, Reconciler, Report, Risk, Run, Session, Step,
    StepResult, Time, Unknown, WritePace, first_asked_note, testing,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::{Value, json};

/// The name of the note with the list of unwritten changes.
const LIST: &str = "unwritten:repository:acme:1";
const STATE: &str = "key-state:repository:acme:1";

fn key() -> Key {
    Key::new("repository", "acme", 1)
}

fn store(folder: &Path) -> SqliteStore {
    SqliteStore::open_inline(&folder.join("b.db"), SqliteSettings::default()).unwrap()
}

/// Returns the report of a run with one unwritten change for each of these labels.
fn report(labels: &[&str]) -> Report {
    let step = |what: &&str| Step {
        change: testing::change("labels", what, &[Risk::Adds]),
        outcome: StepResult::Withheld,
    };
    Report {
        subject: "acme/shop".into(),
        steps: labels.iter().map(step).collect(),
        unknowns: Vec::new(),
        skipped: None,
        failure: None,
    }
}

/// Returns the labels of the unwritten changes that the page of the key would show.
async fn listed(store: &SqliteStore) -> Vec<String> {
    let state = KeyState::get(store, &key()).await.unwrap().unwrap();
    let changes = state.unwritten(store, &key()).await.unwrap();
    changes.into_iter().map(|change| change.part.what).collect()
}

#[tokio::test]
async fn the_unwritten_changes_are_a_note_of_their_own_that_is_written_only_when_they_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a", "b"]), Time(1)).await.unwrap();
    assert_eq!(listed(&store).await, ["a", "b"]);
    let state = store.get(STATE).await.unwrap().unwrap();
    assert!(!state.contains("\"what\""), "a list of repositories reads only the state: {state}");
    // If a run wrote the list again, the note would have its old text again.
    let list = store.get(LIST).await.unwrap().unwrap();
    store.put(LIST, "[]").await.unwrap();
    KeyState::record(&store, &key(), &report(&["a", "b"]), Time(2)).await.unwrap();
    assert_eq!(store.get(LIST).await.unwrap().as_deref(), Some("[]"));
    store.put(LIST, &list).await.unwrap();
    KeyState::record(&store, &key(), &report(&["a"]), Time(3)).await.unwrap();
    assert_eq!(listed(&store).await, ["a"]);
    KeyState::record(&store, &key(), &report(&[]), Time(4)).await.unwrap();
    assert_eq!((listed(&store).await.len(), store.get(LIST).await.unwrap()), (0, None));
}

#[tokio::test]
async fn the_list_is_deleted_with_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
    let other = Key::new("repository", "acme", 2);
    KeyState::record(&store, &other, &report(&["b"]), Time(1)).await.unwrap();
    for key in [&key(), &other] {
        store.put(&first_asked_note(key), "{}").await.unwrap();
    }
    let scope = KeyScope::new("repository", "acme");
    KeyState::forget_others(&store, &scope, &[other.clone()].into()).await.unwrap();
    assert_eq!(store.get(&first_asked_note(&key())).await.unwrap(), None);
    assert!(store.get(&first_asked_note(&other)).await.unwrap().is_some());
    assert_eq!((store.get(STATE).await.unwrap(), store.get(LIST).await.unwrap()), (None, None));
    assert_eq!(store.notes("unwritten:").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_list_of_another_run_is_not_shown_and_the_next_run_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
    let state = store.get(STATE).await.unwrap().unwrap();
    KeyState::record(&store, &key(), &report(&["b"]), Time(2)).await.unwrap();
    // The process of the second run ended before it stored the state.
    store.put(STATE, &state).await.unwrap();
    assert!(listed(&store).await.is_empty());
    KeyState::record(&store, &key(), &report(&["b"]), Time(3)).await.unwrap();
    assert_eq!(listed(&store).await, ["b"]);
}

#[tokio::test]
async fn a_list_without_its_state_does_not_stay_if_the_previous_list_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
    // The process of the second run ends before it stores the state with the new list.
    let connection = rusqlite::Connection::open(folder.path().join("b.db")).unwrap();
    let trigger = format!(
        "CREATE TRIGGER killed BEFORE INSERT ON note
         WHEN NEW.name = '{STATE}' AND NEW.value LIKE '%unwritten_digest%'
         BEGIN SELECT RAISE(ABORT, 'killed'); END"
    );
    connection.execute_batch(&trigger).unwrap();
    KeyState::record(&store, &key(), &report(&["b"]), Time(2)).await.unwrap_err();
    connection.execute_batch("DROP TRIGGER killed").unwrap();
    KeyState::record(&store, &key(), &report(&["a"]), Time(3)).await.unwrap();
    assert_eq!(listed(&store).await, ["a"]);
}

#[tokio::test]
async fn a_state_of_an_older_version_gets_its_list_with_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let change = json!({
        "aspect": "labels", "what": "a", "values": ["x"], "risk": "adds", "asked": null, "because": "mode",
    });
    let state = json!({
        "subject": "acme/shop", "since": 1, "pending": 1, "withheld": 1, "drift": { "labels": "mode" },
        "changes": [change],
    });
    store.put(STATE, &state.to_string()).await.unwrap();
    assert!(listed(&store).await.is_empty());
    KeyState::record(&store, &key(), &report(&["a"]), Time(9)).await.unwrap();
    assert_eq!(listed(&store).await, ["a"]);
    let state = KeyState::get(&store, &key()).await.unwrap().unwrap();
    assert_eq!((state.since, state.withheld), (Time(1), 1));
    assert!(!store.get(STATE).await.unwrap().unwrap().contains("changes"));
}

/// A function that reads when one problem of a key began.
type Began = fn(&KeyState) -> Option<Time>;

/// Returns the reports of runs that have one more problem than `report(&["a"])`. Each report comes
/// with its name, and with the function that reads when the problem began.
fn problems() -> [(&'static str, Report, Began); 4] {
    let mut undone = report(&["a", "b"]);
    undone.steps[1].change.undone = true;
    let mut failed = report(&["a", "b"]);
    failed.steps[1].outcome = StepResult::Failed("502".into());
    let refused = Report { failure: Some(Failure::new(Class::Rejected, "422")), ..failed.clone() };
    let unknown = Unknown { aspect: "teams".into(), part: None, why: "502".into(), transient: true };
    let unknown = Report { unknowns: vec![unknown], ..report(&["a"]) };
    [
        ("undone", undone, |state| state.undone_since),
        ("refused", refused, |state| state.refused_since),
        ("failed", failed, |state| state.failed_since),
        ("unknown", unknown, |state| state.unknown_since),
    ]
}

#[tokio::test]
async fn each_problem_has_the_time_when_it_began() {
    for (name, problem, began) in problems() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        // The key differs from the policy all the time, for another reason.
        let other = report(&["a"]);
        for (report, now, expected) in [
            (&other, 1, None),
            (&problem, 10, Some(10)),
            (&problem, 20, Some(10)),
            (&other, 30, None),
            (&problem, 40, Some(40)),
            // The clock was ahead, so the stored time is wrong.
            (&problem, 35, Some(35)),
        ] {
            KeyState::record(&store, &key(), report, Time(now)).await.unwrap();
            let state = KeyState::get(&store, &key()).await.unwrap().unwrap();
            assert_eq!((state.since, began(&state)), (Time(1), expected.map(Time)), "{name} at {now}");
        }
    }
}

#[tokio::test]
async fn a_problem_in_a_state_of_an_older_version_is_as_old_as_the_drift() {
    for (name, problem, began) in problems() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        KeyState::record(&store, &key(), &report(&["a"]), Time(1)).await.unwrap();
        KeyState::record(&store, &key(), &problem, Time(10)).await.unwrap();
        let stored = store.get(STATE).await.unwrap().unwrap();
        let mut stored: BTreeMap<String, Value> = serde_json::from_str(&stored).unwrap();
        stored.retain(|field, _| !field.ends_with("_since"));
        store.put(STATE, &json!(stored).to_string()).await.unwrap();
        KeyState::record(&store, &key(), &problem, Time(20)).await.unwrap();
        let state = KeyState::get(&store, &key()).await.unwrap().unwrap();
        assert_eq!(began(&state), Some(Time(1)), "{name}");
    }
}

#[tokio::test]
async fn a_refusal_can_begin_later_than_the_failure() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let [_, (_, refused, _), (_, failed, _), _] = problems();
    KeyState::record(&store, &key(), &failed, Time(10)).await.unwrap();
    KeyState::record(&store, &key(), &refused, Time(20)).await.unwrap();
    let state = KeyState::get(&store, &key()).await.unwrap().unwrap();
    assert_eq!((state.failed_since, state.refused_since), (Some(Time(10)), Some(Time(20))));
}

/// A vendor with the setting `has_wiki`. Another writer turns this setting on again and again.
#[derive(Clone)]
struct Vendor {
    is_as_declared: bool,
}

#[async_trait]
impl Planner for Vendor {
    type Write = ();

    async fn plan(&self, _: &Key, _: Option<&str>, _: Lane) -> Result<Plan<()>, Failure> {
        let field = Field {
            name: "has_wiki".into(),
            before: json!(true),
            after: json!(false),
            asked: None,
            risk: Risk::Changes,
        };
        let change =
            Change { fields: vec![field], mode: Mode::Enforce, ..testing::change("settings", "", &[]) };
        let changes = if self.is_as_declared { Vec::new() } else { vec![change] };
        Ok(Plan { changes, generation: "g".into(), ..Plan::new("acme/shop") })
    }

    fn reports(&self, aspect: &str, event: &str, sender: Option<&str>) -> bool {
        (aspect, event) == ("settings", "repository.edited") && sender != Some("beadle[bot]")
    }
}

#[async_trait]
impl PlanWriter<()> for Vendor {
    async fn open(&self, _: &Key, _: &Plan<()>, _: Time, _: Lane) -> Result<Box<dyn Session<()>>, Failure> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Session<()> for Vendor {
    async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs the key of a vendor in a lane, after a webhook with this event and this sender.
async fn run(
    (store, clock): (&Arc<SqliteStore>, &Clock),
    is_as_declared: bool,
    (lane, event, sender): (Lane, &str, &str),
) -> Report {
    let since = clock.now();
    let delivery = Delivery {
        source: "github".into(),
        id: format!("{event}-{}", since.0),
        actor: Some(sender.to_owned()),
        event: event.to_owned(),
        instance: "acme".into(),
        received: since,
        body: b"{}".to_vec(),
    };
    store.accept(delivery, vec![Mark::new(key(), lane)]).await.unwrap();
    let vendor = Vendor { is_as_declared };
    let reconciler = Reconciler {
        planner: vendor.clone(),
        writer: vendor,
        store: store.clone(),
        clock: clock.clone(),
        limits: LimitsInForce::from(Limits { repeats: 2, ..Limits::default() }),
        pace: WritePace::new(Duration::ZERO),
    };
    let claim = store.claim_key(&key(), clock.now()).await.unwrap().unwrap();
    let run = Run { lease: claim.lease.clone(), lane, hint: None, since };
    let report = reconciler.reconcile(&run).await.unwrap();
    store.finish(&claim.lease, Outcome::Done, clock.now()).await.unwrap();
    clock.jump(1000);
    report
}

#[tokio::test(start_paused = true)]
async fn a_contest_and_its_writer_stay_in_the_state_after_the_repair() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path()));
    let clock = Clock::simulated(Time(1_000_000_000));
    let world = (&store, &clock);
    for _ in 0..2 {
        run(world, false, (Lane::Event, "repository.edited", "octocat")).await;
    }
    let report = run(world, false, (Lane::Event, "repository.edited", "octocat")).await;
    assert!(matches!(report.steps[0].outcome, StepResult::Postponed(_)), "{report:?}");
    // An event about another aspect does not show who the writer is. A webhook about Beadle's own
    // write does not show the writer either.
    run(world, false, (Lane::Event, "label.edited", "mona")).await;
    run(world, false, (Lane::Sweep, "repository.edited", "beadle[bot]")).await;
    run(world, false, (Lane::Event, "repository.edited", "beadle[bot]")).await;
    let began = KeyState::get(store.as_ref(), &key()).await.unwrap().unwrap();
    let octocat = BTreeMap::from([("settings".to_owned(), "octocat".to_owned())]);
    assert_eq!(
        (began.contests[0].part.values.as_slice(), &began.writers),
        (&["has_wiki".to_owned()][..], &octocat)
    );
    clock.jump(60_000);
    let report = run(world, false, (Lane::Event, "label.edited", "mona")).await;
    assert_eq!(report.steps[0].outcome, StepResult::Written, "the wait is over");
    let repaired = KeyState::get(store.as_ref(), &key()).await.unwrap().unwrap();
    assert!(repaired.is_settled() && repaired.contested.is_empty());
    assert_eq!((&repaired.contests, &repaired.writers), (&began.contests, &octocat));
    assert_eq!(KeyState::all(store.as_ref()).await.unwrap().len(), 1, "an operator still finds the key");
    assert_eq!(repaired.contested_aspects(clock.now()), BTreeSet::from(["settings"]));
    clock.jump(3_600_000);
    assert!(repaired.contested_aspects(clock.now()).is_empty());
    run(world, true, (Lane::Event, "label.edited", "mona")).await;
    assert!(KeyState::all(store.as_ref()).await.unwrap().is_empty());
}
