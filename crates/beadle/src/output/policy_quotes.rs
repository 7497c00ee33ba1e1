//! Quotes the lines of a policy that ask for the changes of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use beadle_engine::{Key, Plan, PolicyLocation};
use beadle_repositories::policy::quoted_line;

use crate::output::escape;
use crate::output::plural::counted;

/// The maximum number of lines that the text quotes.
const MOST: usize = 20;

/// Returns the lines that ask for changes, each with its text. Each line appears only once,
/// although it can ask for changes of many repositories. `sources` are the files of the policy.
/// Returns an empty text if there is no line to quote.
pub(crate) fn text(plans: &[(Key, Plan<()>)], sources: &BTreeMap<String, String>) -> String {
    let changes = plans.iter().flat_map(|(_, plan)| &plan.changes);
    let asked: BTreeSet<&PolicyLocation> =
        changes.flat_map(|change| &change.fields).filter_map(|field| field.asked.as_ref()).collect();
    let quoted: Vec<(String, String)> = asked
        .into_iter()
        .filter_map(|at| {
            let quoted = quoted_line(sources.get(&*at.file)?, at.line)?;
            Some((escape::one_line(&at.to_string()), quoted))
        })
        .collect();
    if quoted.is_empty() {
        return String::new();
    }
    let shown = &quoted[..quoted.len().min(MOST)];
    let widest = shown.iter().map(|(at, _)| at.chars().count()).max().unwrap_or(0);
    let mut text = "lines of the policy:\n".to_owned();
    for (at, line) in shown {
        let _ = writeln!(text, "  {at:widest$}  {line}"); // writing to a string cannot fail
    }
    let more = quoted.len() - shown.len();
    if more > 0 {
        let lines = counted(more as u64, "line", "lines");
        let _ = writeln!(text, "  and {lines} more"); // writing to a string cannot fail
    }
    text
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Risk, testing};

    use super::*;

    fn plan(lines: &[(&str, u32)]) -> (Key, Plan<()>) {
        let mut plan = Plan::new("acme/shop");
        for (file, line) in lines {
            let mut change = testing::change("settings", "", &[Risk::Changes]);
            change.fields[0].asked = Some(PolicyLocation { file: (*file).into(), line: *line });
            plan.changes.push(change);
        }
        (Key::new("repository", "acme", 1), plan)
    }

    #[test]
    fn each_line_is_quoted_once_and_no_line_with_a_secret_is_quoted() {
        let settings = "repository:\n  has_wiki: false\n  homepage: https://mona:hunter2@acme.example\n";
        let sources = BTreeMap::from([
            ("settings.yml".to_owned(), settings.to_owned()),
            ("layers/web.yml".to_owned(), "teams: []\n".to_owned()),
        ]);
        let plans = [
            plan(&[("settings.yml", 2), ("layers/web.yml", 1)]),
            plan(&[("settings.yml", 2), ("settings.yml", 3), ("repos/gone.yml", 1)]),
        ];
        let expected =
            "lines of the policy:\n  layers/web.yml:1  teams: []\n  settings.yml:2    has_wiki: false\n";
        assert_eq!(text(&plans, &sources), expected);
        assert_eq!(text(&[plan(&[("settings.yml", 3)])], &sources), "");
        assert_eq!(text(&[], &sources), "");
    }

    #[test]
    fn a_plan_with_many_lines_says_how_many_are_missing() {
        let many: Vec<String> = (1..=25).map(|line| format!("key{line}: 1")).collect();
        let sources = BTreeMap::from([("settings.yml".to_owned(), many.join("\n"))]);
        let lines: Vec<(&str, u32)> = (1..=25).map(|line| ("settings.yml", line)).collect();
        let shown = text(&[plan(&lines)], &sources);
        assert_eq!(shown.lines().count(), 1 + MOST + 1, "{shown}");
        assert!(shown.ends_with("  and 5 lines more\n"), "{shown}");
    }
}
