//! Counts the results of all changes that a command makes. All commands compute their exit code
//! here.

use beadle_engine::{Report, StepResult};

use crate::commands::{FAILED, FINE, PENDING};

/// The results of all changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) written: usize,
    pub(crate) held: usize,
    /// The number of held policies. Beadle wrote no change of these policies.
    pub(crate) held_policies: usize,
    pub(crate) withheld: usize,
    /// The number of changes that Beadle only observes, because the changes would replace values
    /// that an undo restored.
    pub(crate) undone: usize,
    /// The number of unwritten changes that depend on a skipped or held change.
    pub(crate) waiting: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    /// The number of written changes that are still in the next plan.
    pub(crate) again: usize,
}

impl Tally {
    pub(crate) fn count(&mut self, report: &Report) {
        self.written += report.count(|result| *result == StepResult::Written);
        self.held += report.count(|result| matches!(result, StepResult::Held { .. }));
        self.withheld += report.withheld();
        self.undone += report.undone();
        self.waiting += report.waiting();
        self.failed += report.failed();
        self.unknown += report.unknowns.len();
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.written += other.written;
        self.held += other.held;
        self.held_policies += other.held_policies;
        self.withheld += other.withheld;
        self.undone += other.undone;
        self.waiting += other.waiting;
        self.failed += other.failed;
        self.unknown += other.unknown;
        self.again += other.again;
    }

    pub(crate) fn code(&self) -> u8 {
        self.code_with(0)
    }

    /// Returns the exit code. `more` is the number of further changes that Beadle did not write.
    pub(crate) fn code_with(&self, more: usize) -> u8 {
        let skipped = self.withheld + self.undone + self.waiting;
        let left = self.held + self.held_policies + skipped + self.again + more;
        code(self.failed + self.unknown, left)
    }
}

/// Returns the exit code: 1 after an error, 2 if some changes are not written, and 0 in all other
/// cases.
pub(crate) fn code(wrong: usize, left: usize) -> u8 {
    match (wrong, left) {
        (0, 0) => FINE,
        (0, _) => PENDING,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Change, Step};
    use serde_json::json;

    use super::*;

    fn report(outcomes: Vec<StepResult>) -> Report {
        let change = json!({
            "aspect": "settings", "what": "", "fields": [], "mode": "enforce", "after": [], "write": null,
        });
        let change: Change<()> = serde_json::from_value(change).unwrap();
        let step = |outcome| Step { change: change.clone(), outcome };
        Report {
            subject: "acme/widgets".into(),
            steps: outcomes.into_iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    #[test]
    fn drift_that_is_left_ends_in_2_and_what_went_wrong_in_1() {
        let held = StepResult::Held { digest: "d".into(), why: "limit".into() };
        for (outcomes, expected) in [
            (vec![], FINE),
            (vec![StepResult::Written], FINE),
            (vec![StepResult::Written, StepResult::Withheld], PENDING),
            (vec![held.clone(), StepResult::Blocked], PENDING),
            (vec![StepResult::Failed("403".into()), StepResult::Blocked], FAILED),
            (vec![held, StepResult::NotReached], FAILED),
        ] {
            let mut tally = Tally::default();
            tally.count(&report(outcomes.clone()));
            assert_eq!(tally.code(), expected, "{outcomes:?}");
        }
        let mut undone = report(vec![StepResult::Written, StepResult::Withheld]);
        undone.steps[1].change.undone = true;
        let mut tally = Tally::default();
        tally.count(&undone);
        assert_eq!((tally.withheld, tally.undone, tally.code()), (0, 1, PENDING));
        assert_eq!(Tally { written: 3, again: 1, ..Tally::default() }.code(), PENDING);
        assert_eq!(Tally { held_policies: 1, ..Tally::default() }.code(), PENDING);
        assert_eq!(Tally::default().code_with(1), PENDING, "the operator declined");
        assert_eq!(Tally { failed: 1, written: 2, ..Tally::default() }.code_with(1), FAILED);
        assert_eq!(Tally { unknown: 1, held: 1, ..Tally::default() }.code(), FAILED);
    }
}
