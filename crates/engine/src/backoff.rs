//! How long to wait after a failure.

use std::time::Duration;

use rand::RngExt;

/// Exponential from `base` to `cap` over `attempt` (from 1), with the upper half random, so that keys that failed
/// together do not come back together.
pub fn backoff(attempt: u32, base: Duration, cap: Duration) -> Duration {
    let whole = base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20))).min(cap);
    let half = whole / 2;
    let jitter = rand::rng().random_range(0.0..=1.0);
    half + half.mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_cap_and_never_drops_below_half() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        for attempt in 1..40 {
            let whole = base.saturating_mul(2_u32.saturating_pow((attempt - 1).min(20))).min(cap);
            let wait = backoff(attempt, base, cap);
            assert!(wait >= whole / 2 && wait <= whole, "attempt {attempt}: {wait:?} of {whole:?}");
        }
    }
}
