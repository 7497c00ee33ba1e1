//! Carries out the operations that people request with a command or on a page: apply, undo, pause,
//! retry, waive, and decide about held changes.

pub(crate) mod applier;
pub(crate) mod approval_rules;
pub(crate) mod decided_by;
pub(crate) mod earlier_undos;
pub(crate) mod generation_approval;
pub(crate) mod held_change_decisions;
pub(crate) mod key_names;
pub(crate) mod not_undone;
pub(crate) mod overwritten_values;
pub(crate) mod pausing;
pub(crate) mod reload_result;
pub(crate) mod retrying;
pub(crate) mod shared_writes;
pub(crate) mod undo_afterwards;
pub(crate) mod undoing;
pub(crate) mod waiver_comparison;
pub(crate) mod waiver_repositories;
pub(crate) mod waiving;
pub(crate) mod written_changes;
