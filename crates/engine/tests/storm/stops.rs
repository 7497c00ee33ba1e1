//! Checks two things while the store hangs: a process stops in time, and the driver of a Lambda
//! function runs its tasks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Clock, Driver, Failure, TaskStatus, Time, Timing};

use crate::line::Line;
use crate::process::Process;
use crate::scenario::Scenario;
use crate::settings::{LIMITS, START};
use crate::world::{Faults, World, wait};

/// The number of processes. Each call of the store takes a different time, from half a second to
/// seven minutes. Many of the processes therefore have a call that takes too long.
const PROCESSES: u64 = 30;

/// Returns a world where each call of the store hangs.
fn hanging(seed: u64) -> Arc<World> {
    let faults = Faults { hangs: 1000, ..Faults::default() };
    World::new(&Scenario { faults, ..Scenario::new(seed) }, None, false)
}

#[tokio::test(start_paused = true)]
async fn a_process_stops_although_its_store_hangs() {
    for seed in 0..PROCESSES {
        let world = hanging(seed);
        let clock = Clock::simulated(Time(START));
        let process = Process::start(&world, 0, &clock, (LIMITS, Duration::ZERO, false));
        wait(Duration::from_secs(1)).await;
        assert!(process.stop().await, "the process of seed {seed} did not stop");
    }
}

/// A task that does not use the store.
struct Idle;

#[async_trait]
impl BackgroundTask for Idle {
    fn name(&self) -> String {
        "idle".into()
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        Ok(TaskStatus::Idle)
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_runs_its_tasks_although_the_store_hangs() {
    for seed in 0..PROCESSES {
        let line = Line { world: hanging(seed), process: 0, timing: Timing::default() };
        let clock = Clock::simulated(Time(START));
        let driver = Driver::new(Arc::new(line), clock.clone(), vec![Arc::new(Idle)]);
        let limit = Duration::from_secs(10);
        let ran = tokio::time::timeout(limit, driver.run_due(clock.now() + limit, |_| true)).await;
        assert_eq!(ran, Ok(Vec::new()), "the tasks of seed {seed} had no time left");
        assert_eq!(driver.status()[0].runs, 1, "{seed}");
    }
}
