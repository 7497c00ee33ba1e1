//! The pages, one file for each page. Each file contains the code that reads the values of a page
//! from the store and renders them for a browser. The API returns the same values as JSON.

mod attention;
pub(super) mod deliveries;
pub(super) mod group;
pub(super) mod holds;
pub(super) mod journal;
mod last_sweeps;
mod needing;
mod one;
mod open_pulls;
pub(super) mod overview;
pub(super) mod policy;
pub(super) mod previews;
pub(super) mod queue;
pub(super) mod repository;
pub(super) mod tasks;
pub(super) mod things;
