//! Decides which writes of one run may be under way at the same time.

use std::collections::HashSet;

use super::{PlanWriter, StepResult};
use crate::key::Lane;
use crate::plan::{Change, Plan};

/// The maximum number of writes of one run that are under way at the same time.
pub(super) const AT_ONCE: usize = 6;

/// The place of a change in the order of its run's writes. A stage begins when the stage before it
/// has ended. Within a stage, the changes of one track are written in their order, and the tracks
/// side by side. A change that fails stops only the changes that depend on it, in its own track
/// too. By default a plan is one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The stage. A later change of a plan is never in an earlier stage.
    pub stage: u8,
    /// The track within the stage.
    pub track: u32,
}

/// The turns of a plan's changes.
pub(super) struct Turns {
    turns: Vec<Turn>,
    begun: HashSet<usize>,
}

impl Turns {
    /// Asks the writer for the turns of a plan. Only work for an event writes side by side: bulk
    /// work leaves room to others.
    pub(super) fn new<W: Send + Sync + 'static>(
        plan: &Plan<W>,
        writer: &dyn PlanWriter<W>,
        lane: Lane,
    ) -> Self {
        let turn = |change: &Change<W>| match lane {
            Lane::Event => writer.turn(change),
            Lane::Manual | Lane::Sweep => Turn::default(),
        };
        Self { turns: plan.changes.iter().map(turn).collect(), begun: HashSet::new() }
    }

    /// Takes the next change that may begin. All changes of the stages before, all earlier changes
    /// of its track and all changes that it depends on have ended.
    pub(super) fn next<W>(&mut self, plan: &Plan<W>, results: &[Option<StepResult>]) -> Option<usize> {
        let mut tracks = HashSet::new();
        let mut current = None;
        for (at, change) in plan.changes.iter().enumerate().filter(|(at, _)| results[*at].is_none()) {
            let Turn { stage, track } = self.turns[at];
            if *current.get_or_insert(stage) != stage {
                return None;
            }
            let is_first = tracks.insert(track);
            let waits = change.after.iter().any(|before| results[*before].is_none());
            if is_first && !waits && self.begun.insert(at) {
                return Some(at);
            }
        }
        None
    }
}
