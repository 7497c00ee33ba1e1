//! The key `restrictedRepos` of `deployment-settings.yml`: the repositories that Beadle skips.

use super::node::{Kind, Node};
use super::pattern::{Pattern, patterns, short};
use super::problem::{Problem, Severity};

/// The repositories that Beadle skips.
#[derive(Clone, Debug, Default)]
pub(super) struct Restricted {
    /// Beadle skips the repositories that match one of these patterns.
    excluded: Vec<Pattern>,
    /// Beadle skips the repositories that match none of these patterns. If the list is empty,
    /// Beadle therefore skips every repository. `None` if the file has no such list.
    included: Option<Vec<Pattern>>,
}

impl Restricted {
    /// Reads the value of the key, and reports patterns that are invalid or have no effect. Returns
    /// `None` if the key has no value.
    pub(super) fn read(value: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        match &value.kind {
            Kind::List(_) => {
                let excluded = patterns(value, Pattern::glob_or_regex, problems);
                Some(Self { excluded, included: None })
            }
            Kind::Map(_) => {
                let mut list =
                    |key: &str| value.get(key).map(|node| patterns(node, Pattern::glob_or_regex, problems));
                let included = list("include");
                let excluded = list("exclude").unwrap_or_default();
                if let Some(include) = value.get("include") {
                    problems.extend(idle(include, &excluded));
                }
                Some(Self { excluded, included })
            }
            _ => None,
        }
    }

    /// Returns why Beadle skips the repository with this name. Returns `None` if the key does not
    /// restrict the repository.
    pub(super) fn reason(&self, name: &str) -> Option<String> {
        if let Some(pattern) = self.excluded.iter().find(|pattern| pattern.is_match(name)) {
            return Some(format!("restrictedRepos excludes `{}`", pattern.text()));
        }
        let included = self.included.as_ref()?;
        let is_included = included.iter().any(|pattern| pattern.is_match(name));
        (!is_included).then(|| "restrictedRepos does not include it".to_owned())
    }

    /// Returns the patterns of both lists.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.excluded.iter().chain(self.included.iter().flatten())
    }
}

/// Returns warnings about a list `include` that may include less than its author expects.
/// safe-settings ignores `exclude` if the file has `include`.
fn idle(include: &Node, excluded: &[Pattern]) -> Vec<Problem> {
    let warning = |at: &Node, text: String| {
        Problem::error(at.asked.clone(), at.column, text).severity(Severity::Warning)
    };
    if include.items().is_empty() {
        let text = "`restrictedRepos.include` is empty: Beadle skips every repository";
        return vec![warning(include, text.to_owned())];
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
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the restricted repositories, and the lines and messages of the findings.
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
            assert!(message.contains("skips every repository"), "{message}");
        }
    }

    #[test]
    fn an_included_repository_that_is_excluded_too_is_a_warning() {
        let (restricted, problems) = read("exclude: ['*']\ninclude:\n- shop\n- '^blog$'\n");
        assert_eq!(restricted.reason("shop").as_deref(), Some("restrictedRepos excludes `*`"));
        let lines: Vec<u32> = problems.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [3, 4], "{problems:?}");
        assert!(problems[0].1.contains("`exclude` has `*`, which matches `shop` too"), "{problems:?}");
        let (_, problems) = read("exclude: ['.*-test']\ninclude: [shop-test, 'web-*', blog]\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn both_lists_are_shown_with_what_matches_no_repository() {
        let (restricted, _) = read("{ include: [shop], exclude: [blog] }");
        let shown: Vec<&str> = restricted.patterns().map(Pattern::text).collect();
        assert_eq!(shown, ["blog", "shop"]);
    }
}
