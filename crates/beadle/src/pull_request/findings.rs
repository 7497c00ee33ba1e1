//! The findings of a check, and the conclusion that follows from these findings.

use std::collections::BTreeSet;

use beadle_engine::{Key, Mode, Plan, Risk, Risks};
use beadle_github::{Annotation, Conclusion};
use beadle_repositories::Severity;
use beadle_repositories::policy::{MAPPINGS, Problem};

use super::policy_parts::Folders;
use super::pull_names::PullNames;
use crate::app::policy::group_changes_between_versions::ChangedGroups;
use crate::output::changed_places::ChangedPlaces;
use crate::output::escape;
use crate::output::plural::counted;

/// The maximum number of annotations. More annotations would need many requests, and nobody would
/// read them.
const ANNOTATIONS: usize = 500;
/// The maximum number of characters of an annotation. If an annotation has more than 64 KiB, GitHub
/// refuses the whole check run.
const ANNOTATION: usize = 4_000;

/// The changes of the head's policy.
#[derive(Debug)]
pub(super) struct Previewed {
    /// The generation of the policy that the plan compares with the head's policy.
    pub(super) base: String,
    /// The values that only the policy of the head asks for.
    pub(super) plans: Vec<(Key, Plan<()>)>,
    /// The number of planned values that the policy of the base also asks for.
    pub(super) drift: u64,
    /// The names of the repositories to which these values belong.
    pub(super) drifted: Vec<String>,
    /// One line for each kind of change that waits for the end of a waiver.
    pub(super) delayed: Vec<String>,
    /// The number of repositories whose declared values differ between the two policies.
    pub(super) affected: u64,
    /// The number of repositories of the organisation.
    pub(super) total: u64,
    /// Why parts of the preview are missing.
    pub(super) incomplete: Vec<String>,
    /// The changes of access groups, by the targets of the groups.
    pub(super) groups: Vec<ChangedGroups>,
    /// Why the gate would hold the policy; `None` if the policy passes.
    pub(super) held: Option<String>,
    /// The code of all changes that the gate counts.
    pub(super) digest: String,
}

impl Previewed {
    /// Returns the number of all changes for each risk.
    pub(super) fn risks(&self) -> Risks {
        let mut sums = Risks::default();
        self.plans.iter().for_each(|(_, plan)| sums.merge(&plan.risks()));
        sums
    }

    /// Returns the number of repositories that have a change.
    pub(super) fn touched(&self) -> u64 {
        let has_change =
            |(key, plan): &&(Key, Plan<()>)| key.kind() != "organisation" && !plan.changes.is_empty();
        self.plans.iter().filter(has_change).count() as u64
    }

    /// Returns the number of all group changes for each risk, and the number of changed groups.
    pub(super) fn group_risks(&self) -> (Risks, u64) {
        let (mut sums, mut touched) = (Risks::default(), BTreeSet::new());
        for (key, plan) in self.groups.iter().flat_map(ChangedGroups::plans) {
            sums.merge(&plan.risks());
            if !plan.changes.is_empty() {
                touched.insert(key);
            }
        }
        (sums, touched.len() as u64)
    }

    /// Returns whether the policy changes the organisation itself.
    pub(super) fn reaches_organisation(&self) -> bool {
        self.plans.iter().any(|(key, plan)| key.kind() == "organisation" && !plan.changes.is_empty())
    }
}

/// Everything that a check found.
#[derive(Debug)]
pub(super) struct Findings {
    /// The readable names of the pull request.
    pub(super) pull: PullNames,
    /// The name of the organisation that uses the policy.
    pub(super) organisation: String,
    /// The mode of the organisation.
    pub(super) mode: Mode,
    /// The commit of the base branch.
    pub(super) base: String,
    /// The last commit of the pull request.
    pub(super) head: String,
    /// True if everybody, or each member of the base's organisation, can read the check and the
    /// comment.
    pub(super) is_public: bool,
    /// True if the pull request is in the repository of the base, and this repository belongs to
    /// another organisation.
    pub(super) is_foreign: bool,
    /// The parts of the policy in the repository of the pull request. The name of a part is its
    /// folder.
    pub(super) folders: Folders,
    /// True if the pull request comes from a fork.
    pub(super) is_from_fork: bool,
    /// True if a reader might not be allowed to read the values that the repositories have now. The
    /// reader can be the author of a fork, or a member of another organisation of the enterprise.
    pub(super) hides_live_values: bool,
    /// True if the policy of the base is invalid. The preview then shows the differences from the
    /// policy in force.
    pub(super) is_base_invalid: bool,
    /// True if the policy of the head is valid, but the check is not allowed to show its changes.
    pub(super) is_hidden: bool,
    /// Why Beadle cannot read the policy of the head, if the cause is not in a line of a file.
    pub(super) refused: Option<String>,
    /// The slug of the team that can approve the policy by a review.
    pub(super) approving_team: Option<String>,
    /// The problems in the files of the head.
    pub(super) problems: Vec<Problem>,
    /// How many tests the policy has.
    pub(super) tests: usize,
    /// The failures of the policy's tests. The check also reports these failures as problems.
    pub(super) failures: Vec<Problem>,
    /// The changes of the policy. `None` if the policy is invalid, or if `is_hidden` is true.
    pub(super) preview: Option<Previewed>,
}

impl Findings {
    /// Returns the number of errors in the policy. Failures of tests do not count.
    pub(super) fn errors(&self) -> usize {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count() + usize::from(self.refused.is_some())
    }

    /// Returns whether the check is allowed to show the changes of the policy. If everybody can
    /// read the check and open a pull request, a stranger could find out facts about private
    /// repositories. The layers in a pull request can select repositories by name, and even the
    /// number of changes would reveal facts.
    pub(super) fn may_preview(&self) -> bool {
        !(self.is_public && self.is_from_fork)
    }

    /// Returns the conclusion and the title of the check.
    pub(super) fn conclusion(&self) -> (Conclusion, String) {
        let errors = self.errors();
        if errors > 0 {
            let text = format!("Invalid policy: {}", counted(errors as u64, "error", "errors"));
            return (Conclusion::Failure, text);
        }
        if !self.failures.is_empty() {
            let failures = counted(self.failures.len() as u64, "failure", "failures");
            let tests = counted(self.tests as u64, "test", "tests");
            return (Conclusion::Failure, format!("{failures} in {tests} of the policy"));
        }
        match &self.preview {
            None => (Conclusion::ActionRequired, "No preview".to_owned()),
            Some(preview) if preview.held.is_some() => {
                (Conclusion::ActionRequired, format!("The gate would hold this policy: {}", sums(preview)))
            }
            Some(preview) if !preview.incomplete.is_empty() => {
                (Conclusion::ActionRequired, "The preview is incomplete".to_owned())
            }
            Some(preview) => (Conclusion::Success, sums(preview)),
        }
    }

    /// Returns the code of the plan, if the check shows the whole plan of a valid policy. In a
    /// public repository, the check does not show the whole plan. For a fork, the check does not
    /// show the people who join or leave groups.
    pub(super) fn shown_plan(&self) -> Option<&str> {
        let preview = self.preview.as_ref().filter(|preview| preview.incomplete.is_empty())?;
        let changes_groups = preview.group_risks().1 > 0;
        let is_hidden = self.is_public || (self.is_from_fork && changes_groups);
        let is_shown = !is_hidden;
        let is_whole = is_shown && self.errors() == 0 && self.failures.is_empty();
        is_whole.then_some(preview.digest.as_str())
    }

    /// Removes the findings about the organisation's own policy, if the members of another
    /// organisation can read the findings. `own` contains the paths of the files of the
    /// organisation's own policy. The errors that this function removes still make the check fail.
    pub(super) fn hide_own(&mut self, own: &[&str]) {
        let folders = &self.folders;
        let names_own = |text: &str| own.iter().any(|file| text.contains(file));
        let is_shown = |problem: &Problem| {
            folders.path(&problem.asked.file).is_some()
                && !names_own(&problem.message)
                && !problem.hint.as_deref().is_some_and(names_own)
        };
        let before = self.errors() + self.failures.len();
        self.problems.retain(is_shown);
        self.failures.clear();
        self.tests = 0;
        self.refused = None;
        let hidden = before - self.errors();
        if hidden > 0 {
            let problems = counted(hidden as u64, "problem", "problems");
            self.refused = Some(format!(
                "{problems} together with the organisation's own policy, which is not shown here"
            ));
        }
    }

    /// Removes parts of the configuration from the findings, if everybody can read the findings.
    /// The hint of an error in a mapping can contain the name of a target or a directory. By trying
    /// other mappings, a stranger could find out more names. So the check does not show the error
    /// in a stranger's mapping.
    pub(super) fn hide_configuration(&mut self) {
        let (is_public, is_of_stranger) = (self.is_public, !self.may_preview());
        let is_mapping = |problem: &&mut Problem| is_public && &*problem.asked.file == MAPPINGS;
        for problem in self.problems.iter_mut().filter(is_mapping) {
            problem.hint = None;
            if is_of_stranger {
                "this mapping is invalid; `beadle check` shows why".clone_into(&mut problem.message);
            }
        }
    }

    /// Returns the findings about files in the repository of the pull request, as annotations.
    pub(super) fn annotations(&self) -> Vec<Annotation> {
        let annotation = |problem: &Problem| {
            let path = self.folders.path(&problem.asked.file)?;
            let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            Some(Annotation {
                path,
                line: problem.asked.line.max(1),
                is_error: problem.severity == Severity::Error,
                message: escape::cut(&format!("{}{hint}", problem.message), ANNOTATION),
            })
        };
        let mut all: Vec<&Problem> = self.problems.iter().chain(&self.failures).collect();
        all.sort_by_key(|problem| problem.severity);
        all.into_iter().filter_map(annotation).take(ANNOTATIONS).collect()
    }
}

/// Returns the number of changes for each risk, together with the word for this risk. The most
/// severe risk comes first. Leaves out zeros.
pub(super) fn parts(risks: &Risks) -> Vec<(u32, &'static str)> {
    let counts = Risk::ALL.into_iter().rev().map(|risk| (risk, risks.count(risk)));
    counts.filter(|(_, count)| *count > 0).map(|(risk, count)| (count, risk.noun(count))).collect()
}

/// Returns the sums of a preview as one line.
fn sums(preview: &Previewed) -> String {
    let texts = |risks: &Risks| -> String {
        let texts = parts(risks).into_iter().map(|(count, noun)| format!("{count} {noun}"));
        texts.collect::<Vec<_>>().join(", ")
    };
    let (repositories, organisation) = (preview.touched(), preview.reaches_organisation());
    let places = ChangedPlaces { repositories, organisation, groups: 0 };
    let of_repositories = (texts(&preview.risks()), places.text());
    let (risks, groups) = preview.group_risks();
    let of_groups = (texts(&risks), counted(groups, "group", "groups"));
    let all: Vec<String> = [of_repositories, of_groups]
        .into_iter()
        .filter(|(sums, _)| !sums.is_empty())
        .map(|(sums, touched)| format!("{sums} in {touched}"))
        .collect();
    if all.is_empty() { "No change of a repository".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
pub(super) mod tests {
    use beadle_engine::{Change, Field, PolicyLocation};
    use serde_json::{Value, json};

    use super::*;

    /// Returns a change with one field.
    pub(in crate::pull_request) fn change(
        what: &str,
        risk: Risk,
        before: &Value,
        after: &Value,
    ) -> Change<()> {
        let field = Field {
            name: "permission".to_owned(),
            before: before.clone(),
            after: after.clone(),
            asked: None,
            risk,
        };
        Change {
            aspect: "teams".to_owned(),
            what: what.to_owned(),
            fields: vec![field],
            mode: Mode::Enforce,
            after: Vec::new(),
            stop: None,
            undone: false,
            reaches: 1,
            write: (),
        }
    }

    /// Returns a preview in which each repository has these changes.
    pub(in crate::pull_request) fn preview(names: &[String], changes: &[Change<()>]) -> Previewed {
        let plan = |(id, name): (usize, &String)| {
            let plan = Plan { changes: changes.to_vec(), ..Plan::new(format!("acme/{name}")) };
            (Key::new("repository", "acme", id), plan)
        };
        let count = names.len() as u64;
        Previewed {
            base: "a".repeat(12),
            plans: names.iter().enumerate().map(plan).collect(),
            drift: 0,
            drifted: Vec::new(),
            delayed: Vec::new(),
            affected: count,
            total: count + 10,
            incomplete: Vec::new(),
            groups: Vec::new(),
            held: None,
            digest: String::new(),
        }
    }

    /// Returns the findings in a valid policy.
    pub(in crate::pull_request) fn findings(preview: Option<Previewed>) -> Findings {
        Findings {
            pull: PullNames::default(),
            organisation: "acme".to_owned(),
            mode: Mode::Enforce,
            base: "a".repeat(40),
            head: "b".repeat(40),
            is_public: false,
            is_foreign: false,
            folders: Folders { own: Some(String::new()), base: None },
            is_from_fork: false,
            hides_live_values: false,
            is_base_invalid: false,
            is_hidden: false,
            refused: None,
            approving_team: None,
            problems: Vec::new(),
            tests: 0,
            failures: Vec::new(),
            preview,
        }
    }

    pub(in crate::pull_request) fn problem(file: &str, line: u32, message: &str) -> Problem {
        Problem::error(PolicyLocation { file: file.into(), line }, 1, message)
    }

    fn removal() -> Previewed {
        preview(&["shop".to_owned()], &[change("team core", Risk::Removes, &json!("push"), &Value::Null)])
    }

    #[test]
    fn a_check_succeeds_only_if_the_policy_is_valid_and_nothing_is_left_to_decide() {
        let mut own = removal();
        own.plans.push((Key::new("organisation", "acme", 1), own.plans[0].1.clone()));
        assert_eq!(sums(&own), "2 removals in 1 repository and the organisation itself");
        let warning = || problem("settings.yml", 3, "odd").severity(Severity::Warning);
        let cases = [
            (findings(Some(removal())), Conclusion::Success, "1 removal in 1 repository"),
            (
                Findings { problems: vec![warning()], ..findings(Some(preview(&[], &[]))) },
                Conclusion::Success,
                "No change of a repository",
            ),
            (
                Findings { problems: vec![problem("settings.yml", 3, "wrong"), warning()], ..findings(None) },
                Conclusion::Failure,
                "Invalid policy: 1 error",
            ),
            (
                Findings { refused: Some("a link".to_owned()), ..findings(None) },
                Conclusion::Failure,
                "Invalid policy: 1 error",
            ),
            (
                Findings {
                    tests: 2,
                    failures: vec![problem("tests/a.yml", 1, "no")],
                    ..findings(Some(removal()))
                },
                Conclusion::Failure,
                "1 failure in 2 tests of the policy",
            ),
            (
                findings(Some(Previewed { held: Some("too much".to_owned()), ..removal() })),
                Conclusion::ActionRequired,
                "The gate would hold this policy: 1 removal in 1 repository",
            ),
            (
                findings(Some(Previewed { incomplete: vec!["502".to_owned()], ..removal() })),
                Conclusion::ActionRequired,
                "The preview is incomplete",
            ),
        ];
        for (findings, conclusion, title) in cases {
            assert_eq!(findings.conclusion(), (conclusion, title.to_owned()), "{findings:?}");
        }
    }

    #[test]
    fn another_organisation_sees_only_findings_in_its_base() {
        let mut found = Findings {
            folders: Folders { own: None, base: Some("shared".to_owned()) },
            problems: vec![
                problem("base/settings.yml", 3, "odd").severity(Severity::Warning),
                problem("base/layers/a.yml", 4, "contradicts repos/secret.yml:5"),
                problem("repos/secret.yml", 5, "wrong"),
            ],
            failures: vec![problem("tests/secret.yml", 1, "no")],
            ..findings(None)
        };
        let own = ["repos/secret.yml"];
        found.hide_own(&own);
        assert_eq!(found.problems.len(), 1);
        assert!(found.failures.is_empty());
        assert_eq!(found.conclusion().0, Conclusion::Failure);
        let refused = found.refused.clone().unwrap();
        assert!(refused.starts_with("3 problems together with"), "{refused}");
        let paths: Vec<String> = found.annotations().into_iter().map(|one| one.path).collect();
        assert_eq!(paths, ["shared/settings.yml"]);
        let mut fine = Findings { problems: Vec::new(), failures: Vec::new(), refused: None, ..found };
        fine.hide_own(&own);
        assert_eq!(fine.refused, None);
    }

    #[test]
    fn a_stranger_learns_nothing_of_the_configuration_from_an_error_in_a_mapping() {
        let other = || problem("settings.yml", 3, "wrong").hint("right");
        let mapping =
            problem("groups.toml", 2, "there is no [[target]] `aws`").hint("did you mean `aws-prod`?");
        for (is_public, is_from_fork, left) in [(false, true, 2), (true, false, 1), (true, true, 0)] {
            let problems = vec![mapping.clone(), other()];
            let mut found = Findings { is_public, is_from_fork, problems, ..findings(None) };
            found.hide_configuration();
            assert_eq!(found.errors(), 2);
            let shown = format!("{:?}", found.annotations());
            for (at, name) in ["`aws`", "`aws-prod`"].into_iter().enumerate() {
                assert_eq!(shown.contains(name), at < left, "{is_public} {is_from_fork}: {shown}");
            }
            assert_eq!(found.problems[1], other());
        }
    }

    #[test]
    fn a_review_approves_only_a_plan_that_the_check_shows_whole() {
        assert_eq!(findings(Some(removal())).shown_plan(), Some(""));
        let public = Findings { is_public: true, ..findings(Some(removal())) };
        assert_eq!(public.shown_plan(), None);
        let fork = |preview: Previewed| Findings { is_from_fork: true, ..findings(Some(preview)) };
        assert_eq!(fork(removal()).shown_plan(), Some(""));
        let groups = vec![ChangedGroups { mapped: removal().plans, ..ChangedGroups::default() }];
        let with_groups = || Previewed { groups: groups.clone(), ..removal() };
        assert_eq!(findings(Some(with_groups())).shown_plan(), Some(""));
        assert_eq!(fork(with_groups()).shown_plan(), None, "nobody has seen the people");
        assert!(public.may_preview());
        assert!(!Findings { is_from_fork: true, ..public }.may_preview());
    }

    #[test]
    fn a_finding_becomes_an_annotation_at_its_file_in_the_repository() {
        let found = Findings {
            problems: vec![
                problem("settings.yml", 3, "odd").severity(Severity::Warning),
                problem("repos/shop.yml", 7, "wrong").hint("right"),
            ],
            ..findings(None)
        };
        let shown = |folder: &str| {
            let folders = Folders { own: Some(folder.to_owned()), base: None };
            let found = Findings { folders, problems: found.problems.clone(), ..findings(None) };
            let annotations = found.annotations().into_iter();
            annotations.map(|one| (one.path, one.line, one.is_error, one.message)).collect::<Vec<_>>()
        };
        let error = |path: &str| (path.to_owned(), 7, true, "wrong\nhint: right".to_owned());
        assert_eq!(shown("").first(), Some(&error("repos/shop.yml")));
        assert_eq!(shown("/.github/").first(), Some(&error(".github/repos/shop.yml")));
        let long = Findings { problems: vec![problem("a.yml", 1, &"x".repeat(70_000))], ..findings(None) };
        assert!(long.annotations()[0].message.len() < 5_000);
        let warning = (".github/settings.yml".to_owned(), 3, false, "odd".to_owned());
        assert_eq!(shown(".github").get(1), Some(&warning));
    }
}
