//! The configuration file `beadle.toml`: its shapes, its validation, and errors that name the file,
//! the line and the key.
//!
//! The binary and the intake on AWS read the file with this crate, so both refuse the same file
//! with the same error. The crate must stay light, because each cold start of the intake loads it.
//! It knows no client of a vendor. The binary checks what only the vendors' crates know, such as
//! the names of aspects and the templates of dispatch rules.

mod check;
#[cfg(test)]
mod documented;
mod duration;
mod error;
mod file;
mod groups;
mod key_path;
mod nearest;
mod okta;
mod org;
mod schedule;
mod senders;
mod source;
mod store_location;
mod target;

pub use duration::Span;
pub use error::{ConfigError, Invalid};
pub use file::{File, RecoveryFile, RetentionFile, ServerFile, StoreFile, WorkerFile};
pub use groups::{
    Case, GroupsFile, MappingsFile, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Role, Users,
};
pub use key_path::KeyPath;
pub use nearest::{did_you_mean, nearest};
pub use okta::{HookKeyFile, OktaAppFile, OktaFile, PUSH_SCOPE, SCOPES};
pub use org::{AppFile, BudgetFile, DispatchFile, GuardFile, OrgFile};
pub use schedule::Schedule;
pub use source::Source;
pub use store_location::StoreLocation;
pub use target::{
    GroupGuardFile, IdentityStoreFile, Match, Members, Paging, Probing, Removal, ScimFile, TargetBudgetFile,
    TargetFile, TeamsFile,
};

/// An example of a file, with comments.
pub const EXAMPLE: &str = include_str!("../../../examples/beadle.toml");
