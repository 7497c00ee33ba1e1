//! Errors in configuration files. Each error names the file, the line and the key.

use std::fmt;
use std::io;

use crate::KeyPath;

/// The reason why Beadle cannot use a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {error}")]
    Unreadable {
        /// The path of the file.
        file: String,
        /// The error that the operating system reported.
        error: io::Error,
    },
    /// The content of the file is invalid.
    #[error("{file}:{line}: {invalid}")]
    Invalid {
        /// The path of the file.
        file: String,
        /// The number of the line. The first line is 1.
        line: usize,
        /// What is wrong with the content.
        invalid: Invalid,
    },
}

/// What is wrong with the content of a file: the key, a description and, if possible, a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    at: KeyPath,
    what: String,
    hint: Option<String>,
}

impl Invalid {
    /// Creates an error at a key. The text must name the key, or the table or list that contains
    /// it.
    pub fn new(at: KeyPath, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), hint: None }
    }

    /// Creates the error for a value that breaks a rule, for example `must(at, "be at least 1,
    /// found 0")`.
    pub fn must(at: KeyPath, rule: &str) -> Self {
        let what = format!("`{at}` must {rule}");
        Self::new(at, what)
    }

    /// Sets the hint of the error. `None` means no hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Returns the path to the key that is wrong.
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
