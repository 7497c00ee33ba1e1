//! Reads the values of references to secrets (`env:NAME`, `file:PATH`,
//! `aws-secretsmanager:NAME#KEY`, `aws-ssm:NAME`), and signs with private keys. The crate never
//! prints a value.

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

/// An error about a secret. No text of it has a value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is not a reference. The text is not shown, because it may be the secret itself.
    #[error(
        "a secret must be a reference, not a value: `env:NAME`, `file:PATH`, `aws-secretsmanager:NAME#KEY` or `aws-ssm:NAME`"
    )]
    NotAReference,
    /// The environment variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        why: std::io::Error,
    },
    /// The value is empty.
    #[error("{0} is empty")]
    Empty(String),
    /// The value is the placeholder of a template.
    #[error("{0} still has a placeholder in `<` and `>`: replace it with the real value")]
    Placeholder(String),
    /// AWS returned no usable value.
    #[error("{reference}: {why}")]
    NotGiven {
        /// The reference.
        reference: String,
        /// The error of AWS, or the reason why the value is not usable.
        why: String,
    },
    /// Beadle has not read the secret from AWS yet.
    #[error("{0} was not read yet")]
    NotRead(String),
    /// This build has no AWS SDK.
    #[error("{0} needs a Beadle built with `--features aws`")]
    NeedsAws(String),
    /// The reference is a key that can only sign.
    #[error("{0} can sign but has no readable value: use it only as a private key")]
    OnlySigns(String),
    /// The value is not a private key.
    #[error("{0} is not an RSA private key in PEM form: {1}")]
    NoPrivateKey(String, String),
}
