//! Tests that apply plans with a real store, in simulated time. The vendor gives configured
//! answers.

use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::apply::release_resolved_holds;
use beadle_engine::guard::{Decision, UNDO_GENERATION};
use beadle_engine::journal::OperatorAction;
use beadle_engine::plan::ARCHIVED;
use beadle_engine::store::prelude::*;
use beadle_engine::{
    ApplyContext, Change, Class, Clock, Detail, Entry, EntryKind, Failure, Field, Key, Lane, Limits, Listing,
    Mode, Plan, PlanWriter, Report, Risk, Session, Spent, StepResult, Time, VoidApproval, Waived, WritePace,
    apply, testing,
};
use beadle_store_sqlite::{SqliteSettings, SqliteStore};
use serde_json::json;

/// A function that returns the vendor's answer to a write.
type Answer = Arc<dyn Fn() -> Result<(), Failure> + Send + Sync>;

/// A simulated vendor that counts the received writes.
#[derive(Clone)]
struct Vendor {
    answer: Answer,
    writes: Arc<Mutex<u32>>,
    store: Arc<SqliteStore>,
    clock: Clock,
    /// The number of a write. After this write, somebody pauses the organisation.
    pause_after: Option<u32>,
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
        let count = {
            let mut writes = self.writes.lock();
            *writes += 1;
            *writes
        };
        if self.pause_after == Some(count) {
            self.store.pause("acme", self.clock.now() + Duration::from_secs(600)).await?;
        }
        (self.answer)()
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Clock,
    vendor: Vendor,
    pub(crate) limits: Limits,
    pub(crate) generation: String,
}

impl World {
    pub(crate) fn new(
        folder: &Path,
        answer: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
    ) -> Self {
        let store =
            Arc::new(SqliteStore::open_inline(&folder.join("b.db"), SqliteSettings::default()).unwrap());
        let clock = Clock::simulated(Time(1_000_000_000));
        let (writes, pause_after) = (Arc::default(), None);
        let vendor = Vendor {
            answer: Arc::new(answer),
            writes,
            store: store.clone(),
            clock: clock.clone(),
            pause_after,
        };
        Self {
            store,
            clock,
            vendor,
            limits: Limits { repeats: 0, ..Limits::default() },
            generation: "g".into(),
        }
    }

    pub(crate) fn writes(&self) -> u32 {
        *self.vendor.writes.lock()
    }

    /// Runs a plan in this lane. The plan has `count` changes with this risk.
    pub(crate) async fn run(&self, lane: Lane, risk: Risk, count: usize) -> Report {
        let mut plan = Plan::new("acme/shop");
        for n in 0..count {
            let field = Field { name: format!("f{n}"), before: json!(1), after: json!(2), asked: None, risk };
            plan.changes.push(Change {
                aspect: "protection".into(),
                what: "main".into(),
                fields: vec![field],
                mode: Mode::Enforce,
                after: Vec::new(),
                stop: None,
                undone: false,
                reaches: 1,
                write: (),
            });
        }
        self.apply(lane, &plan).await
    }

    async fn apply(&self, lane: Lane, plan: &Plan<()>) -> Report {
        let gate = ApplyContext {
            store: self.store.clone(),
            clock: self.clock.clone(),
            lease: None,
            lane,
            limits: self.limits,
            pace: WritePace::new(Duration::ZERO),
            patient: true,
            generation: self.generation.clone(),
            planned: self.clock.now(),
        };
        let key = Key::new("repository", "acme", 1);
        let remembered = release_resolved_holds(&key, plan, &gate, &|_, _, _| true).await.unwrap();
        apply(&key, plan, &self.vendor, &gate, remembered, &|_, _| {}).await.unwrap()
    }

    pub(crate) async fn count(&self, kind: EntryKind) -> usize {
        let all = Listing { limit: u32::MAX, ..Listing::default() };
        self.store.entries(all).await.unwrap().iter().filter(|entry| entry.kind == kind).count()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_sent_once_until_an_event_or_another_policy() {
    let folder = tempfile::tempdir().unwrap();
    let mut world =
        World::new(folder.path(), || Err(Failure::new(Class::Rejected, "403 Resource not accessible")));
    for _ in 0..3 {
        let report = world.run(Lane::Sweep, Risk::Removes, 1).await;
        let outcome = &report.steps[0].outcome;
        assert!(matches!(outcome, StepResult::Failed(why) if why.contains("403")), "{outcome:?}");
        // The queue and the state of the key contain the same reason after each try.
        let failure = report.verdict().map(|failure| (failure.class, failure.text));
        let text = "protection main: f0: 403 Resource not accessible".to_owned();
        assert_eq!(failure, Some((Class::Rejected, text)));
    }
    assert_eq!(world.writes(), 1);
    world.run(Lane::Event, Risk::Removes, 1).await;
    assert_eq!(world.writes(), 2, "an event tries it again");
    world.generation = "g2".into();
    world.run(Lane::Sweep, Risk::Removes, 1).await;
    assert_eq!(world.writes(), 3, "another policy tries it again");
    world.clock.jump(7 * 24 * 3_600_000);
    world.run(Lane::Sweep, Risk::Removes, 1).await;
    assert_eq!(world.writes(), 4, "a permission that was granted is noticed");
    let bookings = world.store.bookings(Time(0)).await.unwrap();
    assert!(bookings.iter().all(|booking| booking.state == Spent::Refused), "{bookings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_forgotten_when_the_drift_is_repaired_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let world =
        World::new(folder.path(), || Err(Failure::new(Class::Rejected, "403 Resource not accessible")));
    world.run(Lane::Event, Risk::Changes, 1).await;
    world.run(Lane::Sweep, Risk::Changes, 1).await;
    assert_eq!(world.writes(), 1, "the sweep does not send it again");
    assert_eq!(world.store.notes("refused:").await.unwrap().len(), 1);
    // Somebody repairs the drift, so the next plan has no changes.
    world.run(Lane::Sweep, Risk::Changes, 0).await;
    assert!(world.store.notes("refused:").await.unwrap().is_empty());
    world.run(Lane::Sweep, Risk::Changes, 1).await;
    assert_eq!(world.writes(), 2, "the same drift later is a new one");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_a_run_did_not_reach_keeps_its_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let mut world =
        World::new(folder.path(), || Err(Failure::new(Class::Rejected, "403 Resource not accessible")));
    world.run(Lane::Sweep, Risk::Changes, 2).await;
    assert_eq!(world.writes(), 2);
    let until = world.clock.now() + Duration::from_secs(60);
    let class = Class::RateLimited { until, spares_events: false };
    world.vendor.answer = Arc::new(move || Err(Failure::new(class, "the budget is used up")));
    let report = world.run(Lane::Event, Risk::Changes, 2).await;
    assert_eq!(report.count(|result| *result == StepResult::NotReached), 1, "the run ends");
    let sent = world.writes();
    world.run(Lane::Sweep, Risk::Changes, 2).await;
    assert_eq!(world.writes(), sent, "the sweep sends neither of them again");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_kind_of_requests_delays_only_the_aspect_that_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    let until = world.clock.now() + Duration::from_secs(3600);
    let class = Class::RateLimited { until, spares_events: false };
    let is_first = Mutex::new(true);
    world.vendor.answer = Arc::new(move || {
        let is_limited = std::mem::take(&mut *is_first.lock());
        let limited = Failure { spares_others: true, ..Failure::new(class, "no more labels in this hour") };
        if is_limited { Err(limited) } else { Ok(()) }
    });
    let mut plan = Plan::new("acme/shop");
    for (aspect, what) in [("labels", "label a"), ("labels", "label b"), ("security", "")] {
        plan.changes.push(Change {
            aspect: aspect.into(),
            what: what.into(),
            fields: Vec::new(),
            mode: Mode::Enforce,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: (),
        });
    }
    let report = world.apply(Lane::Sweep, &plan).await;
    assert_eq!(world.writes(), 2, "{report:?}");
    assert_eq!(report.steps[1].outcome, StepResult::NotReached);
    assert_eq!(report.steps[2].outcome, StepResult::Written);
    assert_eq!(report.failure.map(|failure| failure.class), Some(class), "the labels wait");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_after_a_part_of_it_was_done_stays_spent() {
    for (is_partial, state) in [(false, Spent::Refused), (true, Spent::Unknown)] {
        let folder = tempfile::tempdir().unwrap();
        let refused = move || {
            let failure = Failure::new(Class::Rejected, "422 not this list");
            Err(if is_partial { failure.after_a_part() } else { failure })
        };
        let world = World::new(folder.path(), refused);
        world.run(Lane::Event, Risk::Weakens, 1).await;
        let bookings = world.store.bookings(Time(0)).await.unwrap();
        assert_eq!(bookings.iter().map(|booking| booking.state).collect::<Vec<_>>(), [state]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_sent_keeps_its_approval_and_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let no_token = || Err(Failure { not_sent: true, ..Failure::new(Class::Retry, "the App is suspended") });
    let mut world = World::new(folder.path(), no_token);
    world.limits.removes = 0;
    let report = world.run(Lane::Manual, Risk::Removes, 2).await;
    for step in &report.steps {
        let StepResult::Held { digest, .. } = &step.outcome else { panic!("{report:?}") };
        world.store.approve(digest, "ann", world.clock.now()).await.unwrap().unwrap();
    }
    let report = world.run(Lane::Manual, Risk::Removes, 2).await;
    assert_eq!((world.writes(), world.count(EntryKind::Result).await), (1, 1), "the other one is not tried");
    assert_eq!(report.steps[1].outcome, StepResult::NotReached);
    let holds = world.store.holds().await.unwrap();
    let kept = holds.iter().filter(|hold| hold.approved_by.as_deref() == Some("ann") && !hold.spent);
    assert_eq!(kept.count(), 2, "{holds:?}");
    // The next run needs no further approval.
    world.vendor.answer = Arc::new(|| Ok(()));
    let report = world.run(Lane::Manual, Risk::Removes, 2).await;
    assert_eq!(report.count(|result| *result == StepResult::Written), 2, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn the_next_write_sees_a_pause_and_the_rest_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.vendor.pause_after = Some(2);
    let report = world.run(Lane::Sweep, Risk::Removes, 40).await;
    assert_eq!(world.writes(), 2);
    assert_eq!(report.count(|result| *result == StepResult::Written), 2);
    assert_eq!(report.count(|result| *result == StepResult::NotReached), 38);
    let why = report.verdict().unwrap();
    assert!(why.class == Class::Conflict && why.text.contains("acme is paused until"), "{why}");
    let bookings = world.store.bookings(Time(0)).await.unwrap();
    let in_state = |state: Spent| bookings.iter().filter(|booking| booking.state == state).count();
    assert_eq!((in_state(Spent::Written), in_state(Spent::Refused)), (2, 38));
}

#[tokio::test(start_paused = true)]
async fn no_write_begins_long_after_the_plan_and_the_rest_is_planned_again_at_no_cost() {
    for lane in [Lane::Event, Lane::Manual, Lane::Sweep] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path(), || Ok(()));
        let clock = world.clock.clone();
        world.vendor.answer = Arc::new(move || {
            clock.jump(50_000);
            Ok(())
        });
        let report = world.run(lane, Risk::Removes, 5).await;
        assert_eq!(world.writes(), 3, "after 0, 50 and 100 s");
        assert_eq!(report.count(|result| *result == StepResult::NotReached), 2);
        let failure = report.verdict().unwrap();
        assert!(failure.asks_for_another_plan(world.clock.now()), "{failure}");
        let bookings = world.store.bookings(Time(0)).await.unwrap();
        let refused = bookings.iter().filter(|booking| booking.state == Spent::Refused).count();
        assert_eq!(refused, 2, "the room of the rest is given back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waited_for_longer_than_its_plan_is_valid_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    let clock = world.clock.clone();
    world.vendor.answer = Arc::new(move || {
        clock.jump(3_600_000);
        let class = Class::RateLimited { until: clock.now(), spares_events: true };
        Err(Failure::new(class, "not sent: the plan is too old"))
    });
    let report = world.run(Lane::Sweep, Risk::Removes, 2).await;
    assert_eq!(world.writes(), 1);
    assert_eq!(report.count(|result| *result == StepResult::NotReached), 2);
    let bookings = world.store.bookings(Time(0)).await.unwrap();
    assert!(bookings.iter().all(|booking| booking.state == Spent::Refused), "{bookings:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_outlives_a_waiver_of_the_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.removes = 0;
    let report = world.run(Lane::Sweep, Risk::Removes, 1).await;
    let StepResult::Held { digest, .. } = &report.steps[0].outcome else { panic!("{report:?}") };
    let reject = Decision::reject("bob", Some("the team stays"));
    world.store.decide(digest, &reject, world.clock.now()).await.unwrap().unwrap();
    let mut waived = Plan::new("acme/shop");
    waived.waived.push(Waived {
        key: "branches[main]".into(),
        until: "2030-01-01T00:00:00Z".into(),
        reason: "release".into(),
        owner: "mona".into(),
        asked: None,
    });
    world.apply(Lane::Sweep, &waived).await;
    world.limits.removes = 9;
    let report = world.run(Lane::Sweep, Risk::Removes, 1).await;
    let outcome = &report.steps[0].outcome;
    assert!(
        matches!(outcome, StepResult::Held { why, .. } if why.contains("rejected by bob")),
        "{outcome:?}"
    );
    assert_eq!(world.writes(), 0);
    // The waiver has ended, and there is no difference any more.
    world.run(Lane::Sweep, Risk::Removes, 0).await;
    assert!(world.store.holds().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_value_stays_held_in_another_change_and_while_the_repository_is_archived() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.removes = 0;
    let report = world.run(Lane::Sweep, Risk::Removes, 1).await;
    let StepResult::Held { digest, .. } = &report.steps[0].outcome else { panic!("{report:?}") };
    let reject = Decision::reject("bob", Some("dan stays"));
    world.store.decide(digest, &reject, world.clock.now()).await.unwrap().unwrap();
    world.limits.removes = 9;
    let archived = Plan { skipped: Some(ARCHIVED.to_owned()), ..Plan::new("acme/shop") };
    world.apply(Lane::Sweep, &archived).await;
    let field = |name: &str, before: u32| Field {
        name: name.into(),
        before: json!(before),
        after: json!(2),
        asked: None,
        risk: Risk::Removes,
    };
    let held = |report: &Report| match &report.steps[0].outcome {
        StepResult::Held { why, .. } => why.contains("rejected by bob: dan stays"),
        _ => false,
    };
    // The rejected value is in a larger change, has another earlier value, and affects more
    // repositories.
    for (fields, reaches) in
        [(vec![field("f0", 1), field("f1", 1)], 1), (vec![field("f0", 7)], 1), (vec![field("f0", 1)], 3)]
    {
        let mut plan = Plan::new("acme/shop");
        let change = beadle_engine::testing::change("protection", "main", &[]);
        plan.changes.push(Change { fields, reaches, ..change });
        let report = world.apply(Lane::Sweep, &plan).await;
        assert!(held(&report), "{report:?}");
    }
    assert!(held(&world.run(Lane::Sweep, Risk::Removes, 1).await));
    assert_eq!(world.writes(), 0);
    // A repair that only adds sets the same value, and is written.
    assert!(!held(&world.run(Lane::Sweep, Risk::Adds, 1).await));
    assert_eq!(world.writes(), 1);
    assert!(held(&world.run(Lane::Sweep, Risk::Removes, 1).await), "the rejection is still in force");
    world.run(Lane::Sweep, Risk::Removes, 0).await;
    assert!(world.store.holds().await.unwrap().is_empty());
}

/// Makes the store refuse the results of writes, as if the process had ended before the result.
fn refuse_results(folder: &Path) {
    let connection = rusqlite::Connection::open(folder.join("b.db")).unwrap();
    let trigger = "CREATE TRIGGER killed BEFORE INSERT ON journal WHEN NEW.kind = 'result'
                   BEGIN SELECT RAISE(ABORT, 'killed'); END";
    connection.execute_batch(trigger).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_guard_knows_the_end_of_a_write_whose_result_is_not_in_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.removes = 0;
    let report = world.run(Lane::Sweep, Risk::Removes, 1).await;
    let StepResult::Held { digest, .. } = &report.steps[0].outcome else { panic!("{report:?}") };
    world.store.approve(digest, "ann", world.clock.now()).await.unwrap().unwrap();
    refuse_results(folder.path());
    world.run(Lane::Sweep, Risk::Removes, 1).await;
    assert_eq!(world.writes(), 1);
    assert_eq!(world.count(EntryKind::Result).await, 0);
    assert_eq!(world.store.open_intents().await.unwrap().len(), 1, "the next start looks at it");
    assert!(world.store.holds().await.unwrap().is_empty(), "the approval is used up");
    // If the same drift appears later, the drift is a new change, and the guard has room for this
    // change.
    world.limits.removes = 1;
    world.run(Lane::Event, Risk::Removes, 1).await;
    assert_eq!(world.writes(), 2);
    let entries = world.store.entries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
    let approver = |entry: &Entry| match &entry.detail {
        Detail::Change(intended) => Some(intended.approved_by.clone()),
        _ => None,
    };
    let approvers: Vec<Option<String>> = entries.iter().filter_map(approver).collect();
    assert_eq!(approvers, [Some("ann".to_owned()), None], "only the first write needed an approval");

    let folder = tempfile::tempdir().unwrap();
    let world = World::new(folder.path(), || Err(Failure::new(Class::Rejected, "403")));
    refuse_results(folder.path());
    world.run(Lane::Event, Risk::Removes, 1).await;
    let bookings = world.store.bookings(Time(0)).await.unwrap();
    assert_eq!(bookings.iter().map(|booking| booking.state).collect::<Vec<_>>(), [Spent::Refused]);
}

#[tokio::test(start_paused = true)]
async fn the_hold_of_an_undo_stays_while_only_the_policy_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.removes = 0;
    world.generation = format!("{UNDO_GENERATION}7");
    world.run(Lane::Manual, Risk::Removes, 1).await;
    assert_eq!(world.store.holds().await.unwrap().len(), 1);
    world.generation = "g".into();
    world.run(Lane::Event, Risk::Removes, 0).await;
    assert_eq!(world.store.holds().await.unwrap().len(), 1, "the policy never plans this change");
    world.generation = format!("{UNDO_GENERATION}8");
    world.run(Lane::Manual, Risk::Removes, 0).await;
    assert!(world.store.holds().await.unwrap().is_empty());
    assert_eq!(world.writes(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_approval_that_ended_because_the_plan_changed_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path(), || Ok(()));
    world.limits.removes = 0;
    let plan = |before: u8| {
        let mut change = testing::change("teams", "team a", &[Risk::Removes]);
        change.fields[0].before = json!(before);
        Plan { changes: vec![change], ..Plan::new("acme/shop") }
    };
    let report = world.apply(Lane::Sweep, &plan(1)).await;
    let StepResult::Held { digest, .. } = &report.steps[0].outcome else { panic!("{report:?}") };
    let approved = world.clock.now();
    world.store.approve(digest, "ann", approved).await.unwrap().unwrap();
    let action =
        OperatorAction::Approved { approved: digest.clone(), by: "ann".into(), reason: None, group: None };
    let entry = Entry::of_operator(action, ("repository:acme:1", "acme/shop"), approved);
    world.store.journal(None, vec![entry], approved).await.unwrap();
    world.clock.sleep(Duration::from_secs(60)).await;
    // Somebody changed the value that the operator saw.
    world.apply(Lane::Sweep, &plan(2)).await;
    let holds = world.store.holds().await.unwrap();
    let found = VoidApproval::of(world.store.as_ref(), &holds).await.unwrap();
    let [Some(void)] = found.as_slice() else { panic!("{found:?} of {holds:?}") };
    assert_eq!((void.by.as_str(), void.approved), ("ann", Some(approved)));
    assert_eq!(void.since, holds[0].since);
    assert_eq!(world.writes(), 0);
    // A decision about the new change replaces the old approval.
    world.store.approve(&holds[0].digest, "bob", world.clock.now()).await.unwrap().unwrap();
    let holds = world.store.holds().await.unwrap();
    assert_eq!(VoidApproval::of(world.store.as_ref(), &holds).await.unwrap(), [None]);
}
