//! The output of all commands: the printer, plans as text, JSON and Markdown, and progress.

pub(crate) mod changed_places;
pub(crate) mod equal_lines;
pub(crate) mod escape;
pub(crate) mod guard_preview;
pub(crate) mod journal_attribution;
pub(crate) mod journal_line;
pub(crate) mod journal_run_and_policy;
pub(crate) mod journal_write;
pub(crate) mod left_out;
pub(crate) mod markdown;
pub(crate) mod plans_and_results;
pub(crate) mod plural;
pub(crate) mod policy_links;
pub(crate) mod policy_quotes;
pub(crate) mod printer;
pub(crate) mod progress;
pub(crate) mod undo_plan;
pub(crate) mod undo_results;

pub use printer::{Printer, Tone};

pub use crate::cli::Color;
