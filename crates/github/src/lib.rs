//! The GitHub API: authentication, reads of many objects in one request, and writes.
//!
//! [`Reader`] has no method that writes, and a plan needs only a [`Reader`]. So code that has only
//! a [`Reader`] cannot write.

mod accepted_permissions;
mod access;
mod api;
mod app;
mod assemble;
mod auth;
mod below;
mod branch_review;
mod checks;
mod co_authors;
mod comments;
mod conditional;
mod connection;
mod credential_digest;
mod documents;
mod endpoint;
mod fresh;
mod grantee;
mod graphql;
mod installations;
mod issue_comments;
mod issues;
mod kept_files;
mod loader;
mod members;
mod membership;
mod names;
mod occupant;
mod organisation_grants;
mod organisation_memory;
mod owners;
mod pending;
mod policy_commits;
mod policy_files;
mod properties;
mod pulls;
mod read;
mod refusal;
mod registration;
mod repository;
mod rest_reads;
mod rulesets;
mod shape;
mod stored_names;
mod sweep_read;
mod team;
mod teams;
mod unsure;
mod write;

pub use api::Api;
pub use app::{HookDelivery, OwnApp};
pub use auth::Credential;
pub use beadle_transport::path::segment;
pub use beadle_transport::{Method, Path};
pub use below::Below;
pub use checks::{Annotation, CheckOutput, CheckRun, CheckWriter, Conclusion};
pub use comments::Comment;
pub use conditional::{kept_answers, last_read};
pub use documents::files::FILES_BRANCH;
pub use endpoint::Endpoint;
pub use grantee::Grantee;
pub use installations::{Installation, InstallationList};
pub use issue_comments::IssueComment;
pub use issues::{Issue, IssueWriter};
pub use kept_files::{
    AtPath, DefaultBranch, FilesBranch, FilesCommit, FilesPull, KeptFiles, PullState, blob_id,
};
pub use loader::{Bulk, Loader};
pub use members::{Identity, Member, Team, TeamMembers};
pub use membership::{Invited, OrganisationMembers};
pub use names::{Called, Missing, Resolved, SelectedBy};
pub use occupant::Occupant;
pub use organisation_memory::{another_organisation, remember_organisation};
pub use policy_files::{Commit, TreeFile};
pub use pulls::{Pull, Review};
pub use read::{Cursor, IndexRow, Page, Reader};
pub use registration::{AppRegistration, RegisteredApp};
pub use repository::{
    Actor, ActorKind, Allowances, Asks, Collaborator, DeployKey, Invitation, Known, Label, Milestone,
    Permission, Repository, Rule, StatusCheck, Visibility,
};
pub use rulesets::Ruleset;
pub use stored_names::{NameKind, Names};
pub use team::{NamedTeam, NewTeam};
pub use teams::TeamPermission;
pub use unsure::Unsure;
pub use write::{Named, Writer};
