//! Opens the directories and the targets of groups, and puts the mappings between them in force.

pub(crate) mod accepted_mappings;
pub(crate) mod configured_mappings;
pub(crate) mod directories_and_targets;
pub(crate) mod mappings_in_force;
pub(crate) mod member_file;
pub(crate) mod missed_by_targets;
pub(crate) mod target;
pub(super) mod team_file;
