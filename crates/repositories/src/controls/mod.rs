//! The record of controls. For each repository and each time, the record shows which values the
//! policy declared, and which of these values the repository met. `beadle report` reads this
//! record.
//!
//! A control is one value of the policy. The path of the value identifies the control. The store
//! has two kinds of notes:
//!
//! | note | what it has | a new one is stored |
//! |---|---|---|
//! | [`ControlState`] | what a run found in one repository | when a run finds something else than the last recorded run |
//! | [`ControlLines`] | the values that one file of the policy declares, with their lines | when a line moves; one note serves all repositories that have the same values from the file |
//!
//! If a new run has the same findings as the last run, Beadle stores nothing. Beadle deletes a note
//! only when it is older than every entry that the journal may keep, see [`prune_controls`].

mod findings;
mod gone;
mod log;
mod part;
mod prune;
mod row;
mod state;
mod timeline;

pub(crate) use gone::record_gone;
pub(crate) use log::{ControlLog, NOT_FOUND};
pub use prune::prune_controls;
pub use row::{ControlRow, ControlStatus};
pub use state::{ControlLine, ControlLines, ControlState};
pub use timeline::{RecordedRepository, Timeline};
