//! Encrypts the value of a secret. Only GitHub can then read the value.
//!
//! <https://docs.github.com/rest/guides/encrypting-secrets-for-the-rest-api>,
//! <https://doc.libsodium.org/public-key_cryptography/sealed_boxes>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beadle_engine::{Class, Failure};
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// Returns the body of the request that sets a secret. `key` is GitHub's answer that contains the
/// public key.
pub(crate) fn sealed_body(key: &Value, value: &SecretString) -> Result<Value, Failure> {
    let invalid = || Failure::new(Class::Retry, "GitHub's public key for secrets is invalid");
    let id = key["key_id"].as_str().ok_or_else(invalid)?;
    let public = key["key"].as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or_else(invalid)?;
    let public = <[u8; 32]>::try_from(public.as_slice()).map_err(|_| invalid())?;
    let sealed = PublicKey::from(public).seal(&mut OsRng, value.expose_secret().as_bytes());
    let sealed =
        sealed.map_err(|_| Failure::new(Class::Fatal, "Beadle cannot seal the value of a secret"))?;
    Ok(json!({ "encrypted_value": STANDARD.encode(sealed), "key_id": id }))
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn only_the_owner_of_the_key_can_read_a_value() {
        let (owner, other) = (SecretKey::generate(&mut OsRng), SecretKey::generate(&mut OsRng));
        let key = json!({ "key_id": "5", "key": STANDARD.encode(owner.public_key().as_bytes()) });
        let body = sealed_body(&key, &SecretString::from("grüße")).unwrap();
        assert_eq!(body["key_id"], "5");
        let sealed = STANDARD.decode(body["encrypted_value"].as_str().unwrap()).unwrap();
        assert_eq!(owner.unseal(&sealed).unwrap(), "grüße".as_bytes());
        assert!(other.unseal(&sealed).is_err());
        let again = sealed_body(&key, &SecretString::from("grüße")).unwrap();
        assert_ne!(body, again, "two boxes of one value differ");
    }

    #[test]
    fn an_invalid_key_is_an_error_without_the_value() {
        for key in [json!({}), json!({ "key_id": "5", "key": "AAAA" }), json!({ "key_id": "5", "key": "?" })]
        {
            let failure = sealed_body(&key, &SecretString::from("hunter2")).unwrap_err();
            assert!(failure.class == Class::Retry && !failure.text.contains("hunter2"), "{failure:?}");
        }
    }
}
