//! Reads the journal, and makes the entries readable for people. This module joins entries that
//! belong together, and finds the person who caused a change.

pub(crate) mod approval;
pub(crate) mod attribution;
pub(crate) mod backwards;
pub(crate) mod reverted_state_makers;
pub(crate) mod stories;
pub(crate) mod stories_forwards;
pub(crate) mod story;
