//! The environment of a function.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::queues::Urls;

/// An error in the environment that stops the start of a function.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is missing.
    #[error(
        "the environment variable {0} is not set: deploy the function with its template, which sets the variable"
    )]
    Unset(&'static str),
    /// The store is not a table.
    #[error("BEADLE_STORE must be dynamodb://TABLE, found `{0}`")]
    NoTable(String),
}

/// The places of the file, the table and the queues of a function.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The path of `beadle.toml`. A layer has this file and the policy.
    pub config: PathBuf,
    /// The name of the table.
    pub table: String,
    /// The addresses of the queues.
    pub queues: Urls,
}

impl Environment {
    /// Reads the environment.
    pub fn read() -> Result<Self, EnvironmentError> {
        #[expect(clippy::disallowed_methods, reason = "this is where a function's environment is read")]
        let variable = |name: &'static str| std::env::var(name).map_err(|_| EnvironmentError::Unset(name));
        let store = variable("BEADLE_STORE")?;
        let table = store.strip_prefix("dynamodb://").filter(|name| !name.contains('?'));
        Ok(Self {
            table: table.ok_or_else(|| EnvironmentError::NoTable(store.clone()))?.to_owned(),
            config: variable("BEADLE_CONFIG")?.into(),
            queues: Urls { event: variable("BEADLE_EVENT_QUEUE")?, sweep: variable("BEADLE_SWEEP_QUEUE")? },
        })
    }
}

/// Returns the log level of the environment, or `INFO`.
pub fn log_level() -> tracing::Level {
    #[expect(clippy::disallowed_methods, reason = "this is where a function's environment is read")]
    let level = std::env::var("BEADLE_LOG").ok();
    level.and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO)
}

/// Returns the configuration of AWS from the environment. Its timeouts are short, because a sender
/// waits for the answer.
pub async fn aws() -> SdkConfig {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience).load().await
}
