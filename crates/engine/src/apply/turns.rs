//! Decides which writes of one run may be in progress at the same time.

use std::collections::HashSet;

use super::{PlanWriter, StepResult};
use crate::key::Lane;
use crate::plan::{Change, Plan};

/// The maximum number of writes of one run that are in progress at the same time.
pub(super) const AT_ONCE: usize = 6;

/// The place of a change in the write order of a run. A stage begins when all writes of the
/// previous stage have ended. Within a stage, Beadle writes the changes of one track one after the
/// other, and different tracks in parallel. A failing change stops only the changes that depend on
/// it, not the other changes of the track. The default turn puts all changes of a plan into one
/// track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The number of the stage. The stage number never decreases from one change of a plan to the
    /// next.
    pub stage: u8,
    /// The track within the stage.
    pub track: u32,
}

/// The turns of all changes of a plan, and the changes that have begun.
pub(super) struct Turns {
    turns: Vec<Turn>,
    begun: HashSet<usize>,
}

impl Turns {
    /// Asks the writer for the turn of each change. Only a run for an event writes in parallel. All
    /// other runs write one change at a time, so that they do not slow down other runs.
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

    /// Returns the next change that may begin, and marks it as begun. Before a change may begin,
    /// three kinds of changes must have ended: the changes of earlier stages, the earlier changes
    /// of its track, and the changes that it depends on.
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
