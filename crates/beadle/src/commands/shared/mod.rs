//! The parts that several commands use.

pub(super) mod apply_rounds;
pub(super) mod command_gate;
pub(super) mod confirmation;
pub(super) mod decided_by;
pub(super) mod decision_preview;
pub(super) mod expected_write_duration;
pub(super) mod hold_decision;
pub(super) mod holds_text;
pub(super) mod policies_behind_writes;
pub(super) mod tally;
