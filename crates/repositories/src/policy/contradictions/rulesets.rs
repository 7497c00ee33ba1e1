//! Checks whether one ruleset of a file fits GitHub's published description. The check covers the
//! rules, the rules' parameters and the conditions.
//!
//! <https://docs.github.com/rest/repos/rules> and <https://docs.github.com/rest/orgs/rules>

use super::super::lists::{entries, list_of};
use super::super::node::Node;
use super::super::problem::Problem;
use super::super::rules::{self, CONDITIONS_OF_ORGANISATIONS};
use super::super::shape::Shape;

/// Checks a ruleset. `path` is the path of the ruleset in the file. `is_organisations` is true if
/// the ruleset belongs to the organisation.
pub(super) fn check(path: &str, ruleset: &Node, is_organisations: bool, problems: &mut Vec<Problem>) {
    rules_of(path, ruleset, problems);
    if is_organisations {
        of_repositories(path, ruleset, problems);
        reach(path, ruleset, problems);
    } else {
        of_organisations(path, ruleset, problems);
    }
    for (name, condition) in ruleset.get("conditions").map(Node::entries).unwrap_or_default() {
        if name.text() != Some("repository_property") {
            continue;
        }
        for property in condition.entries().iter().flat_map(|(_, list)| list_of(list).items()) {
            lacks("repository_property", property, &["name", "property_values"], problems);
        }
    }
}

fn error(node: &Node, text: impl Into<String>) -> Problem {
    Problem::error(node.asked.clone(), node.column, text)
}

/// Reports the missing keys of a list's entry.
fn lacks(list: &str, entry: &Node, keys: &[&str], problems: &mut Vec<Problem>) {
    for key in keys.iter().filter(|key| entry.get(key).is_none()) {
        problems.push(error(entry, format!("an entry of `{list}` must have `{key}`")));
    }
}

/// The lists in the parameters of rules. Each list comes with the keys that its entries must have.
/// The table omits required keys that another layer can add.
const REQUIRED: &[(&str, &[&str])] = &[
    ("required_status_checks", &["context"]),
    ("workflows", &["path"]),
    ("code_scanning_tools", &["tool"]),
    ("required_reviewers", &["reviewer"]),
];

/// Checks that a ruleset of a repository contains no key that GitHub accepts only in rulesets of
/// the organisation.
fn of_organisations(path: &str, ruleset: &Node, problems: &mut Vec<Problem>) {
    let hint = "put the ruleset into settings.yml, where rulesets are those of the organisation";
    if let Some(target) = ruleset.get("target").filter(|target| target.text() == Some("repository")) {
        let text = format!("`{path}`: a ruleset of a repository cannot have `target: repository`");
        problems.push(error(target, text).hint(hint));
    }
    for (name, _) in ruleset.get("conditions").map(Node::entries).unwrap_or_default() {
        if let Some(key) = name.text().filter(|name| CONDITIONS_OF_ORGANISATIONS.contains(name)) {
            let text = format!("`{path}.conditions`: a ruleset of a repository cannot have `{key}`");
            problems.push(error(name, text).hint(hint));
        }
    }
}

/// Checks that a ruleset of the organisation contains no rule that GitHub accepts only in rulesets
/// of a repository.
fn of_repositories(path: &str, ruleset: &Node, problems: &mut Vec<Problem>) {
    for rule in entries(ruleset, "rules") {
        let Some(node) = rule.get("type") else { continue };
        if let Some(kind) = node.text().filter(|kind| rules::OF_REPOSITORIES.contains(kind)) {
            let problem =
                error(node, format!("`{path}`: a ruleset of the organisation cannot have the rule `{kind}`"));
            problems
                .push(problem.hint("put the rule into a ruleset of a suborg, a layer or a file in repos/"));
        }
    }
}

/// Checks the rules of a ruleset, and the parameters of the rules.
fn rules_of(path: &str, ruleset: &Node, problems: &mut Vec<Problem>) {
    let rules = entries(ruleset, "rules");
    for (at, rule) in rules.iter().enumerate() {
        let Some(node) = rule.get("type") else {
            problems.push(error(rule, format!("`{path}.rules[{at}].type` is missing")));
            continue;
        };
        let Some(known) = node.text().and_then(rules::find) else { continue };
        let kind = known.kind;
        if let Some(parameters) = rule.get("parameters").filter(|node| !node.is_null()) {
            Shape::Map(known.parameters).check(
                &format!("{path}.rules[{at}].parameters"),
                parameters,
                problems,
            );
            for (list, keys) in REQUIRED {
                for entry in entries(parameters, list) {
                    lacks(list, entry, keys, problems);
                }
            }
        }
        if rules[..at].iter().any(|other| other.get("type").and_then(Node::text) == Some(kind)) {
            let problem = error(node, format!("`{path}` must not have the rule `{kind}` twice"));
            problems.push(problem.hint("merge the two rules, or put one of them into another ruleset"));
        }
    }
}

/// The hint for a ruleset of the organisation that has no condition for repositories.
const REACH: &str = "for all repositories, write `repository_name: { include: ['~ALL'], exclude: [] }`; for some \
                     repositories, move the ruleset to `suborgs/*.yml` or `layers/*.yml`, where it needs no such condition";

/// Checks that a ruleset of the organisation has all necessary conditions. It needs a condition for
/// repositories, and a condition for branches or tags.
fn reach(path: &str, ruleset: &Node, problems: &mut Vec<Problem>) {
    let conditions = ruleset.get("conditions");
    let has = |key: &str| conditions.is_some_and(|conditions| conditions.get(key).is_some());
    let at = conditions.unwrap_or(ruleset);
    let count = CONDITIONS_OF_ORGANISATIONS.iter().filter(|name| has(name)).count();
    if count > 1 {
        let text = format!(
            "`{path}.conditions` must have only one of `repository_name`, `repository_id` and `repository_property`"
        );
        problems.push(error(at, text));
    }
    if count == 0 {
        let text = format!(
            "`{path}.conditions` must have `repository_name`, `repository_id` or `repository_property`"
        );
        let problem = error(at, text);
        problems.push(problem.hint(REACH));
    }
    let has_refs =
        ruleset.get("target").and_then(Node::text).is_none_or(|target| ["branch", "tag"].contains(&target));
    if has_refs && !has("ref_name") {
        let problem = error(at, format!("`{path}.conditions` must have `ref_name`"));
        problems.push(
            problem.hint("for the default branch: `ref_name: { include: ['~DEFAULT_BRANCH'], exclude: [] }`"),
        );
    }
}
