//! Reads secrets by reference (`env:NAME`, `file:PATH`, `aws-secretsmanager:NAME#KEY`,
//! `aws-ssm:NAME`), and signs with private keys. The crate never prints the value of a secret.

#[cfg(feature = "aws")]
mod aws;
mod reference;
mod secret_store;
#[cfg(feature = "signing")]
mod signing;
#[cfg(feature = "testing")]
pub mod testing;

pub use reference::Reference;
pub use secrecy::{ExposeSecret, SecretString};
pub use secret_store::SecretStore;
#[cfg(feature = "signing")]
pub use signing::{Algorithm, Header, SigningError, SigningKey};

use std::path::PathBuf;

/// The reason why a secret cannot be read. The error text never contains the value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is not a reference. The error does not show the text, because the text could be the
    /// secret itself.
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
        /// The path of the file.
        path: PathBuf,
        /// The error from the operating system.
        why: std::io::Error,
    },
    /// The value is empty.
    #[error("{0} is empty")]
    Empty(String),
    /// The value is still the placeholder from a template.
    #[error("{0} still has a placeholder in `<` and `>`: replace it with the real value")]
    Placeholder(String),
    /// AWS did not return a value that Beadle can use.
    #[error("{reference}: {why}")]
    NotGiven {
        /// The reference, as the configuration contains it.
        reference: String,
        /// The error that AWS returned, or the reason why the value is not usable.
        why: String,
    },
    /// The value must come from AWS, and Beadle has not asked AWS yet.
    #[error("Beadle has not read {0} yet")]
    NotRead(String),
    /// The reference needs AWS, and this build of Beadle does not contain the AWS SDK.
    #[error("{0} needs a Beadle built with `--features aws`")]
    NeedsAws(String),
    /// The reference is for a key in AWS KMS. KMS can sign with the key, but nobody can read the
    /// key itself.
    #[error("{0} can sign but has no readable value: use it only as a private key")]
    OnlySigns(String),
    /// The value is not a private key.
    #[error("{0} is not an RSA private key in PEM form: {1}")]
    NoPrivateKey(String, String),
}
