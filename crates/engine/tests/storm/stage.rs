//! Runs one storm: carries out its steps, lets the world become calm, and asks the witness.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::guard::Decision;
use beadle_engine::{Change, Clock, Delivery, Key, Lane, Limits, Mark, Time};

use crate::dice::Dice;
use crate::process::Process;
use crate::promises::{Broken, Promise};
use crate::sabotage::Sabotage;
use crate::scenario::{Act, Scenario};
use crate::settings::{INSTANCES, LIMITS, PROCESSES, START, with_share};
use crate::vendor::{FIELDS, Instruction, Values, keys};
use crate::world::{Faults, World, wait};

/// Every key must become as declared within this number of minutes after the last fault. The clocks
/// can differ by 20 minutes, and a contested change might have to wait for an hour.
const ROUNDS: u32 = 150;

/// The result of a storm.
#[derive(Default)]
pub(crate) struct Weathered {
    pub(crate) broken: Option<Broken>,
    /// The events of the storm, if the caller asked for the events.
    pub(crate) trace: Vec<String>,
    /// The number of values that Beadle wrote.
    pub(crate) writes: u64,
}

struct Stage {
    world: Arc<World>,
    processes: [Option<Process>; PROCESSES],
    clocks: [Clock; PROCESSES],
    /// How far each clock is ahead of the true time, in milliseconds.
    ahead: [u64; PROCESSES],
    limits: Limits,
    pace: Duration,
    are_runs_shared: bool,
    deliveries: u64,
}

/// Runs a storm in simulated time.
pub(crate) fn weather(scenario: &Scenario, sabotage: Option<Sabotage>, is_traced: bool) -> Weathered {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    // `select!` chooses at random between branches that are ready. `cargo xtask storm` builds tokio
    // so that the seed also decides this choice.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&scenario.seed.to_be_bytes()));
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let world = World::new(scenario, sabotage, is_traced);
        let mut stage = Stage::new(&world, scenario);
        let broken = stage.run(scenario).await;
        let mut state = world.lock();
        Weathered { broken, trace: state.take_trace(), writes: state.vendor.writes }
    })
}

fn milliseconds(ahead: u64) -> i64 {
    i64::try_from(ahead).unwrap_or_default()
}

impl Stage {
    fn new(world: &Arc<World>, scenario: &Scenario) -> Self {
        let limits = Limits { repeats: scenario.repeats, ..LIMITS };
        let has_share = scenario.is_share_limited && !world.lock().is_sabotaged(Sabotage::ShareIgnored);
        let clocks = scenario.ahead.map(|ahead| Clock::simulated(Time(START + milliseconds(ahead))));
        let mut stage = Self {
            world: world.clone(),
            processes: [const { None }; PROCESSES],
            clocks,
            ahead: scenario.ahead,
            limits: if has_share { with_share(limits) } else { limits },
            pace: Duration::from_millis(scenario.pace),
            are_runs_shared: scenario.are_runs_shared,
            deliveries: 0,
        };
        // The last process does not start here, but in a step of the storm.
        for process in 0..PROCESSES - 1 {
            stage.start(process);
        }
        stage
    }

    fn start(&mut self, process: usize) {
        if self.processes[process].is_none() {
            let settings = (self.limits, self.pace, self.are_runs_shared);
            let started = Process::start(&self.world, process, &self.clocks[process], settings);
            self.processes[process] = Some(started);
        }
    }

    fn broken(&self) -> Option<Broken> {
        self.world.lock().promises.broken.clone()
    }

    async fn run(&mut self, scenario: &Scenario) -> Option<Broken> {
        for step in &scenario.steps {
            wait(Duration::from_millis(step.after)).await;
            let now = self.world.now();
            self.world.lock().say(now, || format!("{:?}", step.act));
            self.act(&step.act).await;
            self.send();
            if let Some(broken) = self.broken() {
                return Some(broken);
            }
        }
        self.calm().await
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Drift { key, field, value } => {
                self.world.lock().vendor.set(&keys()[key], FIELDS[field].0, value);
            }
            Act::Declare { values, mode } => self.world.lock().vendor.declare(mode, Dice::new(values)),
            Act::Kill { process } => {
                if let Some(process) = self.processes[process].take() {
                    process.kill().await;
                }
            }
            Act::Stop { process } => {
                if let Some(process) = self.processes[process].take() {
                    process.stop().await;
                }
            }
            Act::Start { process } => self.start(process),
            Act::Jump { process, ahead } => {
                self.clocks[process].jump(milliseconds(ahead) - milliseconds(self.ahead[process]));
                self.ahead[process] = ahead;
            }
            Act::Pause { instance, seconds } => {
                if let Some(process) = self.any() {
                    let until = process.clock.now() + Duration::from_secs(seconds);
                    let store = process.store.clone();
                    tokio::spawn(async move { store.pause(INSTANCES[instance], until).await });
                }
            }
            Act::Resume { instance } => {
                if let Some(process) = self.any() {
                    let store = process.store.clone();
                    tokio::spawn(async move { store.resume(INSTANCES[instance]).await });
                }
            }
            Act::Approve { nth } => self.decide(nth, &Decision::approve("ann", None)),
            Act::Reject { nth } => self.decide(nth, &Decision::reject("bob", None)),
            Act::Event { key } => self.world.lock().vendor.outbox.push(keys()[key].clone()),
        }
    }

    /// Returns a process that runs, if there is one.
    fn any(&self) -> Option<&Process> {
        let running: Vec<&Process> = self.processes.iter().flatten().collect();
        if running.is_empty() {
            return None;
        }
        let at = self.world.lock().dice.at(running.len());
        Some(running[at])
    }

    /// Lets an operator decide about one of the held changes.
    fn decide(&self, nth: usize, decision: &Decision) {
        let Some(process) = self.any() else { return };
        let holds = self.world.lock().model.list_holds();
        if holds.is_empty() {
            return;
        }
        let hold = &holds[nth % holds.len()];
        let (digest, decision) = (hold.digest.clone(), decision.seeing(hold));
        let (store, now, bell) = (process.store.clone(), process.clock.now(), process.bell.clone());
        tokio::spawn(async move {
            let _ = store.decide(&digest, &decision, now).await; // the operator sees the error
            bell.notify_one();
        });
    }

    /// Sends the deliveries of the vendor. Each delivery can arrive late, twice or never.
    fn send(&mut self) {
        let sent = std::mem::take(&mut self.world.lock().vendor.outbox);
        for key in sent {
            let Some(process) = self.any() else { return };
            let (store, clock, bell) = (process.store.clone(), process.clock.clone(), process.bell.clone());
            self.deliveries += 1;
            let id = format!("d{}", self.deliveries);
            let (copies, latest) = {
                let mut state = self.world.lock();
                let rate = state.faults.deliveries;
                let copies = if state.dice.happens(rate) { 2 * state.dice.below(2) } else { 1 };
                (copies, if rate > 0 { 5_000 } else { 100 })
            };
            for _ in 0..copies {
                let late = Duration::from_millis(self.world.lock().dice.below(latest));
                let (store, clock, bell) = (store.clone(), clock.clone(), bell.clone());
                let (id, key) = (id.clone(), key.clone());
                tokio::spawn(async move {
                    wait(late).await;
                    // The vendor retries a delivery if Beadle does not accept it.
                    for _ in 0..3 {
                        let delivery = delivery(&id, &key, clock.now());
                        let marks = vec![Mark::new(key.clone(), Lane::Event)];
                        if store.accept(delivery, marks).await.is_ok() {
                            bell.notify_one();
                            return;
                        }
                        wait(Duration::from_secs(1)).await;
                    }
                });
            }
        }
    }

    /// Ends all faults, and waits until every key is as declared.
    async fn calm(&mut self) -> Option<Broken> {
        {
            let now = self.world.now();
            let mut state = self.world.lock();
            state.faults = Faults::default();
            state.model.pauses.clear();
            state.say(now, || "the faults end".to_owned());
        }
        for process in 0..PROCESSES {
            self.start(process);
        }
        for round in 0..ROUNDS {
            if round % 5 == 0 {
                self.world.lock().vendor.outbox.extend(keys());
            }
            self.send();
            wait(Duration::from_secs(60)).await;
            let open = {
                let state = self.world.lock();
                let holds = state.model.list_holds();
                holds.iter().filter(|hold| hold.is_open()).map(|hold| hold.digest.clone()).collect::<Vec<_>>()
            };
            for digest in open {
                if let Some(process) = &self.processes[0] {
                    let decision = Decision::approve("ann", None);
                    let _ = process.store.decide(&digest, &decision, process.clock.now()).await; // no faults
                    process.bell.notify_one();
                }
            }
            if let Some(broken) = self.broken() {
                return Some(broken);
            }
            if self.left().is_empty() {
                return None;
            }
        }
        let left = self.left();
        let rows = self.world.lock().model.list(u32::MAX);
        let what = format!("{}\nqueue {rows:#?}", left.join("\n"));
        Some(Broken { promise: Promise::Converges, what })
    }

    /// Returns the values that are not as declared. Leaves out values that a mode or a rejection
    /// stops.
    fn left(&self) -> Vec<String> {
        let state = self.world.lock();
        let uncovered = state.promises.uncovered().into_iter();
        let mut left: Vec<String> =
            uncovered.map(|key| format!("{key} did not run after its last mark")).collect();
        let head = state.vendor.generations.len() - 1;
        let none = Values::new();
        for key in keys() {
            let observed = state.vendor.values.get(&key).unwrap_or(&none);
            let is_kept = |change: &Change<Instruction>| {
                let rejected = state.model.holds.get(&change.digest(&key));
                !change.mode.allows(&change.risks()) || rejected.is_some_and(|hold| hold.rejected.is_some())
            };
            let changes = state.vendor.changes(head, &key, observed);
            let open = changes.iter().filter(|change| !is_kept(change));
            left.extend(open.map(|change| format!("{key} {} is not as declared", change.what)));
        }
        left
    }
}

fn delivery(id: &str, key: &Key, received: Time) -> Delivery {
    Delivery {
        source: "github".into(),
        id: id.into(),
        event: "repository.edited".into(),
        actor: None,
        instance: key.instance().into(),
        received,
        body: Vec::new(),
    }
}
