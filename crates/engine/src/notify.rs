//! Notifications: the present problems, the problems that each channel knows, and the next message.
//!
//! The rules are pure functions over the ledger of one channel ([`Ledger`]). The caller finds the
//! present problems and loads the ledger. Then the caller calls a function, stores the ledger and
//! sends the message. A message is stored before it is sent, so a channel gets every message at
//! least once. A repeated message has the same id.

#[cfg(test)]
mod kills;
mod ledger;
mod problem;
#[cfg(test)]
mod tests;

pub use ledger::{Item, Ledger, Outgoing, Rules, State};
pub use problem::{Found, Line, Members, Present, Problem, ProblemKind, Topic, collect};
