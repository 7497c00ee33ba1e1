//! The aspects of a repository: one file each. An aspect describes itself (see [`Aspect`]). Everything
//! else derives from the list [`ALL`]. To add an aspect, add its file and its line in the list:
//! CONTRIBUTING.md shows how.

pub mod actions;
mod aspect;
pub mod autolinks;
pub mod collaborators;
pub mod labels;
pub mod properties;
pub mod protection;
pub mod rulesets;
pub mod security;
pub mod settings;
pub mod teams;
pub mod topics;
pub mod webhooks;

pub(crate) use aspect::Sections;
pub use aspect::{
    AccessLevel, AppPermission, Aspect, AspectPlan, Context, PlannedChange, Secrets, Stage, Step, Unresolved,
    WriteTarget, field,
};

/// Every aspect, in the order in which they are planned.
pub const ALL: &[&Aspect] = &[
    &settings::SETTINGS,
    &topics::TOPICS,
    &teams::TEAMS,
    &collaborators::COLLABORATORS,
    &protection::PROTECTION,
    &rulesets::RULESETS,
    &labels::LABELS,
    &autolinks::AUTOLINKS,
    &properties::PROPERTIES,
    &actions::ACTIONS,
    &security::SECURITY,
    &webhooks::WEBHOOKS,
];
