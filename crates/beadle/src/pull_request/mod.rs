//! Checks the pull requests of a policy's repository, and of the repository of its base.
//!
//! A check reads the policies of both sides as data, validates the head, runs its tests, and shows
//! what the change would do. It writes only a check run and one comment.
//!
//! [`check`] is the module to read first.

pub(crate) mod check;
pub(crate) mod checked;
pub(crate) mod checks;
mod comment;
mod findings;
mod group_section;
mod groups;
mod kinds;
mod outcome;
pub(crate) mod parts;
mod read;
mod review;
mod runs;
pub(crate) mod turns;
mod unfinished;
