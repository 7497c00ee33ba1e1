//! Reconciles repositories with a policy. This crate reads the policy, and finds the repositories
//! for each file of the policy. The crate plans and writes each aspect of these repositories.

mod accepted_permissions;
mod affected;
mod agreed;
pub mod aspects;
pub mod controls;
pub mod creation;
pub mod dispatch;
mod facts;
mod gone;
mod identity;
mod import;
mod in_force;
mod looks;
mod order;
mod organisation;
pub mod overrides;
#[cfg(test)]
mod pairs;
pub mod planner;
pub mod policy;
mod reached;
pub mod recovery;
mod requirements;
mod reread;
mod sealing;
mod secret_memory;
pub mod shard;
pub mod sweep;
pub mod undo;
mod undo_writer;
mod waiver_book;
pub mod writer;

pub use accepted_permissions::WithAcceptedPermissions;
pub use aspects::{AccessLevel, AppPermission, Secrets, Step};

/// Returns the names of all aspects. Some aspects belong to repositories, and the other aspects
/// belong to the organisation.
pub fn aspect_names() -> impl Iterator<Item = &'static str> + Clone {
    let own = organisation::ALL.iter().map(|aspect| aspect.name);
    aspects::ALL.iter().map(|aspect| aspect.name).chain([creation::ASPECT]).chain(own)
}
pub use dispatch::{Dispatch, DispatchRule};
pub use import::{Conversion, Import, Incumbent, convert, import_policy};
pub use in_force::{Modes, PolicyHandle};
pub use planner::preview::{Affected, Preview};
pub use planner::undo::UndoPlanner;
pub use planner::{OrganisationPlan, RepositoryPlanner};
pub use policy::{
    FileKind, Policy, PolicyError, Problem, Severity, rule_schema, schema, test_schema, waiver_schema,
};
pub use recovery::Recovery;
pub use requirements::{AppNeeds, app_needs, events, events_of, permissions};
pub use reread::Reread;
pub use shard::Shard;
pub use sweep::Sweep;
pub use undo_writer::UndoWriter;
pub use waiver_book::{readable_waivers, stored_waiver, stored_waivers};
pub use writer::RepositoryWriter;
