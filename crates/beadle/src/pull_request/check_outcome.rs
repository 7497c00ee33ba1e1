//! The result of the check of one commit, and the final output of the check run.

use std::time::Duration;

use beadle_engine::{Class, Failure};
use beadle_github::{CheckOutput, Conclusion};

use super::check_runs::output;
use super::findings::Findings;
use super::findings_markdown;
use super::stored_check_results::CheckedPull;

/// The maximum time of one preview. The worker ends a run after 300 s, and Beadle must conclude the
/// check run before this time.
pub(super) const LIMIT: Duration = Duration::from_secs(240);

/// The result of the check of one commit.
pub(super) enum Examined {
    /// The pull request does not change the policy.
    Unchanged,
    /// The pull request changes the policy.
    Changed(Box<Findings>),
    /// The check did not end in time.
    TooLong,
}

impl Examined {
    /// Returns the final output of the check run.
    pub(super) fn output(&self) -> CheckOutput {
        match self {
            Self::Unchanged => {
                let text = findings_markdown::unchanged().to_owned();
                output(Conclusion::Success, "The policy is not changed", text)
            }
            Self::Changed(findings) => {
                let (conclusion, title) = findings.conclusion();
                let annotations = findings.annotations();
                CheckOutput { conclusion, title, summary: findings_markdown::summary(findings), annotations }
            }
            Self::TooLong => {
                let text =
                    format!("Beadle ended the check after {} s. Run the check again.", LIMIT.as_secs());
                output(Conclusion::TimedOut, "The check took too long", text)
            }
        }
    }

    /// If this check has no better result than `earlier`, returns the reason why the earlier result
    /// of the same commit stays. An incomplete preview does not replace a complete one. Otherwise,
    /// a fault at GitHub could block a merge, or make the reviews of the shown plan invalid.
    pub(super) fn keeps(&self, earlier: &CheckedPull) -> Option<Failure> {
        let why = match self {
            Self::Unchanged => None,
            Self::Changed(findings) => {
                let why = missing_part(findings).filter(|_| earlier.is_complete())?;
                Some(format!("the preview for the policy in force is incomplete: {why}"))
            }
            Self::TooLong => {
                Some(format!("the check for the policy in force took longer than {} s", LIMIT.as_secs()))
            }
        };
        why.map(|why| Failure::new(Class::Retry, format!("{why}; the earlier result stays")))
    }
}

/// Returns why a part of the preview is missing, if nothing else is wrong with the policy.
fn missing_part(findings: &Findings) -> Option<&str> {
    let is_valid = findings.errors() == 0 && findings.failures.is_empty();
    let preview = findings.preview.as_ref().filter(|_| is_valid)?;
    preview.incomplete.first().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Key, Time};

    use super::super::findings::Previewed;
    use super::super::findings::tests::{findings, preview, problem};
    use super::*;

    /// Returns the findings in a valid policy. `missing` is the name of a part that Beadle could
    /// not plan.
    fn found(missing: Option<&str>) -> Findings {
        let incomplete = missing.into_iter().map(str::to_owned).collect();
        findings(Some(Previewed { incomplete, ..preview(&["shop".to_owned()], &[]) }))
    }

    fn earlier(findings: &Findings) -> CheckedPull {
        CheckedPull::new(&Key::new("check", "acme", "7/7"), ("acme/admin#7", 7), findings, Time(5))
    }

    fn kept(examined: &Examined, earlier: &CheckedPull) -> Option<String> {
        let failure = examined.keeps(earlier)?;
        assert_eq!(failure.class, Class::Retry);
        Some(failure.text)
    }

    #[test]
    fn a_repeated_check_without_a_whole_result_keeps_the_earlier_result() {
        let complete = earlier(&found(None));
        let changed = |findings: Findings| Examined::Changed(Box::new(findings));
        let slow = kept(&Examined::TooLong, &complete).unwrap();
        assert!(slow.contains("longer than 240 s"), "{slow}");
        let incomplete = kept(&changed(found(Some("acme/shop: 502"))), &complete).unwrap();
        assert!(incomplete.contains("acme/shop: 502"), "{incomplete}");
        // A part of the plan is unknown. So the gate's verdict about the known part does not
        // matter.
        let mut held = found(Some("acme/shop: 502"));
        held.preview.as_mut().unwrap().held = Some("too much".to_owned());
        assert!(kept(&changed(held), &complete).is_some());
    }

    #[test]
    fn a_repeated_check_with_a_result_replaces_the_earlier_result() {
        let complete = earlier(&found(None));
        let changed = |findings: Findings| Examined::Changed(Box::new(findings));
        let wrong = Findings { problems: vec![problem("settings.yml", 3, "wrong")], ..found(Some("502")) };
        for examined in [Examined::Unchanged, changed(found(None)), changed(findings(None)), changed(wrong)] {
            assert_eq!(kept(&examined, &complete), None);
        }
        for no_better in [earlier(&found(Some("502"))), earlier(&findings(None))] {
            assert_eq!(kept(&changed(found(Some("502"))), &no_better), None);
        }
    }
}
