//! Gives the pages of the operator listener their facts, and carries out the requests of signed-in
//! people with the functions of [`operations`](crate::app::operations).

mod approver;
mod decisions;
pub(crate) mod facts;
pub(super) mod operations;
mod refusal;
mod undo;
