//! A simulated vendor, the policies that declare its values, and the planner and the writer of one
//! process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{
    Change, Class, Clock, Failure, Field, Key, Lane, Mode, Plan, PlanWriter, Planner, Risk, Session, Turn,
    Unknown,
};

use crate::dice::Dice;
use crate::promises::Promise;
use crate::sabotage::Sabotage;
use crate::settings::{INSTANCES, KEYS};
use crate::world::{World, wait};

/// The values of a repository, each with its aspect.
pub(crate) const FIELDS: [(&str, &str); 6] = [
    ("description", "settings"),
    ("team-a", "teams"),
    ("team-b", "teams"),
    ("reviews", "protection"),
    ("visibility", "visibility"),
    ("owner", "owner"),
];
/// The number of possible values of a field. The smallest value is 0.
pub(crate) const VALUES: u64 = 3;

/// The values of one repository. A missing value is 0.
pub(crate) type Values = BTreeMap<&'static str, u64>;

pub(crate) fn keys() -> Vec<Key> {
    let of = |instance: &&str| (0..KEYS).map(|n| Key::new("repository", instance, n)).collect::<Vec<_>>();
    INSTANCES.iter().flat_map(of).collect()
}

pub(crate) fn value(values: &Values, field: &str) -> u64 {
    values.get(field).copied().unwrap_or_default()
}

/// One accepted version of the policy.
#[derive(Clone)]
pub(crate) struct Generation {
    pub(crate) mode: Mode,
    pub(crate) declared: BTreeMap<Key, Values>,
}

/// The name of a generation.
pub(crate) fn generation(number: usize) -> String {
    format!("g{number}")
}

fn risk(field: &str, before: u64, after: u64) -> Risk {
    match field {
        "team-a" | "team-b" if before == 0 => Risk::Adds,
        "team-a" | "team-b" if after == 0 => Risk::Removes,
        "reviews" if after < before => Risk::Weakens,
        "visibility" if after > before => Risk::Exposes,
        _ => Risk::Changes,
    }
}

/// The values at the vendor, and the policies in the order of their commits.
pub(crate) struct Vendor {
    pub(crate) values: BTreeMap<Key, Values>,
    pub(crate) generations: Vec<Generation>,
    /// The keys with changed values. The vendor has not sent a delivery about these keys yet.
    pub(crate) outbox: Vec<Key>,
    /// The number of values that Beadle wrote.
    pub(crate) writes: u64,
}

impl Vendor {
    pub(crate) fn new() -> Self {
        let first = Generation { mode: Mode::Enforce, declared: BTreeMap::new() };
        Self { values: BTreeMap::new(), generations: vec![first], outbox: Vec::new(), writes: 0 }
    }

    pub(crate) fn set(&mut self, key: &Key, field: &'static str, value: u64) {
        self.values.entry(key.clone()).or_default().insert(field, value);
        self.outbox.push(key.clone());
    }

    /// Commits another policy, with random values.
    pub(crate) fn declare(&mut self, mode: Mode, mut dice: Dice) {
        let last = self.generations.last().map(|last| last.declared.clone());
        let mut declared = last.unwrap_or_default();
        for key in keys() {
            for (field, _) in FIELDS {
                if dice.happens(300) {
                    declared.entry(key.clone()).or_default().insert(field, dice.below(VALUES));
                }
            }
        }
        self.generations.push(Generation { mode, declared });
    }

    /// Returns the changes that a policy asks for.
    pub(crate) fn changes(&self, number: usize, key: &Key, observed: &Values) -> Vec<Change<Instruction>> {
        let Generation { mode, declared } = &self.generations[number];
        let none = Values::new();
        let declared = declared.get(key).unwrap_or(&none);
        let mut changes = Vec::new();
        for (field, aspect) in FIELDS {
            let (before, after) = (value(observed, field), value(declared, field));
            if before == after {
                continue;
            }
            let needs_one = (field == "owner").then(|| "a new owner needs an approval".to_owned());
            changes.push(Change {
                aspect: aspect.into(),
                what: field.into(),
                fields: vec![Field {
                    name: field.into(),
                    before: before.into(),
                    after: after.into(),
                    asked: None,
                    risk: risk(field, before, after),
                }],
                mode: *mode,
                after: Vec::new(),
                stop: needs_one,
                undone: false,
                reaches: 1,
                write: Instruction { field, value: after, generation: number, is_doubtful: false },
            });
        }
        changes
    }
}

/// The instructions for the write of one change.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    field: &'static str,
    value: u64,
    generation: usize,
    /// True if the planner could not read the aspect completely.
    is_doubtful: bool,
}

/// The planner of one process.
pub(crate) struct Desk {
    pub(crate) world: Arc<World>,
    pub(crate) clock: Clock,
    /// The number of the generation that is in force in this process.
    pub(crate) in_force: Arc<AtomicUsize>,
}

impl Desk {
    fn failure(&self, kind: usize) -> Failure {
        let until = self.clock.now() + Duration::from_secs(40);
        match kind {
            0 => Failure::new(Class::RateLimited { until, spares_events: true }, "limit of sweeps"),
            1 => Failure::new(Class::RateLimited { until, spares_events: false }, "limit"),
            2 => Failure::new(Class::Rejected, "403"),
            _ => Failure::new(Class::Retry, "503"),
        }
    }
}

#[async_trait]
impl Planner for Desk {
    type Write = Instruction;

    async fn plan(&self, key: &Key, _: Option<&str>, _: Lane) -> Result<Plan<Instruction>, Failure> {
        let number = self.in_force.load(Ordering::SeqCst);
        let (before, after, fault) = {
            let mut state = self.world.lock();
            let rate = state.faults.vendor;
            let is_slow = state.dice.happens(rate / 4);
            let slow = if is_slow { 100_000 } else { 1_000 };
            let (before, after) = (state.dice.below(slow), state.dice.below(slow));
            let fault = state.dice.happens(rate).then(|| state.dice.at(8));
            (Duration::from_millis(before), Duration::from_millis(after), fault)
        };
        wait(before).await;
        let mut observed = {
            let state = self.world.lock();
            state.vendor.values.get(key).cloned().unwrap_or_default()
        };
        wait(after).await;
        let is_doubtful = match fault {
            Some(kind @ 0..4) => return Err(self.failure(kind)),
            Some(_) => true,
            None => false,
        };
        if is_doubtful {
            // The observed list of teams lacks a row.
            observed.remove("team-b");
        }
        let mut plan = Plan::new(key.as_str());
        plan.generation = generation(number);
        let state = self.world.lock();
        plan.changes = state.vendor.changes(number, key, &observed);
        for change in &mut plan.changes {
            change.write.is_doubtful = is_doubtful;
            if state.is_sabotaged(Sabotage::ModeIgnored) {
                change.mode = Mode::Enforce;
            }
        }
        if is_doubtful && !state.is_sabotaged(Sabotage::DoubtNotReported) {
            let why = "the list is too short".to_owned();
            plan.unknowns.push(Unknown { aspect: "teams".into(), part: None, why, transient: true });
        }
        Ok(plan)
    }
}

/// The writer of one process.
pub(crate) struct Hand {
    pub(crate) world: Arc<World>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl PlanWriter<Instruction> for Hand {
    async fn open(
        &self,
        key: &Key,
        _: &Plan<Instruction>,
        _: beadle_engine::Time,
        _: Lane,
    ) -> Result<Box<dyn Session<Instruction>>, Failure> {
        let fails = {
            let mut state = self.world.lock();
            let rate = state.faults.vendor / 4;
            state.dice.happens(rate)
        };
        if fails {
            return Err(Failure::new(Class::Retry, "the name cannot be resolved"));
        }
        Ok(Box::new(Pen { world: self.world.clone(), clock: self.clock.clone(), key: key.clone() }))
    }

    fn turn(&self, change: &Change<Instruction>) -> Turn {
        let track = FIELDS.iter().position(|(field, _)| *field == change.write.field).unwrap_or_default();
        Turn { stage: 0, track: u32::try_from(track).unwrap_or_default() }
    }
}

/// The writer of one run.
struct Pen {
    world: Arc<World>,
    clock: Clock,
    key: Key,
}

/// What the vendor does with a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reply {
    Written,
    WrittenAndLost,
    Lost,
    Refused,
    Limited,
}

#[async_trait]
impl Session<Instruction> for Pen {
    async fn write(&self, change: &Change<Instruction>) -> Result<(), Failure> {
        let Instruction { field, value, generation, is_doubtful } = change.write.clone();
        let key = self.key.clone();
        let at = self.world.now();
        let (allowed, reply, arrives, returns) = {
            let mut state = self.world.lock();
            let crate::world::State { model, promises, vendor, dice, faults, .. } = &mut *state;
            let described = change.describe();
            let allowed = promises.sent(&key, &described, &model.journal);
            let risks = change.risks();
            let mode = vendor.generations[generation].mode;
            let guarded = risks.removes + risks.weakens + risks.exposes;
            // The witness has its own rule for modes, and does not ask the engine.
            let may_write = mode == Mode::Enforce || (mode == Mode::AddOnly && guarded == 0);
            promises.break_if(!may_write, Promise::Mode, || {
                format!("{field} of {key} was written in the mode {mode}")
            });
            promises.break_if(is_doubtful && risks.removes > 0, Promise::Doubt, || {
                format!("{field} of {key} was removed, and the list was too short")
            });
            let reply = match (dice.happens(faults.vendor), dice.below(5)) {
                (false, _) => Reply::Written,
                (true, 0) => Reply::Lost,
                (true, 1) => Reply::Refused,
                (true, 2) => Reply::Limited,
                (true, _) => Reply::WrittenAndLost,
            };
            let slow = if dice.happens(faults.vendor / 8) { 120_000 } else { 300 };
            let (arrives, returns) = (dice.below(slow), dice.below(slow));
            state.say(at, || format!("write of {key} {field} = {value}"));
            (allowed, reply, Duration::from_millis(arrives), Duration::from_millis(returns))
        };
        if matches!(reply, Reply::Written | Reply::WrittenAndLost) {
            // A sent request arrives, even if the process that sent it is killed.
            let world = self.world.clone();
            tokio::spawn(async move {
                wait(arrives).await;
                let now = world.now();
                let mut state = world.lock();
                state.vendor.set(&key, field, value);
                state.vendor.writes += 1;
                state.say(now, || format!("{key} {field} is {value}"));
                if let Some(allowed) = allowed {
                    state.promises.landed(&key, allowed);
                }
            });
        }
        wait(arrives + returns).await;
        // The effect comes before the answer.
        tokio::task::yield_now().await;
        let until = self.clock.now() + Duration::from_secs(20);
        match reply {
            Reply::Written => Ok(()),
            Reply::WrittenAndLost | Reply::Lost => Err(Failure::new(Class::Retry, "the answer was lost")),
            Reply::Refused => Err(Failure::new(Class::Rejected, "422")),
            Reply::Limited => {
                Err(Failure::new(Class::RateLimited { until, spares_events: false }, "secondary limit"))
            }
        }
    }
}
