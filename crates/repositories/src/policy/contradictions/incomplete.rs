//! Finds rulesets and rules with a required value that no file sets. A file can declare only a part
//! of a ruleset if another file declares the remaining part.

use crate::policy::layers::{Layer, LayerKind};
use crate::policy::lists::entries;
use crate::policy::node::{Kind, Node};
use crate::policy::pattern::short;
use crate::policy::problem::{Problem, Severity};
use crate::policy::rules;

/// The keys that GitHub requires in a ruleset, and that have no default. The name is not in this
/// list, because another check requires the name. Beadle cannot merge an entry without a name.
const REQUIRED: &[&str] = &["enforcement"];

/// The type of the rule that requires checks, and the name of the parameter that lists these
/// checks.
const CHECKS: &str = "required_status_checks";

/// A ruleset in one file.
struct Stated<'a> {
    /// True if the ruleset belongs to the organisation. Beadle does not merge such a ruleset with
    /// rulesets of repositories.
    is_organisations: bool,
    /// True if the file is in repos/. Two such files never apply to the same repository.
    is_of_one: bool,
    /// The name in lower case.
    name: String,
    ruleset: &'a Node,
}

impl<'a> Stated<'a> {
    /// Returns whether two entries are parts of the same ruleset.
    fn is_same(&self, other: &Self) -> bool {
        self.is_organisations == other.is_organisations && self.name == other.name
    }

    /// Returns whether two parts of the same ruleset can apply to the same repository.
    fn meets(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || !self.is_of_one || !other.is_of_one
    }

    /// Returns the rules of the ruleset. Each rule comes with its type.
    fn rules(&self) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let rules = entries(self.ruleset, "rules").iter();
        rules.filter_map(|rule| Some((rule.get("type").and_then(Node::text)?, rule)))
    }

    /// Returns the list of required checks in the ruleset.
    fn checks(&self) -> Option<&'a Node> {
        let (_, rule) = self.rules().find(|(kind, _)| *kind == CHECKS)?;
        rule.get("parameters")?.get(CHECKS)
    }
}

/// Returns whether a block has a value for a key.
fn has(block: &Node, key: &str) -> bool {
    block.get(key).is_some_and(|value| !value.is_null())
}

/// Returns an error if a rule for required checks has an empty list in the policy. `others`
/// contains the rule's lists from the other files. `later` contains the lists from files of the
/// same or a higher rank.
fn without_check(list: &Node, others: &[&Node], later: &[&Node]) -> Option<Problem> {
    let is_filled = |list: &&Node| !list.items().is_empty();
    let (is_empty, hint) = match &list.kind {
        Kind::List(entries) => {
            (entries.is_empty() && !others.iter().any(is_filled), "to require no check, remove the rule")
        }
        // If this file drops the checks, only a file of higher rank can add checks again.
        Kind::Edit(edit) => (
            edit.drops && edit.entries.as_ref().is_some_and(Vec::is_empty) && !later.iter().any(is_filled),
            "to require no check, remove the rule with `rules: { without: [required_status_checks] }`",
        ),
        _ => return None,
    };
    let text = "the rule `required_status_checks` must have at least one check";
    is_empty.then(|| Problem::error(list.asked.clone(), list.column, text).hint(hint))
}

/// Returns a warning if no file contains the list of checks for a rule that requires checks. Beadle
/// then keeps the checks at GitHub. The marker `{{EXTERNALLY_DEFINED}}` has the same effect.
fn unlisted(rule: &Node) -> Problem {
    let text = "the rule `required_status_checks` lists no checks: Beadle keeps the checks at GitHub, and does not add \
                the rule if GitHub does not have it";
    let problem = Problem::error(rule.asked.clone(), rule.column, text).severity(Severity::Warning);
    problem
        .hint("list the checks, or write `- context: '{{EXTERNALLY_DEFINED}}'` if others set them at GitHub")
}

/// Finds the problems in a ruleset's rule for required checks, if the ruleset has such a rule.
/// `same` contains the parts of this ruleset from all files. `after` contains the rulesets from
/// files of the same or a higher rank.
fn of_checks(one: &Stated<'_>, after: &[Stated<'_>], same: &[&Stated<'_>]) -> Option<Problem> {
    let (_, rule) = one.rules().find(|(kind, _)| *kind == CHECKS)?;
    let same: Vec<&Stated<'_>> = same.iter().copied().filter(|other| one.meets(other)).collect();
    let others: Vec<&Node> = same.iter().filter_map(|other| other.checks()).collect();
    if let Some(list) = one.checks() {
        let later = after.iter().filter(|other| other.is_same(one) && other.meets(one));
        let later: Vec<&Node> = later.filter_map(Stated::checks).collect();
        return without_check(list, &others, &later);
    }
    // One warning for a ruleset is enough.
    let has_rule = |other: &&&Stated<'_>| other.rules().any(|(kind, _)| kind == CHECKS);
    let is_first = same.iter().find(has_rule).is_some_and(|first| std::ptr::eq(*first, one));
    (is_first && others.is_empty()).then(|| unlisted(rule))
}

/// Finds rulesets that lack a required key, and rules that lack a required parameter. A ruleset or
/// a rule is complete if at least one layer sets the value.
pub(in crate::policy) fn incomplete(layers: &[Layer]) -> Vec<Problem> {
    let mut stated = Vec::new();
    for layer in layers {
        let is_organisations = matches!(layer.kind, LayerKind::Organisation);
        let is_of_one = matches!(layer.kind, LayerKind::Repository(_));
        for ruleset in layer.roots().flat_map(|root| entries(root, "rulesets")) {
            let Some(name) = ruleset.get("name").and_then(Node::text) else { continue };
            stated.push(Stated { is_organisations, is_of_one, name: name.to_lowercase(), ruleset });
        }
    }
    let mut problems = Vec::new();
    for (at, one) in stated.iter().enumerate() {
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
        }
        problems.extend(of_checks(one, &stated[at + 1..], &same));
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::{Policy, PolicyError};

    /// Returns the errors of a policy with these files. Each error comes with its line.
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
        let found = errors(&[("repos/shop.yml", &rule("[]")), ("repos/till.yml", &filled)]);
        assert_eq!(found.len(), 1, "another repository does not fill the list: {found:?}");
        let external = rule("[{ context: '{{EXTERNALLY_DEFINED}}' }]");
        assert_eq!(errors(&[("repos/shop.yml", &external)]), Vec::<String>::new());
        // Here, a file drops the checks from the layers of lower rank.
        let dropping = rule("{ replace: [] }");
        let all = format!("suborgrepos: ['*']\n{filled}");
        let found = errors(&[("suborgs/all.yml", &all), ("repos/shop.yml", &dropping)]);
        assert_eq!(
            found,
            ["repos/shop.yml:7 the rule `required_status_checks` must have at least one check"]
        );
        let all = format!("suborgrepos: ['*']\n{dropping}");
        assert_eq!(errors(&[("suborgs/all.yml", &all), ("repos/shop.yml", &filled)]), Vec::<String>::new());
    }

    #[test]
    fn a_rule_for_checks_without_their_list_is_a_warning() {
        let rule = |parameters: &str| {
            format!(
                "rulesets:\n- name: main\n  enforcement: active\n  rules:\n  - type: required_status_checks\n    \
                 parameters: {{ {parameters} }}\n"
            )
        };
        let warnings = |files: &[(&str, &str)]| -> Vec<String> {
            let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
            let policy = Policy::from_sources(files, "admin", Path::new("policy"));
            let policy = policy.unwrap_or_else(|error| panic!("{error}"));
            policy.remarks.iter().map(|found| format!("{} {}", found.asked, found.message)).collect()
        };
        let strict = rule("strict_required_status_checks_policy: true");
        let found = warnings(&[("repos/shop.yml", &strict)]);
        let [warning] = found.as_slice() else { panic!("{found:?}") };
        assert!(warning.starts_with("repos/shop.yml:5 ") && warning.contains("lists no checks"), "{warning}");
        let all = format!("suborgrepos: ['*']\n{}", rule("required_status_checks: [{ context: ci }]"));
        assert_eq!(warnings(&[("suborgs/all.yml", &all), ("repos/shop.yml", &strict)]), Vec::<String>::new());
    }
}
