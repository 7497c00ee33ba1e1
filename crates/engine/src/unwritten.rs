//! The record of a run in the journal: the number of changes by result, and the changes that Beadle
//! did not write.

use crate::apply::{Report, StepResult};
use crate::journal::{Cause, Obstacle, RunCounts, UnwrittenChange};
use crate::plan::Risk;

/// The maximum number of changes in one entry of the journal. In the mode `observe`, a repository
/// has the same unwritten changes in each run. The entries must therefore stay small.
pub(crate) const MOST: usize = 5;

/// Returns the record of a run in the journal. `after` contains the deliveries that made the key
/// due.
pub fn run_counts(report: &Report, after: Vec<Cause>) -> RunCounts {
    RunCounts {
        changes: report.steps.len(),
        written: report.count(|result| *result == StepResult::Written),
        held: report.count(|result| matches!(result, StepResult::Held { .. })),
        withheld: Some(report.withheld()),
        undone: Some(report.undone()).filter(|undone| *undone > 0),
        failed: failed(report),
        postponed: Some(report.count(|result| matches!(result, StepResult::Postponed(_)))),
        unknown: report.unknowns.clone(),
        unwritten: Some(unwritten(report)).filter(|changes| !changes.is_empty()),
        after: Some(after),
    }
}

/// Returns the number of changes that failed or were not reached, plus the number of changes that
/// depend on them. A postponed change has a separate number, so it does not count.
fn failed(report: &Report) -> usize {
    let broken = report.count(|result| matches!(result, StepResult::Failed(_) | StepResult::NotReached));
    if broken == 0 { 0 } else { broken + report.count(|result| *result == StepResult::Blocked) }
}

/// Returns the unwritten changes of a run, the gravest first.
fn unwritten(report: &Report) -> Vec<UnwrittenChange> {
    let mut found: Vec<UnwrittenChange> = Vec::new();
    for step in &report.steps {
        let (because, digest) = match &step.outcome {
            StepResult::Written => continue,
            StepResult::Withheld => (Obstacle::Mode, None),
            StepResult::Held { digest, .. } => (Obstacle::Held, Some(digest.clone())),
            StepResult::Postponed(_) => (Obstacle::Contested, None),
            StepResult::Failed(_) => (Obstacle::Failed, None),
            StepResult::Blocked | StepResult::NotReached => (Obstacle::NotReached, None),
        };
        let change = &step.change;
        found.push(UnwrittenChange {
            aspect: change.aspect.clone(),
            what: change.what.clone(),
            risk: change.risks().gravest().unwrap_or(Risk::Changes),
            asked: change.fields.iter().find_map(|field| field.asked.clone()),
            because,
            undone: step.is_undone(),
            digest,
        });
    }
    found.sort_by_key(|change| std::cmp::Reverse(change.risk));
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Step;
    use crate::testing::change;

    #[test]
    fn a_postponed_change_does_not_count_as_failed() {
        let counts = |results: &[StepResult]| {
            let step = |outcome: &StepResult| Step {
                change: change("teams", "a", &[Risk::Adds]),
                outcome: outcome.clone(),
            };
            let report = Report {
                subject: "acme/shop".into(),
                steps: results.iter().map(step).collect(),
                unknowns: Vec::new(),
                skipped: None,
                failure: None,
            };
            let counts = run_counts(&report, Vec::new());
            (counts.changes, counts.failed, counts.postponed)
        };
        let postponed = StepResult::Postponed("another writer".into());
        let failed = StepResult::Failed("403".into());
        assert_eq!(counts(std::slice::from_ref(&postponed)), (1, 0, Some(1)));
        assert_eq!(counts(&[postponed, failed, StepResult::Blocked]), (3, 2, Some(1)));
        assert_eq!(counts(&[StepResult::NotReached, StepResult::Withheld]), (2, 1, Some(0)));
    }

    #[test]
    fn the_gravest_unwritten_changes_are_named_with_their_reason() {
        let held = StepResult::Held { digest: "8f0c".into(), why: "limit".into() };
        let mut steps: Vec<Step> = [
            ("a", Risk::Adds, StepResult::Withheld),
            ("b", Risk::Removes, StepResult::Written),
            ("c", Risk::Removes, held),
            ("d", Risk::Changes, StepResult::Failed("403".into())),
        ]
        .into_iter()
        .map(|(what, risk, outcome)| Step { change: change("teams", what, &[risk]), outcome })
        .collect();
        let report = |steps: &[Step]| Report {
            subject: "acme/shop".into(),
            steps: steps.to_vec(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        let found = unwritten(&report(&steps));
        let seen: Vec<_> = found.iter().map(|one| (one.what.as_str(), one.because)).collect();
        assert_eq!(seen, [("c", Obstacle::Held), ("d", Obstacle::Failed), ("a", Obstacle::Mode)]);
        assert_eq!(found[0].digest.as_deref(), Some("8f0c"));
        let mut undone = steps.clone();
        undone[0].change.undone = true;
        let counts = |steps: &[Step]| run_counts(&report(steps), Vec::new());
        let (before, after) = (counts(&steps), counts(&undone));
        assert_eq!((before.withheld, before.undone), (Some(1), None));
        assert_eq!((after.withheld, after.undone), (Some(0), Some(1)));
        assert_eq!(after.unwritten.map(|all| all[2].undone), Some(true));
        let last = steps[3].clone();
        steps.extend(vec![last; 20]);
        assert_eq!(unwritten(&report(&steps)).len(), MOST);
    }
}
