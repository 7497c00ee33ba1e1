//! A key pair of an App or a service app. Each start makes a new one.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A key pair of an App.
#[derive(Clone, Debug)]
pub(crate) struct AppKey {
    /// The private key in PEM form.
    pub(crate) pem: String,
    /// The public key (PKCS #1, DER).
    pub(crate) public: Vec<u8>,
}

impl AppKey {
    pub(crate) fn generate() -> Result<Self, crate::SimError> {
        let failed = |_| crate::SimError::Key;
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Ok(Self { pem, public: pair.public_key().as_ref().to_vec() })
    }
}
