//! Finds wrong spellings of a marker. In safe-settings, this marker represents checks that other
//! people manage.

use super::node::{Kind, Node};
use super::problem::Problem;

/// The marker in a policy for checks that other people manage at GitHub.
const MARKER: &str = "{{EXTERNALLY_DEFINED}}";

/// Reports wrong spellings of the marker in branch rules and rulesets. If Beadle accepted a wrong
/// spelling, it would require a check with this wrong name, although nobody reports such a check.
/// It would also remove the checks that other people manage.
pub(super) fn misspelt(root: &Node, problems: &mut Vec<Problem>) {
    for section in ["branches", "rulesets"] {
        if let Some(node) = root.get(section) {
            walk(node, problems);
        }
    }
}

fn walk(node: &Node, problems: &mut Vec<Problem>) {
    match &node.kind {
        Kind::Text(text) if is_misspelt(text) => {
            let message = format!("`{text}` is not the marker for the checks that others set");
            let problem = Problem::error(node.asked.clone(), node.column, message);
            problems.push(problem.hint(format!("write it as `'{MARKER}'`")));
        }
        Kind::Map(entries) => entries.iter().for_each(|(_, value)| walk(value, problems)),
        Kind::List(items) => items.iter().for_each(|item| walk(item, problems)),
        _ => {}
    }
}

/// Returns whether a text has the same letters as the marker. The case of the letters can differ.
/// The characters between the letters can also differ.
fn is_misspelt(text: &str) -> bool {
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(char::is_ascii_alphabetic);
        letters.map(|letter| letter.to_ascii_uppercase()).collect()
    };
    // A long text cannot be the marker, so the function does not compare it.
    text != MARKER && text.len() <= 2 * MARKER.len() && letters(text) == letters(MARKER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_in_another_spelling_is_an_error() {
        for (text, is_wrong) in [
            ("{{EXTERNALLY_DEFINED}}", false),
            ("{{ EXTERNALLY_DEFINED }}", true),
            ("{{externally_defined}}", true),
            ("{EXTERNALLY_DEFINED}", true),
            ("EXTERNALLY_DEFINED", true),
            ("externally defined checks", false),
            ("build (${{ matrix.os }})", false),
            ("", false),
        ] {
            for root in [
                format!(
                    "branches: [{{ name: main, protection: {{ required_status_checks: {{ contexts: ['{text}'] }} }} }}]"
                ),
                format!(
                    "rulesets: [{{ name: main, rules: [{{ type: required_status_checks, parameters: {{ \
                     required_status_checks: [{{ context: '{text}' }}] }} }}] }}]"
                ),
            ] {
                let mut problems = Vec::new();
                misspelt(&Node::parse("settings.yml", &root).unwrap(), &mut problems);
                assert_eq!(problems.len(), usize::from(is_wrong), "{root}: {problems:?}");
            }
        }
    }
}
