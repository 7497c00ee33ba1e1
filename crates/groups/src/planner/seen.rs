//! The target's group as Beadle read it.

use crate::targets::TargetAccount;

/// The target's group as Beadle read it.
pub(super) struct Seen {
    /// The id of the group; `None` if Beadle has to create it.
    pub(super) group: Option<String>,
    pub(super) members: Vec<TargetAccount>,
    /// The change of the plan that must be written before all others of the group.
    pub(super) first: Option<usize>,
    /// Former sources of the group.
    pub(super) vanished: Vec<String>,
    /// The sources that had members at the last write.
    pub(super) filled: Vec<String>,
}
