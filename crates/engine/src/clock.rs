//! The clock that every part of Beadle gets as an argument. No other code reads a clock or sleeps,
//! so that tests can control the time.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// Converts seconds since the Unix epoch to a time. Vendors send rate-limit headers in this
    /// form.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the whole seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the duration from `earlier` to `self`. Returns zero if `earlier` is after `self`.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, rhs: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(rhs.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.0}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// The clock that Beadle uses. In production, it is the machine's clock. In tests, it is a
/// simulated clock.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Simulated { start: i64, origin: tokio::time::Instant, jump: AtomicI64 },
}

impl Clock {
    /// Returns the machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// Returns a clock for tests. The clock begins at `start` and follows tokio's time, which a
    /// test can pause. The clock can also jump.
    pub fn simulated(start: Time) -> Self {
        Self(Arc::new(Source::Simulated {
            start: start.0,
            origin: tokio::time::Instant::now(),
            jump: AtomicI64::new(0),
        }))
    }

    /// Makes a simulated clock jump forward by `millis`, or backward if `millis` is negative. The
    /// machine's clock ignores the call.
    pub fn jump(&self, millis: i64) {
        if let Source::Simulated { jump, .. } = &*self.0 {
            jump.fetch_add(millis, Ordering::SeqCst);
        }
    }

    /// Returns the current time.
    pub fn now(&self) -> Time {
        match &*self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
            Source::System => {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Simulated { start, origin, jump } => {
                let elapsed = i64::try_from(origin.elapsed().as_millis()).unwrap_or(i64::MAX);
                Time(start + elapsed + jump.load(Ordering::SeqCst))
            }
        }
    }

    /// Sleeps for a duration, which a test can shorten.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Sleeps until `time`. Returns immediately if that time has passed.
    pub async fn sleep_until(&self, time: Time) {
        self.sleep(time.since(self.now())).await;
    }
}
