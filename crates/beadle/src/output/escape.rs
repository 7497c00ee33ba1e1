//! Makes text from outside harmless on a terminal. The output and the log escape the same
//! characters.

use std::fmt::{self, Display, Write as _};

use beadle_engine::is_deceptive;

/// The maximum length of a value in a column or a log field, in characters. Beadle cuts a longer
/// value, and adds the number of removed characters.
pub(crate) const VALUE: usize = 512;

/// Writes one character. Escapes the character if it would control a terminal.
pub(crate) fn put(out: &mut String, c: char) {
    if is_deceptive(c) {
        out.extend(c.escape_default());
    } else {
        out.push(c);
    }
}

/// Escapes every character that would control a terminal, including line breaks.
pub(crate) fn escaped(text: impl Display) -> String {
    let mut out = String::new();
    text.to_string().chars().for_each(|c| put(&mut out, c));
    out
}

/// Returns the text with escaped line breaks, so that a value cannot begin a new line. This
/// function escapes no other characters, because the printer escapes them.
pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\r', "\\r")
}

/// Returns a short text unchanged. Cuts a long text, and adds the number of removed characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} more characters)", &text[..at], text[at..].chars().count()),
    }
}

/// Formats a text. Returns the escaped and shortened text. The function never stores the removed
/// part in memory.
pub(crate) fn value(text: fmt::Arguments<'_>) -> String {
    let mut bounded = Bounded { text: String::new(), left: VALUE, more: 0 };
    let _ = bounded.write_fmt(text); // writing to a string cannot fail
    if bounded.more > 0 {
        let _ = write!(bounded.text, "… ({} more characters)", bounded.more);
    }
    bounded.text
}

/// A writer that keeps the characters of a text up to a limit. The writer only counts the
/// characters after the limit.
struct Bounded {
    text: String,
    left: usize,
    more: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.left == 0 {
                self.more += 1;
            } else {
                self.left -= 1;
                put(&mut self.text, c);
            }
        }
        Ok(())
    }
}

/// Returns JSON with the same meaning. Replaces every character that would control a terminal with
/// a JSON escape.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // These three characters are white space between the JSON values, so the function does not
        // replace them.
        if is_deceptive(c) && !matches!(c, '\n' | '\t' | '\r') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}"); // writing to a string cannot fail
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_acts_on_a_terminal(text in "(?s).{0,80}", most in 0_usize..90) {
            prop_assert!(!escaped(&text).chars().any(is_deceptive));
            let bounded = value(format_args!("{text}"));
            prop_assert!(!bounded.chars().any(is_deceptive));
            prop_assert!(!one_line(&text).contains(['\n', '\r']));
            let shown = cut(&text, most);
            let begin: String = text.chars().take(most).collect();
            prop_assert!(shown.starts_with(&begin), "{shown}");
            let said = serde_json::Value::from(text.as_str());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&said.to_string())).unwrap(), said);
        }
    }

    #[test]
    fn characters_that_act_on_a_terminal_are_escaped() {
        for (hostile, shown) in [
            ("\u{1b}[31mred\u{7}", r"\u{1b}[31mred\u{7}"),
            ("a\u{9b}2J\u{7f}", r"a\u{9b}2J\u{7f}"),
            ("a\nERROR forged\r", r"a\nERROR forged\r"),
            ("gpj.\u{202e}exe", r"gpj.\u{202e}exe"),
            ("a\u{2066}b\u{200b}", r"a\u{2066}b\u{200b}"),
            ("Ärger 日本 🎉", "Ärger 日本 🎉"),
        ] {
            assert_eq!(escaped(hostile), shown);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        let long = "x".repeat(10_000_000);
        assert_eq!(cut(&long, 3), "xxx… (9999997 more characters)");
        let shown = value(format_args!("{long}"));
        assert!(shown.len() < 600 && shown.ends_with("… (9999488 more characters)"), "{}", shown.len());
        assert_eq!(cut("äö", 2), "äö");
    }

    #[test]
    fn json_stays_json_and_says_the_same() {
        let said = serde_json::json!({ "a": "\u{1b}\u{9b}\u{202e}\u{e0041}\u{7f}é" });
        let shown = json(&serde_json::to_string_pretty(&said).unwrap());
        assert!(!shown.chars().any(|c| is_deceptive(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), said);
    }
}
