//! Quotes single lines of a policy for people.

use super::problem::{NOT_SHOWN, shown};

/// The maximum length of a quoted line, in characters.
const LONGEST: usize = 120;

/// The ends of words in a line that can also contain a secret. A policy contains only the names of
/// secrets, but its author can write a value by mistake.
const SECRETIVE: [&str; 7] =
    ["secret", "token", "password", "passphrase", "credential", "credentials", "private_key"];

/// Returns the text of a line, without its indentation. The first line is 1. Cuts a long line.
/// Returns `None` if the file has no such line, if the line is empty, or if the line might contain
/// a secret.
pub fn quoted_line(source: &str, line: u32) -> Option<String> {
    let at = usize::try_from(line).ok()?.checked_sub(1)?;
    let line = shown(source, at)?;
    let line = line.trim();
    if line.is_empty() || might_contain_secret(line) {
        return None;
    }
    Some(match line.char_indices().nth(LONGEST) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}…", &line[..end]),
    })
}

/// Returns whether a line might contain a secret.
fn might_contain_secret(line: &str) -> bool {
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let is_secretive = |word: &str| {
        let word = word.to_ascii_lowercase();
        SECRETIVE.iter().any(|end| word.ends_with(end))
    };
    // An address can contain a password, or a token in its path.
    line.contains(NOT_SHOWN) || line.contains("://") || line.split(|c: char| !is_in_word(c)).any(is_secretive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_the_trimmed_line_and_is_short() {
        let source =
            format!("repository:\n  has_wiki: false  # by hand\n\n  x: {}\n\u{1b}[2Jy: 1\n", "é".repeat(500));
        let quoted = |line: u32| quoted_line(&source, line);
        assert_eq!(quoted(2).as_deref(), Some("has_wiki: false  # by hand"));
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
        ] {
            assert_eq!(quoted_line(source, line), None, "{source}");
        }
        for (source, quoted) in [
            ("  secret_scanning: true", "secret_scanning: true"),
            ("secrets:", "secrets:"),
            ("- { name: contractors, permission: push }", "- { name: contractors, permission: push }"),
        ] {
            assert_eq!(quoted_line(source, 1).as_deref(), Some(quoted));
        }
    }
}
