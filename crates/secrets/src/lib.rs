//! References to secrets (`env:NAME`, `file:PATH`, `aws-secretsmanager:NAME#KEY`, `aws-ssm:NAME`), their values, and
//! private keys that sign. A value is never printed.

#[cfg(feature = "aws")]
mod aws;
mod reference;
mod secret_store;
#[cfg(feature = "signing")]
mod signing;

pub use reference::Reference;
pub use secrecy::{ExposeSecret, SecretString};
pub use secret_store::SecretStore;
#[cfg(feature = "signing")]
pub use signing::{Algorithm, Header, SigningError, SigningKey};

use std::path::PathBuf;

/// Why a secret cannot be had. No text holds a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is not a reference. The text may be the secret itself, so it is not shown.
    #[error(
        "a secret is given by reference, never by its value: `env:NAME`, `file:PATH`, `aws-secretsmanager:NAME#KEY` or `aws-ssm:NAME`"
    )]
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
    /// What a template put there is still there.
    #[error("{0} still has a placeholder in `<` and `>`; put the real value there")]
    Placeholder(String),
    /// AWS did not give it.
    #[error("{reference}: {why}")]
    NotGiven {
        /// The reference.
        reference: String,
        /// What AWS said, or what is wrong with what it gave.
        why: String,
    },
    /// It was not asked for yet.
    #[error("{0} was not read yet")]
    NotRead(String),
    /// AWS' SDK is not built in.
    #[error("{0} needs a Beadle built with `--features aws`")]
    NeedsAws(String),
    /// A key that signs, and whose value nobody sees.
    #[error("{0} signs and shows nobody its value; it can only stand where a private key is asked for")]
    OnlySigns(String),
    /// It is no private key.
    #[error("{0} is no RSA private key in PEM form: {1}")]
    NoPrivateKey(String, String),
}
