mod approver;
pub(super) mod decisions;
pub(crate) mod facts;
pub(super) mod operations;
mod refusal;
mod undo;
