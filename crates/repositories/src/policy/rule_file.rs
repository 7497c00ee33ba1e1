//! Reads the rules of a policy from `rules/*.yml`. A rule is an expression that must be true for
//! the values of the policy. Rules replace the JavaScript validators of safe-settings.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use beadle_engine::PolicyLocation;
use beadle_engine::expressions::{environment, wrong};
use minijinja::value::Serde;
use minijinja::{Environment, Expression, UndefinedBehavior};
use serde_json::Value;

use super::keys::{ALL_SECTIONS, RULE, SECTIONS};
use super::node::{Kind, Node};
use super::problem::{Problem, nearest};
use super::shape::{Key, Shape};

/// The environment that evaluates rules. A path without a value is not an error, because values are
/// often missing in a policy. Validation of the file rejects names that cannot occur in a policy.
static ENVIRONMENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Chainable));

/// The variables of a rule: the values of the lower layers, the values of the layer itself, and the
/// merge of both. In a rule that uses only `resolved`, the variable `resolved` contains all merged
/// values of a repository.
const VARIABLES: [&str; 3] = ["base", "override", "resolved"];

/// The variables of rules for layers. If a rule uses one of these variables, the rule checks
/// layers. Otherwise, the rule checks repositories.
const OF_LAYERS: [&str; 2] = ["base", "override"];

/// One rule of the policy.
#[derive(Clone, Debug)]
pub struct PolicyRule {
    /// The name of the rule, for messages.
    pub name: String,
    /// The line of the rule.
    pub asked: PolicyLocation,
    /// The author's message about a violation.
    pub message: String,
    /// The list whose entries the rule checks one by one. `None` if the rule checks all values
    /// together.
    pub(super) each: Option<String>,
    /// True if the rule checks the values of a layer. False if the rule checks the merged values of
    /// a repository.
    pub(super) is_about_layers: bool,
    /// The sections that the rule uses. If the list is empty, the rule uses all sections.
    pub(super) sections: Vec<String>,
    /// The paths that the rule uses, without their variables.
    pub(super) paths: Vec<String>,
    when: Option<Condition>,
    expect: Condition,
}

/// An expression of a rule.
#[derive(Clone, Debug)]
struct Condition {
    key: &'static str,
    expression: Arc<Expression<'static, 'static>>,
}

impl Condition {
    fn read(key: &'static str, node: &Node, problems: &mut Vec<Problem>) -> Option<Self> {
        match ENVIRONMENT.compile_expression_owned(node.text()?.to_owned()) {
            Ok(expression) => Some(Self { key, expression: Arc::new(expression) }),
            Err(error) => {
                problems.push(Problem::error(node.asked.clone(), node.column, wrong(key, &error)));
                None
            }
        }
    }

    fn is_true(&self, values: &Value) -> Result<bool, String> {
        let result = self.expression.eval(minijinja::Value::from(Serde(values)));
        result.map(|value| value.is_true()).map_err(|error| wrong(self.key, &error))
    }

    /// Returns the paths in the expression, such as `override.repository.visibility`.
    fn paths(&self) -> BTreeSet<String> {
        self.expression.undeclared_variables(true).into_iter().collect()
    }
}

impl PolicyRule {
    /// Returns the reason why values break the rule. Returns `None` if the values meet the rule.
    /// `values` contains the variables of the rule.
    pub(super) fn broken_by(&self, values: &Value) -> Option<String> {
        let judged = match &self.when {
            Some(when) => when.is_true(values).and_then(|is_for| Ok(!is_for || self.expect.is_true(values)?)),
            None => self.expect.is_true(values),
        };
        match judged {
            Ok(true) => None,
            Ok(false) => Some(format!("{} (rule `{}`, {})", self.message, self.name, self.asked)),
            // If the evaluation of a rule fails, the rule counts as broken. Otherwise, a value of
            // an unexpected type would pass the rule.
            Err(why) => Some(format!("the rule `{}` cannot be evaluated ({}): {why}", self.name, self.asked)),
        }
    }
}

/// Reads the rules of one file.
pub(super) fn read(root: &Node, problems: &mut Vec<Problem>) -> Vec<PolicyRule> {
    if root.is_null() || matches!(&root.kind, Kind::List(items) if items.is_empty()) {
        let problem =
            Problem::error(root.asked.clone(), 1, "the file has no rule: it may have lost its rules");
        problems.push(problem.hint("if no rule is meant, delete the file"));
        return Vec::new();
    }
    let before = problems.len();
    Shape::List(&RULE).check("", root, problems);
    if problems.len() > before {
        return Vec::new();
    }
    root.items().iter().filter_map(|rule| one(rule, problems)).collect()
}

fn one(rule: &Node, problems: &mut Vec<Problem>) -> Option<PolicyRule> {
    let mut text = |key: &str| {
        let text = rule.get(key).and_then(Node::text);
        if text.is_none() {
            let missing = format!("a rule must have `{key}`");
            problems.push(Problem::error(rule.asked.clone(), rule.column, missing));
        }
        text.map(str::to_owned)
    };
    let (name, message, expect) = (text("name"), text("message"), text("expect"));
    let (name, message, _) = (name?, message?, expect?);
    let each = rule.get("each").and_then(Node::text);
    let expect = Condition::read("expect", rule.get("expect")?, problems)?;
    let when = match rule.get("when") {
        Some(node) => Some(Condition::read("when", node, problems)?),
        None => None,
    };
    let before = problems.len();
    let mut paths = BTreeSet::new();
    for condition in std::iter::once(&expect).chain(&when) {
        let own = condition.paths();
        let at = rule.get(condition.key).unwrap_or(rule);
        for path in &own {
            problems.extend(misfit(each, path).map(|(text, hint)| {
                let problem =
                    Problem::error(at.asked.clone(), at.column, format!("`{}`: {text}", condition.key));
                problem.hint(hint)
            }));
        }
        paths.extend(own);
    }
    if paths.is_empty() {
        let text = format!("`expect` must use {}", VARIABLES.join(", "));
        problems.push(Problem::error(rule.asked.clone(), rule.column, text));
    }
    if problems.len() > before {
        return None;
    }
    let first = |path: &String| path.split('.').next().unwrap_or_default().to_owned();
    let is_about_layers = paths.iter().any(|path| OF_LAYERS.contains(&first(path).as_str()));
    let sections = match each {
        Some(section) => vec![section.to_owned()],
        None => sections(&paths),
    };
    let below: BTreeSet<String> =
        paths.iter().filter_map(|path| Some(path.split_once('.')?.1.to_owned())).collect();
    Some(PolicyRule {
        name,
        asked: rule.asked.clone(),
        message,
        each: each.map(str::to_owned),
        is_about_layers,
        sections,
        paths: below.into_iter().collect(),
        when,
        expect,
    })
}

/// Returns the sections that are named in `paths`. If one of the paths is a whole variable, the
/// result is empty.
fn sections(paths: &BTreeSet<String>) -> Vec<String> {
    let named: Option<BTreeSet<String>> =
        paths.iter().map(|path| path.split('.').nth(1).map(str::to_owned)).collect();
    named.unwrap_or_default().into_iter().collect()
}

/// Returns the error in a path of an expression, and a hint. `each` is the list whose entries are
/// in the variables.
fn misfit(each: Option<&str>, path: &str) -> Option<(String, String)> {
    let mut names = path.split('.');
    let variable = names.next().unwrap_or_default();
    if !VARIABLES.contains(&variable) {
        let hint = format!("a rule can use {}", VARIABLES.join(", "));
        return Some((format!("unknown variable `{variable}`"), hint));
    }
    let names: Vec<&str> = names.collect();
    let keys = match each {
        Some(each) => ALL_SECTIONS.iter().find(|section| section.name == each)?.shape.entry_keys(),
        None => SECTIONS,
    };
    let wrong = unknown_in(keys, &names)?;
    Some(match wrong {
        Wrong::Key { name, near: Some(near) } => {
            (format!("unknown key `{name}` in `{path}`"), format!("did you mean `{near}`?"))
        }
        Wrong::Key { name, near: None } => (
            format!("unknown key `{name}` in `{path}`"),
            "the keys are those of the policy's files".to_owned(),
        ),
        Wrong::List(name) => (
            format!("`{name}` in `{path}` is a list, and has no keys"),
            format!("check its entries one by one with `each: {name}`, or use a filter such as `first`"),
        ),
    })
}

/// The reason why a path cannot have a value.
enum Wrong<'a> {
    /// The block at this place cannot contain this key. `near` is a similar key that is possible in
    /// the block.
    Key { name: &'a str, near: Option<&'static str> },
    /// The value of this key is a list, but the path continues inside the list.
    List(&'a str),
}

/// Finds the first error in the names of a path below a block with these keys.
fn unknown_in<'a>(keys: &'static [Key], names: &[&'a str]) -> Option<Wrong<'a>> {
    let (name, rest) = names.split_first()?;
    let name = *name;
    let Some(key) = keys.iter().find(|key| key.name == name) else {
        return Some(Wrong::Key { name, near: nearest(name, keys.iter().map(|key| key.name)) });
    };
    // In the values of a rule, every list has its plain form.
    if key.shape.has_list_mode() && !rest.is_empty() {
        return Some(Wrong::List(name));
    }
    unknown_below(&key.shape, name, rest)
}

fn unknown_below<'a>(shape: &'static Shape, name: &'a str, rest: &[&'a str]) -> Option<Wrong<'a>> {
    let next = *rest.first()?;
    match shape {
        Shape::Map(keys) => unknown_in(keys, rest),
        Shape::OrNull(inner) => unknown_below(inner, name, rest),
        Shape::Either(one, other) => {
            unknown_below(one, name, rest).and_then(|wrong| unknown_below(other, name, rest).and(Some(wrong)))
        }
        Shape::Free | Shape::Any => None,
        Shape::List(_) | Shape::Layered(..) => Some(Wrong::List(name)),
        _ => Some(Wrong::Key { name: next, near: None }),
    }
}
