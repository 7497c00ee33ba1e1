//! Structured logs on standard error: text for people, JSON for collectors.

use std::fmt;

use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::cli::{Cli, LogFormat};
use crate::output::escape;

/// Starts logging of a Lambda function: CloudWatch takes JSON apart.
#[cfg(feature = "aws")]
pub(crate) fn start_function() {
    let filter =
        EnvFilter::builder().with_env_var("BEADLE_LOG").with_default_directive(tracing::Level::INFO.into());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter.from_env_lossy()).with_writer(std::io::stderr);
    builder.with_target(false).json().flatten_event(true).init();
}

/// Starts logging. Long-running commands say more than short ones.
pub(crate) fn start(cli: &Cli) {
    let default = if cli.command.is_service() { "info" } else { "warn" };
    let level = cli.log.clone().unwrap_or_else(|| default.to_owned());
    let (filter, wrong) = match EnvFilter::try_new(&level) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(default), Some(error)),
    };
    let color = cli.color.resolve();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(color);
    match cli.log_format {
        LogFormat::Text => builder.fmt_fields(debug_fn(field).delimited(" ")).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "`--log {level}` is no filter; using `{default}`");
    }
}

/// Writes one field of a log line for people. Values come from outside: what acts on a terminal is
/// escaped, what is long is cut, and no value makes a line that looks like another entry.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{}", message(&format!("{value:?}"))),
        name => write!(writer, "{name}={}", escape::value(format_args!("{value:?}"))),
    }
}

/// The message of an entry. A policy's problems have lines of their own; they are indented, as no
/// entry is.
fn message(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| escape::cut(&escape::escaped(line), MESSAGE)).collect();
    lines.join("\n    ")
}

/// The longest line of a message, in characters.
const MESSAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_makes_an_entry_of_the_log() {
        assert_eq!(message("not accepted:\n\u{1b}[2Jx"), "not accepted:\n    \\u{1b}[2Jx");
    }
}
