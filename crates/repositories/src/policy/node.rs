//! Parses YAML into a tree. Each value in the tree has its line.

use std::fmt;
use std::sync::Arc;

use beadle_engine::PolicyLocation;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use serde_saphyr::Spanned;

use super::problem::Problem;

/// A value in a policy file, with its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The file and line of the value.
    pub asked: PolicyLocation,
    /// The column of the value's first character. The first column is 1.
    pub column: u32,
    /// The value itself.
    pub kind: Kind,
}

/// The type and the content of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// The word `null` or `~`.
    Null,
    /// A key without a value.
    Blank,
    /// `true` or `false`. Here, `yes` and `on` are strings. In YAML 1.1, these two words are
    /// booleans.
    Bool(bool),
    /// A whole number in the usual spelling. Any other number, such as `0042`, `1.50` or `1e3`, is
    /// a string. A property, a label or a version therefore keeps the spelling that it has in the
    /// file.
    Int(i64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A block of keys and values. They have the same order as in the file. A key is also a node,
    /// because a key also has a line.
    Map(Vec<(Node, Node)>),
    /// A layer's change to a list of lower layers. `list_forms.rs` creates this kind. The merge of
    /// the layers applies this change. The parser itself returns a block of keys instead.
    Edit(Box<ListEdit>),
}

/// A layer's change to a list of lower layers.
#[derive(Clone, Debug, PartialEq)]
pub struct ListEdit {
    /// True if the layer removes the complete list of lower layers.
    pub drops: bool,
    /// The entries that the layer removes from the list of lower layers.
    pub without: Vec<Node>,
    /// The entries that the layer adds or overrides. `None` if the layer has no such entries. If
    /// this field is `None` and `drops` is true, Beadle does not manage the list.
    pub entries: Option<Vec<Node>>,
}

/// The key that sets a minimum for a number.
pub(crate) const AT_LEAST: &str = "at_least";

/// Returns the minimum if a value has the form `{ at_least: N }`.
pub(crate) fn at_least(value: &Value) -> Option<i64> {
    value.as_object().filter(|block| block.len() == 1)?.get(AT_LEAST)?.as_i64()
}

impl Node {
    /// Parses one document. A duplicate key is an error. Aliases are also an error if they would
    /// make the document extremely large.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let name: Arc<str> = file.into();
        // A document that contains only comments has no value.
        let is_written = |line: &str| !line.is_empty() && !line.starts_with('#') && line != "---";
        // In YAML, a single carriage return also ends a line. A carriage return therefore also ends
        // a comment.
        let mut lines = text.trim_start_matches('\u{feff}').split(['\n', '\r']);
        if !lines.any(|line| is_written(line.trim())) {
            let asked = PolicyLocation { file: name, line: 1 };
            return Ok(Self { asked, column: 1, kind: Kind::Blank });
        }
        let options = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
            strict_booleans: true,
            with_snippet: false,
            // If this option were `true`, the parser would collect the comments before a value and
            // fail at the 33rd comment.
            emit_comments: false,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            // A colour such as `12e456` looks like a number that is too large. So the parser must
            // return such a colour as text.
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
            // A policy can use one anchor up to 50,000 times. The other limits of the parser still
            // stop a document whose aliases would make it extremely large.
            budget: serde_saphyr::budget! { enforce_alias_anchor_ratio: false },
        };
        if let Some(line) = lone_carriage_return(text) {
            let asked = PolicyLocation { file: name, line };
            return Err(Problem::error(asked, 1, "a line ends with only a carriage return")
                .hint("end each line with a line feed, or with a carriage return and a line feed"));
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let parsed = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options);
        parsed.map(|raw| place(raw, &name, &lines)).map_err(|error| {
            let place = error.location().map_or((1, 1), |place| (small(place.line()), small(place.column())));
            let text = error.without_snippet().to_string();
            // The library's message repeats the place of the error. The message also contains hints
            // about the library's options, but these hints do not help the author of the policy.
            // Beadle removes both parts from the message.
            let message = text.lines().next().unwrap_or_default();
            let message = [" at line ", ", set DuplicateKeyPolicy", "; use from_"]
                .iter()
                .fold(message, |message, cut| message.split(cut).next().unwrap_or(message))
                .to_owned();
            let asked = PolicyLocation { file: name, line: place.0.max(1) };
            if let Some((message, hint)) = limit(&message) {
                return Problem::error(asked, place.1.max(1), message).hint(hint);
            }
            if message.ends_with("`@'") {
                let message = "a value cannot begin with `@` unless it is in quotes";
                return Problem::error(asked, place.1.max(1), message)
                    .hint("logins of people and slugs of teams have no `@`");
            }
            Problem::error(asked, place.1.max(1), message)
        })
    }

    /// Returns the text if the value is a string.
    pub fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    /// Returns the boolean if the value is a boolean.
    pub fn bool(&self) -> Option<bool> {
        if let Kind::Bool(value) = self.kind { Some(value) } else { None }
    }

    /// Returns the number if the value is a whole number.
    pub fn int(&self) -> Option<i64> {
        if let Kind::Int(value) = self.kind { Some(value) } else { None }
    }

    /// Returns whether the value is neither a list nor a map.
    pub fn is_scalar(&self) -> bool {
        !matches!(self.kind, Kind::List(_) | Kind::Map(_) | Kind::Edit(_))
    }

    /// Returns whether the value is null or missing.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null | Kind::Blank)
    }

    /// Returns the items if the value is a list. For any other value, the result is empty. If the
    /// value is an edit of a list, the items are the entries that the edit adds or overrides.
    pub fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Edit(edit) => edit.entries.as_deref().unwrap_or_default(),
            _ => &[],
        }
    }

    /// Returns the minimum if the value has the form `{ at_least: N }`.
    pub fn at_least(&self) -> Option<i64> {
        self.get(AT_LEAST).filter(|_| self.entries().len() == 1)?.int()
    }

    /// Returns the keys and values if the value is a map. For any other value, the result is empty.
    pub fn entries(&self) -> &[(Node, Node)] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// Returns the value of a key if the value is a map with this key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
    }

    /// Returns a copy of the map without these keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        let Kind::Map(entries) = &self.kind else { return self.clone() };
        let kept = entries.iter().filter(|(name, _)| name.text().is_none_or(|name| !keys.contains(&name)));
        Self { kind: Kind::Map(kept.cloned().collect()), ..self.clone() }
    }

    /// Returns a copy of the map, with another value for an existing key.
    #[must_use]
    pub fn with(&self, key: &str, value: &Self) -> Self {
        let Kind::Map(entries) = &self.kind else { return self.clone() };
        let entries = entries.iter().map(|(name, old)| {
            let value = if name.text() == Some(key) { value } else { old };
            (name.clone(), value.clone())
        });
        Self { kind: Kind::Map(entries.collect()), ..self.clone() }
    }

    /// Returns the strings in a list. The function skips other items.
    pub fn texts(&self) -> Vec<String> {
        self.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect()
    }

    /// Returns the value as JSON. The result does not contain the lines of the values.
    pub fn json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Blank => Value::Null,
            Kind::Bool(value) => json!(value),
            Kind::Int(value) => json!(value),
            Kind::Text(value) => json!(value),
            Kind::List(_) | Kind::Edit(_) => self.items().iter().map(Node::json).collect(),
            Kind::Map(entries) => {
                let entries =
                    entries.iter().filter_map(|(key, value)| Some((key.text()?.to_owned(), value.json())));
                Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }

    /// Returns the name of the value's type, for messages.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null | Kind::Blank => "no value",
            Kind::Bool(_) => "true or false",
            Kind::Int(_) => "a whole number",
            Kind::Text(_) => "a string",
            Kind::List(_) | Kind::Edit(_) => "a list",
            Kind::Map(_) => "a block of keys",
        }
    }
}

/// Returns the line that ends with a carriage return and without a line feed. The parser counts
/// this carriage return as the end of a line, but an editor usually does not. So all line numbers
/// after it would be wrong.
fn lone_carriage_return(text: &str) -> Option<u32> {
    let (at, _) = text.match_indices('\r').find(|(at, _)| !text[at + 1..].starts_with('\n'))?;
    Some(small(text[..at].matches('\n').count() as u64 + 1))
}

/// Returns the message and the hint for a limit of the parser. `message` is the message of the
/// library.
fn limit(message: &str) -> Option<(&'static str, &'static str)> {
    let limits = [
        (
            "budget breached: Depth",
            ("the file has more than 64 levels of lists and blocks", "remove some of the levels"),
        ),
        (
            "recursion limit",
            ("the file has more than 64 levels of lists and blocks", "remove some of the levels"),
        ),
        (
            "recursive references",
            ("a value contains an alias of itself", "write the value without this alias"),
        ),
        (
            "alias replay stack depth",
            ("the file has more than 64 levels of lists and blocks", "remove some of the levels"),
        ),
        ("alias replay", ("the file has too many values or aliases", "divide the file into several files")),
        (
            "budget breached",
            ("the file has too many values or aliases", "divide the file into several files"),
        ),
    ];
    limits.into_iter().find(|(start, _)| message.starts_with(start)).map(|(_, texts)| texts)
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that [`Self::Int`] cannot hold. The text is the number as the parser returns it.
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

/// Returns a part of the file's text: from the start of a value to the end of the line.
fn from_value(at: &serde_saphyr::Location, lines: &[&str]) -> Option<String> {
    let line = lines.get(small(at.line()).checked_sub(1)? as usize)?;
    let mut rest = line.chars().skip(small(at.column()).checked_sub(1)? as usize).peekable();
    if rest.peek() == Some(&'&') {
        // An anchor can come before the value. The loop skips the name of the anchor.
        while rest.next_if(|c| *c != ' ').is_some() {}
        while rest.next_if_eq(&' ').is_some() {}
    }
    Some(rest.collect())
}

/// Returns whether the file contains the null as a word. If the value is missing, the parser
/// returns the place of another token, such as the colon after the key.
fn is_word(at: &serde_saphyr::Location, lines: &[&str]) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ['~', '_', '-'].contains(&c);
    let rest = from_value(at, lines).unwrap_or_default();
    let word = rest.split(|c| !is_part(c)).next();
    word.is_some_and(|word| ["null", "Null", "NULL", "~"].contains(&word))
}

/// Returns a number with the spelling that it has in the file.
fn written(at: &serde_saphyr::Location, lines: &[&str]) -> Option<String> {
    let rest = from_value(at, lines)?;
    let text: String =
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || ['+', '-', '.', '_'].contains(c)).collect();
    text.starts_with(|c: char| c.is_ascii_digit() || ['+', '-', '.'].contains(&c)).then_some(text)
}

fn place(raw: Spanned<Raw>, file: &Arc<str>, lines: &[&str]) -> Node {
    // The parser itself creates some values, and these values have no place in the file.
    let (line, column) = (small(raw.referenced.line()).max(1), small(raw.referenced.column()).max(1));
    let asked = PolicyLocation { file: file.clone(), line };
    let kind = match raw.value {
        Raw::Null if is_word(&raw.defined, lines) => Kind::Null,
        Raw::Null => Kind::Blank,
        Raw::Bool(value) => Kind::Bool(value),
        Raw::Int(value) => match written(&raw.defined, lines) {
            Some(text) if text != value.to_string() => Kind::Text(text),
            _ => Kind::Int(value),
        },
        Raw::Number(text) => Kind::Text(written(&raw.defined, lines).unwrap_or(text)),
        Raw::Text(value) => Kind::Text(value),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| place(item, file, lines)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| (place(key, file, lines), place(value, file, lines)))
                .collect(),
        ),
    };
    Node { asked, column, kind }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or_else(|_| Raw::Number(value.to_string()), Raw::Int))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests;
