//! Provides the facts for the pages of the operator listener. Also carries out the requests of
//! signed-in people, with the functions of [`operations`](crate::app::operations).

mod approver;
mod decisions;
pub(crate) mod facts;
mod hold_facts;
pub(super) mod operations;
mod policies_behind_writes;
mod policy_lines;
mod refusal;
mod undo;
