//! The changes that the last run of a key planned and did not write, each with the reason.

use serde::{Deserialize, Serialize};

use crate::apply::{Report, Step, StepResult};
use crate::plan::{PolicyLocation, Risk};

/// The maximum number of changes in a state, because a note must stay small.
const CHANGES: usize = 20;
/// The maximum number of names of values in one change, because a note must stay small.
const VALUES: usize = 20;

/// The reason why Beadle did not write a change. The last variant is the most severe one. A stored
/// cause that only a newer version knows counts as the most severe one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum DriftCause {
    /// The change depends on another change that was not written.
    Blocked,
    /// The mode does not allow the change, or the change would replace values that an undo
    /// restored.
    Mode,
    /// The guard holds the change.
    Held,
    /// Another writer undoes the change. Beadle writes it again later.
    Contested,
    /// The write failed, or the run ended before it reached the change.
    Failed,
}

impl From<String> for DriftCause {
    fn from(name: String) -> Self {
        let known = [Self::Blocked, Self::Mode, Self::Held, Self::Contested];
        known.into_iter().find(|cause| cause.as_str() == name).unwrap_or(Self::Failed)
    }
}

impl DriftCause {
    /// Returns the cause for a result; `None` if the change was written.
    pub(super) fn of(result: &StepResult) -> Option<Self> {
        match result {
            StepResult::Written => None,
            StepResult::Blocked => Some(Self::Blocked),
            StepResult::Withheld => Some(Self::Mode),
            StepResult::Held { .. } => Some(Self::Held),
            StepResult::Postponed(_) => Some(Self::Contested),
            StepResult::NotReached | StepResult::Failed(_) => Some(Self::Failed),
        }
    }

    /// Returns the name of the cause for labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Mode => "mode",
            Self::Held => "held",
            Self::Contested => "contested",
            Self::Failed => "failed",
        }
    }
}

/// A change that the last run of a key planned and did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// The aspect that the change belongs to.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`. The text is empty if the change is about
    /// the repository as a whole.
    pub what: String,
    /// The names of the values that the change sets or removes, at most 20.
    pub values: Vec<String>,
    /// The number of further values that `values` does not name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_values: usize,
    /// The gravest risk of the change.
    pub risk: Risk,
    /// The policy line that asks for the change.
    pub asked: Option<PolicyLocation>,
    /// The reason why Beadle did not write the change.
    pub because: DriftCause,
    /// True if the change would replace values that an undo restored. The reason is then
    /// [`DriftCause::Mode`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
}

impl PendingChange {
    fn of(step: &Step) -> Option<Self> {
        let because = DriftCause::of(&step.outcome)?;
        let change = &step.change;
        Some(Self {
            aspect: change.aspect.clone(),
            what: change.what.clone(),
            values: change.fields.iter().take(VALUES).map(|field| field.name.clone()).collect(),
            more_values: change.fields.len().saturating_sub(VALUES),
            risk: change.risks().gravest().unwrap_or(Risk::Changes),
            asked: change.fields.iter().find_map(|field| field.asked.clone()),
            because,
            undone: step.is_undone(),
        })
    }

    /// Returns the changes that a run did not write, at most 20. The gravest change comes first.
    pub(super) fn all(report: &Report) -> Vec<Self> {
        let mut found: Vec<Self> = report.steps.iter().filter_map(Self::of).collect();
        found.sort_by_key(|change| std::cmp::Reverse(change.risk));
        found.truncate(CHANGES);
        found
    }
}

/// Returns whether a count is 0. The stored form of a state leaves out some of such counts.
pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::change;

    #[test]
    fn the_gravest_pending_changes_come_first_and_each_has_its_reason() {
        let step = |what: &str, risk: Risk, outcome: StepResult| Step {
            change: change("labels", what, &[risk]),
            outcome,
        };
        let mut steps = [
            step("label triage", Risk::Adds, StepResult::Withheld),
            step("label done", Risk::Removes, StepResult::Written),
            step("label old", Risk::Removes, StepResult::Held { digest: "d".into(), why: "limit".into() }),
        ];
        steps[0].change.fields[0].asked = Some(PolicyLocation { file: "layers/labels.yml".into(), line: 4 });
        let report = |steps: &[Step]| Report {
            subject: "acme/shop".into(),
            steps: steps.to_vec(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        let found = PendingChange::all(&report(&steps));
        let seen: Vec<_> = found.iter().map(|one| (one.what.as_str(), one.because)).collect();
        assert_eq!(seen, [("label old", DriftCause::Held), ("label triage", DriftCause::Mode)]);
        assert_eq!((found[1].values.as_slice(), found[1].more_values), (["x".to_owned()].as_slice(), 0));
        let asked = found[1].asked.as_ref().map(ToString::to_string);
        assert_eq!(asked.as_deref(), Some("layers/labels.yml:4"));
        let long =
            Step { change: change("settings", "", &[Risk::Changes; 50]), outcome: StepResult::Withheld };
        let found = PendingChange::all(&report(&vec![long; 30]));
        assert_eq!((found.len(), found[0].values.len(), found[0].more_values), (CHANGES, VALUES, 30));
    }
}
