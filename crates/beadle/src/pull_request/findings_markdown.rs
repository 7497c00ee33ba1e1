//! Renders the findings of a check as Markdown. The comment on the pull request and the summary of
//! the check run use this text.
//!
//! Names and values come from people who might want to deceive a reviewer. So each name and each
//! value is a [`Piece::value`]. GitHub does not interpret such a piece.

use beadle_engine::{Mode, Unknown};
use beadle_repositories::Severity;
use beadle_repositories::policy::Problem;

use super::change_group_lines::group_lines;
use super::change_groups::{GroupReaders, groups};
use super::findings::{Findings, Previewed, parts};
use super::group_section::{self, Readers};
use super::merge_of_held_policy::{AFTER_MERGE, HOW_TO_APPROVE};
use crate::output::markdown::{Page, Piece};

/// The maximum length of the text, in bytes. GitHub accepts 65,535 characters.
const MOST: usize = 60_000;
/// The reserved length for the last lines of the text, in bytes.
const REST: usize = 2_000;
/// The maximum number of findings. The same limit applies to unknown parts.
const PROBLEMS: usize = 25;
/// The maximum length of each list of findings or unknown parts, in bytes. Without this limit, the
/// author of a pull request could fill the text with long findings. Then the text would have no
/// room for the changes, or GitHub would refuse the text.
const PROBLEM_BYTES: usize = 10_000;

/// Returns the beginning of an organisation's comment. Beadle later finds its own comment by this
/// beginning.
pub(super) fn marker(organisation: &str) -> String {
    format!("<!-- beadle check: {organisation} -->")
}

/// Returns the text of the comment.
pub(super) fn comment(findings: &Findings) -> String {
    format!("{}\n{}", marker(&findings.organisation), summary(findings))
}

/// Returns the text for a pull request that does not change the policy.
pub(super) fn unchanged() -> &'static str {
    "This pull request does not change the policy."
}

/// Returns the summary of the check run.
pub(super) fn summary(findings: &Findings) -> String {
    render(findings).0.text().to_owned()
}

/// Returns whether the summary shows each kind of change in repositories, and each access group. A
/// review must not approve a change that the summary leaves out because of the length limit.
pub(super) fn shows_all_changes(findings: &Findings) -> bool {
    render(findings).1 == 0
}

/// Returns the summary. Also returns how many kinds of changes and access groups the summary leaves
/// out.
fn render(findings: &Findings) -> (Page, u64) {
    let mut left = 0;
    let mut page = Page::default();
    page.heading(2, &[Piece::own("Policy of"), Piece::value(&findings.organisation)]);
    page.paragraph(&[
        Piece::own("Base"),
        Piece::value(short(&findings.base)),
        Piece::own("→ head"),
        Piece::value(short(&findings.head)),
    ]);
    if findings.is_base_invalid {
        let text = "The policy of the base cannot be read. Beadle compares with the policy in force.";
        page.quote(&[Piece::own(text)]);
    }
    if !findings.may_preview() {
        let text = if findings.is_foreign {
            "The base belongs to another organisation, so Beadle shows the changes of a pull request from a fork only \
             after its commits are in a branch of the repository."
        } else {
            "The policy's repository is public, so Beadle shows the changes of a pull request from a fork only after \
             its commits are in a branch of the repository."
        };
        page.quote(&[Piece::own(text)]);
    }
    problems(&mut page, findings);
    if let Some(preview) = &findings.preview {
        let (is_public, is_from_fork) = (findings.is_public, findings.is_from_fork);
        left = group_section::add(&mut page, preview, Readers { is_public, is_from_fork });
        left += changes(&mut page, findings, preview);
    }
    (page, left)
}

/// Returns the first digits of a commit's id.
fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// Adds an item if the page then has at most `most` bytes. Returns whether the item was added.
fn add_item(page: &mut Page, most: usize, pieces: &[Piece]) -> bool {
    let mut item = Page::default();
    item.item(pieces);
    let fits = page.bytes() + item.bytes() <= most;
    if fits {
        page.append(&item);
    }
    fits
}

/// Adds the findings and the number of tests. Errors come first.
fn problems(page: &mut Page, findings: &Findings) {
    let mut all: Vec<&Problem> = findings.problems.iter().collect();
    all.sort_by_key(|problem| problem.severity);
    if findings.refused.is_some() || !all.is_empty() || !findings.failures.is_empty() {
        page.heading(3, &[Piece::own("Findings")]);
    }
    if let Some(why) = &findings.refused {
        page.item(&[Piece::own("error").bold(), Piece::value(why)]);
    }
    let line = |word: Piece, problem: &Problem| {
        let mut line =
            vec![word, Piece::value(&problem.asked), Piece::own("—"), Piece::value(&problem.message)];
        if let Some(hint) = &problem.hint {
            line.extend([Piece::own("— hint:"), Piece::value(hint)]);
        }
        line
    };
    let mut shown = 0;
    let most = page.bytes() + PROBLEM_BYTES;
    for problem in all.iter().take(PROBLEMS) {
        let word = match problem.severity {
            Severity::Error => Piece::own("error").bold(),
            Severity::NotYet => Piece::own("not carried out"),
            Severity::Warning => Piece::own("warning"),
        };
        shown += usize::from(add_item(page, most, &line(word, problem)));
    }
    let most = page.bytes() + PROBLEM_BYTES;
    for failure in findings.failures.iter().take(PROBLEMS) {
        let word = Piece::own("test failed").bold();
        shown += usize::from(add_item(page, most, &line(word, failure)));
    }
    let left = (all.len() + findings.failures.len() - shown) as u64;
    if left > 0 {
        page.paragraph(&[Piece::own("and"), Piece::counted(left, "more finding", "more findings")]);
    }
    if findings.tests > 0 && findings.failures.is_empty() {
        let tests = Piece::counted(findings.tests as u64, "test", "tests");
        page.paragraph(&[tests, Piece::own("of the policy passed.")]);
    }
}

/// Adds a section to the page about the changes that the policy would make: the sums, the gate's
/// verdict and the groups of changes. Returns the number of groups that are left out.
fn changes(page: &mut Page, findings: &Findings, preview: &Previewed) -> u64 {
    page.heading(3, &[Piece::own("Changes")]);
    let repositories = |count: u64| Piece::counted(count, "repository", "repositories");
    let sums: Vec<Piece> = parts(&preview.risks())
        .into_iter()
        .map(|(count, noun)| Piece::counted(count.into(), noun, noun))
        .collect();
    if sums.is_empty() {
        page.paragraph(&[Piece::own("This policy changes no repository.")]);
    } else {
        let mut line = vec![
            Piece::joined(&sums, ", ").bold(),
            Piece::own("in"),
            Piece::number(preview.touched()),
            Piece::own("of"),
            repositories(preview.total),
        ];
        if preview.reaches_organisation() {
            line.push(Piece::own("and in the organisation itself"));
        }
        page.paragraph(&line);
    }
    page.paragraph(&[
        Piece::own("Repositories whose declared values differ:"),
        Piece::number(preview.affected),
    ]);
    if let Some(why) = &preview.held {
        let text = "The gate would hold this policy until an operator approves it:";
        page.quote(&[Piece::own(text).bold(), Piece::value(why)]);
        page.paragraph(&[Piece::own(AFTER_MERGE), Piece::own(HOW_TO_APPROVE)]);
        if let Some(team) = findings.approving_team.as_ref().filter(|_| !findings.is_public) {
            let text = "of this commit, by another person than its author, approves this plan.";
            let member = Piece::own("A review by a member of the team");
            page.paragraph(&[member, Piece::value(team), Piece::own(text)]);
        }
    } else if findings.mode == Mode::Observe {
        page.quote(&[Piece::own("The mode of the organisation is `observe`: Beadle writes nothing.")]);
    } else if preview.incomplete.is_empty() && (!sums.is_empty() || !preview.groups.is_empty()) {
        page.paragraph(&[Piece::own("The gate would let this policy pass.")]);
    }
    incomplete(page, findings, preview);
    unknowns(page, findings, preview);
    delayed(page, findings, preview);
    let readers = GroupReaders {
        is_public: findings.is_public,
        is_foreign: findings.is_foreign,
        hides_live_values: findings.hides_live_values,
    };
    let shown = groups(&findings.organisation, &preview.plans, readers);
    let mut left = 0;
    for group in &shown {
        let (whole, brief) = (group_lines(group, true), group_lines(group, false));
        let room = MOST.saturating_sub(REST + page.bytes());
        if whole.bytes() <= room {
            page.append(&whole);
        } else if brief.bytes() <= room {
            page.append(&brief);
        } else {
            left += 1;
        }
    }
    if left > 0 {
        let text = Piece::counted(left, "more kind of change", "more kinds of changes");
        let mut line = vec![Piece::own("and"), text, Piece::own("(`beadle plan` shows all of them)")];
        if findings.approving_team.is_some() {
            line.push(Piece::own("— a review does not approve a plan that this text shows only in part"));
        }
        page.paragraph(&line);
    }
    if preview.drift > 0 {
        let values = Piece::counted(preview.drift, "value", "values");
        let why = "The policies of the base and of the head both ask for this, so this pull request does not \
                   cause it, and the gate does not count it. `beadle plan` with the policy of the base lists it.";
        page.paragraph(&[
            Piece::own("Drift that exists already:"),
            values,
            Piece::own("(not shown)."),
            Piece::own(why),
        ]);
    }
    left
}

/// Adds the reasons why parts of the preview are missing. A reason can contain the name of a
/// private repository.
fn incomplete(page: &mut Page, findings: &Findings, preview: &Previewed) {
    if findings.is_public {
        let text = if findings.is_foreign {
            "The base belongs to another organisation, so this page names no repositories, and nothing that only \
             members may see. `beadle plan` shows the whole plan."
        } else {
            "The policy's repository is public, so this page names no repositories, and nothing that only members may \
             see. `beadle plan` shows the whole plan."
        };
        page.quote(&[Piece::own(text)]);
        if !preview.incomplete.is_empty() {
            page.quote(&[Piece::own("The preview is incomplete.").bold()]);
        }
        return;
    }
    let most = page.bytes() + PROBLEM_BYTES;
    for why in preview.incomplete.iter().take(PROBLEMS) {
        if page.bytes() > most {
            break;
        }
        page.quote(&[Piece::own("The preview is incomplete:").bold(), Piece::value(why)]);
    }
}

/// Adds the parts that Beadle could not read or resolve, such as a team that does not exist.
fn unknowns(page: &mut Page, findings: &Findings, preview: &Previewed) {
    let mut all: Vec<&Unknown> = preview.plans.iter().flat_map(|(_, plan)| &plan.unknowns).collect();
    all.sort_by(|one, other| (&one.aspect, &one.why).cmp(&(&other.aspect, &other.why)));
    all.dedup_by(|one, other| one.aspect == other.aspect && one.why == other.why);
    if findings.is_public {
        all.dedup_by(|one, other| one.aspect == other.aspect);
    }
    let most = page.bytes() + PROBLEM_BYTES;
    for unknown in all.iter().take(PROBLEMS) {
        let mut line = vec![Piece::own("unknown").bold(), Piece::value(&unknown.aspect)];
        if !findings.is_public {
            line.push(Piece::value(&unknown.why));
        }
        add_item(page, most, &line);
    }
}

/// Adds the changes that wait for the end of a waiver. A line can contain the name of a private
/// repository.
fn delayed(page: &mut Page, findings: &Findings, preview: &Previewed) {
    if findings.is_public {
        if !preview.delayed.is_empty() {
            page.quote(&[Piece::own("Some of these changes wait for the end of a waiver.")]);
        }
        return;
    }
    let most = page.bytes() + PROBLEM_BYTES;
    for line in preview.delayed.iter().take(PROBLEMS) {
        add_item(page, most, &[Piece::value(line)]);
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Change, Risk};
    use serde_json::{Value, json};

    use super::super::findings::tests::{change, findings, preview, problem};
    use super::*;
    use crate::app::policy::group_changes_between_versions::ChangedGroups;

    fn removal(team: &str) -> Change<()> {
        change(&format!("team {team}"), Risk::Removes, &json!("push"), &Value::Null)
    }

    fn unknown(aspect: &str, why: &str) -> Unknown {
        Unknown { aspect: aspect.to_owned(), part: None, why: why.to_owned(), transient: false }
    }

    #[test]
    fn the_sums_come_first_and_the_risks_before_other_changes() {
        let names: Vec<String> = (0..170).map(|at| format!("r{at:03}")).collect();
        let add = change("team docs", Risk::Adds, &Value::Null, &json!("pull"));
        let mut shown = preview(&names, &[add, removal("engineering")]);
        shown.held = Some("gate limit reached: 170 removals, at most 50 allowed".to_owned());
        let text = comment(&findings(Some(shown)));
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
        let places = [
            at("<!-- beadle check: acme -->"),
            at("**170 removals, 170 additions** in 170 of 180 repositories"),
            at("> **The gate would hold this policy"),
            at("Beadle keeps the earlier policy in force until somebody approves the new one. To approve it"),
            at("- **removes** `teams` `team engineering` `push` → none in 170 repositories — `r000`, `r001`"),
            at("<details><summary>165 more repositories</summary>"),
            at("- adds `teams` `team docs` → `pull` in 170 repositories"),
        ];
        assert!(places.is_sorted(), "{places:?} {text}");
    }

    #[test]
    fn a_public_comment_shows_nothing_that_only_members_may_see() {
        let add = change("team docs", Risk::Adds, &Value::Null, &json!("pull"));
        let mut shown = preview(&["secret-shop".to_owned()], &[removal("secret-team"), add]);
        shown.incomplete = vec!["GET /repos/acme/secret-shop: 502".to_owned()];
        shown.delayed = vec!["waits for the end of a waiver: removes secret-waiver".to_owned()];
        shown.held = Some("gate limit reached: 1 removal".to_owned());
        shown.plans[0].1.unknowns = vec![unknown("teams", "secret-shop cannot be read")];
        let mut found = findings(Some(shown));
        found.approving_team = Some("secret-owners".to_owned());
        found.is_public = true;
        let text = comment(&found);
        assert!(!text.contains("secret"), "{text}");
        for said in [
            "> **The preview is incomplete.**",
            "- **unknown** `teams`\n",
            "> Some of these changes wait for the end of a waiver.",
            "- **removes** `teams` in 1 repository\n",
            "- adds `teams` `team docs` in 1 repository\n",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        found.is_public = false;
        let text = comment(&found);
        for name in ["secret-shop", "secret-team", "secret-waiver", "secret-owners"] {
            assert!(text.contains(name), "{name}: {text}");
        }
    }

    #[test]
    fn a_policy_that_changes_only_groups_has_their_section_and_the_verdict() {
        let mut found = findings(Some(preview(&[], &[])));
        assert!(!summary(&found).contains("### Groups"));
        found.preview.iter_mut().for_each(|shown| shown.groups = vec![ChangedGroups::default()]);
        assert!(summary(&found).contains("### Groups"), "{}", summary(&found));
        assert!(summary(&found).contains("The gate would let this policy pass."), "{}", summary(&found));
    }

    #[test]
    fn long_findings_leave_room_for_the_changes() {
        // Beadle escapes each of these characters, so each character becomes many bytes.
        let long = "\u{e0001}|".repeat(400);
        let mut shown = preview(&["shop".to_owned()], &[removal("core")]);
        shown.incomplete = vec![long.clone(); 60];
        shown.plans[0].1.unknowns = (0..60).map(|at| unknown(&format!("a{at}"), &long)).collect();
        let mut found = findings(Some(shown));
        found.problems = (1..=60).map(|line| problem(&long, line, &long)).collect();
        found.failures = (1..=60).map(|line| problem(&long, line, &long)).collect();
        let text = comment(&found);
        assert!(text.len() <= MOST, "{}", text.len());
        for said in ["1 removal", "- **removes** `teams` `team core`", "more findings"] {
            assert!(text.contains(said), "{said}: {text}");
        }
    }

    #[test]
    fn ten_thousand_repositories_fit_in_a_comment() {
        let names: Vec<String> = (0..10_000).map(|at| format!("{}-{at}", "n".repeat(90))).collect();
        // The same change in all repositories is one group.
        let text = comment(&findings(Some(preview(&names, &[removal("core")]))));
        assert!(text.len() <= MOST && text.contains("in 10000 repositories"), "{}", text.len());
        assert!(shows_all_changes(&findings(Some(preview(&names, &[removal("core")])))));
        // If each repository has a different change, each change forms a separate group.
        let mut different = preview(&names, &[removal("core")]);
        for (at, (_, plan)) in different.plans.iter_mut().enumerate() {
            plan.changes = vec![removal(&format!("core-{at}"))];
        }
        let found = findings(Some(different));
        let text = comment(&found);
        assert!(text.len() <= MOST, "{}", text.len());
        assert!(text.contains("more kinds of changes"), "{text}");
        assert!(!shows_all_changes(&found), "a review cannot approve what nobody sees");
    }

    #[test]
    fn names_and_contents_cannot_break_out_of_the_comment() {
        const HOSTILE: &str = "x` | </summary></details><img src=y> @acme/owners\n# forged\n-->`";
        let names = vec![HOSTILE.to_owned(); 9];
        let names: Vec<String> =
            names.into_iter().enumerate().map(|(at, name)| format!("{at}{name}")).collect();
        let mut shown = preview(&names, &[removal(HOSTILE)]);
        shown.held = Some(HOSTILE.to_owned());
        shown.incomplete = vec![HOSTILE.to_owned()];
        let mut found = findings(Some(shown));
        found.refused = Some(HOSTILE.to_owned());
        found.problems = vec![problem(HOSTILE, 1, HOSTILE)];
        found.failures = vec![problem("tests/a.yml", 1, HOSTILE)];
        let text = comment(&found);
        assert!(!text.lines().any(|line| line.starts_with("# forged")), "{text}");
        assert_eq!(text.matches("\n</details>\n").count(), 1, "{text}");
        for line in text.lines().skip(1) {
            // Outside code, the line must contain no part of the hostile text.
            let mut own = String::new();
            let mut rest = line;
            while let Some(at) = rest.find('`') {
                own.push_str(&rest[..at]);
                let fence = rest[at..].chars().take_while(|c| *c == '`').count();
                let (_, after) = rest[at..].split_at(fence);
                let Some(end) = closing(after, fence) else { panic!("code has no end: {line}") };
                rest = &after[end + fence..];
            }
            own.push_str(rest);
            for part in ["@acme", "<img", "forged", "</summary></details>"] {
                assert!(!own.contains(part), "{part} in {line}");
            }
        }
    }

    /// Returns the position of a sequence of exactly `fence` backticks.
    fn closing(text: &str, fence: usize) -> Option<usize> {
        let mut at = 0;
        while let Some(next) = text[at..].find('`') {
            let begin = at + next;
            let count = text[begin..].chars().take_while(|c| *c == '`').count();
            if count == fence {
                return Some(begin);
            }
            at = begin + count;
        }
        None
    }

    #[test]
    fn many_findings_are_counted_and_errors_come_first() {
        let warning = |at: u32| problem("settings.yml", at, "odd").severity(Severity::Warning);
        let mut found = findings(None);
        found.problems = (1..=60).map(warning).collect();
        found.problems.push(problem("settings.yml", 99, "wrong").hint("right"));
        let text = summary(&found);
        let first = text.lines().find(|line| line.starts_with("- "));
        assert_eq!(first, Some("- **error** `settings.yml:99` — `wrong` — hint: `right`"));
        assert!(text.contains("and 36 more findings"), "{text}");
    }
}
