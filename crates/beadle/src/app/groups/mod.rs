//! Opens the directories and the targets of groups, and starts to use the mappings between them.

pub(crate) mod accepted_mappings;
pub(crate) mod directories_and_targets;
pub(crate) mod mapping_adoption;
pub(crate) mod mappings_in_force;
pub(crate) mod organisation_members_file;
pub(crate) mod partly_open_directory;
pub(super) mod policy_group_files;
pub(crate) mod target;
