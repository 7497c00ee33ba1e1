//! Checks the required headers of a request. Okta does not sign its requests, so these headers are
//! the only proof that a request comes from Okta.

use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use super::HeaderSecret;

/// Returns whether the request has all required headers, each with a valid value. The comparison
/// takes constant time, so that its duration can reveal only the lengths of the values.
pub(super) fn all_shown<'a>(
    header_secrets: &[HeaderSecret],
    header: &dyn Fn(&str) -> Option<&'a [u8]>,
) -> bool {
    // Without a required header, Beadle would accept every request.
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
