//! Storms of the lease on background tasks. Calls of the store fail, hang, lose their answers, or
//! happen twice. Processes are killed, and their clocks differ and jump. Two processes must never
//! hold the lease at the same time. After the last fault, one process must hold the lease.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Store, TaskLease, Time, Timing};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::line::Line;
use crate::scenario::Scenario;
use crate::settings::{PROCESSES, START};
use crate::world::{Faults, World};

/// The number of storms.
const STORMS: u64 = 200;
/// The time between two looks of the witness. [`LOOKS`] is the number of its looks.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS: u32 = 2400;
/// The number of looks after the last fault. One process must hold the lease in all of these looks.
const CALM: u32 = 400;

/// A process that keeps looking at the lease until it is killed.
struct Process {
    lease: Arc<TaskLease>,
    keeping: JoinHandle<()>,
}

impl Process {
    fn start(world: &Arc<World>, process: usize, clock: &Clock, name: &str) -> Self {
        let line = Line { world: world.clone(), process, timing: Timing::default() };
        let store: Arc<dyn Store> = Arc::new(line);
        let lease = Arc::new(TaskLease::new(store, clock.clone(), name));
        let kept = lease.clone();
        let keeping = tokio::spawn(async move { kept.keep(&CancellationToken::new()).await });
        Self { lease, keeping }
    }
}

/// The processes of a storm. A killed process can still believe that it holds the lease, like a
/// process that hangs.
struct Storm {
    seed: u64,
    all: Vec<Process>,
    holder: Option<usize>,
    /// How often another process took over the lease.
    takeovers: u64,
}

impl Storm {
    /// Checks that at most one process holds the lease.
    fn look(&mut self) {
        let held = self.all.iter().enumerate().filter(|(_, process)| process.lease.is_held());
        let held: Vec<usize> = held.map(|(at, _)| at).collect();
        assert!(held.len() < 2, "storm {}: {held:?} hold the lease at the same time", self.seed);
        if let Some(at) = held.first().copied()
            && self.holder.replace(at).is_some_and(|before| before != at)
        {
            self.takeovers += 1;
        }
    }
}

async fn storm(seed: u64) -> u64 {
    let scenario = Scenario::new(seed);
    let world = World::new(&scenario, None, false);
    let mut dice = Dice::new(seed ^ 0x1EA5);
    let clocks =
        scenario.ahead.map(|ahead| Clock::simulated(Time(START + i64::try_from(ahead).unwrap_or_default())));
    let mut storm = Storm { seed, all: Vec::new(), holder: None, takeovers: 0 };
    // The positions of the processes that still run.
    let mut running = [0; PROCESSES];
    for (process, clock) in clocks.iter().enumerate() {
        running[process] = storm.all.len();
        storm.all.push(Process::start(&world, process, clock, &format!("{process}")));
    }
    for look in 0..LOOKS {
        tokio::time::sleep(LOOK).await;
        storm.look();
        let process = dice.at(PROCESSES);
        let (is_killed, jumps) = (dice.happens(10), dice.happens(10));
        if is_killed {
            storm.all[running[process]].keeping.abort();
            running[process] = storm.all.len();
            let name = format!("{process} after {look}");
            storm.all.push(Process::start(&world, process, &clocks[process], &name));
        } else if jumps {
            let by = i64::try_from(dice.below(60_000)).unwrap_or_default();
            clocks[process].jump(by - 30_000);
        } else if dice.happens(5) {
            storm.all[running[process]].keeping.abort();
            storm.all[running[process]].lease.release().await;
            running[process] = storm.all.len();
            let name = format!("{process} again after {look}");
            storm.all.push(Process::start(&world, process, &clocks[process], &name));
        }
    }
    world.lock().faults = Faults::default();
    for _ in 0..CALM {
        tokio::time::sleep(LOOK).await;
        storm.look();
    }
    let is_held = running.iter().any(|at| storm.all[*at].lease.is_held());
    assert!(is_held, "storm {seed}: nobody holds the lease after the last fault");
    storm.takeovers
}

#[test]
fn no_two_processes_hold_the_lease_in_a_storm() {
    let mut takeovers = 0;
    for seed in 0..STORMS {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        takeovers += builder.build().unwrap().block_on(storm(seed));
    }
    assert!(takeovers > STORMS, "{takeovers} takeovers prove nothing");
}
