//! Checks two things. The guard learns the end of a write even if the store fails at that moment.
//! No write begins if the store answers too late.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    ApplyContext, Change, Clock, Failure, Field, Key, Lane, Limits, Mark, Mode, Plan, PlanWriter, Remembered,
    Report, Risk, Session, Spent, StepResult, Store, Time, Timing, WritePace, apply,
};
use parking_lot::Mutex;

use crate::line::Line;
use crate::scenario::Scenario;
use crate::settings::{LIMITS, START};
use crate::world::{Faults, World, wait};

/// A vendor that accepts each write, and at the same time makes the store fail for a moment.
struct Vendor(Arc<World>);

#[async_trait]
impl PlanWriter<()> for Vendor {
    async fn open(&self, _: &Key, _: &Plan<()>, _: Time, _: Lane) -> Result<Box<dyn Session<()>>, Failure> {
        Ok(Box::new(Self(self.0.clone())))
    }
}

#[async_trait]
impl Session<()> for Vendor {
    async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
        let world = self.0.clone();
        world.lock().faults.fails = 1000;
        tokio::spawn(async move {
            wait(Duration::from_millis(50)).await;
            world.lock().faults = Faults::default();
        });
        Ok(())
    }
}

fn removal() -> Plan<()> {
    let field = Field {
        name: "permission".into(),
        before: "admin".into(),
        after: serde_json::Value::Null,
        asked: None,
        risk: Risk::Removes,
    };
    let change = Change {
        aspect: "teams".into(),
        what: "team a".into(),
        fields: vec![field],
        mode: Mode::Enforce,
        after: Vec::new(),
        stop: None,
        undone: false,
        reaches: 1,
        write: (),
    };
    Plan { changes: vec![change], ..Plan::new("acme/shop") }
}

async fn run(world: &Arc<World>, store: &Arc<dyn Store>, clock: &Clock) -> Report {
    let context = ApplyContext {
        store: store.clone(),
        clock: clock.clone(),
        lease: None,
        lane: Lane::Manual,
        limits: Limits { removes: 0, ..LIMITS },
        pace: WritePace::new(Duration::ZERO),
        patient: false,
        generation: "g".into(),
        planned: clock.now(),
    };
    let key = Key::new("repository", "acme", 1);
    let remembered = Remembered::read(&key, &context).await.unwrap();
    apply(&key, &removal(), &Vendor(world.clone()), &context, remembered, &|_, _| {}).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_approval_ends_with_its_write_although_the_store_fails_at_that_moment() {
    let world = World::new(&Scenario { faults: Faults::default(), ..Scenario::new(0) }, None, false);
    let line = Line { world: world.clone(), process: 0, timing: Timing::default() };
    let (store, clock) = (Arc::new(line) as Arc<dyn Store>, Clock::simulated(Time(START)));
    let held = run(&world, &store, &clock).await;
    assert!(matches!(held.steps[0].outcome, StepResult::Held { .. }), "{held:?}");
    let digest = store.holds().await.unwrap()[0].digest.clone();
    store.approve(&digest, "ann", clock.now()).await.unwrap();
    let written = run(&world, &store, &clock).await;
    assert_eq!(written.steps[0].outcome, StepResult::Written);
    assert!(store.holds().await.unwrap().is_empty(), "the approval is used up");
}

/// A vendor that accepts each write. After the writer is opened, each call of the store takes long.
#[derive(Clone)]
struct Slow {
    world: Arc<World>,
    clock: Clock,
    opened: Time,
    /// The time from the opening of the writer to the write.
    sent: Arc<Mutex<Option<Duration>>>,
}

#[async_trait]
impl PlanWriter<()> for Slow {
    async fn open(&self, _: &Key, _: &Plan<()>, _: Time, _: Lane) -> Result<Box<dyn Session<()>>, Failure> {
        self.world.lock().faults.hangs = 1000;
        Ok(Box::new(Self { opened: self.clock.now(), ..self.clone() }))
    }
}

#[async_trait]
impl Session<()> for Slow {
    async fn write(&self, _: &Change<()>) -> Result<(), Failure> {
        *self.sent.lock() = Some(self.clock.now().since(self.opened));
        self.world.lock().faults = Faults::default();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_store_allowed_too_late_is_not_sent() {
    let (mut in_time, mut late) = (0, 0);
    for seed in 0..30 {
        let world = World::new(&Scenario { faults: Faults::default(), ..Scenario::new(seed) }, None, false);
        let line = Line { world: world.clone(), process: 0, timing: Timing::default() };
        let (store, clock) = (Arc::new(line) as Arc<dyn Store>, Clock::simulated(Time(START)));
        let key = Key::new("repository", "acme", 1);
        store.mark(vec![Mark::new(key.clone(), Lane::Event)], clock.now()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let claim = store.claim(1, clock.now()).await.unwrap().remove(0);
        let context = ApplyContext {
            store: store.clone(),
            clock: clock.clone(),
            lease: Some(claim.lease),
            lane: Lane::Event,
            limits: Limits { removes: 50, ..LIMITS },
            pace: WritePace::new(Duration::ZERO),
            patient: false,
            generation: "g".into(),
            planned: clock.now(),
        };
        let sent = Arc::default();
        let vendor = Slow { world: world.clone(), clock: clock.clone(), opened: Time(0), sent };
        let remembered = Remembered::read(&key, &context).await.unwrap();
        let report = apply(&key, &removal(), &vendor, &context, remembered, &|_, _| {}).await.unwrap();
        world.lock().faults = Faults::default();
        let sent = *vendor.sent.lock();
        let state = store.bookings(Time(0)).await.unwrap()[0].state;
        if let Some(after) = sent {
            in_time += 1;
            assert!(after < Timing::default().lease, "another worker can have the key after {after:?}");
            assert_eq!((&report.steps[0].outcome, state), (&StepResult::Written, Spent::Written));
        } else {
            late += 1;
            assert_eq!((&report.steps[0].outcome, state), (&StepResult::NotReached, Spent::Refused));
        }
    }
    assert!(in_time > 0 && late > 0, "{in_time} {late}");
}
