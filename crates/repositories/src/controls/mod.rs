//! The record of controls: over time, the values that the policy declared for each repository, and
//! those that the repository met. `beadle report` reads it.
//!
//! A control is one value of the policy, by its path. The store has two kinds of notes:
//!
//! | note | what it has | a new one is stored |
//! |---|---|---|
//! | [`ControlState`] | what a run found in one repository | when a run finds something else than the last recorded run |
//! | [`ControlLines`] | the values that one file of the policy declares, with their lines | when a line moves, once for all repositories that have the same values from the file |
//!
//! A new run that finds the same stores nothing. Beadle deletes notes only when they are older than
//! the journal may be, see [`prune_controls`].

mod findings;
mod gone;
mod log;
mod part;
mod prune;
mod row;
mod state;
mod timeline;

pub(crate) use gone::record_gone;
pub(crate) use log::ControlLog;
pub use prune::prune_controls;
pub use row::{ControlRow, ControlStatus};
pub use state::{ControlLine, ControlLines, ControlState};
pub use timeline::{RecordedRepository, Timeline};
