//! Computes how long Beadle waits after a failure.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// Returns the wait before the next try. The wait doubles with each attempt, from `base` up to
/// `cap`; the first attempt is number 1. A hash of `what` varies the upper half of the wait. Two
/// keys that failed at the same time therefore retry at different times. The same key and attempt
/// always get the same wait.
pub fn backoff(what: &str, attempt: u32, base: Duration, cap: Duration) -> Duration {
    let whole = base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20))).min(cap);
    let half = whole / 2;
    let hash = Sha256::digest(format!("{what} {attempt}"));
    half + half.mul_f64(f64::from(u16::from_be_bytes([hash[0], hash[1]])) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_cap_and_never_drops_below_half() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 1..40 {
            let whole = base.saturating_mul(2_u32.saturating_pow((attempt - 1).min(20))).min(cap);
            let wait = backoff("repository:acme:1", attempt, base, cap);
            assert!(wait >= whole / 2 && wait <= whole, "attempt {attempt}: {wait:?} of {whole:?}");
        }
    }
}
