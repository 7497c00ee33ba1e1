//! Reads the journal for people: joins the entries that belong together, and finds who caused a
//! change.

pub(crate) mod backwards;
pub(crate) mod reverted_state_makers;
pub(crate) mod stories;
pub(crate) mod stories_forwards;
pub(crate) mod story;
