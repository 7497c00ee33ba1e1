//! Checks the store in memory with the tests that every store must pass. A storm proves something
//! only if its store behaves like the real stores.

use std::sync::Arc;

use beadle_engine::{Store, Timing};

use crate::line::Line;
use crate::scenario::Scenario;
use crate::settings::PROCESSES;
use crate::world::{Faults, World};

#[tokio::test(start_paused = true)]
async fn the_store_in_memory_passes_the_tests_of_every_store() {
    beadle_engine::testing::suite(async || {
        let calm = Scenario {
            seed: 0,
            faults: Faults::default(),
            ahead: [0; PROCESSES],
            repeats: 0,
            pace: 0,
            are_runs_shared: false,
            is_share_limited: false,
            steps: Vec::new(),
        };
        let line = Line { world: World::new(&calm, None, false), process: 0, timing: Timing::default() };
        Arc::new(line) as Arc<dyn Store>
    })
    .await;
}
