//! The configuration file `beadle.toml`: its types, its checks, and errors that name the file, the
//! line and the key.
//!
//! Both the binary and the intake on AWS read the file with this crate, so both report the same
//! errors. The crate must stay small and contain no client of a vendor, because the intake loads it
//! at each cold start. Some checks need a vendor's crate, for example the checks of aspects and of
//! templates in dispatch rules. Only the binary does these checks.

mod attributes;
mod check;
#[cfg(test)]
mod documented;
mod duration;
mod error;
mod file;
mod groups;
mod installations;
mod installed;
mod key_path;
mod nearest;
mod notify;
mod notify_check;
mod notify_email;
mod okta;
mod org;
mod policy_source;
mod postgres_url;
mod schedule;
mod senders;
mod sign_in;
mod sign_in_check;
mod source;
mod store_location;
mod taken_in;
mod target;
mod traces;
mod values;

pub use attributes::AttributesFile;
pub use duration::Span;
pub use error::{ConfigError, Invalid};
pub use file::{File, RecoveryFile, RetentionFile, ServerFile, StoreFile, WorkerFile};
pub use groups::{
    Case, GroupsFile, MappingsFile, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Role, Users,
};
pub use installations::InstallationsFile;
pub use installed::{InstallationState, Installed};
pub use key_path::KeyPath;
pub use nearest::{did_you_mean, nearest};
pub use notify::{NotifyFile, NotifyIssuesFile, NotifyWebhookFile, QuietHours};
pub use notify_email::{EmailTls, NotifyEmailFile};
pub use okta::{HookKeyFile, OktaAppFile, OktaFile, PUSH_SCOPE, SCOPES};
pub use org::{
    AppFile, BudgetFile, CommentApprovalFile, DispatchFile, GateFile, GuardFile, OrgFile, Refusals,
    Validators, WaiversFile,
};
pub use policy_source::{PolicySource, RepositorySource};
pub use postgres_url::PostgresUrl;
pub use schedule::Schedule;
pub use sign_in::{GithubSignInFile, OidcSignInFile, SignInFile};
pub use source::Source;
pub use store_location::StoreLocation;
pub use taken_in::Standing;
pub use target::{
    GroupGuardFile, IdentityStoreFile, Match, Members, Paging, Probing, Removal, ScimFile, TargetBudgetFile,
    TargetFile, TeamsFile,
};
pub use traces::TracesFile;

/// The text of the example file, with comments.
pub const EXAMPLE: &str = include_str!("../../../examples/beadle.toml");
