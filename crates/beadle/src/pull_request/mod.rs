//! Checks the pull requests of a policy's repository. A check reads the policies of both sides as
//! data, validates the head, runs its tests, and shows what the change would do. It writes only a
//! check run and one comment.
//!
//! [`check`] is the module to read first.

pub(crate) mod check;
mod comment;
mod findings;
mod groups;
mod outcome;
mod read;
mod review;
mod runs;
