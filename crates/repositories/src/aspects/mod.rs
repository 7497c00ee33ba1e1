//! The aspects of a repository. Each aspect has its own file. Each file describes its aspect (see
//! [`Aspect`]), and Beadle derives everything else from the list [`ALL`]. To add an aspect, add a
//! file for it, and add one line to the list. CONTRIBUTING.md describes the steps.

pub mod actions;
mod aspect;
pub mod autolinks;
pub mod collaborators;
pub mod deploy_keys;
pub mod environments;
pub mod files;
pub mod immutable_releases;
pub mod interaction_limit;
pub mod labels;
pub mod milestones;
pub mod oidc_subject;
pub mod pages;
mod place;
pub mod properties;
pub mod protection;
pub mod rulesets;
pub mod secrets;
pub mod security;
pub mod settings;
pub mod teams;
pub mod topics;
mod unchangeable;
pub mod validator;
pub mod variables;
pub mod webhooks;

pub(crate) use aspect::Sections;
pub use aspect::{
    AccessLevel, AppPermission, Aspect, AspectPlan, Context, PlannedChange, Secrets, Stage, Step, Unresolved,
    WriteTarget, field,
};

/// All aspects of a repository, in the order of planning.
pub const ALL: &[&Aspect] = &[
    &settings::SETTINGS,
    &topics::TOPICS,
    &teams::TEAMS,
    &collaborators::COLLABORATORS,
    &protection::PROTECTION,
    &rulesets::RULESETS,
    &labels::LABELS,
    &milestones::MILESTONES,
    &autolinks::AUTOLINKS,
    &deploy_keys::DEPLOY_KEYS,
    &properties::PROPERTIES,
    &actions::ACTIONS,
    &oidc_subject::OIDC_SUBJECT,
    &immutable_releases::IMMUTABLE_RELEASES,
    &pages::PAGES,
    &interaction_limit::INTERACTION_LIMIT,
    &security::SECURITY,
    &environments::ENVIRONMENTS,
    &variables::VARIABLES,
    &secrets::OF_ACTIONS,
    &secrets::OF_DEPENDABOT,
    &secrets::OF_CODESPACES,
    &webhooks::WEBHOOKS,
    &files::FILES,
    &validator::VALIDATOR,
];
