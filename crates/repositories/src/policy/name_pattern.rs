//! The key `validator.pattern`, a regular expression for the names of repositories. As in
//! safe-settings, it can match any part of a name, and upper and lower case matter.

use regex::{Regex, RegexBuilder};

use super::node::Node;
use super::pattern::short;

/// The section that has the pattern.
pub(crate) const SECTION: &str = "validator";

/// The maximum size of a compiled pattern, in bytes.
const SIZE: usize = 1 << 20;

/// Returns why a name does not match the pattern of the section. Returns `None` if the name matches,
/// or if the section has no pattern.
pub(crate) fn mismatch(section: &Node, name: &str) -> Option<String> {
    let pattern = section.get("pattern")?;
    let text = pattern.text()?;
    let matches = |regex: Regex| regex.is_match(name);
    // The check of the policy has already refused an invalid pattern.
    let is_match = RegexBuilder::new(text).size_limit(SIZE).build().is_ok_and(matches);
    (!is_match).then(|| {
        format!("the name `{name}` does not match `validator.pattern` `{}` ({})", short(text), pattern.asked)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_any_part_of_a_name_and_the_case_matters() {
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
            assert_eq!(mismatch(&section, name).is_none(), is_match, "{pattern}: {name}");
        }
        let section = Node::parse("settings.yml", "{}").unwrap();
        assert_eq!(mismatch(&section, "shop"), None);
    }
}
