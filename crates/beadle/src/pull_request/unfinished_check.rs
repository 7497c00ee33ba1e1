//! The output of a check run if Beadle could not finish the check.

use beadle_engine::{Class, Failure};
use beadle_github::{CheckOutput, Conclusion};

use super::check_runs::output;
use crate::output::markdown::{Page, Piece};

/// Returns the output of the check run if the check failed because of GitHub or of Beadle itself.
/// The text of a failure can contain the name of a private repository. So a public check run does
/// not show this text.
pub(super) fn unfinished(failure: &Failure, is_public: bool) -> CheckOutput {
    let (conclusion, title, next) = match failure.class {
        Class::RateLimited { .. } => (
            Conclusion::TimedOut,
            "GitHub's API budget is used up",
            "Beadle repeats the check when the budget allows it.",
        ),
        Class::Retry | Class::Conflict => {
            (Conclusion::TimedOut, "GitHub did not answer as expected", "Beadle repeats the check.")
        }
        Class::Rejected | Class::Fatal => (
            Conclusion::ActionRequired,
            "Beadle cannot check this pull request",
            "An operator must repair the cause, and run the check again.",
        ),
    };
    let mut page = Page::default();
    page.paragraph(&[Piece::own(next)]);
    if !is_public {
        page.quote(&[Piece::value(&failure.text)]);
    }
    output(conclusion, title, page.text().to_owned())
}

#[cfg(test)]
mod tests {
    use beadle_engine::Time;

    use super::*;

    #[test]
    fn a_failure_ends_the_check_with_a_conclusion_that_blocks_a_merge() {
        let limited = Class::RateLimited { until: Time(0), spares_events: false };
        for (class, conclusion) in [
            (limited, Conclusion::TimedOut),
            (Class::Retry, Conclusion::TimedOut),
            (Class::Conflict, Conclusion::TimedOut),
            (Class::Rejected, Conclusion::ActionRequired),
            (Class::Fatal, Conclusion::ActionRequired),
        ] {
            let failure = Failure::new(class, "GET /repos/acme/x: <b>502</b>");
            let shown = unfinished(&failure, false);
            assert_eq!(shown.conclusion, conclusion, "{class:?}");
            assert!(shown.summary.contains("> `GET /repos/acme/x: <b>502</b>`"), "{}", shown.summary);
            assert!(shown.annotations.is_empty());
            assert!(!unfinished(&failure, true).summary.contains("acme"));
        }
    }
}
