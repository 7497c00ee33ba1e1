//! The text of a configuration file, and the errors in it. An error names the key, the rule, and
//! the kind of value that was found. An error never shows a line of the file, or a value that might
//! be a secret. So if somebody writes a secret instead of its reference, the secret never reaches a
//! log.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::values::values;
use crate::{ConfigError, Invalid, KeyPath, did_you_mean, nearest};

/// The text of a configuration file, together with its path for errors.
#[derive(Debug)]
pub struct Source {
    file: String,
    text: String,
}

impl Source {
    /// Creates the source from the path and the text of a file.
    pub fn new(path: &Path, text: impl Into<String>) -> Self {
        Self { file: path.display().to_string(), text: text.into() }
    }

    /// Reads a configuration file from the disk.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(error) => Err(ConfigError::Unreadable { file: path.display().to_string(), error }),
        }
    }

    /// Returns the number of the line with the byte at position `at`. The first line is 1.
    pub fn line(&self, at: usize) -> usize {
        line(&self.text, at.min(self.text.len()))
    }

    /// Parses the text into a type.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error: toml::de::Error| {
            let line = self.line(error.span().map_or(0, |span| span.start));
            let invalid = explain(error.message(), &path_of(&error), &self.text, line);
            ConfigError::Invalid { file: self.file.clone(), line, invalid }
        })
    }

    /// Returns every value of the file, by the path of the value's key, such as `org.acme.mode`.
    pub fn values(&self) -> BTreeMap<String, String> {
        values(&self.text)
    }

    /// Returns the error for an invalid value, together with the file and the line of the key.
    pub fn error(&self, invalid: Invalid) -> ConfigError {
        let line = invalid.at().line(&self.text);
        ConfigError::Invalid { file: self.file.clone(), line, invalid }
    }
}

/// Creates an error in the syntax of the file. The error needs no path to a key, because the line
/// is known.
fn wrong(what: impl Into<String>) -> Invalid {
    Invalid::new(KeyPath::default(), what)
}

/// Returns the number of the line with the byte at position `at`. The first line is 1.
fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

/// Returns the path of the value that caused an error, such as `org.app.id`. If an error contains
/// the content of the file, the library does not show the path in the text of the error. The
/// function therefore removes the content first.
fn path_of(error: &toml::de::Error) -> String {
    let mut bare = error.clone();
    bare.set_input(None);
    let shown = bare.to_string();
    let path = shown
        .strip_prefix(error.message())
        .and_then(|rest| rest.trim().strip_prefix("in `")?.strip_suffix('`'))
        .unwrap_or_default();
    path.escape_debug().to_string()
}

fn explain(message: &str, path: &str, text: &str, line: usize) -> Invalid {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(path, &quoted(rest));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let name = quoted(rest).first().copied().unwrap_or_default();
        return wrong(format!("`{}` is missing", below(path, name)));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown_word(path, &quoted(rest));
    }
    let kinds = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    if let Some((found, wanted)) = kinds.and_then(|kinds| kinds.rsplit_once(", expected ")) {
        return other_kind(path, kind(found), kind_wanted(wanted));
    }
    if message.contains("socket address") {
        let invalid = wrong(format!("`{path}` must be an IP address and a port"));
        return invalid.hint(Some("use a value such as `127.0.0.1:8080`".into()));
    }
    let message = message.replace(char::is_control, " ");
    if path.is_empty() {
        // The library's messages about syntax quote no text of the file, so they are safe to show.
        return wrong(match key_at(text, line) {
            Some(key) => format!("`{key}`: {message}"),
            None => message,
        });
    }
    if is_sensitive(path) {
        return wrong(format!(
            "`{path}` has an invalid value, which is not shown because it may be a secret"
        ));
    }
    wrong(format!("`{path}`: {message}"))
}

fn unknown_key(path: &str, words: &[&str]) -> Invalid {
    let (name, known) = words.split_first().map_or(("", words), |(name, known)| (*name, known));
    if may_be_secret(name) {
        let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        return wrong(format!("unknown key{place}, which is not shown because it may be a secret"));
    }
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known keys: {}", known.join(", ")),
    };
    wrong(format!("unknown key `{}`", below(path, name))).hint((!known.is_empty()).then_some(hint))
}

fn unknown_word(path: &str, words: &[&str]) -> Invalid {
    let (word, known) = words.split_first().map_or(("", words), |(word, known)| (*word, known));
    let known_here = known.join(", ");
    if is_sensitive(path) || may_be_secret(word) {
        return wrong(format!("`{path}` must be one of {known_here}; the value found is not shown"));
    }
    let hint = did_you_mean(word, known.iter().copied());
    wrong(format!("`{path}` must be one of {known_here}, found `{word}`")).hint(hint)
}

fn other_kind(path: &str, found: &str, wanted: &str) -> Invalid {
    let name = path.rsplit('.').next().unwrap_or_default();
    let hint = match (wanted, found) {
        ("a list", "a string") => format!("put it in brackets: `{name} = [\"...\"]`"),
        ("a list", "a table") => format!("begin each entry with `[[{path}]]`: there may be several"),
        ("a table", "a list") => format!("write `[{path}]`: there is only one"),
        ("a whole number", "a string") => "write the number without quotes".into(),
        ("a string", "a whole number" | "a number" | "true or false") => "put it in quotes".into(),
        _ => String::new(),
    };
    let found = if found == wanted { "one that is out of range" } else { found };
    wrong(format!("`{path}` must be {wanted}, found {found}")).hint((!hint.is_empty()).then_some(hint))
}

/// Returns the kind of the value that serde found, such as a string. The result never contains the
/// value.
fn kind(found: &str) -> &'static str {
    const KINDS: &[(&str, &str)] = &[
        ("string", "a string"),
        ("integer", "a whole number"),
        ("boolean", "true or false"),
        ("floating point", "a number"),
        ("sequence", "a list"),
        ("map", "a table"),
    ];
    KINDS.iter().find(|(word, _)| found.starts_with(word)).map_or("another kind of value", |(_, kind)| *kind)
}

/// Returns the kind of value that serde expected, in the words that Beadle uses.
fn kind_wanted(wanted: &str) -> &str {
    match wanted {
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "i8" | "i16" | "i32" | "i64" | "isize" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        _ if wanted.starts_with("struct ") => "a table",
        _ => wanted,
    }
}

/// Returns those words of a message that are in backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Returns whether the value of the key with this path might be a secret.
fn is_sensitive(path: &str) -> bool {
    let path = path.to_lowercase();
    ["secret", "token", "key", "password", "credential"].iter().any(|word| path.contains(word))
}

/// Returns whether a word might be a secret. The word is in a place where a key or a choice is
/// expected.
fn may_be_secret(word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c);
    let begins = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];
    word.len() > 32 || !word.chars().all(is_name) || begins.iter().any(|begin| word.starts_with(begin))
}

/// Returns the key of the value in a line. The key is in this line or in an earlier one. Text in
/// base64 can contain a `=` too, but the text before this `=` is not a key.
fn key_at(text: &str, line: usize) -> Option<&str> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    for line in lines.into_iter().rev() {
        if line.trim_start().starts_with('[') && !line.contains('=') && !line.trim_end().ends_with(',') {
            return None;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.trim();
        let is_key = key.starts_with(|c: char| c.is_ascii_lowercase())
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
        let is_value =
            value.trim_start().starts_with(|c: char| c.is_ascii_alphanumeric() || "\"'[{".contains(c));
        if is_key && is_value && !may_be_secret(key) {
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::File;

    fn error(below: &str) -> String {
        let text = format!("[[org]]\nname = \"acme\"\npolicy = \"p\"\n{below}\n");
        Source::new(Path::new("beadle.toml"), text).parse::<File>().unwrap_err().to_string()
    }

    #[test]
    fn no_value_that_may_be_a_secret_is_in_an_error() {
        for (below, said) in [
            ("token = ghp_hunter2", "`token`: "),
            ("webhook_secrets = \"hunter2\"", "`org.webhook_secrets` must be a list, found a string"),
            ("tokn = \"hunter2\"", "unknown key `org.tokn`"),
            ("ghp_hunter2 = \"x\"", "unknown key in `org`"),
            ("[org.secrets]\nci = hunter2", "`ci`: "),
            ("[org.secrets]\nci = [\"hunter2\"]", "`org.secrets.ci` must be a string, found a list"),
            ("[org.secrets]\nci = 4711", "`org.secrets.ci` must be a string, found a whole number"),
            ("webhook_secrets = [\n  \"env:A\",\n  hunter2,\n]", "`webhook_secrets`: "),
            ("webhook_secrets = [\n  \"env:A\",\n  hunter2=\n]", "beadle.toml:"),
            (
                "app = { id = \"hunter2\", key = \"env:K\" }",
                "`org.app.id` must be a whole number, found a string",
            ),
            ("app = { id = 1, key = 4711 }", "`org.app.key` must be a string, found a whole number"),
        ] {
            let error = error(below);
            assert!(error.starts_with("beadle.toml:") && error.contains(said), "{below}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("4711"), "{below}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_key_the_kind_of_value_and_the_right_form() {
        for (below, said, hint) in [
            ("app = { key = \"env:K\" }", "`org.app.id` is missing", ""),
            (
                "app = { id = \"12345\", key = \"env:K\" }",
                "found a string",
                "write the number without quotes",
            ),
            ("webhook_secrets = \"env:X\"", "must be a list", "put it in brackets: `webhook_secrets = "),
            ("mod = \"enforce\"", "beadle.toml:4: unknown key `org.mod`", "did you mean `mode`?"),
            ("mode = \"enforc\"", "found `enforc`", "did you mean `enforce`?"),
            (
                "[server]\nlisten = \"localhost:8080\"",
                "`server.listen` must be an IP address",
                "`127.0.0.1:8080`",
            ),
            ("[budget]\nreserve = 1", "unknown key `budget`", ""),
            ("[org.guard]\nremoves = -1", "must be a whole number, found one that is out of range", ""),
        ] {
            let error = error(below);
            assert!(error.contains(said) && error.contains(hint), "{below}: {error}");
        }
    }

    #[test]
    fn the_error_about_single_brackets_shows_the_right_form() {
        let error =
            Source::new(Path::new("beadle.toml"), "[org]\nname = \"acme\"\npolicy = \"p\"\n").parse::<File>();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`org` must be a list, found a table") && error.contains("[[org]]"),
            "{error}"
        );
    }
}
