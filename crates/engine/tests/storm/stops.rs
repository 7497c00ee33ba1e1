//! Checks that a process stops in time, although its store hangs.

use std::time::Duration;

use beadle_engine::{Clock, Time};

use crate::process::Process;
use crate::scenario::Scenario;
use crate::settings::{LIMITS, START};
use crate::world::{Faults, World, wait};

/// The number of processes. Each call of the store takes another time, from half a second to seven
/// minutes, so that many of the processes have a call that takes too long.
const PROCESSES: u64 = 30;

#[tokio::test(start_paused = true)]
async fn a_process_stops_although_its_store_hangs() {
    for seed in 0..PROCESSES {
        let faults = Faults { hangs: 1000, ..Faults::default() };
        let world = World::new(&Scenario { faults, ..Scenario::new(seed) }, None, false);
        let clock = Clock::simulated(Time(START));
        let process = Process::start(&world, 0, &clock, (LIMITS, Duration::ZERO, false));
        wait(Duration::from_secs(1)).await;
        assert!(process.stop().await, "the process of seed {seed} did not stop");
    }
}
