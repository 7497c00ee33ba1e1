//! The state of a group at the target, as Beadle read it.

use crate::targets::TargetAccount;

/// The state of a group at the target, as Beadle read it.
pub(super) struct Seen {
    /// The id of the group, or `None` if Beadle has to create the group.
    pub(super) group: Option<String>,
    pub(super) members: Vec<TargetAccount>,
    /// The change that Beadle must write before all other changes of the group.
    pub(super) first: Option<usize>,
    /// The group's former source groups that no mapping includes any more.
    pub(super) vanished: Vec<String>,
    /// The source groups that had members at the last write.
    pub(super) filled: Vec<String>,
}
