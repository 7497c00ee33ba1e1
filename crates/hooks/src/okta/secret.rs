//! Okta signs nothing: whoever sends the configured headers is taken for Okta.

use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use super::HeaderSecret;

/// Whether every proof is there. Each value is compared in constant time; only its length may show.
pub(super) fn all_shown<'a>(
    header_secrets: &[HeaderSecret],
    header: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> bool {
    // Where nothing has to be shown, everybody would be taken.
    let mut all = Choice::from(u8::from(!header_secrets.is_empty()));
    for proof in header_secrets {
        let shown = header(&proof.header).unwrap_or_default();
        let mut any = Choice::from(0);
        for value in &proof.values {
            let value = value.expose_secret().as_bytes();
            any |= value.ct_eq(shown) & Choice::from(u8::from(!value.is_empty()));
        }
        all &= any;
    }
    all.into()
}
