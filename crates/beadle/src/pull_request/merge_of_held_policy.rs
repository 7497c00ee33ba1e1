//! Says what happens after the merge of a pull request whose policy the gate would hold.

/// Says that Beadle keeps the earlier policy after the merge.
pub(crate) const AFTER_MERGE: &str = "A merge changes only Git: Beadle keeps the earlier policy in force until somebody \
                                      approves the new one.";
/// How to approve the policy after the merge.
pub(crate) const HOW_TO_APPROVE: &str = "To approve it after the merge, run the command that `beadle holds` prints, or open \
                                         the page `/policy`.";
