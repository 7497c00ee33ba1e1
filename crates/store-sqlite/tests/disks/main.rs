//! Storms with faults of the disk and of the files. A crash tears the write-ahead log. Somebody
//! deletes or replaces open files. Writes fail in the middle of a file. The disk is full, or the
//! file system is read-only. A seed determines each storm. In all storms, an accepted delivery is
//! durable: the store has it afterwards, with its whole body, and its key is due. If the store did
//! not accept a delivery, the store contains either the whole delivery or no part of the delivery.
//!
//! `cargo xtask storm disks --for 10m` runs more storms. `--seeds 1 --from SEED` runs one storm.
//!
//! To see the test fail, remove one of these lines:
//!
//! - in `src/writer.rs`, both calls of `health.check` in `commit`: the store accepts a delivery
//!   into a deleted file;
//! - in `src/health.rs`, the endings in `BESIDE`: the store accepts a delivery into a deleted log;
//! - in `src/writer.rs`, the line `transaction.commit()?`: the store has no accepted delivery.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod child;
mod deleted;
mod inbox;
mod torn;

use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// The number of storms in a normal test run.
const USUAL: u64 = 60;

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the caller of the test sets the seeds")]
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok())
}

/// Runs the storm of a seed. Returns its name.
async fn weather(seed: u64, folder: &Path) -> Result<&'static str, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let (name, result) = match random.random_range(0..8) {
        0..4 => ("torn", torn::run(&mut random, folder).await),
        4..6 => ("deleted", deleted::run(&mut random, folder).await),
        6 => ("failing", child::failing(&mut random, folder).await),
        _ => match child::full(&mut random, folder) {
            Ok(name) => (name, Ok(())),
            Err(why) => ("full", Err(why)),
        },
    };
    result.map(|()| name).map_err(|why| format!("seed {seed} ({name}): {why}"))
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "the caller of the test limits the real time")]
async fn no_storm_of_disks_breaks_a_promise() {
    let time = number("STORM_SECONDS").map(Duration::from_secs);
    let usual = if time.is_some() { u64::MAX } else { USUAL };
    let (from, count) = (number("STORM_FROM").unwrap_or(0), number("STORM_SEEDS").unwrap_or(usual));
    let began = Instant::now();
    let mut names = std::collections::BTreeMap::new();
    for seed in from..from.saturating_add(count) {
        if time.is_some_and(|time| began.elapsed() >= time) {
            break;
        }
        let folder = tempfile::tempdir().unwrap();
        match weather(seed, folder.path()).await {
            Ok(name) => *names.entry(name).or_insert(0_u64) += 1,
            Err(why) => panic!("{why}\n\nAgain: cargo xtask storm disks --seeds 1 --from {seed}"),
        }
    }
    eprintln!("storms of disks: {names:?}");
    assert!(names.len() == 4 || count < USUAL || time.is_some(), "a kind of storm never happened: {names:?}");
}
