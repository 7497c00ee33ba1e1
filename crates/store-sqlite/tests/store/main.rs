//! Tests of the engine's rules with a real SQLite file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apply;
mod authored_policies;
mod background;
mod bell;
mod causes;
mod contested;
mod damaged;
mod faults;
mod first_asked;
mod guard;
mod guard_preview;
mod key_state;
mod model;
mod newer;
mod suite;
mod sweep;
mod task_lease;
mod turns;
mod worker;
