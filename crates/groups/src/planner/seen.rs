//! The target's group as it was read.

use crate::targets::TargetAccount;

/// The target's group.
pub(super) struct Seen {
    /// Its id; `None` where it has to be made.
    pub(super) group: Option<String>,
    pub(super) members: Vec<TargetAccount>,
    /// The change of the plan that has to be written before anything else of it.
    pub(super) first: Option<usize>,
    /// Former sources of the group.
    pub(super) vanished: Vec<String>,
    /// The sources that had members when the group was written last.
    pub(super) filled: Vec<String>,
}
