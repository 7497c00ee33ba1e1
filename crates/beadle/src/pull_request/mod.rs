//! Checks the pull requests in a policy's repository, and in the repository of the policy's base.
//!
//! A check reads the policies of both sides as data, validates the head, runs its tests, and shows
//! the effects of the change. A check writes only a check run and one comment.
//!
//! [`check`] is the module to read first.

mod base_and_head;
mod change_groups;
pub(crate) mod check;
pub(crate) mod check_results;
pub(crate) mod check_router;
mod check_runs;
mod comment;
pub(crate) mod concurrency_limit;
mod examined;
mod findings;
pub(crate) mod followed_checks;
mod group_section;
mod kinds;
pub(crate) mod policy_parts;
mod policy_preview;
mod review_approval;
mod unfinished_check;
