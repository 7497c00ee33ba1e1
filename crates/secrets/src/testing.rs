//! A private key for the tests of the vendors' clients.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SigningKey;

/// Returns a new private key.
///
/// # Panics
///
/// If the key cannot be generated.
pub fn signing_key() -> SigningKey {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key can be generated");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a new key has a DER form");
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    SigningKey::of_pem(&pem).expect("a new key can sign")
}
