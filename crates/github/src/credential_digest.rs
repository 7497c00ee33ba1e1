//! The digest of a credential and of its permissions.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The digest of a credential and of its permissions. If two digests are equal, GitHub shows the
/// same things to the requests of both credentials. A value of this type is always a complete
/// digest. An unknown credential has no digest at all, and never an empty digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct CredentialDigest([u8; 32]);

impl CredentialDigest {
    /// Computes the digest of a text. The text identifies the credential and the permissions of the
    /// credential.
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }
}

impl From<CredentialDigest> for String {
    fn from(digest: CredentialDigest) -> Self {
        hex::encode(digest.0)
    }
}

impl TryFrom<String> for CredentialDigest {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest)?;
        Ok(Self(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_digest_is_read() {
        let digest = CredentialDigest::of("Bearer one");
        let stored = serde_json::to_string(&digest).unwrap();
        assert_eq!(stored.len(), 66, "64 digits between quotes: {stored}");
        assert_eq!(serde_json::from_str::<CredentialDigest>(&stored).unwrap(), digest);
        assert_ne!(CredentialDigest::of("Bearer two"), digest);
        // An earlier version could store an empty digest.
        for text in ["", "0a", "not a digest"] {
            let stored = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<CredentialDigest>(&stored).is_err(), "{text}");
        }
    }
}
