//! The changes that a run did not write, and the record of the run in the journal.

use crate::apply::{Report, Step, StepResult};
use crate::journal::{Cause, ChangedPart, DriftCause, RunCounts, UnwrittenChange};
use crate::plan::{Risk, Unknown};

/// The maximum size of a list of unwritten changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListSize {
    /// The maximum number of changes.
    pub(crate) changes: usize,
    /// The maximum number of values that one change names.
    pub(crate) values: usize,
}

/// The size of the list in one journal entry. In the mode `observe`, a repository has the same
/// unwritten changes in each run. The entries must therefore stay small. The entries name no
/// values, see [`in_journal`].
pub(crate) const IN_JOURNAL: ListSize = ListSize { changes: 5, values: 0 };

/// The maximum number of unknown parts in one journal entry.
const MOST_UNKNOWNS: usize = 100;

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
        unknown: unknowns(report),
        unwritten: Some(in_journal(report)).filter(|changes| !changes.is_empty()),
        after: Some(after),
        is_undo: false,
    }
}

/// Returns the unknown parts in the form that the journal stores. A group can have thousands of people
/// without an account, and a store such as DynamoDB refuses a large entry.
fn unknowns(report: &Report) -> Vec<Unknown> {
    let mut stored: Vec<Unknown> = report.unknowns.iter().take(MOST_UNKNOWNS).cloned().collect();
    if let Some(next) = report.unknowns.get(MOST_UNKNOWNS) {
        let more = report.unknowns.len() - MOST_UNKNOWNS;
        let why = format!("the entry leaves out this part and {} more unknown parts", more - 1);
        stored.push(Unknown { why, ..next.clone() });
    }
    stored
}

/// Returns the number of changes that failed or were not reached, plus the number of changes that
/// depend on these changes. A postponed change does not count, because a separate number counts the
/// postponed changes.
fn failed(report: &Report) -> usize {
    let broken = report.count(|result| matches!(result, StepResult::Failed(_) | StepResult::NotReached));
    if broken == 0 { 0 } else { broken + report.count(|result| *result == StepResult::Blocked) }
}

/// Returns the reason why Beadle did not write a change. Returns `None` if the change was written.
pub(crate) fn cause(result: &StepResult) -> Option<DriftCause> {
    match result {
        StepResult::Written => None,
        StepResult::Blocked => Some(DriftCause::Blocked),
        StepResult::Withheld => Some(DriftCause::Mode),
        StepResult::Held { .. } => Some(DriftCause::Held),
        StepResult::Postponed(_) => Some(DriftCause::Contested),
        StepResult::NotReached => Some(DriftCause::NotReached),
        StepResult::Failed(_) => Some(DriftCause::Failed),
    }
}

/// Returns the unwritten changes of a run in the form that the journal stores. If an entry has a
/// field or a cause that the previous version does not know, that version cannot read the entry.
/// The form therefore has no names of values, and a blocked change has the cause that the previous
/// version gave to a blocked change. The state of the key has the names and the exact cause.
fn in_journal(report: &Report) -> Vec<UnwrittenChange> {
    let form = |change: UnwrittenChange| UnwrittenChange {
        part: ChangedPart { values: Vec::new(), more_values: 0, ..change.part },
        because: match change.because {
            DriftCause::Blocked => DriftCause::NotReached,
            because => because,
        },
        ..change
    };
    unwritten(report, IN_JOURNAL).into_iter().map(form).collect()
}

/// Returns the unwritten changes of a run. The gravest change comes first.
pub(crate) fn unwritten(report: &Report, size: ListSize) -> Vec<UnwrittenChange> {
    let mut steps: Vec<(Risk, DriftCause, &Step)> = Vec::new();
    for step in &report.steps {
        let Some(because) = cause(&step.outcome) else { continue };
        steps.push((step.change.risks().gravest().unwrap_or(Risk::Changes), because, step));
    }
    steps.sort_by_key(|(risk, ..)| std::cmp::Reverse(*risk));
    let change = |(risk, because, step): (Risk, DriftCause, &Step)| {
        let digest = match &step.outcome {
            StepResult::Held { digest, .. } => Some(digest.clone()),
            _ => None,
        };
        UnwrittenChange {
            part: ChangedPart::of(&step.change, size.values),
            risk,
            asked: step.change.fields.iter().find_map(|field| field.asked.clone()),
            because,
            undone: step.is_undone(),
            digest,
        }
    };
    steps.into_iter().take(size.changes).map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PolicyLocation;
    use crate::testing::change;

    fn report(steps: &[Step]) -> Report {
        Report {
            subject: "acme/shop".into(),
            steps: steps.to_vec(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    fn step(what: &str, risk: Risk, outcome: StepResult) -> Step {
        Step { change: change("teams", what, &[risk]), outcome }
    }

    #[test]
    fn a_postponed_change_does_not_count_as_failed() {
        let counts = |results: &[StepResult]| {
            let steps: Vec<Step> =
                results.iter().map(|outcome| step("a", Risk::Adds, outcome.clone())).collect();
            let counts = run_counts(&report(&steps), Vec::new());
            (counts.changes, counts.failed, counts.postponed)
        };
        let postponed = StepResult::Postponed("another writer".into());
        let failed = StepResult::Failed("403".into());
        assert_eq!(counts(std::slice::from_ref(&postponed)), (1, 0, Some(1)));
        assert_eq!(counts(&[postponed, failed, StepResult::Blocked]), (3, 2, Some(1)));
        assert_eq!(counts(&[StepResult::NotReached, StepResult::Withheld]), (2, 1, Some(0)));
    }

    #[test]
    fn the_entry_of_a_run_stays_small_and_says_how_much_it_leaves_out() {
        let unknown = |n: usize| Unknown {
            aspect: "members".into(),
            part: Some(format!("person{n}@acme.example")),
            why: "no account".into(),
            transient: true,
        };
        let of = |count: usize| Report { unknowns: (0..count).map(unknown).collect(), ..report(&[]) };
        assert_eq!(run_counts(&of(MOST_UNKNOWNS), Vec::new()).unknown.len(), MOST_UNKNOWNS);
        let stored = run_counts(&of(2_200), Vec::new()).unknown;
        assert_eq!(stored.len(), MOST_UNKNOWNS + 1);
        assert!(stored[MOST_UNKNOWNS].why.ends_with("2099 more unknown parts"), "{:?}", stored.last());
    }

    #[test]
    fn the_journal_has_the_form_that_the_previous_version_can_read() {
        let steps = [step("a", Risk::Adds, StepResult::Blocked), step("b", Risk::Adds, StepResult::Withheld)];
        let stored = serde_json::to_value(run_counts(&report(&steps), Vec::new())).unwrap();
        let changes = stored["unwritten"].as_array().unwrap();
        let causes: Vec<&str> = changes.iter().filter_map(|change| change["because"].as_str()).collect();
        assert_eq!(causes, ["not-reached", "mode"]);
        for change in changes {
            assert!(change.get("values").is_none() && change.get("more_values").is_none(), "{change}");
        }
        let of_key = unwritten(&report(&steps), ListSize { changes: 20, values: 20 });
        assert_eq!((of_key[0].because, of_key[0].part.values.is_empty()), (DriftCause::Blocked, false));
    }

    #[test]
    fn the_gravest_unwritten_changes_come_first_with_their_reason_and_their_line() {
        let held = StepResult::Held { digest: "8f0c".into(), why: "limit".into() };
        let mut steps = vec![
            step("a", Risk::Adds, StepResult::Withheld),
            step("b", Risk::Removes, StepResult::Written),
            step("c", Risk::Removes, held),
            step("d", Risk::Changes, StepResult::Failed("403".into())),
        ];
        steps[0].change.fields[0].asked = Some(PolicyLocation { file: "layers/labels.yml".into(), line: 4 });
        let found = unwritten(&report(&steps), IN_JOURNAL);
        let seen: Vec<_> = found.iter().map(|one| (one.part.what.as_str(), one.because)).collect();
        assert_eq!(seen, [("c", DriftCause::Held), ("d", DriftCause::Failed), ("a", DriftCause::Mode)]);
        assert_eq!((found[0].digest.as_deref(), found[1].digest.as_deref()), (Some("8f0c"), None));
        let asked = found[2].asked.as_ref().map(ToString::to_string);
        assert_eq!(asked.as_deref(), Some("layers/labels.yml:4"));
        let mut undone = steps.clone();
        undone[0].change.undone = true;
        let counts = |steps: &[Step]| run_counts(&report(steps), Vec::new());
        let (before, after) = (counts(&steps), counts(&undone));
        assert_eq!((before.withheld, before.undone), (Some(1), None));
        assert_eq!((after.withheld, after.undone), (Some(0), Some(1)));
        assert_eq!(after.unwritten.map(|all| all[2].undone), Some(true));
    }

    #[test]
    fn a_list_has_a_maximum_number_of_changes_and_of_values() {
        let long =
            Step { change: change("settings", "", &[Risk::Changes; 50]), outcome: StepResult::Withheld };
        let found = unwritten(&report(&vec![long; 30]), ListSize { changes: 20, values: 10 });
        let part = &found[0].part;
        assert_eq!((found.len(), part.values.len(), part.more_values), (20, 10, 40));
    }
}
