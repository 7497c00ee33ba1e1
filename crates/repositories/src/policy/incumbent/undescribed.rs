//! Removes from the declared rulesets all rules and parameters that GitHub supports but Beadle does
//! not support. Beadle then does not change these rules and parameters at GitHub.

use crate::policy::node::{Kind, Node};
use crate::policy::problem::{Problem, Severity};
use crate::policy::rules::{UNDESCRIBED, UNDESCRIBED_OF_REVIEWS};

fn not_carried_out(at: &Node, what: &str, name: &str) -> Problem {
    let text = format!(
        "`{name}`: Beadle does not carry out this {what}, because GitHub's published description of its API does not \
         have it; Beadle leaves it as it is at GitHub"
    );
    Problem::error(at.asked.clone(), at.column, text).severity(Severity::NotYet)
}

/// Removes the unsupported parts of a ruleset, and reports the line of each part.
pub(super) fn drop_undescribed(ruleset: &mut Node, problems: &mut Vec<Problem>) {
    let Some(rules) = ruleset.child("rules") else { return };
    let is_list = matches!(rules.kind, Kind::List(_));
    // If the value is not a list, it is an edit of a list, such as the block `add`.
    let lists: Vec<&mut Node> = if is_list { vec![rules] } else { rules.children().collect() };
    for list in lists {
        if let Kind::List(rules) = &mut list.kind {
            rules.retain_mut(|rule| is_carried(rule, problems));
        }
    }
}

/// Returns whether Beadle supports a rule. Also removes the parameters that Beadle does not
/// support.
fn is_carried(rule: &mut Node, problems: &mut Vec<Problem>) -> bool {
    // An entry of `without` can be a plain text with the type of the rule.
    let kind = rule.get("type").unwrap_or(rule);
    if let Some(name) = kind.text().filter(|name| UNDESCRIBED.contains(name)) {
        problems.push(not_carried_out(kind, "rule", name));
        return false;
    }
    let is_of_reviews = kind.text() == Some("pull_request");
    let parameters = rule.child("parameters").filter(|_| is_of_reviews);
    if let Some(Kind::Map(entries)) = parameters.map(|node| &mut node.kind) {
        entries.retain(|(key, _)| {
            let name = key.text().filter(|name| UNDESCRIBED_OF_REVIEWS.contains(name));
            problems.extend(name.map(|name| not_carried_out(key, "parameter", name)));
            name.is_none()
        });
    }
    true
}
