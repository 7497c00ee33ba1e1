//! Checks `X-Hub-Signature-256`. This header is the HMAC of the body in hexadecimal digits.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{Sender, WebhookRefusal};

/// Returns the senders whose secret matches the signature of the body. The function tries every
/// secret, and compares signatures in constant time.
pub(super) fn signers<'a>(
    senders: &'a [Sender],
    header: &str,
    body: &[u8],
) -> Result<Vec<&'a Sender>, WebhookRefusal> {
    let tag = tag(header).ok_or(WebhookRefusal::BadSignature)?;
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

/// Returns the HMAC from the value of the header. The value is `sha256=` and 64 hexadecimal digits.
fn tag(header: &str) -> Option<[u8; 32]> {
    let mut tag = [0; 32];
    hex::decode_to_slice(header.strip_prefix("sha256=")?, &mut tag).ok()?;
    Some(tag)
}

fn matches(secret: &str, tag: &[u8; 32], body: &[u8]) -> bool {
    // Anybody could create a signature with an empty secret.
    if secret.is_empty() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(tag).is_ok()
}

/// Returns the signature that a sender with this secret puts into the header `X-Hub-Signature-256`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut text = String::from("sha256=");
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(body);
        text += &hex::encode(mac.finalize().into_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixty_four_hexadecimal_digits_are_a_tag() {
        let of = |digits: &str| tag(&format!("sha256={digits}"));
        assert!(of(&"aB".repeat(32)).is_some());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33), &"é".repeat(32)] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(tag(&"ab".repeat(32)), None);
    }
}
