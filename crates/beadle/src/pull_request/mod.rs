//! Checks the pull requests in a policy's repository, and in the repository of the policy's base.
//!
//! A check reads the policies of both sides as data, validates the head, runs its tests, and shows
//! the effects of the change. A check writes only a check run and one comment.
//!
//! [`check`] is the module to read first.

mod base_and_head;
mod change_group_lines;
mod change_groups;
mod change_kinds;
pub(crate) mod check;
mod check_outcome;
pub(crate) mod check_router;
mod check_runs;
pub(crate) mod concurrency_limit;
mod findings;
mod findings_markdown;
mod group_section;
pub(crate) mod merge_of_held_policy;
pub(crate) mod policy_parts;
mod policy_preview;
mod pull_names;
pub(crate) mod rechecks;
mod review_approval;
pub(crate) mod stored_check_results;
pub(crate) mod stored_repository_names;
mod unfinished_check;
