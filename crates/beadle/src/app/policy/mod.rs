//! Reads the policy of an organisation, stores the files of the policy, and starts to use a new
//! generation after the gate lets the generation pass.

pub(crate) mod accepted;
pub(crate) mod adoption;
mod affected_key_marks;
pub(crate) mod attributions;
pub(crate) mod authors;
pub(crate) mod commit_states;
pub(crate) mod generations;
pub(crate) mod group_changes_between_versions;
pub(super) mod mappings;
pub(crate) mod mode_check;
pub(super) mod newest_state;
pub(crate) mod policy_key_reconciler;
pub(crate) mod policy_lines;
pub(super) mod pull_request_check_opening;
pub(crate) mod repository;
pub(crate) mod repository_policy;
pub(crate) mod store;
