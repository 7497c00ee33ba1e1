//! The record of controls. For each repository and each time, the record shows two things: the
//! values that the policy declared, and the values that the repository met. `beadle report` reads
//! this record.
//!
//! A control is one value of the policy. The path of the value identifies the control. The store
//! has two kinds of notes:
//!
//! | note | what it has | a new one is stored |
//! |---|---|---|
//! | [`ControlState`] | the findings of a run in one repository | when the findings of a run differ from the previous record |
//! | [`ControlLines`] | the values that one file of the policy declares, with their lines | when a line moves; one note serves all repositories that have the same values from the file |
//!
//! If two runs in a row have the same findings, Beadle stores nothing for the second run. Beadle
//! keeps a note at least as long as the journal can keep an entry, see [`prune_controls`].

mod dropped;
mod findings;
mod gone;
mod log;
mod part;
mod past;
mod prune;
mod row;
mod state;
mod timeline;

pub use dropped::PastPolicies;
pub(crate) use gone::record_gone;
pub(crate) use log::ControlLog;
pub use past::{LastDeclared, PastDeclarations};
pub use prune::prune_controls;
pub use row::{ControlRow, ControlStatus};
pub use state::{ControlLine, ControlLines, ControlState};
pub use timeline::{RecordedRepository, Timeline};
