//! Finds rulesets and rules with a required value that is missing in all files. A file may declare
//! only a part of a ruleset if another file adds the rest.

use crate::policy::layers::{Layer, LayerKind};
use crate::policy::lists::entries;
use crate::policy::node::{Kind, Node};
use crate::policy::pattern::short;
use crate::policy::problem::Problem;
use crate::policy::rules;

/// The keys that a ruleset must have at GitHub and that have no default. The name is not in the
/// list. Without a name, Beadle cannot merge the entry.
const REQUIRED: &[&str] = &["enforcement"];

/// A ruleset in the form of a file.
struct Stated<'a> {
    /// True if the ruleset belongs to the organisation. Such a ruleset is not merged with rulesets
    /// of repositories.
    is_organisations: bool,
    /// The name in lower case.
    name: String,
    ruleset: &'a Node,
}

impl<'a> Stated<'a> {
    /// Returns whether two entries are parts of the same ruleset.
    fn is_same(&self, other: &Self) -> bool {
        self.is_organisations == other.is_organisations && self.name == other.name
    }

    /// Returns the rules of the ruleset, each with its type.
    fn rules(&self) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let rules = entries(self.ruleset, "rules").iter();
        rules.filter_map(|rule| Some((rule.get("type").and_then(Node::text)?, rule)))
    }
}

/// Returns whether a block has a value for a key.
fn has(block: &Node, key: &str) -> bool {
    block.get(key).is_some_and(|value| !value.is_null())
}

/// Returns the list of checks in a rule that requires checks.
fn checks<'a>(kind: &str, rule: &'a Node) -> Option<&'a Node> {
    const CHECKS: &str = "required_status_checks";
    let parameters = rule.get("parameters").filter(|_| kind == CHECKS)?;
    parameters.get(CHECKS)
}

/// Returns whether a list has no entries. An edit of another layer's list is not an empty list.
fn is_empty(list: &Node) -> bool {
    matches!(&list.kind, Kind::List(entries) if entries.is_empty())
}

/// Finds rulesets that lack a required key, and rules that lack a required parameter. A ruleset or
/// a rule is complete if any layer adds the value.
pub(in crate::policy) fn incomplete(layers: &[Layer]) -> Vec<Problem> {
    let mut stated = Vec::new();
    for layer in layers {
        let is_organisations = matches!(layer.kind, LayerKind::Organisation);
        for ruleset in layer.roots().flat_map(|root| entries(root, "rulesets")) {
            let Some(name) = ruleset.get("name").and_then(Node::text) else { continue };
            stated.push(Stated { is_organisations, name: name.to_lowercase(), ruleset });
        }
    }
    let mut problems = Vec::new();
    for one in &stated {
        let same: Vec<&Stated<'_>> = stated.iter().filter(|other| other.is_same(one)).collect();
        for key in REQUIRED {
            if same.iter().any(|other| has(other.ruleset, key)) {
                continue;
            }
            let name = one.ruleset.get("name").and_then(Node::text).unwrap_or_default();
            let text = format!("the ruleset `{}` must have `{key}`", short(name));
            let problem = Problem::error(one.ruleset.asked.clone(), one.ruleset.column, text);
            let is_organisations = |other: &Stated<'_>| other.is_organisations && other.name == one.name;
            let has_namesake = !one.is_organisations && stated.iter().any(is_organisations);
            problems.push(problem.hint(if has_namesake {
                "the ruleset of this name in settings.yml is another ruleset: it belongs to the organisation"
            } else {
                "set it here, or in another file that declares a ruleset of this name"
            }));
        }
        for (kind, rule) in one.rules() {
            let demanded = rules::find(kind).map(|rule| rule.demanded).unwrap_or_default();
            let sets = |parameter: &str| {
                let mut rules = same.iter().flat_map(|other| other.rules());
                rules.any(|(other, rule)| {
                    other == kind
                        && rule.get("parameters").is_some_and(|parameters| has(parameters, parameter))
                })
            };
            let missing: Vec<&str> = demanded.iter().copied().filter(|parameter| !sets(parameter)).collect();
            if !missing.is_empty() {
                let text = format!("the rule `{kind}` must have the parameters {}", missing.join(", "));
                problems.push(Problem::error(rule.asked.clone(), rule.column, text));
            }
            let is_filled = |other: &&Stated<'_>| {
                other.rules().filter_map(|(kind, rule)| checks(kind, rule)).any(|list| !is_empty(list))
            };
            if let Some(list) = checks(kind, rule).filter(|list| is_empty(list))
                && !same.iter().any(is_filled)
            {
                let text = format!("the rule `{kind}` must have at least one check");
                let problem = Problem::error(list.asked.clone(), list.column, text);
                problems.push(problem.hint("to require no check, remove the rule"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::{Policy, PolicyError};

    /// Returns the errors of a policy with these files, each with its line.
    fn errors(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        match Policy::from_sources(files, "admin", Path::new("policy")) {
            Ok(_) => Vec::new(),
            Err(PolicyError::Invalid { problems, .. }) => {
                problems.iter().map(|found| format!("{} {}", found.asked, found.message)).collect()
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_rule_must_require_at_least_one_check_in_some_file() {
        let rule = |list: &str| {
            format!(
                "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: required_status_checks\n    \
                 parameters:\n      required_status_checks: {list}\n"
            )
        };
        let (empty, filled) = (rule("[]"), rule("[{ context: ci }]"));
        let all = format!("suborgrepos: ['*']\n{empty}");
        let found = errors(&[("suborgs/all.yml", &all)]);
        assert_eq!(
            found,
            ["suborgs/all.yml:8 the rule `required_status_checks` must have at least one check"]
        );
        assert_eq!(errors(&[("suborgs/all.yml", &all), ("repos/shop.yml", &filled)]), Vec::<String>::new());
        let external = rule("[{ context: '{{EXTERNALLY_DEFINED}}' }]");
        assert_eq!(errors(&[("repos/shop.yml", &external)]), Vec::<String>::new());
    }
}
