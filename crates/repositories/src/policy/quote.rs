//! Quotes single lines of a policy for people.

use super::problem::{NOT_SHOWN, column, is_in_word, shown};
use crate::aspects::webhooks::is_token;

/// The maximum length of a quoted line, in characters.
const LONGEST: usize = 120;

/// The keys whose values a plan does not show. A line of such a value is never quoted.
const HIDDEN: [&str; 9] = [
    "files",
    "webhooks",
    "secrets",
    "dependabot_secrets",
    "codespaces_secrets",
    "content",
    "url",
    "config",
    "secret",
];

/// If a word in a line ends with one of these texts, the line might also contain a secret. A policy
/// contains only the names of secrets, but its author can write a value by mistake.
const SECRETIVE: [&str; 11] = [
    "secret",
    "token",
    "password",
    "passphrase",
    "credential",
    "credentials",
    "key",
    "auth",
    "passwd",
    "pwd",
    "pass",
];

/// The end of a harmless word. Without this exception, the word would match `pass` of
/// [`SECRETIVE`].
const HARMLESS: &str = "bypass";

/// The minimum length of a hexadecimal number that can be a secret.
const HEX: usize = 16;

/// The minimum length of a text in Base64 that can be a secret.
const BASE64: usize = 32;

/// Returns the text of a line, without its indentation and its comment. The first line is 1.
/// Truncates a long line. Returns `None` if the file has no such line, if the line has no text, or
/// if the line might contain a secret.
pub fn quoted_line(source: &str, line: u32) -> Option<String> {
    let at = usize::try_from(line).ok()?.checked_sub(1)?;
    let whole = shown(source, at)?;
    // A comment can say that the value before it is a secret.
    if is_hidden(source, at) || names_secret(&whole) {
        return None;
    }
    let line = without_comment(&whole)?.trim();
    if line.is_empty() || might_contain_secret(line) {
        return None;
    }
    Some(match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    })
}

/// Returns whether a line has a key of [`HIDDEN`], or belongs to such a key. The search goes
/// backwards. A line belongs to the keys of an earlier line with less indentation. It can also belong
/// to the keys of an earlier line that ends inside of brackets.
fn is_hidden(source: &str, at: usize) -> bool {
    let mut inner = usize::MAX;
    let lines: Vec<&str> = source.lines().take(at + 1).collect();
    for line in lines.into_iter().rev().map(str::trim_end).filter(|line| !line.is_empty()) {
        let own = column(line);
        if inner == usize::MAX {
            // A line without a key continues a value that began in an earlier line.
            if own == 0 && !begins_with_key(line) {
                return true;
            }
        } else if line.trim_start().starts_with('#') {
            continue;
        }
        if (own < inner || line.ends_with(['[', '{', ','])) && keys(line).any(|key| HIDDEN.contains(&key)) {
            return true;
        }
        inner = inner.min(own);
        if inner == 0 {
            return false;
        }
    }
    false
}

/// Returns the keys in a line. A key can be in quotes.
fn keys(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(':').map(move |(at, _)| {
        let before = line[..at].trim_end().trim_end_matches(['"', '\'']);
        before.rsplit(|c: char| !is_in_word(c)).next().unwrap_or_default()
    })
}

/// Returns whether a line without indentation begins with a key.
fn begins_with_key(line: &str) -> bool {
    let line = line.trim_start_matches(['"', '\'']);
    let rest = line.trim_start_matches(is_in_word);
    rest.len() < line.len() && rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':')
}

/// Returns a line without its comment. Returns `None` if the comment might be a part of a text in
/// quotes.
fn without_comment(line: &str) -> Option<&str> {
    let mut signs = line.match_indices('#').map(|(at, _)| at);
    let begins = |at: &usize| line[..*at].chars().next_back().is_none_or(char::is_whitespace);
    let Some(end) = signs.find(begins) else { return Some(line) };
    let kept = &line[..end];
    let is_open = |quote: char| kept.matches(quote).count() % 2 == 1;
    (!is_open('"') && !is_open('\'')).then_some(kept)
}

/// Returns whether a line has the name of a secret, or the beginning of a key file.
fn names_secret(line: &str) -> bool {
    let is_secretive = |word: &str| {
        let word = word.to_ascii_lowercase();
        SECRETIVE.iter().any(|end| word.ends_with(end)) && !word.ends_with(HARMLESS)
    };
    line.contains(NOT_SHOWN)
        || line.contains("-----BEGIN")
        || line.split(|c: char| !is_in_word(c)).any(is_secretive)
}

/// Returns whether a line without a comment might contain the value of a secret.
fn might_contain_secret(line: &str) -> bool {
    // An address can contain a password, or a token in its path. In JSON, the slashes of an address
    // can be escaped.
    let has_url = line.contains("://") || line.contains(":\\/");
    // YAML decodes escapes in double quotes. A text with escapes can therefore be a secret in
    // another form.
    let has_escapes = line.contains('\\') && line.contains('"');
    let mut words = line.split(|c: char| !is_in_word(c));
    let mut texts = line.split(|c: char| !is_in_word(c) && !matches!(c, '+' | '/' | '='));
    has_url
        || has_escapes
        || line.starts_with([':', '?'])
        || has_address(line)
        || words.any(|word| is_token(word) || is_hex(word))
        || texts.any(is_base64)
}

/// Returns whether a line contains an e-mail address, or a user and a host.
fn has_address(line: &str) -> bool {
    let ends_user = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '[' | '{' | '(' | ',');
    line.match_indices('@').any(|(at, _)| {
        line[..at].chars().next_back().is_some_and(ends_user) && line[at + 1..].starts_with(is_in_word)
    })
}

fn is_hex(word: &str) -> bool {
    let has_digit = word.chars().any(|c| c.is_ascii_digit());
    let has_letter = word.chars().any(|c| c.is_ascii_alphabetic());
    word.len() >= HEX && has_digit && has_letter && word.chars().all(|c| c.is_ascii_hexdigit())
}

fn is_base64(text: &str) -> bool {
    let has_digit = text.chars().any(|c| c.is_ascii_digit());
    let has_upper = text.chars().any(|c| c.is_ascii_uppercase());
    let has_lower = text.chars().any(|c| c.is_ascii_lowercase());
    text.len() >= BASE64 && has_digit && has_upper && has_lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_the_trimmed_line_and_is_short() {
        let source = format!(
            "repository:\n  has_wiki: false  # by hand\n\n  x: {}\n  \u{1b}[2Jy: 1\n",
            "é".repeat(500)
        );
        let quoted = |line: u32| quoted_line(&source, line);
        assert_eq!(quoted(2).as_deref(), Some("has_wiki: false"));
        let long = quoted(4).unwrap();
        assert!(
            long.starts_with("x: é") && long.ends_with("é…") && long.chars().count() == LONGEST + 1,
            "{long}"
        );
        assert!(!quoted(5).unwrap().contains(char::is_control));
        for none in [0, 3, 6, u32::MAX] {
            assert_eq!(quoted(none), None, "{none}");
        }
    }

    #[test]
    fn a_line_that_might_contain_a_secret_is_never_quoted() {
        for (source, line) in [
            ("webhooks:\n  - { url: x, secret: hunter2 }", 2),
            ("webhooks:\n  - url: x\n    'secret': hunter2", 3),
            ("webhooks:\n  - url: x\n    secret:\n      - hunter2", 4),
            ("webhooks:\n  - url: https://mona:hunter2@ci.example/hook", 2),
            ("webhooks: [{ url: 'https://hooks.example/hunter2' }]", 1),
            ("variables:\n  - { name: API_TOKEN, value: hunter2 }", 2),
            ("variables: [{ name: db-password, value: hunter2 }]", 1),
            ("x: hunter2  # the Credentials", 1),
            ("x: \"a # hunter2\"", 1),
            ("secrets:", 1),
            ("files: [{ path: .npmrc, content: \"//npm.acme.dev/:_auth=hunter2\" }]", 1),
            ("files:\n  - path: .env\n    mode: hunter2", 3),
            ("files:\n# a comment\n\n  - hunter2", 4),
            ("x: 1\nfiles: [\n\thunter2 ]", 3),
            ("files: [\nhunter2 ]", 2),
            ("x:\n  files: [{ path: a,\n  mode: hunter2 }]", 3),
            ("- { path: .env, content: \"hunter2\" }", 1),
            ("- { path: .env, 'content' : hunter2 }", 1),
            ("webhooks:\n  - events: [hunter2]", 2),
            ("x: AWS_ACCESS_KEY=hunter2", 1),
            ("private-key: hunter2", 1),
            ("x: { npm_auth: hunter2 }", 1),
            ("passwd: hunter2", 1),
            ("x: \"-----BEGIN OPENSSH hunter2\"", 1),
            ("x: \"https:\\/\\/hooks.slack.com\\/hunter2\"", 1),
            ("x: https:\\/\\/hooks.slack.com\\/hunter2", 1),
            ("x: \"hun\\x74er2\"", 1),
            ("x: ann@acme.example", 1),
            ("x: ghp_AbCdEfGhIjKlMnOpQrSt", 1),
            ("x: 0123456789abcdef", 1),
            ("x: aB+/cD1+/eF2+/gH3+/iJ4+/kL5+/mN6+", 1),
            ("x: 1\ry: 2\nz: 3", 2),
        ] {
            assert_eq!(quoted_line(source, line), None, "{source}");
        }
        for (source, quoted) in [
            ("  secret_scanning: true", "secret_scanning: true"),
            ("deploy_keys:", "deploy_keys:"),
            ("bypass_actors: [] # see https://acme.example", "bypass_actors: []"),
            ("has_wiki: false # by ann@acme.example, ghp_AbCdEfGhIjKlMnOpQrSt", "has_wiki: false"),
            ("labels: [{ name: bug, color: '#00ff00' }]", "labels: [{ name: bug, color: '#00ff00' }]"),
            ("name: '@acme/core'", "name: '@acme/core'"),
            ("required_approving_review_count: 2", "required_approving_review_count: 2"),
            ("- { name: contractors, permission: push }", "- { name: contractors, permission: push }"),
        ] {
            assert_eq!(quoted_line(source, 1).as_deref(), Some(quoted));
        }
    }
}
