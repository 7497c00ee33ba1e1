//! The reconciler of repositories: policy, targeting, aspects.

pub mod aspects;
pub mod overrides;
pub mod planner;
pub mod policy;
pub mod sweep;
pub mod writer;

pub use aspects::Step;
pub use planner::{Modes, OrganisationPlan, PolicyHandle, RepositoryPlanner};
pub use policy::{FileKind, Policy, PolicyError, Problem, Severity, schema};
pub use sweep::Sweep;
pub use writer::RepositoryWriter;
