//! One row of a report about controls.

use beadle_engine::Time;

/// The status of a control in a report about a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlStatus {
    /// The repository matched the policy.
    Met,
    /// The repository did not match the policy.
    NotMet,
    /// A waiver exempted the control.
    Waived,
    /// Beadle could not find out whether the repository met the control.
    Unknown,
    /// The policy did not declare the control for the repository.
    NotApplicable,
    /// The store does not contain a record of the repository from this time or from an earlier
    /// time.
    NotRecorded,
}

impl ControlStatus {
    /// Returns the word for this status in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::Waived => "waived",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
            Self::NotRecorded => "not recorded",
        }
    }

    /// Returns whether the row needs no action by a person.
    pub fn is_fine(self) -> bool {
        matches!(self, Self::Met | Self::Waived | Self::NotApplicable)
    }
}

/// One control of one repository at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlRow {
    /// The full name of the repository, `owner/name`.
    pub repository: String,
    /// The path of the control. If the row is about all controls, the value is `*` or the path that
    /// the user asked for.
    pub control: String,
    /// The status of the control.
    pub status: ControlStatus,
    /// The reason why the repository did not meet the control, or why the status is unknown. The
    /// text is empty for every other status.
    pub cause: String,
    /// The time of the first recorded run with this status. From that time until the moment of the
    /// report, the control had this status.
    pub since: Option<Time>,
    /// The end of the waiver.
    pub until: Option<String>,
    /// The reason of the waiver.
    pub reason: Option<String>,
    /// The owner of the waiver.
    pub owner: Option<String>,
    /// The value that the policy declares, as JSON.
    pub value: Option<String>,
    /// The line of the policy that declares the value or the waiver, such as `settings.yml:12`. For
    /// a waiver outside of the policy, this field contains the text `beadle waive`.
    pub policy: Option<String>,
    /// The policy commit that contains this line.
    pub commit: Option<String>,
    /// The time of the most recent known check before the moment of the report. There might be a
    /// later check that the record does not show.
    pub last_checked: Option<Time>,
}

impl ControlRow {
    /// Creates a row with a status and a cause.
    pub(super) fn new(repository: &str, control: &str, status: ControlStatus, cause: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            control: control.to_owned(),
            status,
            cause: cause.to_owned(),
            since: None,
            until: None,
            reason: None,
            owner: None,
            value: None,
            policy: None,
            commit: None,
            last_checked: None,
        }
    }
}
