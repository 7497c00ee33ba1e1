//! Describes what a policy file can contain. The check of the policy, the hints in its messages and
//! the JSON Schema are made from this description.

use super::forms::Form;
use super::node::{Kind, Node};
use super::pattern::{Pattern, short};
use super::problem::{Problem, Severity, nearest};

/// The shape that a value must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Bool,
    /// A whole number between a minimum and a maximum.
    Int(i64, i64),
    Text,
    /// A text that follows the rules of GitHub for this form.
    Form(&'static Form),
    /// One of several fixed texts.
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    Map(&'static [Key]),
    /// Either `null`, or a value of this shape.
    OrNull(&'static Shape),
    /// A value of one of two shapes.
    Either(&'static Shape, &'static Shape),
    /// A colour: six hexadecimal digits, with or without `#`.
    Color,
    /// A text that is a regular expression.
    Regex,
    /// A text, a number or a boolean.
    Scalar,
    /// A block whose keys are checked by other code.
    Free,
    /// Any value. Beadle does not use the value, because it does not support the key.
    Any,
}

/// A key that a block can have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) status: Status,
    /// True if the key must not be missing in an entry of a list.
    pub(crate) is_required: bool,
    /// The description that editors show.
    pub(crate) doc: &'static str,
}

/// Whether Beadle supports a key of the policy's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Carried,
    /// Beadle does not support the key, for this reason.
    Not(&'static str),
}

pub(crate) const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, status: Status::Carried, is_required: false, doc }
}

/// Marks a key as one that must not be missing in an entry of a list.
pub(crate) const fn required(key: Key) -> Key {
    Key { is_required: true, ..key }
}

pub(crate) const fn later(name: &'static str, doc: &'static str) -> Key {
    let status = Status::Not("Beadle does not carry out this key yet");
    Key { name, shape: Shape::Any, status, is_required: false, doc }
}

pub(crate) const fn never(name: &'static str, why: &'static str) -> Key {
    Key { name, shape: Shape::Any, status: Status::Not(why), is_required: false, doc: why }
}

impl Shape {
    fn expectation(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Int(least, most) => format!("a whole number from {least} to {most}"),
            Self::Text => "a string".into(),
            Self::Form(form) => form.what.into(),
            Self::OneOf(texts) => format!("one of {}", texts.join(", ")),
            Self::List(_) => "a list".into(),
            Self::Map(_) | Self::Free => "a block of keys".into(),
            Self::OrNull(shape) => format!("{}, or null", shape.expectation()),
            Self::Either(one, other) => format!("{}, or {}", one.expectation(), other.expectation()),
            Self::Color => "six hexadecimal digits".into(),
            Self::Regex => "a regular expression".into(),
            Self::Scalar => "a string, a whole number, true or false".into(),
            Self::Any => "anything".into(),
        }
    }

    /// Returns whether a value has this shape. It does not check the values inside a list or a
    /// block.
    fn fits(&self, node: &Node) -> bool {
        match (self, &node.kind) {
            (Self::Bool, Kind::Bool(_))
            | (Self::Text | Self::Form(_), Kind::Text(_))
            | (Self::List(_), Kind::List(_))
            | (Self::Map(_) | Self::Free, Kind::Map(_))
            | (Self::Scalar, Kind::Text(_) | Kind::Int(_) | Kind::Bool(_))
            | (Self::Any, _) => true,
            (Self::Color, Kind::Text(text)) => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            }
            (Self::Regex, Kind::Text(text)) => Pattern::regex(text).is_ok(),
            (Self::Int(least, most), Kind::Int(n)) => (least..=most).contains(&n),
            (Self::OneOf(texts), Kind::Text(text)) => texts.contains(&text.as_str()),
            (Self::OrNull(shape), _) => node.is_null() || shape.fits(node),
            (Self::Either(one, other), _) => one.fits(node) || other.fits(node),
            _ => false,
        }
    }

    /// Checks a value, and all values inside it.
    pub(crate) fn check(&self, path: &str, node: &Node, problems: &mut Vec<Problem>) {
        if !self.fits(node) {
            let what = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
            // The value may be the secret itself instead of the name of a secret.
            let found = if path.ends_with(".secret") { node.what().to_owned() } else { described(node) };
            let text = format!("{what} must be {}, found {found}", self.expectation());
            let problem = Problem::error(node.asked.clone(), node.column, text);
            problems.push(match (self.texts(), node.text()) {
                (Some(texts), Some(text)) => match spelt(text, texts) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                },
                (None, None) if self.is_text() && !node.is_null() && node.is_scalar() => {
                    problem.hint("put the value in quotes")
                }
                (None, Some("yes" | "no" | "on" | "off")) => {
                    problem.hint("YAML 1.2 has only `true` and `false`")
                }
                (None, Some(text)) => match self.unquoted(text) {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                },
                _ => problem,
            });
            return;
        }
        match self {
            Self::Form(form) => {
                let misfit = node.text().map(|text| form.check(text));
                if let Some(Err(misfit)) = misfit {
                    let text = format!("`{path}` must {}, found {}", misfit.must, described(node));
                    let problem = Problem::error(node.asked.clone(), node.column, text);
                    problems.push(Problem { hint: misfit.hint, ..problem });
                }
            }
            Self::List(shape) => {
                for (at, item) in node.items().iter().enumerate() {
                    shape.check(&format!("{path}[{at}]"), item, problems);
                }
            }
            Self::Map(keys) => check_keys(keys, path, node, problems),
            Self::OrNull(shape) if !node.is_null() => shape.check(path, node, problems),
            Self::Either(one, other) => {
                let shape = if one.fits(node) { one } else { other };
                shape.check(path, node, problems);
            }
            _ => {}
        }
    }

    /// Returns the keys that the entries of a list can have.
    pub(crate) fn entry_keys(&self) -> &'static [Key] {
        match self {
            Self::List(Self::Map(keys)) => keys,
            Self::Either(list, _) => list.entry_keys(),
            _ => &[],
        }
    }

    /// Returns whether the shape is a list that can be exclusive or additive.
    pub(crate) fn has_list_mode(&self) -> bool {
        matches!(self, Self::Either(_, Self::Map(keys)) if keys.iter().any(|key| key.name == "exclusive"))
    }

    /// Returns whether the shape accepts a text. If it does, the author can correct a number or a
    /// boolean by putting it into quotes.
    fn is_text(&self) -> bool {
        match self {
            Self::Text | Self::Form(_) | Self::Color => true,
            Self::OrNull(shape) => shape.is_text(),
            _ => false,
        }
    }

    /// Returns the hint for a text that should be a value of another type, such as a number.
    fn unquoted(&self, text: &str) -> Option<String> {
        match self {
            Self::Int(..) if text.parse::<i64>().is_ok() => Some("write the number without quotes".into()),
            Self::Bool if ["true", "false"].contains(&text) => Some("remove the quotes".into()),
            Self::List(_) => Some(format!("write it as a list: [{}]", short(text))),
            Self::OrNull(shape) => shape.unquoted(text),
            Self::Either(one, other) => one.unquoted(text).or_else(|| other.unquoted(text)),
            _ => None,
        }
    }

    fn texts(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::OneOf(texts) => Some(texts),
            Self::OrNull(shape) => shape.texts(),
            Self::Either(one, other) => one.texts().or_else(|| other.texts()),
            _ => None,
        }
    }
}

/// Returns the word that the author probably meant. It is the same word in other upper or lower
/// case, or else the most similar word.
fn spelt(text: &str, texts: &'static [&'static str]) -> Option<&'static str> {
    let same = texts.iter().copied().find(|other| other.eq_ignore_ascii_case(text));
    same.or_else(|| nearest(text, texts.iter().copied()))
}

fn check_keys(keys: &'static [Key], path: &str, node: &Node, problems: &mut Vec<Problem>) {
    for (name, value) in node.entries() {
        let text = name.text().map_or_else(|| name.json().to_string(), str::to_owned);
        let full = if path.is_empty() { text.clone() } else { format!("{path}.{text}") };
        let Some(key) = keys.iter().find(|key| key.name == text) else {
            let problem = Problem::error(name.asked.clone(), name.column, format!("unknown key `{full}`"));
            problems.push(if let Some(near) = nearest(&text, keys.iter().map(|key| key.name)) {
                problem.hint(format!("did you mean `{near}`?"))
            } else {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                problem.hint(format!("known keys: {}", known.join(", ")))
            });
            continue;
        };
        match key.status {
            Status::Carried => key.shape.check(&full, value, problems),
            Status::Not(why) => {
                let problem = Problem::error(name.asked.clone(), name.column, format!("`{full}`: {why}"));
                problems.push(problem.severity(Severity::NotYet));
            }
        }
    }
}

fn described(node: &Node) -> String {
    match &node.kind {
        Kind::Text(text) => format!("the string `{}`", short(&text.replace(char::is_control, " "))),
        Kind::Int(n) => n.to_string(),
        Kind::Bool(value) => value.to_string(),
        _ => node.what().to_owned(),
    }
}
