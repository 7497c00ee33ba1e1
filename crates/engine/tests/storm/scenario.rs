//! The content of a storm: the faults, the clocks, and the steps. A seed decides all of them.

use beadle_engine::Mode;

use crate::dice::Dice;
use crate::settings::{APART, INSTANCES, KEYS, PROCESSES};
use crate::vendor::{FIELDS, VALUES};
use crate::world::Faults;

/// One event of a storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Another writer changes a value at the vendor.
    Drift { key: usize, field: usize, value: u64 },
    /// Somebody commits another policy.
    Declare { values: u64, mode: Mode },
    /// A process is killed.
    Kill { process: usize },
    /// A process is asked to stop.
    Stop { process: usize },
    /// A process starts if it does not run yet.
    Start { process: usize },
    /// The clock of a process jumps. Afterwards the clock is ahead of the true time by `ahead`
    /// milliseconds.
    Jump { process: usize, ahead: u64 },
    /// An operator pauses an instance.
    Pause { instance: usize, seconds: u64 },
    /// An operator ends the pause of an instance.
    Resume { instance: usize },
    /// An operator approves one of the held changes.
    Approve { nth: usize },
    /// An operator rejects one of the held changes.
    Reject { nth: usize },
    /// A delivery about a key arrives, although nothing has changed.
    Event { key: usize },
}

/// A step of a storm, and the wait before the step, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) after: u64,
    pub(crate) act: Act,
}

/// A whole storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    /// How far each clock is ahead of the true time at the start, in milliseconds.
    pub(crate) ahead: [u64; PROCESSES],
    /// How often Beadle may make the same change within an hour; zero means no limit.
    pub(crate) repeats: u32,
    /// The time between two bulk writes, in milliseconds.
    pub(crate) pace: u64,
    /// True if an instance may occupy only a part of the places of a worker.
    pub(crate) are_runs_shared: bool,
    /// Whether one aspect may lose or weaken something only in a small share of the repositories.
    pub(crate) is_share_limited: bool,
    pub(crate) steps: Vec<Step>,
}

impl Scenario {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let faults = match dice.below(5) {
            0 => Faults::default(),
            1 => Faults { fails: 10, lost: 10, doubled: 10, hangs: 5, vendor: 40, deliveries: 100 },
            2 => Faults { fails: 60, lost: 60, doubled: 30, hangs: 20, vendor: 150, deliveries: 300 },
            3 => Faults { hangs: 50, vendor: 40, ..Faults::default() },
            _ => Faults { lost: 100, doubled: 60, vendor: 60, ..Faults::default() },
        };
        let are_apart = dice.happens(500);
        let ahead = [(); PROCESSES].map(|()| if are_apart { dice.below(APART) } else { 0 });
        let repeats = if dice.happens(200) { 3 } else { 0 };
        let pace = if dice.happens(250) { 1_000 } else { 0 };
        let are_runs_shared = dice.happens(500);
        let count = 10 + dice.below(30);
        let steps = (0..count).map(|_| step(&mut dice, are_apart)).collect();
        let is_share_limited = dice.happens(300);
        Self { seed, faults, ahead, repeats, pace, are_runs_shared, is_share_limited, steps }
    }
}

fn step(dice: &mut Dice, are_apart: bool) -> Step {
    // Some steps happen at the same time, so that they affect the same run.
    let longest = [200, 3_000, 30_000][dice.at(3)];
    let after = dice.below(longest);
    Step { after, act: act(dice, are_apart) }
}

fn act(dice: &mut Dice, are_apart: bool) -> Act {
    let keys = INSTANCES.len() * usize::try_from(KEYS).unwrap_or_default();
    let process = dice.at(PROCESSES);
    let instance = dice.at(INSTANCES.len());
    let nth = dice.at(100);
    match dice.below(100) {
        0..38 => Act::Drift { key: dice.at(keys), field: dice.at(FIELDS.len()), value: dice.below(VALUES) },
        38..46 => {
            let mode = match dice.below(8) {
                0 => Mode::Observe,
                1 => Mode::AddOnly,
                _ => Mode::Enforce,
            };
            Act::Declare { values: dice.below(u64::MAX), mode }
        }
        46..54 => Act::Kill { process },
        54..58 => Act::Stop { process },
        58..68 => Act::Start { process },
        68..74 if are_apart => Act::Jump { process, ahead: dice.below(APART) },
        74..80 => Act::Pause { instance, seconds: dice.below(120) },
        80..84 => Act::Resume { instance },
        84..92 => Act::Approve { nth },
        92..96 => Act::Reject { nth },
        _ => Act::Event { key: dice.at(keys) },
    }
}
