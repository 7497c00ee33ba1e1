//! What is wrong with a policy, or not carried out of it: file, line, key, and the nearest right one.

use std::fmt::Write as _;

use beadle_engine::Asked;
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The policy is not accepted.
    Error,
    /// The key is understood, and this version does not carry it out.
    NotYet,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub asked: Asked,
    /// The column, from 1.
    pub column: u32,
    /// What.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    /// Something that keeps a policy from being accepted.
    pub fn error(asked: Asked, column: u32, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, asked, column, message: message.into(), hint: None }
    }

    /// The same, with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, less grave.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Some lines for people, with the line of the file that it is about.
    pub fn render(&self, source: Option<&str>) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::NotYet => "not carried out",
        };
        let line = self.asked.line;
        let mut text =
            format!("{word}: {}\n  --> {}:{line}:{}\n", self.message, self.asked.file, self.column);
        let excerpt = source.and_then(|source| source.lines().nth(line.saturating_sub(1) as usize));
        if let Some(excerpt) = excerpt {
            let gutter = line.to_string().len();
            let caret = " ".repeat(self.column.saturating_sub(1) as usize);
            let _ = writeln!(text, "{:gutter$} |\n{line} | {excerpt}\n{:gutter$} | {caret}^", "", "");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  help: {hint}");
        }
        text
    }
}

/// The known name that is nearest to a misspelt one, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let (distance, other) = scored.min()?;
    (distance <= other.len().max(name.len()) / 3 + 1).then_some(other)
}
