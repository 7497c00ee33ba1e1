//! References to secrets (`env:NAME`, `file:PATH`), and their values. A value is never printed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use secrecy::{ExposeSecret, SecretString};

/// Where a secret's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// In an environment variable.
    Env(String),
    /// In a file; a line end after the value does not belong to it.
    File(PathBuf),
}

/// Why a secret cannot be had. No text holds a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is not a reference. The text may be the secret itself, so it is not shown.
    #[error("a secret is given by reference, `env:NAME` or `file:PATH`, never by its value")]
    NotAReference,
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{0} is empty")]
    Empty(String),
}

impl FromStr for Reference {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(SecretError::NotAReference),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Reference {
    /// Reads the value now. Relative files are looked for from `base`.
    pub fn read(&self, base: &std::path::Path) -> Result<SecretString, SecretError> {
        let value = match self {
            #[expect(clippy::disallowed_methods, reason = "this is where the environment's secrets are read")]
            Self::Env(name) => std::env::var(name).map_err(|_| SecretError::Unset(name.clone()))?,
            Self::File(path) => {
                let path = base.join(path);
                let text = std::fs::read_to_string(&path);
                text.map_err(|why| SecretError::Unreadable { path: path.clone(), why })?
            }
        };
        let value = value.trim_end_matches(['\r', '\n']);
        if value.trim().is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        Ok(SecretString::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_place_of_a_reference_is_not_echoed() {
        let error = "ghp_something".parse::<Reference>().unwrap_err();
        assert!(!error.to_string().contains("ghp_"), "{error}");
    }

    #[test]
    fn a_files_line_end_is_not_part_of_the_secret() {
        let folder = std::env::temp_dir().join(format!("beadle-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("s"), "value with spaces \r\n").unwrap();
        let secret = "file:s".parse::<Reference>().unwrap().read(&folder).unwrap();
        assert_eq!(secret.expose_secret(), "value with spaces ");
        std::fs::write(folder.join("s"), "\n").unwrap();
        assert!(matches!("file:s".parse::<Reference>().unwrap().read(&folder), Err(SecretError::Empty(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
