//! Records the engine's spans with the SDK of OpenTelemetry.

use std::time::{Duration, SystemTime};

use beadle_engine::trace::{NewSpan, RecordedSpan, Recorder, SpanKind, SpanValue};
use beadle_engine::{Time, TraceContext, TraceId};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind as OtelKind, Status, TraceContextExt as _, TraceState,
    Tracer as _,
};
use opentelemetry::{Array, Context, KeyValue, TraceFlags, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span};

/// Begins spans with a tracer of the SDK.
pub(super) struct OtelRecorder {
    /// The tracer that passes each ended span to the queue of the export.
    pub(super) tracer: SdkTracer,
}

impl Recorder for OtelRecorder {
    fn begin(&self, span: NewSpan) -> Box<dyn RecordedSpan> {
        let attributes = span.attributes.into_iter().map(|(name, value)| attribute(name, value));
        let mut builder =
            SpanBuilder::from_name(span.name).with_kind(kind(span.kind)).with_attributes(attributes);
        if let Some(since) = span.since {
            builder = builder.with_start_time(moment(since));
        }
        let context = match span.parent {
            Some(parent) => Context::new().with_remote_span_context(remote(parent)),
            None => Context::new(),
        };
        Box::new(OtelSpan(self.tracer.build_with_context(builder, &context)))
    }
}

/// A span of the SDK. The SDK ends the span when the value is dropped.
struct OtelSpan(Span);

impl RecordedSpan for OtelSpan {
    fn context(&self) -> Option<TraceContext> {
        let context = self.0.span_context();
        let trace = TraceId::new(u128::from_be_bytes(context.trace_id().to_bytes()))?;
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        Some(TraceContext { trace, span, is_sampled: context.is_sampled() })
    }

    fn set(&mut self, name: &'static str, value: SpanValue) {
        self.0.set_attribute(attribute(name, value));
    }

    fn fail(&mut self) {
        // The text of an error might contain confidential values, so the span does not contain this
        // text.
        self.0.set_status(Status::Error { description: "".into() });
    }
}

/// Converts the trace context of a span that another process or an earlier run began.
fn remote(parent: TraceContext) -> SpanContext {
    let flags = if parent.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let trace = opentelemetry::TraceId::from_bytes(parent.trace.number().to_be_bytes());
    let span = opentelemetry::SpanId::from_bytes(parent.span.to_be_bytes());
    SpanContext::new(trace, span, flags, true, TraceState::NONE)
}

fn attribute(name: &'static str, value: SpanValue) -> KeyValue {
    let value = match value {
        SpanValue::Text(text) => Value::from(text),
        SpanValue::Number(number) => Value::I64(number),
        SpanValue::Texts(texts) => Value::Array(Array::String(texts.into_iter().map(Into::into).collect())),
    };
    KeyValue::new(name, value)
}

fn kind(kind: SpanKind) -> OtelKind {
    match kind {
        SpanKind::Internal => OtelKind::Internal,
        SpanKind::Server => OtelKind::Server,
        SpanKind::Client => OtelKind::Client,
        SpanKind::Consumer => OtelKind::Consumer,
    }
}

fn moment(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(time.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn a_span_belongs_to_the_trace_of_its_parent_and_a_root_begins_one() {
        let recorder = OtelRecorder { tracer: SdkTracerProvider::builder().build().tracer("test") };
        for is_sampled in [true, false] {
            let trace = TraceId::new(0x4bf9_2f35).unwrap();
            let parent = TraceContext { trace, span: 7, is_sampled };
            let child = recorder.begin(NewSpan::within(Some(parent), "run")).context().unwrap();
            assert_eq!((child.trace, child.is_sampled), (trace, is_sampled));
            assert_ne!(child.span, parent.span);
        }
        let roots = [1, 2].map(|_| recorder.begin(NewSpan::within(None, "task")).context().unwrap());
        assert_ne!(roots[0].trace, roots[1].trace);
    }
}
