//! The check of `X-Hub-Signature-256`, the HMAC of the raw body in hexadecimal digits.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{Sender, WebhookRefusal};

/// Returns the senders with a secret that signed exactly these bytes. Tries every secret, and
/// compares each in constant time.
pub(super) fn signers<'a>(
    senders: &'a [Sender],
    header: &str,
    body: &[u8],
) -> Result<Vec<&'a Sender>, WebhookRefusal> {
    let tag = header.strip_prefix("sha256=").and_then(unhex).ok_or(WebhookRefusal::BadSignature)?;
    let mut tried: Vec<(&str, bool)> = Vec::new();
    let mut signers = Vec::new();
    for sender in senders {
        let mut signed = false;
        for secret in &sender.secrets {
            let secret = secret.expose_secret();
            let known = tried.iter().find(|(other, _)| *other == secret).map(|(_, matches)| *matches);
            signed |= known.unwrap_or_else(|| {
                let matches = matches(secret, &tag, body);
                tried.push((secret, matches));
                matches
            });
        }
        if signed {
            signers.push(sender);
        }
    }
    if signers.is_empty() { Err(WebhookRefusal::BadSignature) } else { Ok(signers) }
}

fn matches(secret: &str, tag: &[u8; 32], body: &[u8]) -> bool {
    // With an empty secret, everybody could make a valid signature.
    if secret.is_empty() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(tag).is_ok()
}

/// Returns the value of the header that a sender with `secret` sends for a body.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut text = String::from("sha256=");
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_must_have_64_hexadecimal_digits() {
        assert!(unhex(&"aB".repeat(32)).is_some());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
