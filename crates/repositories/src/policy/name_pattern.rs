//! Handles the key `validator.pattern`. Its value is a regular expression for the names of
//! repositories. The expression can match any part of a name. safe-settings works in the same way.
//! Upper and lower case are different.

use regex::{Regex, RegexBuilder};

use super::node::Node;
use super::pattern::short;

/// The section that contains the pattern.
pub(crate) const SECTION: &str = "validator";

/// The maximum size of a compiled pattern, in bytes.
const SIZE: usize = 1 << 20;

/// The most recently compiled pattern, with its text. Thousands of repositories usually have the
/// same pattern. Compiling a pattern takes longer than matching a name.
#[derive(Default)]
pub(crate) struct LastPattern(Option<(String, Option<Regex>)>);

impl LastPattern {
    fn is_match(&mut self, text: &str, name: &str) -> bool {
        if self.0.as_ref().is_none_or(|(known, _)| known != text) {
            // The pattern is valid here, because validation of the policy rejects an invalid
            // pattern.
            let regex = RegexBuilder::new(text).size_limit(SIZE).build().ok();
            self.0 = Some((text.to_owned(), regex));
        }
        let regex = self.0.as_ref().and_then(|(_, regex)| regex.as_ref());
        regex.is_some_and(|regex| regex.is_match(name))
    }
}

/// Returns why a name does not match the pattern of the section. Returns `None` if the name
/// matches, or if the section has no pattern.
pub(crate) fn mismatch(section: &Node, name: &str, last: &mut LastPattern) -> Option<String> {
    let pattern = section.get("pattern")?;
    let text = pattern.text()?;
    let is_match = last.is_match(text, name);
    (!is_match).then(|| {
        format!("the name `{name}` does not match `validator.pattern` `{}` ({})", short(text), pattern.asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_part_of_a_name_and_the_case_matters() {
        let mut last = LastPattern::default();
        for (pattern, name, is_match) in [
            ("^[a-z]+-[a-z]+$", "team-shop", true),
            ("^[a-z]+-[a-z]+$", "shop", false),
            ("_", "a_b", true),
            ("_", "a-b", false),
            ("[A-Z]", "Shop", true),
            ("[A-Z]", "shop", false),
            (r"[a-zA-Z0-9_-]+_\w[a-zA-Z0-9_-]+.*", "acme_shop", true),
            (r"[a-zA-Z0-9_-]+_\w[a-zA-Z0-9_-]+.*", "acme", false),
        ] {
            let section = Node::parse("settings.yml", &format!("pattern: '{pattern}'")).unwrap();
            assert_eq!(mismatch(&section, name, &mut last).is_none(), is_match, "{pattern}: {name}");
        }
        let section = Node::parse("settings.yml", "{}").unwrap();
        assert_eq!(mismatch(&section, "shop", &mut last), None);
    }
}
