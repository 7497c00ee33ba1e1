//! Pages in HTML, for browsers.
//!
//! A page consists of [`Html`]. No function creates HTML directly from a text. Every text passes
//! through one encoder. This is also true for the fixed texts of this program. The names of tags
//! and attributes are types.

use std::fmt::{Display, Write as _};

use beadle_engine::{Time, is_deceptive};

use super::link::Link;

/// The maximum length of a text, in characters. Beadle truncates a longer text, and the page shows
/// how many characters are missing. A page can have hundreds of texts, and must stay small.
const LONGEST: usize = 500;

/// The maximum length, in characters, of a text that is rare on a page, or that a page must show
/// whole if possible. Examples are an error, and a value of a change.
const LONGEST_ALONE: usize = 4000;

/// A piece of HTML. Every text in it is encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

/// The elements that a page can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    A,
    Body,
    Button,
    Caption,
    Code,
    Datalist,
    Dd,
    Details,
    Div,
    Dl,
    Dt,
    Form,
    H1,
    H2,
    Head,
    Header,
    Html,
    Label,
    Li,
    Main,
    Nav,
    Option,
    P,
    Section,
    Select,
    Span,
    Summary,
    Table,
    Tbody,
    Td,
    Th,
    Thead,
    Time,
    Title,
    Tr,
    Ul,
}

impl Tag {
    fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::Body => "body",
            Self::Button => "button",
            Self::Caption => "caption",
            Self::Code => "code",
            Self::Datalist => "datalist",
            Self::Dd => "dd",
            Self::Details => "details",
            Self::Div => "div",
            Self::Dl => "dl",
            Self::Dt => "dt",
            Self::Form => "form",
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::Head => "head",
            Self::Header => "header",
            Self::Html => "html",
            Self::Label => "label",
            Self::Li => "li",
            Self::Main => "main",
            Self::Nav => "nav",
            Self::Option => "option",
            Self::P => "p",
            Self::Section => "section",
            Self::Select => "select",
            Self::Span => "span",
            Self::Summary => "summary",
            Self::Table => "table",
            Self::Tbody => "tbody",
            Self::Td => "td",
            Self::Th => "th",
            Self::Thead => "thead",
            Self::Time => "time",
            Self::Title => "title",
            Self::Tr => "tr",
            Self::Ul => "ul",
        }
    }
}

/// An attribute of an element. A browser executes the values of some attributes, such as `onclick`.
/// This list does not contain attributes whose values a browser executes.
#[derive(Clone, Debug)]
pub(super) enum Attribute<'a> {
    Action(&'static str),
    Class(&'static str),
    /// The name of the cell's column. A narrow screen shows the name next to the cell.
    Column(&'static str),
    Current,
    Disabled,
    /// A browser does not show the element.
    Hidden,
    /// The name of a page whose values a browser replaces when they change.
    LivePart(&'static str),
    /// The version of the values on the page.
    LiveVersion(&'a str),
    /// Marks a part of the page that a browser replaces as a whole.
    LiveRegion,
    Href(&'a Link),
    Id(&'static str),
    /// The label of an element, such as a form field. Screen readers use this label.
    Label(&'static str),
    Lang(&'static str),
    /// The id of an element that contains values. A browser suggests these values for a field.
    List(&'static str),
    Method(&'static str),
    Name(&'static str),
    /// The role of an element, for a screen reader.
    Role(&'static str),
    Scope(&'static str),
    Selected,
    Source(&'a Link),
    /// Makes an element reachable with the keyboard.
    Tabbable,
    Value(&'a str),
    DateTime(Time),
}

impl Attribute<'_> {
    fn write(&self, out: &mut String) {
        let (name, value) = match self {
            Self::Action(value) => ("action", encoded(value)),
            Self::Class(value) => ("class", encoded(value)),
            Self::Column(value) => ("data-column", encoded(value)),
            Self::Current => ("aria-current", encoded("page")),
            Self::Disabled => ("disabled", encoded("disabled")),
            Self::Hidden => ("hidden", encoded("hidden")),
            Self::LivePart(value) => ("data-live", encoded(value)),
            Self::LiveVersion(value) => ("data-version", encoded(value)),
            Self::LiveRegion => ("data-region", encoded("")),
            Self::Href(link) => ("href", encoded(link.as_str())),
            Self::Id(value) => ("id", encoded(value)),
            Self::Label(value) => ("aria-label", encoded(value)),
            Self::Lang(value) => ("lang", encoded(value)),
            Self::List(value) => ("list", encoded(value)),
            Self::Method(value) => ("method", encoded(value)),
            Self::Name(value) => ("name", encoded(value)),
            Self::Role(value) => ("role", encoded(value)),
            Self::Scope(value) => ("scope", encoded(value)),
            Self::Selected => ("selected", encoded("selected")),
            Self::Source(link) => ("src", encoded(link.as_str())),
            Self::Tabbable => ("tabindex", encoded("0")),
            Self::Value(value) => ("value", encoded(value)),
            Self::DateTime(time) => ("datetime", encoded(&time.to_string())),
        };
        let _ = write!(out, " {name}=\"{value}\""); // writing to a string cannot fail
    }
}

/// Encodes a text. The result can be between tags or in the value of an attribute. Writes a
/// character as `\u{...}` if it is invisible or makes a text look like another text.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            c if is_deceptive(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Returns a text as HTML. Truncates a long text.
pub(super) fn text(shown: impl Display) -> Html {
    cut(&shown.to_string(), LONGEST)
}

/// Returns a text as HTML. Truncates only a very long text. A page uses this function for rare
/// texts, such as errors.
pub(super) fn long_text(shown: impl Display) -> Html {
    cut(&shown.to_string(), LONGEST_ALONE)
}

/// Returns whether [`long_text`] truncates a text.
pub(super) fn is_very_long(text: &str) -> bool {
    text.chars().nth(LONGEST_ALONE).is_some()
}

fn cut(whole: &str, longest: usize) -> Html {
    let Some((at, _)) = whole.char_indices().nth(longest) else { return Html(encoded(whole)) };
    let (start, rest) = whole.split_at(at);
    Html(encoded(&format!("{start}… ({} more characters)", rest.chars().count())))
}

/// Returns an element with these attributes and this content.
pub(super) fn element(
    tag: Tag,
    attributes: &[Attribute<'_>],
    content: impl IntoIterator<Item = Html>,
) -> Html {
    let name = tag.name();
    let mut out = format!("<{name}");
    for attribute in attributes {
        attribute.write(&mut out);
    }
    out.push('>');
    for piece in content {
        out.push_str(&piece.0);
    }
    let _ = write!(out, "</{name}>"); // writing to a string cannot fail
    Html(out)
}

/// Joins pieces of HTML into one piece.
pub(super) fn joined(pieces: impl IntoIterator<Item = Html>) -> Html {
    Html(pieces.into_iter().map(|piece| piece.0).collect())
}

/// Returns a form field for a text.
pub(super) fn input(name: &'static str, value: &str) -> Html {
    input_of("<input type=\"search\"", name, value)
}

/// Returns a hidden form field. A browser does not show this field.
pub(super) fn hidden(name: &'static str, value: &str) -> Html {
    input_of("<input type=\"hidden\"", name, value)
}

/// Returns a form field for one line of text. The person must not leave this field empty.
pub(super) fn line(name: &'static str) -> Html {
    filled_line(name, "")
}

/// Returns a field like [`line()`]. The field has an initial value.
pub(super) fn filled_line(name: &'static str, value: &str) -> Html {
    input_of("<input type=\"text\" required", name, value)
}

/// Returns a field like [`filled_line`]. The browser suggests the values in the element with the id
/// `list`.
pub(super) fn suggesting_line(name: &'static str, value: &str, list: &'static str) -> Html {
    let mut out = String::from("<input type=\"text\" required");
    for attribute in [Attribute::List(list), Attribute::Name(name), Attribute::Value(value)] {
        attribute.write(&mut out);
    }
    out.push('>');
    Html(out)
}

/// Returns a form field for one line of text. The person can leave this field empty.
pub(super) fn optional_line(name: &'static str, value: &str) -> Html {
    input_of("<input type=\"text\"", name, value)
}

/// Returns a checkbox. The browser sends the form only if the person has ticked this checkbox.
pub(super) fn required_box(name: &'static str) -> Html {
    input_of("<input type=\"checkbox\" required", name, "yes")
}

fn input_of(start: &'static str, name: &'static str, value: &str) -> Html {
    let mut out = String::from(start);
    Attribute::Name(name).write(&mut out);
    Attribute::Value(value).write(&mut out);
    out.push('>');
    Html(out)
}

/// Returns a whole page. The page uses the style sheet at `style`. If `script` is set, the page
/// also uses the script at this address. The page uses no other file.
pub(super) fn document(title: &str, style: &'static str, script: Option<&'static str>, body: Html) -> String {
    let mut head = String::from(
        "<meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><link rel=\"stylesheet\"",
    );
    Attribute::Href(&Link::to(style)).write(&mut head);
    head.push('>');
    if let Some(script) = script {
        // A browser runs the script after it has read the whole page.
        head.push_str("<script defer");
        Attribute::Source(&Link::to(script)).write(&mut head);
        head.push_str("></script>");
    }
    let head = element(Tag::Head, &[], [Html(head), element(Tag::Title, &[], [text(title)])]);
    let page = element(Tag::Html, &[Attribute::Lang("en")], [head, element(Tag::Body, &[], [body])]);
    format!("<!DOCTYPE html>\n{}\n", page.0)
}

#[cfg(test)]
impl Html {
    /// Returns the HTML as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes a text in the same way as a browser. Returns `None` if a character could end the
    /// text or the value of an attribute.
    fn shown(encoded: &str) -> Option<String> {
        let entities =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#96;", "`"), ("&amp;", "&")];
        let (mut out, mut rest) = (String::new(), encoded);
        while let Some(c) = rest.chars().next() {
            match c {
                '<' | '>' | '"' | '\'' | '`' => return None,
                '&' => {
                    let found = entities.iter().find(|(entity, _)| rest.starts_with(entity));
                    let (entity, means) = found?;
                    out.push_str(means);
                    rest = &rest[entity.len()..];
                }
                c => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn any_text_is_shown_as_it_is(
            whole in prop_oneof!["(?s).{0,80}", "[<>&;\"'` =/a-z#0-9\n\u{202e}]{0,60}"]
        ) {
            let encoded = encoded(&whole);
            prop_assert!(!encoded.chars().any(is_deceptive), "{encoded}");
            let mut harmless = String::new();
            for c in whole.chars() {
                if is_deceptive(c) { harmless.extend(c.escape_default()) } else { harmless.push(c) }
            }
            prop_assert_eq!(shown(&encoded), Some(harmless));
        }
    }

    #[test]
    fn a_text_cannot_become_a_tag_or_an_attribute() {
        for (hostile, inert) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onmouseover=\"alert(1)", "&quot; onmouseover=&quot;alert(1)"),
            ("' onfocus='x", "&#39; onfocus=&#39;x"),
            ("`onerror=x`", "&#96;onerror=x&#96;"),
            ("a&lt;b", "a&amp;lt;b"),
            ("</td></table><h1>", "&lt;/td&gt;&lt;/table&gt;&lt;h1&gt;"),
            ("gpj.\u{202e}exe\u{0}\n", r"gpj.\u{202e}exe\u{0}\n"),
            ("Ärger 日本 🎉", "Ärger 日本 🎉"),
        ] {
            assert_eq!(text(hostile).as_str(), inert);
            let input = input("text", hostile);
            assert_eq!(input.as_str(), format!("<input type=\"search\" name=\"text\" value=\"{inert}\">"));
            let option = element(Tag::Option, &[Attribute::Value(hostile)], []);
            assert_eq!(option.as_str(), format!("<option value=\"{inert}\"></option>"));
            let page = document(hostile, "/style.css", None, Html::default());
            assert!(page.contains(&format!("<title>{inert}</title>")), "{page}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let shown = text("ä".repeat(LONGEST + 5));
        assert!(shown.as_str().ends_with("ä… (5 more characters)"), "{}", shown.as_str());
        assert!(!long_text("ä".repeat(LONGEST + 5)).as_str().contains('…'));
        assert!(is_very_long(&"ä".repeat(LONGEST_ALONE + 1)) && !is_very_long(&"ä".repeat(LONGEST_ALONE)));
        let shown = long_text("<".repeat(LONGEST_ALONE + 1));
        assert!(shown.as_str().ends_with("&lt;… (1 more characters)"), "{}", shown.as_str());
    }
}
