//! Structured logs on standard error: text for people, JSON for collectors.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::cli::{Cli, LogFormat};

/// Starts logging of a Lambda function: CloudWatch takes JSON apart.
#[cfg(feature = "aws")]
pub(crate) fn start_function() {
    let filter =
        EnvFilter::builder().with_env_var("BEADLE_LOG").with_default_directive(tracing::Level::INFO.into());
    let builder = fmt().with_env_filter(filter.from_env_lossy()).with_writer(std::io::stderr);
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
    let builder =
        fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).with_ansi(color);
    match cli.log_format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "`--log {level}` is no filter; using `{default}`");
    }
}
