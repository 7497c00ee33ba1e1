//! Shrinks a storm that broke a promise, and reports the smallest storm.

use std::fmt::Write as _;

use crate::hunt::Caught;
use crate::promises::{Broken, Promise};
use crate::scenario::Scenario;
use crate::stage::weather;
use crate::world::Faults;

/// The maximum number of storms that are run to find a smaller storm.
const TRIES: u32 = 400;
/// The number of events that a report shows. The report shows the last events.
const SHOWN: usize = 200;

struct Shrink {
    caught: Caught,
    tries: u32,
}

impl Shrink {
    /// Keeps a smaller storm if the storm breaks the same promise.
    fn keeps(&mut self, smaller: Scenario) -> bool {
        if self.tries == 0 || smaller == self.caught.scenario {
            return false;
        }
        self.tries -= 1;
        let broken = weather(&smaller, None, false).broken;
        let Some(broken) = broken.filter(|broken| broken.promise == self.caught.broken.promise) else {
            return false;
        };
        self.caught = Caught { scenario: smaller, broken };
        true
    }

    fn faults(&mut self) {
        let without: [fn(&mut Faults); 6] = [
            |faults| faults.fails = 0,
            |faults| faults.lost = 0,
            |faults| faults.doubled = 0,
            |faults| faults.hangs = 0,
            |faults| faults.vendor = 0,
            |faults| faults.deliveries = 0,
        ];
        for change in without {
            let mut smaller = self.caught.scenario.clone();
            change(&mut smaller.faults);
            self.keeps(smaller);
        }
    }

    fn clocks(&mut self) {
        for process in 0..self.caught.scenario.ahead.len() {
            let mut smaller = self.caught.scenario.clone();
            smaller.ahead[process] = 0;
            self.keeps(smaller);
        }
        let calmer = Scenario { repeats: 0, pace: 0, are_runs_shared: false, ..self.caught.scenario.clone() };
        self.keeps(calmer);
        let wider = Scenario { is_share_limited: false, ..self.caught.scenario.clone() };
        self.keeps(wider);
    }

    /// Leaves out more and more steps: at first half of them, then smaller parts, then single
    /// steps.
    fn steps(&mut self) {
        let mut length = self.caught.scenario.steps.len().div_ceil(2);
        while length > 0 {
            let mut at = 0;
            while at < self.caught.scenario.steps.len() {
                let mut smaller = self.caught.scenario.clone();
                let end = smaller.steps.len().min(at + length);
                smaller.steps.drain(at..end);
                if !self.keeps(smaller) {
                    at += length;
                }
            }
            length = if length == 1 { 0 } else { length.div_ceil(2) };
        }
    }
}

/// Returns a report of a broken promise, with the smallest storm that breaks it and the events in
/// that storm.
pub(crate) fn report(caught: &Caught) -> String {
    if caught.broken.promise == Promise::Calm {
        return format!("seed {}: {}", caught.scenario.seed, caught.broken.what);
    }
    let mut shrink = Shrink { caught: caught.clone(), tries: TRIES };
    shrink.faults();
    shrink.clocks();
    shrink.steps();
    shrink.faults();
    let Caught { scenario, broken } = &shrink.caught;
    let Broken { promise, what } = &caught.broken;
    let seed = caught.scenario.seed;
    let mut text = format!("seed {seed} broke the promise {promise:?}: {what}\n\n");
    let _ = writeln!(
        text,
        "The smallest storm that breaks it has {} of {} steps: {}\n{scenario:#?}\n",
        scenario.steps.len(),
        caught.scenario.steps.len(),
        broken.what
    );
    let trace = weather(scenario, None, true).trace;
    let _ = writeln!(text, "What happened last, by the true time in milliseconds:");
    for line in trace.iter().skip(trace.len().saturating_sub(SHOWN)) {
        let _ = writeln!(text, "{line}");
    }
    let _ = write!(text, "\nrun it again: cargo xtask storm engine --seeds 1 --from {seed}");
    text
}
