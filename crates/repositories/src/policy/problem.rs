//! The findings in a policy: errors, warnings, and keys that Beadle does not support. Each finding
//! has a file and a line.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use beadle_engine::PolicyLocation;
use serde::Serialize;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Beadle refuses the policy because of this finding.
    Error,
    /// Beadle knows the key, but does not support it.
    NotYet,
    /// Beadle accepts the policy. But the policy might not do what the author expects.
    Warning,
}

/// The endings of keys for secrets. An author can write the secret itself by mistake, so an excerpt
/// does not show the value.
const SECRETS: [&str; 5] = ["secret", "secrets", "token", "password", "passphrase"];
/// The key of a secret's encrypted value.
const ENCRYPTED: &str = "encrypted_value";
/// The minimum length of a part of an address that can be a token.
const LONG: usize = 20;
/// The key of a webhook's address. The address can contain a password.
const ADDRESS: &str = "url";

/// In an excerpt, this text replaces a value that might be secret.
pub(super) const NOT_SHOWN: &str = "(not shown)";

/// The maximum width of an excerpt, in characters.
const EXCERPT: usize = 160;

/// One finding in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The severity of the finding.
    pub severity: Severity,
    /// The file and the line of the finding.
    pub asked: PolicyLocation,
    /// The column of the finding. The first column is 1.
    pub column: u32,
    /// The message of the finding.
    pub message: String,
    /// A hint for the author. It describes how to correct the finding.
    pub hint: Option<String>,
    /// True if the finding is an error in every mode that allows writes.
    #[serde(skip)]
    pub stops_writes: bool,
}

impl Problem {
    /// Creates a finding that is an error.
    pub fn error(asked: PolicyLocation, column: u32, message: impl Into<String>) -> Self {
        // The message might contain control characters from the file. A terminal would execute such
        // characters as commands.
        let message = message.into().replace(char::is_control, " ");
        Self { severity: Severity::Error, asked, column, message, hint: None, stops_writes: false }
    }

    /// Adds a hint for the author.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().replace(char::is_control, " "));
        self
    }

    /// Replaces the severity of the finding.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Makes the finding an error in every mode that allows writes.
    #[must_use]
    pub fn stops_writes(mut self) -> Self {
        self.stops_writes = true;
        self
    }

    /// Returns the finding as text for people, with an excerpt of the file.
    pub fn render(&self, source: Option<&str>) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::NotYet => Level::WARNING.with_name("not carried out"),
            Severity::Warning => Level::WARNING,
        };
        let line = self.asked.line as usize;
        let title = level.primary_title(&self.message);
        let excerpt = source.and_then(|source| shown(source, line.saturating_sub(1)));
        let mut group = if let Some(excerpt) = &excerpt {
            let column = self.column.saturating_sub(1) as usize;
            let mut rest = excerpt.char_indices().map(|(at, _)| at).skip(column);
            let start = rest.next().unwrap_or(excerpt.len());
            let end = rest.next().unwrap_or(excerpt.len());
            let snippet = Snippet::source(excerpt).line_start(line).path(&*self.asked.file);
            title.element(snippet.annotation(AnnotationKind::Primary.span(start..end)))
        } else {
            let origin = Origin::path(&*self.asked.file).line(line);
            title.element(origin.char_column(self.column as usize))
        };
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.with_name("hint").message(hint));
        }
        // If a line is long, the excerpt shows only a part of the line. The part has this width and
        // surrounds the column.
        format!("{}\n", Renderer::plain().term_width(EXCERPT).render(&[group]))
    }
}

/// Returns a line of a file in the form for an excerpt. `at` is the position of the line in the
/// file. The author might have written a secret's value in place of its name. This value must not
/// get into a log. Returns `None` if the file has a lone carriage return. The YAML parser counts a
/// lone carriage return as the end of a line, but this function does not. So `at` would mean a
/// different line here.
pub(super) fn shown(source: &str, at: usize) -> Option<String> {
    if source.match_indices('\r').any(|(end, _)| !source[end + 1..].starts_with('\n')) {
        return None;
    }
    let line = source.lines().nth(at)?;
    let line = match secret_in(line) {
        Some(end) => format!("{} {NOT_SHOWN}", &line[..end]),
        None if is_below_secret(source, at) => NOT_SHOWN.to_owned(),
        None => line.to_owned(),
    };
    // A terminal would execute control characters as commands.
    Some(line.replace(char::is_control, " "))
}

/// Returns whether the value of a key can be a secret. The author might have misspelled the key.
fn is_secretive(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let is_near = |secret: &&str| key.ends_with(secret) || strsim::damerau_levenshtein(&key, secret) == 1;
    key == ENCRYPTED || SECRETS.iter().any(is_near)
}

/// Returns whether the value at a path, such as `webhooks[0].url`, can contain a secret.
pub(super) fn is_secretive_place(path: &str) -> bool {
    path.split(['.', '[', ']']).any(|key| key == ADDRESS || is_secretive(key))
}

/// Returns whether the text after the key `url` begins with an address that has a secret part.
fn has_secret_address(text: &str) -> bool {
    let text = text.trim();
    // The address is in the next lines.
    if text.is_empty() || text.starts_with(['>', '|']) {
        return true;
    }
    let quoted = |quote: char| text.strip_prefix(quote).map(|rest| rest.split(quote).next().unwrap_or(rest));
    let plain = || text.split([' ', ',', '}']).next().unwrap_or_default();
    let address = quoted('"').or_else(|| quoted('\'')).unwrap_or_else(plain);
    address.contains(['@', '?']) || address.split('/').skip(3).any(|part| part.len() >= LONG)
}

/// Returns where the value of a key that can contain a secret begins in a line. The key can be in
/// quotes.
fn secret_in(line: &str) -> Option<usize> {
    line.match_indices(':').find_map(|(at, _)| {
        let before = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let key = before.rsplit(|c: char| !is_in_word(c)).next().unwrap_or_default();
        let is_secret = is_secretive(key) || (key == ADDRESS && has_secret_address(&line[at + 1..]));
        is_secret.then_some(at + 1)
    })
}

/// Returns whether a character can be in the name of a key.
pub(super) fn is_in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Returns whether a line might belong to the value of such a key in an earlier line. This is
/// true if all lines after the key, up to this line, have more indentation than the key.
fn is_below_secret(source: &str, at: usize) -> bool {
    let mut inner = usize::MAX;
    let lines: Vec<&str> = source.lines().take(at + 1).collect();
    for line in lines.into_iter().rev().filter(|line| !line.trim().is_empty()) {
        // The search starts at the line of the finding and goes backwards.
        if inner != usize::MAX && line.trim_start().starts_with('#') {
            continue; // the indentation of a comment has no meaning
        }
        if inner != usize::MAX && secret_in(line).is_some() && column(line) < inner {
            return true;
        }
        inner = inner.min(column(line));
        if inner == 0 {
            return false;
        }
    }
    false
}

/// Returns the indentation of a line. The hyphens of list entries count as indentation.
pub(super) fn column(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t', '-']).len()
}

/// Returns the known name that is most similar to a wrong name. Returns `None` if no known name is
/// similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No known name is this long, and the comparison of long texts is slow.
    if name.len() > EXCERPT {
        return None;
    }
    let scored = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let (distance, other) = scored.min()?;
    (distance <= other.len().max(name.len()) / 3 + 1).then_some(other)
}

/// The minimum length of a text that [`nearest_key`] treats as the beginning of a word.
const BEGINNING: usize = 3;

/// Returns the known key that the author of a wrong key probably meant. The author might have
/// written only a part of the key, such as `wiki` for `has_wiki`. Otherwise, the result is the most
/// similar key.
pub(super) fn nearest_key<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let (words, beginning) = (format!("_{name}_"), format!("_{name}"));
    let score = |key: &'a str| {
        let whole = format!("_{key}_");
        let has_words = whole.contains(&words);
        let is_part = has_words || (name.len() >= BEGINNING && whole.contains(&beginning));
        // An author who writes `branch` means the section `branches`, not `default_branch`.
        let rank = if key.starts_with(name) { 0 } else { 1 + u8::from(!has_words) };
        is_part.then_some((rank, key.len(), key))
    };
    let parts = known.clone().into_iter().filter_map(score);
    let part = parts.min_by_key(|(rank, length, _)| (*rank, *length));
    part.map(|(_, _, key)| key).or_else(|| nearest(name, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_can_contain_the_wrong_key_as_a_part() {
        let known = [
            "autolinks",
            "allow_auto_merge",
            "has_wiki",
            "has_issues",
            "topics",
            "branches",
            "default_branch",
        ];
        for (name, expected) in [
            ("branch", Some("branches")),
            ("wiki", Some("has_wiki")),
            ("auto", Some("autolinks")),
            ("auto_merge", Some("allow_auto_merge")),
            ("issue", Some("has_issues")),
            ("topics", Some("topics")),
            ("topisc", Some("topics")),
            ("has_wikki", Some("has_wiki")),
            ("iki", None),
            ("al", None),
            ("", None),
        ] {
            assert_eq!(nearest_key(name, known), expected, "{name}");
        }
    }

    #[test]
    fn an_excerpt_shows_no_value_of_a_secret() {
        let asked = PolicyLocation { file: "settings.yml".into(), line: 1 };
        let line = "  - { url: 'https://x', secret: hunter2, actve: true }";
        let text = Problem::error(asked, 42, "unknown key `actve`").render(Some(line));
        assert!(text.contains("secret: (not shown)") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_excerpt_shows_no_secret_in_any_form_of_its_key() {
        for (source, line) in [
            ("- { url: x, \"secret\": hunter2, actve: true }", 1),
            ("- { url: x, 'secret' : hunter2 }", 1),
            ("webhooks:\n  - url: x\n    secret:\n      - hunter2\n", 4),
            ("webhooks:\n  - url: x\n    secret: >-\n\n      hunter2\n", 5),
            ("webhooks:\n  - secret:\n      - a\n      - hunter2\n", 4),
            ("webhooks:\n  - secret:\n# a comment\n      - hunter2\n", 4),
            ("webhooks:\n  - { url: x, secret:\n        hunter2 }\n", 3),
            ("webhooks:\n  - { url: 'https://a:hunter2@x', actve: true }\n", 2),
            ("secrets: hunter2\n", 1),
            ("secrets: { NPM_TOKEN: hunter2 }\n", 1),
            ("secrets:\n- NPM_TOKEN\n- hunter2\n", 3),
            ("secrets:\n- { name: A, value: hunter2 }\n", 2),
            ("environments:\n- name: a\n  secrets:\n  - { name: A, encrypted_value: hunter2 }\n", 4),
            ("organization: { dependabot_secrets: [hunter2] }\n", 1),
            ("webhooks: [{ secrett: hunter2 }]\n", 1),
            ("webhooks: [{ url: x, password: hunter2 }]\n", 1),
            ("webhooks:\n- url:\n      https://a:hunter2@x\n", 3),
            ("webhooks:\n- url: >-\n      https://a:hunter2@x\n", 3),
            ("webhooks: [{ url: 'https://a:b,hunter2@x' }]\n", 1),
            ("values: { encrypted_value: hunter2 }\n", 1),
        ] {
            let asked = PolicyLocation { file: "settings.yml".into(), line };
            let text = Problem::error(asked, 1, "wrong").render(Some(source));
            assert!(text.contains(NOT_SHOWN) && !text.contains("hunter2"), "{text}");
        }
        let source = "webhooks:\n  - url: x\n    secret: ci\n    actve: true\n  - url: y\n";
        for (line, part) in [(4, "actve: true"), (5, "url: y")] {
            let asked = PolicyLocation { file: "settings.yml".into(), line };
            let text = Problem::error(asked, 1, "wrong").render(Some(source));
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_excerpt_shows_no_line_of_a_file_with_lone_carriage_returns() {
        let asked = PolicyLocation { file: "settings.yml".into(), line: 2 };
        let render = |source: &str| Problem::error(asked.clone(), 1, "wrong").render(Some(source));
        assert!(!render("a: 1\rb: 2\nc: hunter2\n").contains("hunter2"));
        assert!(render("a: 1\r\nb: 2\r\n").contains("b: 2"));
    }

    #[test]
    fn an_excerpt_is_short_and_shows_no_control_characters() {
        let line = format!("{}\u{1b}[2Jx: 1{}", "a".repeat(500), "b".repeat(5_000));
        let asked = PolicyLocation { file: "settings.yml".into(), line: 1 };
        let text = Problem::error(asked, 505, "unknown key `\u{1b}[2Jx`").render(Some(&line));
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() < 180), "{text}");
        let caret = lines.iter().find_map(|line| line.find('^')).unwrap();
        let shown = lines.iter().find(|line| line.starts_with("1 | ")).unwrap();
        assert_eq!(shown.chars().nth(caret), Some('x'), "{text}");
    }
}
