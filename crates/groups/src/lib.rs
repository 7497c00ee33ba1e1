//! The reconciler of groups: which groups of a directory make which groups of a target, and who is in them.

mod accounts;
pub mod catchup;
mod departures;
mod guard;
pub mod mapping;
pub mod mark;
mod pairs;
mod planner;
pub mod sources;
pub mod sweep;
pub mod targets;
mod writer;

pub use guard::GroupLimits;
pub use mapping::{Mapping, MappingError, Mappings};
pub use mark::{Marker, TeamMarker};
pub use pairs::{STOPPED, stop_note};
pub use planner::{Directory, Explained, GroupPlanner, Write};
pub use sweep::GroupSweep;
pub use writer::GroupWriter;
