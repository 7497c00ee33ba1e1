//! The findings in a policy: errors, warnings, and keys that Beadle does not support. Each finding
//! names a file and a line.

use std::fmt::Write as _;

use beadle_engine::PolicyLocation;
use serde::Serialize;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Because of this finding, Beadle does not accept the policy.
    Error,
    /// Beadle knows the key, but does not support it yet.
    NotYet,
    /// Beadle accepts the policy, but the policy may not do what the author expects.
    Warning,
}

/// The key whose value may be a secret. An excerpt does not show this value.
const SECRET: &str = "secret:";

/// The maximum number of characters that an excerpt shows of a line.
const EXCERPT: usize = 160;

/// One finding in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How serious the finding is.
    pub severity: Severity,
    /// The file and the line of the finding.
    pub asked: PolicyLocation,
    /// The column of the finding. The first column is 1.
    pub column: u32,
    /// The message of the finding.
    pub message: String,
    /// What the author can do about the finding.
    pub hint: Option<String>,
}

impl Problem {
    /// Creates a finding that is an error.
    pub fn error(asked: PolicyLocation, column: u32, message: impl Into<String>) -> Self {
        // The message can contain control characters from the file. A terminal would obey them.
        let message = message.into().replace(char::is_control, " ");
        Self { severity: Severity::Error, asked, column, message, hint: None }
    }

    /// Adds a hint for the author.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().replace(char::is_control, " "));
        self
    }

    /// Sets another severity.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Returns the finding as text for people, with an excerpt of the file.
    pub fn render(&self, source: Option<&str>) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::NotYet => "not carried out",
            Severity::Warning => "warning",
        };
        let line = self.asked.line;
        let mut text =
            format!("{word}: {}\n  --> {}:{line}:{}\n", self.message, self.asked.file, self.column);
        let excerpt = source.and_then(|source| source.lines().nth(line.saturating_sub(1) as usize));
        if let Some(excerpt) = excerpt {
            // The author may have written the secret itself instead of its name. The secret must
            // not get into a log.
            let excerpt = match excerpt.find(SECRET) {
                Some(at) => format!("{} (not shown)", &excerpt[..at + SECRET.len()]),
                None => excerpt.to_owned(),
            };
            let gutter = line.to_string().len();
            let column = self.column.saturating_sub(1) as usize;
            // If the line is long, the excerpt shows only the part around the column.
            let from = if excerpt.chars().count() > EXCERPT { column.saturating_sub(EXCERPT / 2) } else { 0 };
            let excerpt: String = excerpt
                .chars()
                .skip(from)
                .take(EXCERPT)
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let caret = " ".repeat((column - from).min(EXCERPT));
            let _ = writeln!(text, "{:gutter$} |\n{line} | {excerpt}\n{:gutter$} | {caret}^", "", "");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
        text
    }
}

/// Returns the known name that is most similar to a wrong name. Returns `None` if no known name is
/// similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No known name is this long, and comparing long texts takes much time.
    if name.len() > EXCERPT {
        return None;
    }
    let scored = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let (distance, other) = scored.min()?;
    (distance <= other.len().max(name.len()) / 3 + 1).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_no_value_of_a_secret() {
        let asked = PolicyLocation { file: "settings.yml".into(), line: 1 };
        let line = "  - { url: 'https://x', secret: hunter2, actve: true }";
        let text = Problem::error(asked, 42, "unknown key `actve`").render(Some(line));
        assert!(text.contains("secret: (not shown)") && !text.contains("hunter2"), "{text}");
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
