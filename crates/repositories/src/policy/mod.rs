//! Reads and checks the files of a policy. Finds the values that the policy declares for one
//! repository.

mod absent_entry;
mod assertions;
mod change_key;
mod checks;
mod conflicts;
mod contradictions;
mod controls;
mod creations;
mod desired;
mod error;
mod explain;
pub(crate) mod file_template;
mod files;
mod folder;
pub mod forms;
mod from_commit;
mod group_files;
mod idle_edits;
mod idle_files;
mod incumbent;
mod key_spellings;
mod keys;
mod layer_index;
mod layers;
mod leaves;
mod levels;
mod list_forms;
mod list_places;
mod lists;
mod marker;
mod meeting;
mod members_file;
mod merge;
mod name_check;
pub(crate) mod name_pattern;
mod node;
mod normal;
mod organisation_checks;
mod origin;
mod pattern;
mod people_check;
mod problem;
mod quote;
mod rest;
mod restricted;
mod rule_check;
mod rule_file;
mod rule_verdict;
mod rules;
mod schema;
mod security_keys;
mod selected_key;
mod selector;
pub(crate) mod shape;
pub(crate) mod shapes;
mod spellings;
mod targeting;
mod teams_file;
mod template_files;
mod twins;
mod undone;
mod waive;
mod waived_key;
mod waiver;
mod waivers_file;
mod wants;
mod watched_files;

pub use absent_entry::{AbsentEntry, absent_entry};
pub use assertions::Tested;
#[cfg(test)]
pub(crate) use assertions::repository;
pub(crate) use change_key::inside_entry;
pub use change_key::{key_of_value, meant_key};
pub(crate) use controls::{DeclaredControl, NO_OTHERS};
pub use creations::Creation;
pub(crate) use desired::holds;
pub use error::PolicyError;
pub use explain::{Did, Explained, LayerStep, Overridden, Removed, explain};
pub use files::Policy;
pub(crate) use files::examined;
pub use folder::{MAPPINGS, ReadingAt, is_policy_file, is_test_file, read_text};
pub(crate) use keys::{entry_keys, organization_keys};
pub use layers::{Layer, LayerKind};
pub use members_file::{DeclaredMembers, MEMBERS, read_members};
pub(crate) use merge::merge;
pub(crate) use node::at_least;
pub use node::{Kind, ListEdit, Node};
pub(crate) use normal::leaves_actors;
pub use origin::{BASE, PolicyOrigin, pull_request_link};
pub use problem::{Problem, Severity, nearest};
pub use quote::quoted_line;
pub use rule_file::PolicyRule;
pub(crate) use rules::{CONDITIONS, RULES, UNDESCRIBED, find as known_rule};
pub use schema::{FileKind, rule_schema, schema, test_schema, waiver_schema};
pub(crate) use selected_key::{selects, selects_public_key, with_default_branch};
pub use selector::Selector;
pub(crate) use shape::UNKNOWN_KEY;
pub(crate) use targeting::is_skipped_by_name;
pub use targeting::{MergedLayers, OverrideStatus, Reached, Verdict};
pub use teams_file::{DeclaredTeam, TEAMS, read_teams};
pub use waived_key::check_waived_key;
pub(crate) use waived_key::{contains, exempts, parts};
pub use waiver::{Waiver, WaiverRules, WaiverState, parse_until};
pub use waivers_file::WAIVERS;
pub(crate) use wants::WHEN_MISSING;
pub use wants::{
    BranchWant, CollaboratorWant, Desired, Listed, MissingBranch, Section, TeamWant, TopicWant, Want,
};

/// Gives tests access to the description of the policy's files. The tests generate files from this
/// description.
#[cfg(test)]
pub(crate) mod described {
    pub(crate) use super::keys::{LAYER, REPO, REPOSITORY, SETTINGS, SUBORG};
    pub(crate) use super::rules::{OF_REPOSITORIES, RULES, Rule};
    pub(crate) use super::shape::{Key, Shape, Status};
}
