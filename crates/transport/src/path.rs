//! Paths below a vendor's address. A value becomes exactly one segment of the path. If this is
//! impossible, the client does not send the request. So a value can never make a request name
//! another resource.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that need no percent-encoding, according to RFC 3986 (2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The maximum length of a segment, in bytes. No vendor has longer names.
const LONGEST: usize = 1024;

/// The path of a request below the client's base address, or a whole address that came from the
/// vendor.
///
/// The fixed parts of a path are literals of the program. Every variable value must be added with
/// [`Path::value`] or [`Path::query`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    /// The path with a placeholder instead of each value.
    template: String,
    /// True if the address came from the vendor, such as a link to the next page.
    given: bool,
    refused: Option<Refused>,
}

/// The reason why a value cannot be a segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The value is empty. Servers ignore an empty segment, so the request would name the list and
    /// not an entry of the list.
    #[error("the name is empty")]
    Empty,
    /// A part of the value consists only of dots, or is empty. Servers and proxies resolve an empty
    /// segment or a segment of dots, so the request would name another resource, higher in the
    /// path.
    #[error("the name `{0}` cannot be a part of an address, because it has a meaning in paths")]
    Dots(String),
    /// The value contains a control character, which could end a line or a header.
    #[error("the name {0:?} has a control character")]
    Control(String),
    /// The value is longer than any name of a resource.
    #[error("the name begins with `{0}` and has more than {LONGEST} bytes")]
    Long(String),
}

impl Path {
    /// Creates a path that begins with a literal.
    pub fn at(literal: &'static str) -> Self {
        Self { text: literal.to_owned(), template: literal.to_owned(), given: false, refused: None }
    }

    /// Creates a path from an address that the vendor sent. The address can be whole or relative.
    /// The client sends the request only if the address is within the configured origin.
    pub fn given(address: &str) -> Self {
        Self { text: address.to_owned(), template: "{link}".to_owned(), given: true, refused: None }
    }

    /// Appends a value as exactly one segment.
    #[must_use]
    pub fn value(mut self, value: &str) -> Self {
        if self.refused.is_none() {
            self.refused = segment(value).err();
        }
        self.slash();
        self.text.extend(utf8_percent_encode(value, UNRESERVED));
        self.template += "{name}";
        self
    }

    /// Appends a numeric id as a segment.
    #[must_use]
    pub fn id(mut self, id: u64) -> Self {
        self.slash();
        self.text += &id.to_string();
        self.template += "{id}";
        self
    }

    /// Appends further literal segments.
    #[must_use]
    pub fn then(mut self, below: impl Into<Self>) -> Self {
        let below = below.into();
        if !below.text.is_empty() {
            self.slash();
        }
        self.text += &below.text;
        self.template += &below.template;
        self.refused = self.refused.or(below.refused);
        self
    }

    /// Appends a parameter with a value to the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.text.push(if self.text.contains('?') { '&' } else { '?' });
        self.text += name;
        self.text.push('=');
        self.text.extend(utf8_percent_encode(&value.to_string(), UNRESERVED));
        self
    }

    /// Appends a parameter without a value to the query.
    #[must_use]
    pub fn flag(mut self, name: &'static str) -> Self {
        self.text.push(if self.text.contains('?') { '&' } else { '?' });
        self.text += name;
        self
    }

    fn slash(&mut self) {
        for text in [&mut self.text, &mut self.template] {
            if !text.is_empty() && !text.ends_with('/') {
                text.push('/');
            }
        }
    }

    /// Returns the path as the client sends it, without the query.
    pub fn without_query(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }

    /// Returns the path without its values and without the query, such as `repos/{name}/{name}`.
    pub(crate) fn template(&self) -> &str {
        self.template.split('?').next().unwrap_or_default()
    }

    /// Returns whether the address came from the vendor.
    pub(crate) fn is_given(&self) -> bool {
        self.given
    }

    /// Returns the reason why the client must not send the path. Returns `None` if the client can
    /// send it.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }
}

impl From<&'static str> for Path {
    fn from(literal: &'static str) -> Self {
        Self::at(literal)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Checks that every server and proxy reads a value as exactly one segment of a path.
///
/// A server can decode a path twice, treat `\` as `/`, or replace characters that look like dots
/// and slashes. If a part of the value is empty or consists only of dots after one of these steps,
/// the value is an error.
pub fn segment(value: &str) -> Result<(), Refused> {
    if value.is_empty() {
        return Err(Refused::Empty);
    }
    if value.len() > LONGEST {
        return Err(Refused::Long(value.chars().take(20).collect()));
    }
    let mut reading = value.to_owned();
    loop {
        if reading.chars().any(char::is_control) {
            return Err(Refused::Control(value.chars().take(80).collect()));
        }
        let folded: String = reading.chars().map(fold).collect();
        let dots = |part: &str| matches!(part, "." | "..");
        if folded.trim().is_empty() {
            return Err(Refused::Empty);
        }
        if folded.split(['/', '\\']).any(dots) {
            return Err(Refused::Dots(value.to_owned()));
        }
        let decoded = percent_decode_str(&reading).decode_utf8_lossy().into_owned();
        if decoded == reading {
            return Ok(());
        }
        reading = decoded;
    }
}

/// Returns the dot or slash that a server can read instead of a similar character. The replacements
/// come from Unicode's compatibility forms.
fn fold(letter: char) -> char {
    match letter {
        '\u{2024}' | '\u{fe52}' | '\u{ff0e}' | '\u{3002}' | '\u{ff61}' => '.',
        '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' => '/',
        '\u{29f5}' | '\u{29f9}' | '\u{fe68}' | '\u{ff3c}' => '\\',
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_segment_or_refused() {
        let hostile = [
            "",
            ".",
            "..",
            " ",
            "%2e",
            "%2E%2e",
            "%252e%252e",
            "..%2f",
            "a/..",
            "../a",
            "a/./b",
            "..\\a",
            "\u{ff0e}\u{ff0e}",
            "\u{2024}.",
            "..\u{2215}x",
            "a\nb",
            "a\0",
            "%00",
            "a%0d%0ab",
            "\u{7f}",
            "\u{85}",
        ];
        for value in hostile {
            let path = Path::at("repos").value("acme").value("svc").then("labels").value(value);
            assert!(path.refused().is_some(), "{value:?} is taken: {path}");
        }
        let long = "x".repeat(LONGEST + 1);
        assert!(Path::at("labels").value(&long).refused().is_some());
        for (value, sent) in [
            ("a/b", "a%2Fb"),
            ("a..b", "a..b"),
            ("...", "..."),
            ("100%", "100%25"),
            ("in progress", "in%20progress"),
            ("Ärger", "%C3%84rger"),
            ("a?b#c", "a%3Fb%23c"),
            ("Warten…", "Warten%E2%80%A6"),
            ("\u{202e}x", "%E2%80%AEx"),
        ] {
            let path = Path::at("labels").value(value);
            assert_eq!((path.to_string(), path.refused()), (format!("labels/{sent}"), None));
        }
    }

    #[test]
    fn a_template_has_no_value_and_no_query() {
        let secret = Path::at("secrets").value("DEPLOY_KEY").query("visibility", "all");
        for (path, template) in [
            (
                Path::at("repos").value("acme").value("shop").then(secret),
                "repos/{name}/{name}/secrets/{name}",
            ),
            (Path::at("teams").id(7).then("members?role=all"), "teams/{id}/members"),
            (Path::at("user").flag("first").then("repos"), "user/repos"),
            (Path::given("https://api.test/repositories/1/labels?page=2"), "{link}"),
        ] {
            assert_eq!(path.template(), template);
        }
    }

    #[test]
    fn one_refused_value_refuses_all_that_is_built_on_it() {
        let path =
            Path::at("orgs").value("acme").then(Path::at("teams").value("..")).then("repos").value("x");
        assert!(path.refused().is_some());
        assert_eq!(
            Path::at("runs").query("created", ">=1").query("page", 2).to_string(),
            "runs?created=%3E%3D1&page=2"
        );
    }
}
