//! Errors of configuration files. Each one names the file, the line and the key.

use std::fmt;
use std::io;

use crate::KeyPath;

/// A configuration file that Beadle cannot use.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {error}")]
    Unreadable {
        /// The path of the file.
        file: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The file breaks a rule.
    #[error("{file}:{line}: {invalid}")]
    Invalid {
        /// The path of the file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The rule.
        invalid: Invalid,
    },
}

/// A rule that a file breaks: the key, the description of the error, and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    at: KeyPath,
    what: String,
    hint: Option<String>,
}

impl Invalid {
    /// Creates an error at a key. The text must name the key, or the table or list of the key.
    pub fn new(at: KeyPath, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), hint: None }
    }

    /// Describes a value that must be something else: `must("be at least 1, found 0")`.
    pub fn must(at: KeyPath, rule: &str) -> Self {
        let what = format!("`{at}` must {rule}");
        Self::new(at, what)
    }

    /// Adds a hint, if there is one.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Returns the path to the key.
    pub fn at(&self) -> &KeyPath {
        &self.at
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
