//! The span of a delivery. A delivery makes keys due, and Beadle then runs these keys. The trace of
//! these runs begins with this span.

use beadle_engine::trace::{NewSpan, Span, SpanKind};
use beadle_engine::{Accepted, Delivery, Mark, Time};

/// Begins the span of a verified delivery. `marks` are the keys that the delivery makes due.
/// `since` is the start time of the request that contained the delivery.
///
/// The span always begins a new trace. The signature of a delivery does not cover the header
/// `traceparent`. So the sender of this header must not choose the id of the trace, and must not
/// decide whether Beadle exports the trace.
pub(super) fn begin<'a>(delivery: &Delivery, marks: impl Iterator<Item = &'a Mark>, since: Time) -> Span {
    Span::begin(|_| {
        NewSpan::within(None, "delivery")
            .kind(SpanKind::Server)
            .since(since)
            .with("beadle.source", delivery.source.clone())
            .with("beadle.event", delivery.event.clone())
            .with("beadle.delivery", delivery.id.clone())
            .with("beadle.instance", delivery.instance.clone())
            .with("beadle.keys", marks.map(|mark| mark.key.to_string()).collect::<Vec<String>>())
    })
}

/// Makes the runs of the marked keys part of the span's trace.
pub(super) fn mark(span: &Span, marks: Vec<Mark>) -> Vec<Mark> {
    marks.into_iter().map(|mark| Mark { trace: span.context(), ..mark }).collect()
}

/// Adds `stored` to the span of a delivery, ends the span, and returns `stored`. `stored` is the
/// result of storing the delivery.
pub(super) fn end<E>(mut span: Span, stored: Result<Accepted, E>) -> Result<Accepted, E> {
    match stored {
        Ok(Accepted::Stored) => span.set("beadle.result", "stored"),
        Ok(Accepted::Duplicate) => span.set("beadle.result", "duplicate"),
        Err(_) => {}
    }
    span.ended(stored)
}
