//! Lines of code that a test leaves out, one at a time. The test proves that a storm notices each
//! missing line.

use crate::promises::Promise;

/// One missing line, in the store or in the planner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// A delivery is stored, and its keys are not made due in the same transaction.
    DeliveryWithoutMarks,
    /// The end of a run sets `done = wanted` instead of `done = claimed`.
    DoneIsWanted,
    /// A claim takes keys that have a valid lease.
    LeasesIgnored,
    /// The lease of a killed process never ends.
    LeasesNeverEnd,
    /// The end of a run does not compare the epoch.
    EpochIgnored,
    /// The renewal of a lease does not compare the epoch.
    RenewalIgnoresEpoch,
    /// The beginning of a write does not check the lease.
    LeaseNotChecked,
    /// The beginning of a write does not check the pauses.
    PauseNotChecked,
    /// The beginning of a write does not check the room and the approval.
    RoomNotChecked,
    /// The guard ignores the share of the repositories.
    ShareIgnored,
    /// The room of a written change is free again.
    RoomFreed,
    /// An approval is not used up by its write.
    ApprovalNotSpent,
    /// The guard ignores rejections.
    RejectionIgnored,
    /// A new generation of the policy ends rejections too.
    RejectionForgotten,
    /// The beginning of a write adds no intent to the journal.
    NoIntent,
    /// The planner drops the mode of the policy.
    ModeIgnored,
    /// The planner does not report that it could not read an aspect.
    DoubtNotReported,
}

impl Sabotage {
    pub(crate) const ALL: [Self; 17] = [
        Self::DeliveryWithoutMarks,
        Self::DoneIsWanted,
        Self::LeasesIgnored,
        Self::LeasesNeverEnd,
        Self::EpochIgnored,
        Self::RenewalIgnoresEpoch,
        Self::LeaseNotChecked,
        Self::PauseNotChecked,
        Self::RoomNotChecked,
        Self::ShareIgnored,
        Self::RoomFreed,
        Self::ApprovalNotSpent,
        Self::RejectionIgnored,
        Self::RejectionForgotten,
        Self::NoIntent,
        Self::ModeIgnored,
        Self::DoubtNotReported,
    ];

    /// Returns the promises that a missing line can break. At least one of them must break.
    pub(crate) fn breaks(self) -> &'static [Promise] {
        match self {
            // If the key was due for another reason, the next run seems to cover the delivery.
            Self::DeliveryWithoutMarks => &[Promise::Delivery, Promise::Covered],
            Self::DoneIsWanted => &[Promise::Covered],
            Self::LeasesIgnored | Self::EpochIgnored | Self::RenewalIgnoresEpoch | Self::LeaseNotChecked => {
                &[Promise::Lease]
            }
            Self::LeasesNeverEnd => &[Promise::Converges],
            Self::PauseNotChecked => &[Promise::Pause],
            Self::RoomFreed | Self::ShareIgnored => &[Promise::Window],
            // The second write can also look like a write without an approval.
            Self::ApprovalNotSpent | Self::RoomNotChecked => {
                &[Promise::Approval, Promise::Held, Promise::Window]
            }
            Self::RejectionIgnored | Self::RejectionForgotten => &[Promise::Held],
            Self::NoIntent => &[Promise::Journal],
            Self::ModeIgnored => &[Promise::Mode],
            Self::DoubtNotReported => &[Promise::Doubt],
        }
    }
}
