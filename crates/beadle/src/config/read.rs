//! Reads a TOML file. An error names the key, what its value must be and what kind of value was
//! found. It shows no line of the file, and no value that may be a secret: a secret that stands in
//! place of its reference must not reach a log.

use std::fmt::Write as _;
use std::path::Path;

use beadle_repositories::policy::nearest;
use serde::de::DeserializeOwned;

/// An error of a file, and the right form.
struct Wrong {
    what: String,
    hint: Option<String>,
}

impl Wrong {
    fn new(what: String) -> Self {
        Self { what, hint: None }
    }

    fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Parses the text of `path`.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let (line, column) = place(text, at);
        let wrong = explain(error.message(), &path_of(&error), text, line);
        let mut said = format!("{}:{line}:{column}: {}", path.display(), wrong.what);
        if let Some(hint) = wrong.hint {
            let _ = write!(said, "\nhint: {hint}");
        }
        anyhow::anyhow!(said)
    })
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// The keys that lead to a value, such as `org.app.id`. Only the text of an error without its input
/// has them.
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

fn explain(message: &str, path: &str, text: &str, line: usize) -> Wrong {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown_key(path, &quoted(rest));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let name = quoted(rest).first().copied().unwrap_or_default();
        return Wrong::new(format!("`{}` is missing", below(path, name)));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown_word(path, &quoted(rest));
    }
    let kinds = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    if let Some((found, wanted)) = kinds.and_then(|kinds| kinds.rsplit_once(", expected ")) {
        return other_kind(path, kind(found), kind_wanted(wanted));
    }
    if message.contains("socket address") {
        let wrong = Wrong::new(format!("`{path}` must be an IP address and a port"));
        return wrong.hint(Some("write it as `127.0.0.1:8080`".into()));
    }
    let message = message.replace(char::is_control, " ");
    if path.is_empty() {
        // The library's texts on syntax hold nothing of the file.
        return Wrong::new(match key_at(text, line) {
            Some(key) => format!("`{key}`: {message}"),
            None => message,
        });
    }
    if is_sensitive(path) {
        return Wrong::new(format!("`{path}` has an invalid value, which is not shown: it may be a secret"));
    }
    Wrong::new(format!("`{path}`: {message}"))
}

fn unknown_key(path: &str, words: &[&str]) -> Wrong {
    let (name, known) = words.split_first().map_or(("", words), |(name, known)| (*name, known));
    if may_be_secret(name) {
        let place = if path.is_empty() { String::new() } else { format!(" in `{path}`") };
        return Wrong::new(format!("there is an unknown key{place}, which is not shown: it may be a secret"));
    }
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    Wrong::new(format!("there is no key `{}`", below(path, name))).hint((!known.is_empty()).then_some(hint))
}

fn unknown_word(path: &str, words: &[&str]) -> Wrong {
    let (word, known) = words.split_first().map_or(("", words), |(word, known)| (*word, known));
    let known_here = known.join(", ");
    if is_sensitive(path) || may_be_secret(word) {
        return Wrong::new(format!("`{path}` must be one of {known_here}; the value found is not shown"));
    }
    let near = nearest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
    Wrong::new(format!("`{path}` must be one of {known_here}, found `{word}`")).hint(near)
}

fn other_kind(path: &str, found: &str, wanted: &str) -> Wrong {
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
    Wrong::new(format!("`{path}` must be {wanted}, found {found}")).hint((!hint.is_empty()).then_some(hint))
}

/// The kind of value that serde found, without the value.
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

/// The kind of value that serde expected, in Beadle's words.
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

/// The words that a message has in backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Whether the value of a key may be a secret.
fn is_sensitive(path: &str) -> bool {
    let path = path.to_lowercase();
    ["secret", "token", "key", "password", "credential"].iter().any(|word| path.contains(word))
}

/// Whether a word that stands where a name of ours should be may be a secret.
fn may_be_secret(word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || ['_', '-', '.'].contains(&c);
    let begins = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"];
    word.len() > 32 || !word.chars().all(is_name) || begins.iter().any(|begin| word.starts_with(begin))
}

/// The key whose value begins in a line, or before it. What follows `=` in base64 is no value.
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
    use super::super::file::File;
    use super::*;

    fn error(below: &str) -> String {
        let text = format!("[[org]]\nname = \"acme\"\npolicy = \"p\"\n{below}\n");
        parse::<File>(Path::new("beadle.toml"), &text).unwrap_err().to_string()
    }

    #[test]
    fn no_value_that_may_be_a_secret_is_in_an_error() {
        for (below, said) in [
            ("token = ghp_hunter2", "`token`: "),
            ("webhook_secrets = \"hunter2\"", "`org.webhook_secrets` must be a list, found a string"),
            ("tokn = \"hunter2\"", "there is no key `org.tokn`"),
            ("ghp_hunter2 = \"x\"", "an unknown key in `org`"),
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
    fn an_error_says_the_key_the_kind_and_the_right_form() {
        for (below, said, hint) in [
            ("app = { key = \"env:K\" }", "`org.app.id` is missing", ""),
            (
                "app = { id = \"12345\", key = \"env:K\" }",
                "found a string",
                "write the number without quotes",
            ),
            ("webhook_secrets = \"env:X\"", "must be a list", "put it in brackets: `webhook_secrets = "),
            ("mod = \"enforce\"", "beadle.toml:4:1: there is no key `org.mod`", "did you mean `mode`?"),
            ("mode = \"enforc\"", "found `enforc`", "did you mean `enforce`?"),
            (
                "[server]\nlisten = \"localhost:8080\"",
                "`server.listen` must be an IP address",
                "`127.0.0.1:8080`",
            ),
            ("[budget]\nreserve = 1", "there is no key `budget`", ""),
            ("[org.guard]\nremoves = -1", "must be a whole number, found one that is out of range", ""),
        ] {
            let error = error(below);
            assert!(error.contains(said) && error.contains(hint), "{below}: {error}");
        }
    }

    #[test]
    fn one_organisation_in_single_brackets_is_told_the_right_form() {
        let error = parse::<File>(Path::new("beadle.toml"), "[org]\nname = \"acme\"\npolicy = \"p\"\n");
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`org` must be a list, found a table") && error.contains("[[org]]"),
            "{error}"
        );
    }
}
