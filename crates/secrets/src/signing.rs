//! Private keys that sign assertions (RS256): local keys, and keys in AWS KMS, which never leave
//! KMS.

use std::sync::Arc;

#[cfg(feature = "kms")]
use futures::FutureExt as _;
use jsonwebtoken::EncodingKey;
pub use jsonwebtoken::{Algorithm, Header};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{Reference, SecretError, SecretStore};

/// An error of signing.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The local key cannot sign.
    #[error("cannot sign: {0}")]
    Local(#[from] jsonwebtoken::errors::Error),
    /// AWS KMS did not sign.
    #[error("AWS KMS did not sign: {0}")]
    Kms(String),
}

/// A private key that signs.
#[derive(Clone)]
pub struct SigningKey(Kind);

#[derive(Clone)]
enum Kind {
    /// A local key.
    Here(Arc<EncodingKey>),
    /// A key in AWS KMS.
    #[cfg(feature = "kms")]
    Kms { client: aws_sdk_kms::Client, key: String },
}

impl SigningKey {
    /// Signs claims as a JSON Web Token.
    #[cfg_attr(not(feature = "kms"), expect(clippy::unused_async, reason = "with AWS' SDK it may ask AWS"))]
    pub async fn sign(&self, header: &Header, claims: &Value) -> Result<String, SigningError> {
        match &self.0 {
            Kind::Here(key) => Ok(jsonwebtoken::encode(header, claims, key)?),
            #[cfg(feature = "kms")]
            // The future of the SDK is large, and every call that may need a token contains it.
            // Boxed, it stays out of their futures.
            Kind::Kms { client, key } => kms(client, key, header, claims).boxed().await,
        }
    }
}

impl SecretStore {
    /// Returns the private key of a reference.
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
        let key = local(pem.expose_secret())
            .map_err(|why| SecretError::NoPrivateKey(reference.to_string(), why))?;
        Ok(SigningKey(Kind::Here(Arc::new(key))))
    }
}

/// Returns the private key from its PEM form, or the reason why the text is not a private key.
fn local(pem: &str) -> Result<EncodingKey, String> {
    // The library also reads a public key, and fails only when it signs with it.
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

/// Signs claims with AWS KMS. KMS hashes and signs a message of up to 4 KiB, and an assertion has a
/// few hundred bytes: <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>.
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
