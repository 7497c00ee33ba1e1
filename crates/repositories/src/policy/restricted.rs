//! Reads the key `restrictedRepos` of `deployment-settings.yml`. This key defines the repositories
//! that Beadle skips.

use beadle_engine::PolicyLocation;

use super::node::{Kind, Node};
use super::pattern::{Pattern, patterns, short, stray, unmatchable};
use super::problem::{Problem, Severity};

/// The first words of a finding about a policy that applies to no repository.
const NONE: &str = "the policy applies to no repository";

/// The repositories that Beadle skips.
#[derive(Clone, Debug, Default)]
pub(super) struct Restricted {
    /// Beadle skips the repositories that match one of these patterns.
    excluded: Vec<Pattern>,
    /// Beadle skips the repositories that do not match any of these patterns. If the list is empty,
    /// Beadle therefore skips every repository. `None` if the file has no such list.
    included: Option<Vec<Pattern>>,
    /// The line of the key's value. `None` if no file has the key.
    at: Option<PolicyLocation>,
}

impl Restricted {
    /// Reads the value of the key. The function reports patterns that are invalid or have no
    /// effect. If the key has no value, the function returns `None`, and reports the missing value
    /// as an error.
    pub(super) fn read(value: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        match &value.kind {
            Kind::List(_) => {
                let excluded = listed(value, problems);
                problems.extend(excludes_all(value));
                Some(Self { excluded, included: None, at: Some(value.asked.clone()) })
            }
            Kind::Map(_) => {
                let mut list = |key: &str| value.get(key).map(|node| listed(node, problems));
                let included = list("include");
                let excluded = list("exclude").unwrap_or_default();
                if let Some(problem) = value.get("exclude").and_then(excludes_all) {
                    problems.push(problem);
                } else if let Some(include) = value.get("include") {
                    problems.extend(idle(include, &excluded));
                }
                Some(Self { excluded, included, at: Some(value.asked.clone()) })
            }
            // Somebody might have deleted the entries by mistake. With an empty list, Beadle would
            // change repositories that were restricted before.
            Kind::Blank => {
                let text = "`restrictedRepos` has no value: it restricts no repository";
                let problem = Problem::error(value.asked.clone(), value.column, text);
                problems.push(problem.hint("if that is right, write `restrictedRepos: []`"));
                None
            }
            _ => None,
        }
    }

    /// Returns why Beadle skips the repository with this name. Returns `None` if the key does not
    /// restrict the repository.
    pub(super) fn reason(&self, name: &str) -> Option<String> {
        if let Some(pattern) = self.excluding(name) {
            return Some(format!("restrictedRepos excludes `{}`", pattern.text()));
        }
        let included = self.included.as_ref()?;
        let is_included = included.iter().any(|pattern| pattern.is_match(name));
        (!is_included).then(|| "restrictedRepos does not include it".to_owned())
    }

    /// Returns the pattern that excludes the repository with this name.
    pub(super) fn excluding(&self, name: &str) -> Option<&Pattern> {
        self.excluded.iter().find(|pattern| pattern.is_match(name))
    }

    /// Returns a message for each pattern that does not match any of `names`.
    pub(super) fn unmatched(&self, names: &[&str]) -> Vec<String> {
        let none = |pattern: &&Pattern| !names.iter().any(|name| pattern.is_match(name));
        let message =
            |pattern: &Pattern| format!("restrictedRepos `{}` matches no repository", pattern.text());
        self.patterns().filter(none).map(message).collect()
    }

    /// Returns a message if the key restricts all of `names`. In that case, the policy applies to no
    /// repository.
    pub(super) fn skips_all(&self, names: &[&str]) -> Option<String> {
        let at = self.at.as_ref()?;
        let is_all = !names.is_empty() && names.iter().all(|name| self.reason(name).is_some());
        is_all.then(|| format!("{at}: {NONE}: `restrictedRepos` skips every repository of the organisation"))
    }

    /// Returns the patterns of both lists.
    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.excluded.iter().chain(self.included.iter().flatten())
    }
}

/// Reads the patterns of a list. A pattern that matches no repository is an error. Otherwise,
/// Beadle would change the repositories that the author wanted to exclude.
fn listed(list: &Node, problems: &mut Vec<Problem>) -> Vec<Pattern> {
    problems.extend(list.items().iter().filter_map(|item| unmatchable(item, item.text()?, stray)));
    patterns(list, Pattern::glob_or_regex, problems)
}

fn warning(at: &Node, text: String) -> Problem {
    Problem::error(at.asked.clone(), at.column, text).severity(Severity::Warning)
}

/// Returns a warning if one pattern of a list excludes every repository.
fn excludes_all(list: &Node) -> Option<Problem> {
    let matches_all = |text: &str| Pattern::glob_or_regex(text).is_ok_and(|pattern| pattern.matches_all());
    let item = list.items().iter().find(|item| item.text().is_some_and(matches_all))?;
    let pattern = item.text().map(short).unwrap_or_default();
    let text = format!("{NONE}: the pattern `{pattern}` of `restrictedRepos` excludes every repository");
    let hint = "write the names of the repositories that Beadle must skip, or `restrictedRepos: []`";
    Some(warning(item, text).hint(hint))
}

/// Returns warnings if the list `include` might match fewer repositories than the author expects.
/// For example, safe-settings ignores `exclude` if the file has `include`.
fn idle(include: &Node, excluded: &[Pattern]) -> Vec<Problem> {
    if include.items().is_empty() {
        let text = format!("{NONE}: `restrictedRepos.include` is empty, so Beadle skips every repository");
        let hint = "list the repositories to which the policy must apply, or remove `include`";
        return vec![warning(include, text).hint(hint)];
    }
    let mut problems = Vec::new();
    for item in include.items() {
        let Some(text) = item.text() else { continue };
        let Ok(pattern) = Pattern::glob_or_regex(text) else { continue };
        if let Some(other) = excluded.iter().find(|other| pattern.is_within(other)) {
            let text = format!(
                "`exclude` has `{}`, which matches `{}` too: Beadle skips these repositories",
                short(other.text()),
                short(text)
            );
            problems
                .push(warning(item, text).hint("safe-settings ignores `exclude` if the file has `include`"));
        }
    }
    if problems.len() == include.items().len() {
        let text = format!("{NONE}: `exclude` matches every entry of `restrictedRepos.include`");
        problems
            .insert(0, warning(include, text).hint("remove the patterns of these entries from `exclude`"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::files::Policy;
    use super::*;

    /// Returns the restricted repositories, and the findings with their lines and messages.
    fn read(value: &str) -> (Restricted, Vec<(u32, String)>) {
        let value = Node::parse("deployment-settings.yml", value).unwrap();
        let mut problems = Vec::new();
        let restricted = Restricted::read(&value, &mut problems).unwrap();
        assert!(problems.iter().all(|found| found.severity == Severity::Warning), "{problems:?}");
        (restricted, problems.into_iter().map(|found| (found.asked.line, found.message)).collect())
    }

    #[test]
    fn a_list_excludes_and_a_block_includes_or_excludes() {
        for (value, skipped) in [
            ("[shop]", true),
            ("[blog]", false),
            ("[]", false),
            ("{}", false),
            ("{ exclude: ['^sh'] }", true),
            ("{ exclude: [blog] }", false),
            ("{ include: [shop] }", false),
            ("{ include: [blog] }", true),
            ("{ include: [shop], exclude: [blog] }", false),
        ] {
            let (restricted, problems) = read(value);
            assert_eq!(restricted.reason("shop").is_some(), skipped, "{value}");
            assert!(problems.is_empty(), "{value}: {problems:?}");
        }
    }

    #[test]
    fn an_empty_list_of_included_repositories_includes_none() {
        for value in ["include: []\n", "include: []\nexclude: [blog]\n"] {
            let (restricted, problems) = read(value);
            let reason = restricted.reason("shop");
            assert_eq!(reason.as_deref(), Some("restrictedRepos does not include it"), "{value}");
            let [(1, message)] = problems.as_slice() else { panic!("{problems:?}") };
            let text = "the policy applies to no repository: `restrictedRepos.include` is empty";
            assert!(message.starts_with(text), "{message}");
        }
    }

    #[test]
    fn a_pattern_that_excludes_every_repository_is_one_warning_with_its_line() {
        for (value, line) in [
            ("- shop\n- '*'\n", 2),
            ("['**']", 1),
            ("exclude:\n- shop\n- '.*'\n", 3),
            ("include: [shop, '^web-']\nexclude: ['^.+$']\n", 2),
        ] {
            let (restricted, problems) = read(value);
            assert!(restricted.reason("shop").is_some() && restricted.reason(".x").is_some(), "{value}");
            let [(at, message)] = problems.as_slice() else { panic!("{value}: {problems:?}") };
            assert_eq!(*at, line, "{value}");
            assert!(message.starts_with("the policy applies to no repository: the pattern `"), "{message}");
        }
        for value in ["['*-x', 'a*']", "{ exclude: ['.*-test', '^a'] }"] {
            assert!(read(value).1.is_empty(), "{value}");
        }
    }

    #[test]
    fn an_organisation_whose_repositories_are_all_restricted_is_reported_with_the_line() {
        let unmatched = |deployment: &str, names: &[&str]| {
            let files = [
                ("settings.yml", "repository: { has_wiki: false }\n"),
                ("deployment-settings.yml", deployment),
            ];
            let sources = files.into_iter().map(|(file, text)| (file.to_owned(), text.to_owned())).collect();
            Policy::from_sources(sources, "admin", Path::new("policy")).unwrap().unmatched(names)
        };
        let excluding = "restrictedRepos:\n  exclude: ['acme-*']\n";
        // Beadle also skips `admin`, because this repository contains the policy.
        let found = unmatched(excluding, &["acme-shop", "acme-till", "admin"]);
        let [message] = found.as_slice() else { panic!("{found:?}") };
        let text = "deployment-settings.yml:2: the policy applies to no repository: `restrictedRepos` skips";
        assert!(message.starts_with(text), "{message}");
        for (deployment, names) in [
            (excluding, vec!["acme-shop", "till", "admin"]),
            ("restrictedRepos: []\n", vec!["acme-shop"]),
            ("restrictedRepos: ['a*']\n", vec!["admin"]),
        ] {
            assert_eq!(unmatched(deployment, &names), Vec::<String>::new(), "{deployment}");
        }
    }

    #[test]
    fn an_included_repository_that_is_excluded_too_is_a_warning() {
        let (restricted, problems) = read("exclude: ['sh*', blog]\ninclude:\n- shop\n- '^blog$'\n- till\n");
        assert_eq!(restricted.reason("shop").as_deref(), Some("restrictedRepos excludes `sh*`"));
        let lines: Vec<u32> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4], "{problems:?}");
        assert!(problems[0].1.contains("`exclude` has `sh*`, which matches `shop` too"), "{problems:?}");
        let (_, problems) =
            read("exclude: ['.*-test']\ninclude: ['^ek-test-repo$', '^shop$', '^ek.test$']\n");
        assert_eq!(problems.len(), 1, "`.*-test` matches a part of the first name only: {problems:?}");
        let (_, problems) = read("exclude: ['web-*', pay]\ninclude: ['web-api-*', pay]\n");
        assert_eq!(problems.len(), 3, "{problems:?}");
        let none = "the policy applies to no repository: `exclude` matches every entry";
        assert!(problems[0].0 == 2 && problems[0].1.starts_with(none), "{problems:?}");
        let (_, problems) = read("exclude: ['.*-test']\ninclude: [shop-test, 'web-*', blog]\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn a_pattern_that_can_exclude_no_repository_is_an_error() {
        for value in [
            "['!shop']",
            "{ exclude: [acme/shop] }",
            "{ exclude: ['/^shop$/'] }",
            "{ exclude: ['web-{1..3}'] }",
            "{ include: ['!(shop|till)'] }",
            "['']",
        ] {
            let node = Node::parse("deployment-settings.yml", value).unwrap();
            let mut problems = Vec::new();
            Restricted::read(&node, &mut problems);
            let errors = problems.iter().filter(|found| found.severity == Severity::Error).count();
            assert_eq!(errors, 1, "{value}: {problems:?}");
        }
    }

    #[test]
    fn a_missing_value_is_an_error_and_null_is_not() {
        for (text, errors) in [("restrictedRepos:\n", 1), ("restrictedRepos: null\n", 0)] {
            let root = Node::parse("deployment-settings.yml", text).unwrap();
            let mut problems = Vec::new();
            assert!(Restricted::read(root.get("restrictedRepos").unwrap(), &mut problems).is_none());
            assert_eq!(problems.len(), errors, "{text}: {problems:?}");
            assert!(problems.iter().all(|found| found.severity == Severity::Error), "{problems:?}");
        }
    }

    #[test]
    fn both_lists_are_shown_with_what_matches_no_repository() {
        let (restricted, _) = read("{ include: [shop], exclude: [blog] }");
        let shown: Vec<&str> = restricted.patterns().map(Pattern::text).collect();
        assert_eq!(shown, ["blog", "shop"]);
    }
}
