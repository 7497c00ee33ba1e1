//! Adds the id of the current trace to each line of the log. An operator can use this id to find
//! the trace of a line, or all lines of a trace.

use std::fmt;

use beadle_engine::{TraceId, trace};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// A line format that adds the id of the current trace to the end of each line.
pub(super) struct WithTraceId<E> {
    format: E,
    is_json: bool,
}

impl<E> WithTraceId<E> {
    /// Creates a text format. The caller decides in `format` whether the lines have colours.
    pub(super) fn text(format: E) -> Self {
        Self { format, is_json: false }
    }

    /// Creates a JSON format with one object in each line.
    pub(super) fn json(format: E) -> Self {
        Self { format, is_json: true }
    }
}

impl<S, N, E> FormatEvent<S, N> for WithTraceId<E>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    E: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(trace) = trace::current_id() else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with_trace(&line, trace, self.is_json))
    }
}

/// Adds the id of a trace to the end of a line, and returns the line.
fn with_trace(line: &str, trace: TraceId, is_json: bool) -> String {
    let line = line.trim_end_matches('\n');
    match line.strip_suffix('}').filter(|_| is_json) {
        Some(open) => format!("{open},\"trace_id\":\"{trace}\"}}\n"),
        None => format!("{line} trace_id={trace}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_the_trace() {
        let trace: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
        assert_eq!(
            with_trace("INFO changes written key=1}\n", trace, false),
            "INFO changes written key=1} trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n"
        );
        let line = with_trace("{\"level\":\"INFO\",\"message\":\"changes written\"}\n", trace, true);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["trace_id"], trace.to_string());
        assert_eq!(read["message"], "changes written");
    }
}
