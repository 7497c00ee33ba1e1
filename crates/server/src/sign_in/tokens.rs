//! Random values and digests, as hexadecimal digits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The number of digits of each value.
pub(super) const DIGITS: usize = 64;

/// Returns a random value of 256 bits.
pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// Returns the digest of a text.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Returns the digest of a verifier, in the form of RFC 7636.
pub(super) fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Derives a value from a text. Only a holder of the key can compute this value. For each purpose,
/// the value is different.
pub(super) fn derived(key: &str, purpose: &str, text: &str) -> String {
    // A key of any length is valid, so this never fails. If this call failed, the result would be a
    // random value that equals no other value.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return random() };
    mac.update(purpose.as_bytes());
    mac.update(b":");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Compares two texts in constant time, and returns whether they are equal.
pub(super) fn are_equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Returns whether a text has the form of a value from [`random`].
pub(super) fn is_value(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_by_key_purpose_and_text() {
        let values = [
            derived("k", "state", "a"),
            derived("k", "nonce", "a"),
            derived("k", "state", "b"),
            derived("l", "state", "a"),
            random(),
            random(),
            digest("a"),
        ];
        for (at, one) in values.iter().enumerate() {
            assert!(is_value(one), "{one}");
            assert!(values.iter().skip(at + 1).all(|other| !are_equal(one, other)), "{one}");
        }
        assert!(are_equal(&derived("k", "state", "a"), &values[0]));
        assert!(!is_value("") && !is_value(&"g".repeat(DIGITS)) && !is_value(&"a".repeat(DIGITS + 1)));
    }

    #[test]
    fn the_challenge_is_the_one_of_the_example_of_rfc_7636() {
        let challenge = code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
