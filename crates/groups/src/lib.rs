//! The reconciler of groups. The reconciler creates groups at a target for groups of a directory,
//! and adds and removes the members of these groups.

mod accounts;
mod attributes;
mod departures;
mod due;
mod guard;
mod links;
pub mod mapping;
pub mod mark;
pub mod membership;
mod pairs;
mod planner;
pub mod sources;
mod stop;
pub mod sweep;
pub mod targets;
mod writer;

pub use attributes::Attributes;
pub use due::sweep_hint;
pub use guard::GroupLimits;
pub use links::{STOPPED, StopReason};
pub use mapping::{Mapping, MappingError, Mappings};
pub use mark::{Marker, TeamMarker};
pub use pairs::{GroupPair, GroupPairs, equal_groups};
pub use planner::{ChangedFile, Directory, Explained, GroupPlanner, GroupPreview, Write};
pub use sweep::GroupSweep;
pub use writer::GroupWriter;
