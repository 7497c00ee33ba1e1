//! Private keys that sign tokens (RS256). A key is either in the memory of this process or in AWS
//! KMS. Nobody can read a key from KMS.

use std::sync::Arc;

#[cfg(feature = "kms")]
use futures::FutureExt as _;
use jsonwebtoken::EncodingKey;
pub use jsonwebtoken::{Algorithm, Header};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{Reference, SecretError, SecretStore};

/// The reason why a private key did not sign.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// A key in this process failed to sign.
    #[error("cannot sign: {0}")]
    Local(#[from] jsonwebtoken::errors::Error),
    /// AWS KMS refused to sign, or did not answer.
    #[error("AWS KMS did not sign: {0}")]
    Kms(String),
}

/// A private key that signs Beadle's tokens.
#[derive(Clone)]
pub struct SigningKey(Kind);

#[derive(Clone)]
enum Kind {
    /// A key in the memory of this process.
    Here(Arc<EncodingKey>),
    /// A key in AWS KMS, which signs on request.
    #[cfg(feature = "kms")]
    Kms { client: aws_sdk_kms::Client, key: String },
}

impl SigningKey {
    /// Reads a private key in PEM form. The error explains why the text is not a private key.
    pub(crate) fn of_pem(pem: &str) -> Result<Self, String> {
        Ok(Self(Kind::Here(Arc::new(local(pem)?))))
    }

    /// Returns the claims as a signed JSON Web Token.
    #[cfg_attr(not(feature = "kms"), expect(clippy::unused_async, reason = "with AWS' SDK it may ask AWS"))]
    pub async fn sign(&self, header: &Header, claims: &Value) -> Result<String, SigningError> {
        match &self.0 {
            Kind::Here(key) => Ok(jsonwebtoken::encode(header, claims, key)?),
            #[cfg(feature = "kms")]
            // The SDK's future is large. Without the box, every future that might need a token
            // would be equally large.
            Kind::Kms { client, key } => kms(client, key, header, claims).boxed().await,
        }
    }
}

impl SecretStore {
    /// Returns the private key that a reference names.
    pub fn signing_key(&self, reference: &Reference) -> Result<SigningKey, SecretError> {
        #[cfg(not(feature = "kms"))]
        if matches!(reference, Reference::Kms(_)) {
            return Err(SecretError::NeedsAws(reference.to_string()));
        }
        #[cfg(feature = "kms")]
        if let Reference::Kms(key) = reference {
            let aws = self.aws.get().ok_or_else(|| SecretError::NotRead(reference.to_string()))?;
            return Ok(SigningKey(Kind::Kms { client: aws_sdk_kms::Client::new(aws), key: key.clone() }));
        }
        let pem = self.current(reference)?;
        SigningKey::of_pem(pem.expose_secret())
            .map_err(|why| SecretError::NoPrivateKey(reference.to_string(), why))
    }
}

/// Reads a private key in PEM form. The error explains why the text is not a private key.
fn local(pem: &str) -> Result<EncodingKey, String> {
    // The library accepts a public key here too, and reports an error only when somebody signs with
    // the key.
    if pem.contains("PUBLIC KEY-----") && !pem.contains("PRIVATE KEY-----") {
        return Err(
            "it is the public key: set the private key, which GitHub shows once, when it creates the key"
                .into(),
        );
    }
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    let tried = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &Value::Null, &key);
    tried.map(|_| key).map_err(|error| format!("the key cannot sign ({error})"))
}

/// Signs claims with AWS KMS. KMS accepts a message of up to 4 KiB and computes the hash of the
/// message itself. A token has only a few hundred bytes:
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>.
#[cfg(feature = "kms")]
async fn kms(
    client: &aws_sdk_kms::Client,
    key: &str,
    header: &Header,
    claims: &Value,
) -> Result<String, SigningError> {
    use aws_sdk_kms::primitives::Blob;
    use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let part = |value: Result<Vec<u8>, serde_json::Error>| {
        let value = value.map_err(|error| SigningError::Kms(error.to_string()))?;
        Ok::<_, SigningError>(URL_SAFE_NO_PAD.encode(value))
    };
    let message = format!("{}.{}", part(serde_json::to_vec(header))?, part(serde_json::to_vec(claims))?);
    let asked =
        client.sign().key_id(key).message(Blob::new(message.as_bytes())).message_type(MessageType::Raw);
    let answer = asked.signing_algorithm(SigningAlgorithmSpec::RsassaPkcs1V15Sha256).send().await;
    let answer = answer.map_err(|error| SigningError::Kms(crate::aws::told(&error)))?;
    let signature =
        answer.signature().ok_or_else(|| SigningError::Kms("the answer has no signature".into()))?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_public_key_is_refused_with_its_own_error() {
        for kind in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            let pem =
                format!("-----BEGIN {kind}-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END {kind}-----\n");
            assert!(local(&pem).is_err_and(|why| why.contains("it is the public key")), "{kind}");
        }
    }
}
