//! Traces. A trace consists of the spans of related work, from a webhook to the writes that it
//! causes.
//!
//! The engine knows no format and no exporter. A binary can install a [`Recorder`]. Without a
//! recorder, spans are empty and cost nothing. The current span belongs to the tokio task that
//! works within [`Span::run`].

mod context;
mod recorder;

use std::future::Future;
use std::sync::OnceLock;

use tokio::task::futures::TaskLocalFuture;

pub use context::{InvalidTrace, TraceContext, TraceId};
pub use recorder::{NewSpan, RecordedSpan, Recorder, SpanKind, SpanValue};

static RECORDER: OnceLock<Box<dyn Recorder>> = OnceLock::new();

tokio::task_local! {
    /// The span of the current task.
    static CURRENT: Option<TraceContext>;
}

/// Installs the recorder of this process. Returns `false` if the process already has one.
pub fn install(recorder: Box<dyn Recorder>) -> bool {
    RECORDER.set(recorder).is_ok()
}

/// Returns the place of the current span.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| *current).ok().flatten()
}

/// Returns the id of the current trace, if the trace is exported. The journal and the log contain
/// this id.
pub fn current_id() -> Option<TraceId> {
    current().filter(|context| context.is_sampled).map(|context| context.trace)
}

/// Carries the current span into another tokio task, which runs `work`.
pub fn carried<F: Future>(work: F) -> TaskLocalFuture<Option<TraceContext>, F> {
    CURRENT.scope(current(), work)
}

/// A span, which ends when it is dropped.
pub struct Span {
    recorded: Option<Box<dyn RecordedSpan>>,
    context: Option<TraceContext>,
}

impl Span {
    /// Begins a span. `describe` gets the current span, and is called only if the process has a
    /// recorder.
    pub fn begin(describe: impl FnOnce(Option<TraceContext>) -> NewSpan) -> Self {
        let current = current();
        let recorded = RECORDER.get().map(|recorder| recorder.begin(describe(current)));
        let context = recorded.as_ref().map_or(current, |span| span.context());
        Self { recorded, context }
    }

    /// Begins a span with this name, within the current span.
    pub fn named(name: &'static str) -> Self {
        Self::begin(|current| NewSpan::within(current, name))
    }

    /// Returns the place of the span.
    pub fn context(&self) -> Option<TraceContext> {
        self.context
    }

    /// Runs `work` within the span. The span is then the current span of `work`.
    pub fn run<F: Future>(&self, work: F) -> TaskLocalFuture<Option<TraceContext>, F> {
        CURRENT.scope(self.context, work)
    }

    /// Sets an attribute, see [`NewSpan`].
    pub fn set(&mut self, name: &'static str, value: impl Into<SpanValue>) {
        if let Some(span) = &mut self.recorded {
            span.set(name, value.into());
        }
    }

    /// Records that the work failed.
    pub fn fail(&mut self) {
        if let Some(span) = &mut self.recorded {
            span.fail();
        }
    }

    /// Records the failure if the result is an error, and returns the result.
    pub fn ended<T, E>(mut self, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.fail();
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(number: u128, is_sampled: bool) -> TraceContext {
        TraceContext { trace: TraceId::new(number).unwrap(), span: 1, is_sampled }
    }

    #[tokio::test]
    async fn the_current_span_is_that_of_the_innermost_work() {
        let (outer, inner) = (context(1, true), context(2, false));
        let span = |context| Span { recorded: None, context: Some(context) };
        assert_eq!((current(), current_id()), (None, None));
        let seen = span(outer).run(async {
            let seen = span(inner).run(async { (current(), current_id()) }).await;
            let carried = tokio::spawn(carried(async { current() })).await.unwrap();
            assert_eq!(carried, current());
            (seen, current(), current_id())
        });
        let (seen, after, id) = seen.await;
        assert_eq!(seen, (Some(inner), None), "a trace that is not exported has no id for the journal");
        assert_eq!((after, id), (Some(outer), Some(outer.trace)));
        assert_eq!(current(), None);
    }

    #[tokio::test]
    async fn without_a_recorder_a_span_changes_nothing() {
        let outer = Span { recorded: None, context: Some(context(1, true)) };
        let seen = outer.run(async {
            let span = Span::begin(|_| unreachable!("no recorder is installed"));
            span.run(async { current() }).await
        });
        assert_eq!(seen.await, outer.context());
    }
}
