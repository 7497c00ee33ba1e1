//! The check of the configured headers. Okta does not sign its requests, so a request with the
//! configured headers counts as a request of Okta.

use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use super::HeaderSecret;

/// Returns whether the request has every configured header with a valid value. Each value is
/// compared in constant time; only its length can leak.
pub(super) fn all_shown<'a>(
    header_secrets: &[HeaderSecret],
    header: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> bool {
    // Without a configured header, every request would be accepted.
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
