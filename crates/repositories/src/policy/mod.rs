//! The policy: the incumbent's files, checked, layered, and resolved for one repository.

mod desired;
mod files;
mod keys;
mod merge;
mod node;
mod pattern;
mod problem;
mod schema;
mod shape;
mod targeting;

pub(crate) use desired::rank;
pub use desired::{BranchWant, CollaboratorWant, Desired, Listed, TeamWant, Want};
pub use files::{Layer, LayerKind, Policy, PolicyError};
pub(crate) use merge::merge;
pub use node::{Kind, Node};
pub use problem::{Problem, Severity, nearest};
pub use schema::{FileKind, schema};
pub use targeting::{Target, Verdict};
