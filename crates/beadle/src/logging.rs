//! Writes structured logs to standard error: as text for people, or as JSON for log collectors.

mod trace_ids;

use std::fmt;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use self::trace_ids::WithTraceId;
use crate::cli::{Cli, LogFormat};
use crate::output::escape;

/// Starts the log of a Lambda function as JSON, because CloudWatch searches the fields of JSON.
#[cfg(feature = "aws")]
pub(crate) fn start_function() {
    let filter =
        EnvFilter::builder().with_env_var("BEADLE_LOG").with_default_directive(tracing::Level::INFO.into());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter.from_env_lossy()).with_writer(std::io::stderr);
    builder.with_target(false).json().flatten_event(true).init();
}

/// Starts the log. If no option sets the levels, a service logs the level `info` and all higher
/// levels. Every other command logs `warn` and `error`.
pub(crate) fn start(cli: &Cli) {
    let default = if cli.command.is_service() { "info" } else { "warn" };
    let level = cli.log.clone().unwrap_or_else(|| default.to_owned());
    let (filter, wrong) = match EnvFilter::try_new(&level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(default), Some(error)),
    };
    let color = cli.color.on_stderr();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(color);
    match cli.log_format {
        LogFormat::Text => {
            let fields = builder.fmt_fields(debug_fn(field).delimited(" "));
            fields.map_event_format(|format| WithTraceId::text(format.with_ansi(color))).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).map_event_format(WithTraceId::json).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, filter = %level, fallback = default, "log filter invalid, using the default level");
    }
}

/// Writes one field of a readable log line. A value might come from outside. So the function
/// escapes line breaks and the characters that control a terminal, and cuts long values. Without
/// the escapes, a value could begin a line that looks like another log entry.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{}", message(&format!("{value:?}"))),
        name => write!(writer, "{name}={}", escape::value(format_args!("{value:?}"))),
    }
}

/// Returns the message of a log entry. A message can have several lines, for example the problems
/// of a policy. The function indents all lines after the first, so that these lines do not look
/// like entries.
fn message(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| escape::cut(&escape::escaped(line), MESSAGE)).collect();
    lines.join("\n    ")
}

/// The maximum length of one line in a message, in characters. Longer lines are cut.
const MESSAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_makes_an_entry_of_the_log() {
        assert_eq!(message("not accepted:\n\u{1b}[2Jx"), "not accepted:\n    \\u{1b}[2Jx");
    }
}
