//! Describes the possible content of a policy file. Beadle derives three things from this
//! description: the validation of policies, the hints in messages, and the JSON Schema.

use super::forms::Form;
use super::lists::ENTRIES;
use super::node::{AT_LEAST, Kind, Node};
use super::pattern::{Pattern, short};
use super::problem::{Problem, Severity, is_secretive_place, nearest, nearest_key};

/// The first words of a finding about an unknown key.
pub(crate) const UNKNOWN_KEY: &str = "unknown key";

/// The maximum number of keys that a hint lists.
const MOST_LISTED: usize = 12;

/// The shape that a value must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Bool,
    /// A whole number between a minimum and a maximum.
    Int(i64, i64),
    /// A whole number like [`Self::Int`]. A greater number is stricter. A layer can set the number,
    /// or raise the number of lower layers with `at_least`.
    Count(i64, i64),
    Text,
    /// A text in a form that GitHub accepts.
    Form(&'static Form),
    /// One of several fixed texts.
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// A list that Beadle merges entry by entry when it merges the layers. A layer can contain the
    /// list itself, `null`, or a block with these keys. The keys of the block decide how the layer
    /// changes the list of lower layers.
    Layered(&'static Shape, &'static [Key]),
    /// An entry of a list, or only its name. The name is the value of the entry's first key.
    Named(&'static Shape),
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

/// A possible key of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) status: Status,
    /// True if an entry of a list must contain the key.
    pub(crate) is_required: bool,
    /// The description that editors show.
    pub(crate) doc: &'static str,
}

/// The support for a key of the policy's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Carried,
    /// Beadle does not support the key. The text contains the reason.
    Not(&'static str),
}

pub(crate) const fn key(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, status: Status::Carried, is_required: false, doc }
}

/// Marks a key as required in each entry of a list.
pub(crate) const fn required(key: Key) -> Key {
    Key { is_required: true, ..key }
}

pub(crate) const fn never(name: &'static str, why: &'static str) -> Key {
    Key { name, shape: Shape::Any, status: Status::Not(why), is_required: false, doc: why }
}

impl Shape {
    fn expectation(&self) -> String {
        match self {
            Self::Bool => "true or false".into(),
            Self::Int(least, i64::MAX) => format!("a whole number of at least {least}"),
            Self::Int(least, most) | Self::Count(least, most) => {
                format!("a whole number from {least} to {most}")
            }
            Self::Text => "a string".into(),
            Self::Form(form) => form.what.into(),
            Self::OneOf(texts) => format!("one of {}", texts.join(", ")),
            Self::List(_) => "a list".into(),
            Self::Layered(..) => "a list, or a block of keys".into(),
            Self::Named(shape) if matches!(shape, Self::Map(_)) => {
                format!("{}, or a block of keys", shape.name().expectation())
            }
            Self::Named(shape) => shape.expectation(),
            Self::Map(_) | Self::Free => "a block of keys".into(),
            Self::OrNull(shape) => format!("{}, or null", shape.expectation()),
            Self::Either(one, other) => format!("{}, or {}", one.expectation(), other.expectation()),
            Self::Color => "six hexadecimal digits".into(),
            Self::Regex => "a regular expression".into(),
            Self::Scalar => "a string, a whole number, true or false".into(),
            Self::Any => "anything".into(),
        }
    }

    /// Returns whether a value has this shape. The function does not check the values inside a list
    /// or a block.
    pub(super) fn fits(&self, node: &Node) -> bool {
        match (self, &node.kind) {
            (Self::Bool, Kind::Bool(_))
            | (Self::Text | Self::Form(_), Kind::Text(_))
            | (Self::List(_), Kind::List(_))
            | (Self::Layered(..), Kind::List(_) | Kind::Map(_) | Kind::Null)
            | (Self::Map(_) | Self::Free, Kind::Map(_))
            | (Self::Scalar, Kind::Text(_) | Kind::Int(_) | Kind::Bool(_))
            | (Self::Any, _) => true,
            (Self::Color, Kind::Text(text)) => {
                let digits = text.strip_prefix('#').unwrap_or(text);
                digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            }
            (Self::Regex, Kind::Text(text)) => Pattern::regex(text).is_ok(),
            (Self::Int(least, most) | Self::Count(least, most), Kind::Int(n)) => (least..=most).contains(&n),
            (Self::Count(..), Kind::Map(_)) => node.get(AT_LEAST).is_some(),
            (Self::Named(shape), _) => shape.fits(node) || shape.name().fits(node),
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
            let text = format!("{what} must be {}, found {}", self.expectation(), described(path, node));
            let problem = Problem::error(node.asked.clone(), node.column, text);
            if is_secretive_place(path) {
                // A hint could repeat the value.
                problems.push(problem);
                return;
            }
            problems.push(match (self.texts(), node.text()) {
                (Some(texts), Some(text)) => match spelt(text, texts) {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                },
                (None, None) if self.is_text() && !node.is_null() && node.is_scalar() => {
                    problem.hint("put the value in quotes")
                }
                (None, None) if node.get(AT_LEAST).is_some() => {
                    problem.hint("`at_least` is only for numbers of which a greater one is stricter")
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
                    let text = format!("`{path}` must {}, found {}", misfit.must, described(path, node));
                    let problem = Problem::error(node.asked.clone(), node.column, text);
                    let hint = misfit.hint.filter(|_| !is_secretive_place(path));
                    problems.push(Problem { hint, ..problem });
                }
            }
            Self::List(shape) => {
                for (at, item) in node.items().iter().enumerate() {
                    shape.check(&format!("{path}[{at}]"), item, problems);
                }
            }
            Self::Count(least, most) if node.get(AT_LEAST).is_some() => {
                check_minimum(&Self::Int(*least, *most), path, node, problems);
            }
            Self::Layered(list, keys) => match &node.kind {
                Kind::Map(_) => {
                    check_keys(keys, path, node, problems);
                    check_form(keys, path, node, problems);
                }
                Kind::List(_) => list.check(path, node, problems),
                _ => {}
            },
            Self::Named(shape) => {
                let shape: &Self = if shape.fits(node) { shape } else { shape.name() };
                shape.check(path, node, problems);
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

    /// Returns the possible keys of a list's entries.
    pub(crate) fn entry_keys(&self) -> &'static [Key] {
        match self {
            Self::List(Self::Map(keys)) => keys,
            Self::Either(list, _) | Self::Layered(list, _) => list.entry_keys(),
            _ => &[],
        }
    }

    /// If this shape is a list, returns the shape of the list's entries.
    pub(super) fn item(&self) -> Option<&'static Shape> {
        match self {
            Self::List(item) => Some(item),
            Self::Layered(list, _) => list.item(),
            _ => None,
        }
    }

    /// Returns whether this shape is a list that can be exclusive or additive.
    pub(crate) fn has_list_mode(&self) -> bool {
        matches!(self, Self::Layered(_, keys) if keys.iter().any(|key| key.name == "exclusive"))
    }

    /// Returns the shape of an entry's name. If the entry is a block, the name has the shape of the
    /// first key.
    fn name(&self) -> &Self {
        match self {
            Self::Map([first, ..]) => &first.shape,
            _ => self,
        }
    }

    /// Returns whether the shape accepts a text. If it does, the author can put quotes around a
    /// number or a boolean.
    fn is_text(&self) -> bool {
        match self {
            Self::Text | Self::Form(_) | Self::Color => true,
            Self::OrNull(shape) => shape.is_text(),
            Self::Named(shape) => shape.name().is_text(),
            _ => false,
        }
    }

    /// Returns the hint for a text that must be a value of another type, such as a number.
    fn unquoted(&self, text: &str) -> Option<String> {
        match self {
            Self::Int(..) | Self::Count(..) if text.parse::<i64>().is_ok() => {
                Some("write the number without quotes".into())
            }
            Self::Bool if ["true", "false"].contains(&text) => Some("remove the quotes".into()),
            Self::List(_) => {
                let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_./, ".contains(one);
                let mark = if text.chars().all(is_plain) { "" } else { "'" };
                Some(format!("write it as a list: [{mark}{}{mark}]", short(text)))
            }
            Self::OrNull(shape) | Self::Layered(shape, _) => shape.unquoted(text),
            Self::Either(one, other) => one.unquoted(text).or_else(|| other.unquoted(text)),
            _ => None,
        }
    }

    fn texts(&self) -> Option<&'static [&'static str]> {
        match self {
            Self::OneOf(texts) => Some(texts),
            Self::OrNull(shape) => shape.texts(),
            Self::Named(shape) => shape.name().texts(),
            Self::Either(one, other) => one.texts().or_else(|| other.texts()),
            _ => None,
        }
    }
}

/// Returns the word that the author probably meant. If a valid word differs only in upper and lower
/// case, the result is this word. Otherwise, the result is the most similar word.
fn spelt(text: &str, texts: &'static [&'static str]) -> Option<&'static str> {
    let same = texts.iter().copied().find(|other| other.eq_ignore_ascii_case(text));
    same.or_else(|| nearest(text, texts.iter().copied()))
}

fn check_keys(keys: &'static [Key], path: &str, node: &Node, problems: &mut Vec<Problem>) {
    for (name, value) in node.entries() {
        let text = name.text().map_or_else(|| name.json().to_string(), str::to_owned);
        let full = if path.is_empty() { text.clone() } else { format!("{path}.{text}") };
        let Some(key) = keys.iter().find(|key| key.name == text) else {
            let problem = Problem::error(name.asked.clone(), name.column, format!("{UNKNOWN_KEY} `{full}`"));
            let names = keys.iter().map(|key| key.name);
            // If there are few keys, a hint that lists all keys helps more than a hint with a key
            // whose name only contains the text.
            let near =
                if keys.len() > MOST_LISTED { nearest_key(&text, names) } else { nearest(&text, names) };
            let near = near.and_then(|near| keys.iter().find(|key| key.name == near));
            problems.push(match near {
                // Beadle does not support the similar key either. But the reason in the status of
                // the similar key contains the name of the valid key.
                Some(Key { status: Status::Not(why), .. }) if why.starts_with("write ") => problem.hint(*why),
                Some(near) => problem.hint(format!("did you mean `{}`?", near.name)),
                None if keys.len() > MOST_LISTED => problem,
                None => {
                    let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                    problem.hint(format!("known keys: {}", known.join(", ")))
                }
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

/// Checks the keys of a list in block form. `keys` contains the possible keys of the block.
fn check_form(keys: &[Key], path: &str, node: &Node, problems: &mut Vec<Problem>) {
    let count = ENTRIES.into_iter().filter(|key| node.get(key).is_some()).count();
    let is_without = node.get("without").is_some();
    let text = if is_without && node.get("replace").is_some() {
        format!(
            "`{path}` must not have both `replace` and `without`: `replace` drops all entries of lower rank"
        )
    } else if count > 1 || (count == 0 && !is_without) {
        let known = ENTRIES.into_iter().filter(|name| keys.iter().any(|key| key.name == *name));
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        format!("`{path}` must have exactly one of {}, found {count}", known.join(", "))
    } else {
        return;
    };
    problems.push(Problem::error(node.asked.clone(), node.column, text));
}

/// Checks a block with the key `at_least`.
fn check_minimum(number: &Shape, path: &str, node: &Node, problems: &mut Vec<Problem>) {
    for (key, value) in node.entries() {
        let name = key.text().unwrap_or_default();
        let full = format!("{path}.{name}");
        if name == AT_LEAST {
            number.check(&full, value, problems);
        } else {
            let text = format!("{UNKNOWN_KEY} `{full}`");
            let hint = "the only key of this block is `at_least`";
            problems.push(Problem::error(key.asked.clone(), key.column, text).hint(hint));
        }
    }
}

fn described(path: &str, node: &Node) -> String {
    match &node.kind {
        // The author might have written a secret's value in place of its name.
        _ if is_secretive_place(path) => node.what().to_owned(),
        Kind::Text(text) if text.contains("PRIVATE KEY") => node.what().to_owned(),
        Kind::Text(text) => format!("the string `{}`", short(&text.replace(char::is_control, " "))),
        Kind::Int(n) => n.to_string(),
        Kind::Bool(value) => value.to_string(),
        _ => node.what().to_owned(),
    }
}
