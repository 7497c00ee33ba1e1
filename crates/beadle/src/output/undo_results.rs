//! Shows the results of an undo. An undo can write the same change to hundreds of repositories, so
//! equal results of several repositories are shown only once.

use std::fmt::Write as _;

use beadle_engine::{Key, Report, Step, StepResult};

use crate::output::equal_lines::{EXAMPLES, equal_lines, heading, noun};
use crate::output::escape;
use crate::output::plans_and_results::{differences, label, outcome};
use crate::output::plural::counted;
use crate::output::printer::{Printer, Tone};

/// The results of an undo in one organisation.
#[derive(Debug, Default)]
pub(crate) struct UndoResults {
    /// The results of each key.
    pub(crate) reports: Vec<(Key, Report)>,
    /// The names of the keys that Beadle could not undo, each with the reason.
    pub(crate) errors: Vec<(String, String)>,
}

impl UndoResults {
    /// Returns the results as text. `most` is the maximum number of names that the text shows for
    /// the equal results of several repositories.
    pub(crate) fn text(&self, printer: &Printer, most: usize) -> String {
        let mut text = String::new();
        for kind in ["organisation", "repository"] {
            let of_kind = self.reports.iter().filter(|(key, _)| key.kind() == kind);
            let lines = of_kind.flat_map(|(_, report)| {
                lines(printer, report).into_iter().map(move |line| (report.subject.as_str(), line))
            });
            for group in equal_lines(lines) {
                let heading = escape::one_line(&heading(&group.names, noun(kind), most));
                let _ = writeln!(text, "{}", printer.paint(Tone::Heading, heading));
                for line in group.lines {
                    let _ = writeln!(text, "{}", escape::one_line(&line));
                }
            }
        }
        text
    }

    /// Returns one line for each error. Several repositories with the same error share a line.
    pub(crate) fn error_lines(&self, most: usize) -> Vec<String> {
        let errors = self.errors.iter().map(|(name, why)| (name.as_str(), why.clone()));
        let groups = equal_lines(errors).into_iter();
        let lines = groups.flat_map(|group| {
            let names = heading(&group.names, noun("repository"), most);
            group.lines.into_iter().map(move |why| format!("{names}: {why}"))
        });
        lines.collect()
    }

    /// Returns the results as sentences for a page. Several repositories with the same numbers
    /// share a sentence.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for kind in ["organisation", "repository"] {
            let of_kind = self.reports.iter().filter(|(key, _)| key.kind() == kind);
            let all = of_kind.map(|(_, report)| (report.subject.as_str(), numbers(report)));
            for group in equal_lines(all) {
                let names = heading(&group.names, noun(kind), EXAMPLES);
                let each = if group.names.len() > 1 { "in each: " } else { "" };
                sentences.extend(group.lines.into_iter().map(|line| format!("{names}: {each}{line}")));
            }
        }
        sentences.extend(self.error_lines(EXAMPLES));
        let is_held = |result: &StepResult| matches!(result, StepResult::Held { .. });
        let held: usize = self.reports.iter().map(|(_, report)| report.count(is_held)).sum();
        if held > 0 {
            let changes = counted(held, "change", "changes");
            sentences.push(format!(
                "the guard holds {changes}: approve them with `beadle approve` (see `beadle holds`), then undo the \
                 same writes again"
            ));
        }
        sentences
    }
}

/// Returns the lines of one key: each change with its result, and each unknown part.
fn lines(printer: &Printer, report: &Report) -> Vec<String> {
    let steps = report.steps.iter().map(|step| {
        let Step { change, .. } = step;
        format!("   {:13} {}  {}", change.aspect, differences(change), result(printer, step))
    });
    let unknowns = report.unknowns.iter().map(|unknown| {
        let label = printer.paint(Tone::Danger, label("?", "unknown", true));
        format!("  {label} {:13} {}", unknown.aspect, unknown.why)
    });
    steps.chain(unknowns).collect()
}

/// Returns the result of a change. The digest of a held change is different in each repository, so
/// the text leaves the digest out.
fn result(printer: &Printer, step: &Step) -> String {
    match &step.outcome {
        StepResult::Held { why, .. } => {
            printer.paint(Tone::Danger, format!("held: {why}; to approve it, see `beadle holds`"))
        }
        other => outcome(printer, &step.change, other),
    }
}

/// Returns how many changes have each result.
fn numbers(report: &Report) -> String {
    let written = report.count(|result| *result == StepResult::Written);
    let mut parts = vec![format!("{} written", counted(written, "change", "changes"))];
    for (number, what) in [
        (report.count(|result| matches!(result, StepResult::Held { .. })), "held by the guard"),
        (report.count(|result| *result == StepResult::Withheld), "skipped by the mode"),
        (report.failed(), "failed"),
        (report.unknowns.len(), "unknown"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Plan, Risk};

    use super::*;

    fn results(count: u64, outcome: impl Fn(u64) -> StepResult) -> UndoResults {
        let report = |n: u64| {
            let mut report = Report::of_nothing(&Plan::<()>::new(format!("acme/r{n:03}")));
            report.steps =
                vec![Step { change: change("teams", "team core", &[Risk::Removes]), outcome: outcome(n) }];
            (Key::new("repository", "acme", n), report)
        };
        UndoResults { reports: (0..count).map(report).collect(), errors: Vec::new() }
    }

    #[test]
    fn equal_results_of_many_repositories_are_shown_once() {
        let shown =
            results(188, |n| if n == 3 { StepResult::Failed("502".to_owned()) } else { StepResult::Written });
        let expected = "187 repositories: acme/r000, acme/r001, acme/r002, acme/r004, acme/r005 and 182 more\n   \
                        teams         team core: x  written\n\
                        acme/r003\n   \
                        teams         team core: x  failed: 502\n";
        assert_eq!(shown.text(&Printer::plain(), EXAMPLES), expected);
        let all = shown.text(&Printer::plain(), usize::MAX);
        assert!((0..188).all(|n| all.contains(&format!("acme/r{n:03}"))), "{all}");
        let sentences = shown.sentences();
        assert_eq!(sentences.len(), 2, "{sentences:?}");
        assert!(sentences[0].ends_with("acme/r005 and 182 more: in each: 1 change written"), "{sentences:?}");
        assert_eq!(sentences[1], "acme/r003: 0 changes written, 1 failed");
    }

    #[test]
    fn held_changes_of_several_repositories_are_shown_once() {
        let held = |n: u64| StepResult::Held { digest: format!("d{n}"), why: "guard limit".to_owned() };
        let results = results(2, held);
        let shown = results.text(&Printer::plain(), EXAMPLES);
        let next = "the guard holds 2 changes: approve them with `beadle approve` (see `beadle holds`), then undo the \
                    same writes again";
        assert_eq!(results.sentences().last().map(String::as_str), Some(next));
        let expected = "2 repositories: acme/r000, acme/r001\n   \
                        teams         team core: x  held: guard limit; to approve it, see `beadle holds`\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_same_error_of_several_repositories_is_one_line() {
        let errors = ["acme/a", "acme/b"].map(|name| (name.to_owned(), "acme is paused".to_owned())).to_vec();
        let results = UndoResults { reports: Vec::new(), errors };
        assert_eq!(results.error_lines(EXAMPLES), ["2 repositories: acme/a, acme/b: acme is paused"]);
        assert_eq!(results.sentences(), results.error_lines(EXAMPLES));
    }

    #[test]
    fn the_result_of_a_repository_is_one_line() {
        let mut results = results(1, |_| StepResult::Written);
        let withheld = Step { outcome: StepResult::Withheld, ..results.reports[0].1.steps[0].clone() };
        results.reports[0].1.steps.push(withheld);
        assert_eq!(results.sentences(), ["acme/r000: 1 change written, 1 skipped by the mode"]);
    }
}
