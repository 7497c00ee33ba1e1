//! Everything outside the processes: the stored data, the vendor, the faults, and the witness.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Mark, Time};
use parking_lot::{Mutex, MutexGuard};

use crate::dice::Dice;
use crate::model::Model;
use crate::promises::Promises;
use crate::sabotage::Sabotage;
use crate::scenario::Scenario;
use crate::vendor::Vendor;

/// How often each kind of fault happens in 1000 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The store fails before it does anything.
    pub(crate) fails: u64,
    /// The store does its work, and the answer is lost.
    pub(crate) lost: u64,
    /// The store does its work twice, because a layer below the call retried it.
    pub(crate) doubled: u64,
    /// The store takes a long time, before or after its work.
    pub(crate) hangs: u64,
    /// A read or a write at the vendor fails.
    pub(crate) vendor: u64,
    /// Deliveries do not arrive, or arrive twice.
    pub(crate) deliveries: u64,
}

/// What happens to a call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    FailsBefore,
    AnswerLost,
    Doubled,
}

/// What happens to a call of the store, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoreCall {
    pub(crate) fate: Fate,
    pub(crate) before: Duration,
    pub(crate) after: Duration,
}

/// The state of the world. One lock guards it, so that each access is one transaction.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) promises: Promises,
    pub(crate) vendor: Vendor,
    pub(crate) dice: Dice,
    pub(crate) faults: Faults,
    /// What happened, for the report of a broken promise.
    trace: Option<Vec<String>>,
}

impl State {
    /// Decides what happens to a call of the store.
    pub(crate) fn store_call(&mut self, may_double: bool) -> StoreCall {
        let Faults { fails, lost, doubled, hangs, .. } = self.faults;
        let fate = if self.dice.happens(fails) {
            Fate::FailsBefore
        } else if self.dice.happens(lost) {
            Fate::AnswerLost
        } else if may_double && self.dice.happens(doubled) {
            Fate::Doubled
        } else {
            Fate::Works
        };
        let (mut before, mut after) = (self.dice.below(3), 0_u64);
        if self.dice.happens(hangs) {
            // Some waits are longer than a lease (one minute) or a run (five minutes).
            let wait = [500, 5_000, 30_000, 90_000, 400_000][self.dice.at(5)];
            if self.dice.happens(500) {
                before += wait;
            } else {
                after += wait;
            }
        }
        StoreCall { fate, before: Duration::from_millis(before), after: Duration::from_millis(after) }
    }

    /// Tells the witness about stored marks.
    pub(crate) fn marked(&mut self, marks: &[Mark]) {
        let Self { model, promises, .. } = self;
        promises.marked(marks, |key| model.rows.get(key).cloned());
    }

    pub(crate) fn is_sabotaged(&self, by: Sabotage) -> bool {
        self.model.is_sabotaged(by)
    }

    /// Adds a line to the report of events, if somebody wants a report.
    pub(crate) fn say(&mut self, at: Time, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9} {}", at.0, what()));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        self.trace.take().unwrap_or_default()
    }
}

pub(crate) struct World {
    state: Mutex<State>,
    /// The true time, which no process knows.
    clock: Clock,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, sabotage: Option<Sabotage>, is_traced: bool) -> Arc<Self> {
        let state = State {
            model: Model { sabotage, ..Model::default() },
            promises: Promises::new(scenario.is_share_limited),
            vendor: Vendor::new(),
            dice: Dice::new(scenario.seed ^ 0x5EED),
            faults: scenario.faults,
            trace: is_traced.then(Vec::new),
        };
        Arc::new(Self { state: Mutex::new(state), clock: Clock::simulated(Time(0)) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }
}

/// Sleeps if the duration is not zero.
pub(crate) async fn wait(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
