//! The key pair of the simulated App and of Okta's simulated service app. Each process generates
//! one key pair.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The key pair of a simulated App.
#[derive(Clone, Debug)]
pub(crate) struct AppKey {
    /// The private key in PEM form.
    pub(crate) pem: String,
    /// The public key (PKCS #1, DER).
    pub(crate) public: Vec<u8>,
}

/// The key pair of this process. All simulators share this key pair. The generation of an RSA key
/// takes a tenth of a second or more, and a test program starts hundreds of simulators.
static SHARED: OnceLock<AppKey> = OnceLock::new();

impl AppKey {
    /// Returns the key pair that all simulators of this process share. The first call generates the
    /// key pair.
    pub(crate) fn shared() -> Result<Self, crate::SimError> {
        if let Some(key) = SHARED.get() {
            return Ok(key.clone());
        }
        let key = Self::generate()?;
        // It is possible that another thread stored its key first. All threads use the stored key.
        Ok(SHARED.get_or_init(|| key).clone())
    }

    fn generate() -> Result<Self, crate::SimError> {
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
