//! Opens the directories and the targets of groups, and puts the mappings between them in force.

pub(crate) mod accepted_mappings;
pub(crate) mod directories_and_targets;
pub(crate) mod mapping_adoption;
pub(crate) mod mappings_in_force;
pub(crate) mod member_file;
pub(crate) mod target;
pub(super) mod team_file;
pub(crate) mod unavailable_targets;
