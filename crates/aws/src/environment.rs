//! The settings that a Lambda function reads from its environment variables.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::queues::Urls;

/// The reason why a function cannot use its environment variables, and so cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// An environment variable is missing.
    #[error(
        "the environment variable {0} is not set: deploy the function with its template, which sets the variable"
    )]
    Unset(&'static str),
    /// `BEADLE_STORE` is not the address of a DynamoDB table.
    #[error("BEADLE_STORE must be dynamodb://TABLE, found `{0}`")]
    NoTable(String),
}

/// Where a function finds its configuration file, its table and its queues.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The path of `beadle.toml`. A Lambda layer contains this file and the policy.
    pub config: PathBuf,
    /// The name of the DynamoDB table.
    pub table: String,
    /// The addresses of the SQS queues.
    pub queues: Urls,
}

impl Environment {
    /// Reads the settings from the environment variables.
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

/// Returns the log level from the environment. The default is `INFO`.
pub fn log_level() -> tracing::Level {
    #[expect(clippy::disallowed_methods, reason = "this is where a function's environment is read")]
    let level = std::env::var("BEADLE_LOG").ok();
    level.and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO)
}

/// Returns the AWS configuration from the environment. The time limits are short, because the
/// sender of a webhook waits for the answer.
pub async fn aws() -> SdkConfig {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience).load().await
}
