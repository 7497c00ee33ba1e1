//! Makes the spans for runs and tasks.

use crate::clock::Time;
use crate::key::Key;
use crate::queue::{Claim, Outcome};
use crate::trace::{NewSpan, Span, SpanKind};

/// Begins the span of a run, within the span that made the key due. Also records how long the key
/// waited in the queue.
pub(crate) fn of_run(claim: &Claim, now: Time) -> Span {
    let key = || claim.lease.key.to_string();
    let span = Span::begin(|_| {
        NewSpan::within(claim.trace, "run")
            .kind(SpanKind::Consumer)
            .with("beadle.key", key())
            .with("beadle.lane", claim.lane.as_str())
            .with("beadle.attempt", i64::from(claim.attempt))
    });
    drop(Span::begin(|_| {
        // If the wait began in the future because of a wrong clock, its span has no length.
        NewSpan::within(span.context(), "wait in queue").since(claim.since.min(now)).with("beadle.key", key())
    }));
    span
}

/// Ends the span of a run. `None` means that another worker took over the key.
pub(crate) fn end_run(mut span: Span, outcome: Option<&Outcome>) {
    let (name, has_failed) = match outcome {
        None => ("lease-lost", true),
        Some(Outcome::Done) => ("done", false),
        Some(Outcome::HandBack) => ("handed-back", false),
        Some(Outcome::RateLimited { .. } | Outcome::Deferred { .. }) => ("rate-limited", false),
        Some(Outcome::Retry(_)) => ("retry", true),
        Some(Outcome::Park(..)) => ("parked", true),
    };
    span.set("beadle.outcome", name);
    if has_failed {
        span.fail();
    }
}

/// Begins the span of a write. The span shows the aspect of the change. It shows neither the name
/// nor a value of the change.
pub(crate) fn of_write(key: &Key, aspect: &str) -> Span {
    Span::begin(|current| {
        NewSpan::within(current, "write")
            .with("beadle.key", key.to_string())
            .with("beadle.aspect", aspect.to_owned())
    })
}

/// Begins the span of a background task. The span begins a new trace.
pub(crate) fn of_task(name: &str) -> Span {
    Span::begin(|_| NewSpan::within(None, "task").with("beadle.task", name.to_owned()))
}
