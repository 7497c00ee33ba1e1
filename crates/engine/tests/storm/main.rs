//! Storms: the engine as a whole in a deterministic simulation. The store keeps its data in memory
//! and follows the engine's own rules. Its calls fail, hang, lose their answers, or happen twice.
//! Three processes are killed and started, and their clocks differ and jump. Other writers,
//! policies and operators change things at the same time. A witness checks the promises of the
//! engine after each step. After the last fault, every key must become as declared.
//!
//! `cargo xtask storm engine --for 10m` runs more storms, and `--seeds N --from SEED` runs the
//! storms of certain seeds. The report of a broken promise contains the seed and the fewest steps
//! that still break the promise.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dice;
mod ends;
mod hunt;
mod lease;
mod line;
mod model;
mod model_guard;
mod model_records;
mod process;
mod promises;
mod sabotage;
mod scenario;
mod settings;
mod shrink;
mod stage;
mod stops;
#[cfg(feature = "testing")]
mod suite;
mod vendor;
mod world;

use std::time::Duration;

use hunt::Hunt;
use sabotage::Sabotage;

/// The number of storms in a normal test run.
const USUAL: u64 = 300;
/// If a [`Sabotage`] leaves out a line, a promise must break within this number of storms.
const SOON: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the caller of the test sets the seeds")]
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok())
}

#[test]
fn no_storm_breaks_a_promise() {
    let time = number("STORM_SECONDS").map(Duration::from_secs);
    let usual = if time.is_some() { u64::MAX } else { USUAL };
    let seeds = number("STORM_SEEDS").unwrap_or(usual);
    let hunt = Hunt::new(number("STORM_FROM").unwrap_or(0), seeds, time);
    let caught = hunt.run(None);
    eprintln!("{}", hunt.summary());
    if let Some(caught) = caught {
        panic!("{}", shrink::report(&caught));
    }
    assert!(hunt.writes() > 0 || seeds < USUAL, "no storm wrote anything: the test proved nothing");
}

#[test]
fn each_promise_breaks_when_its_line_is_missing() {
    for sabotage in Sabotage::ALL {
        let hunt = Hunt::new(0, SOON, None);
        let Some(caught) = hunt.run(Some(sabotage)) else {
            panic!("{sabotage:?} broke no promise in {SOON} storms");
        };
        let promise = caught.broken.promise;
        assert!(sabotage.breaks().contains(&promise), "{sabotage:?}: {:?}", caught.broken);
    }
}
