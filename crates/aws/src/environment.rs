//! What a function is told by its environment.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use crate::queues::Urls;

/// Why a function cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable is missing.
    #[error("the environment variable {0} is not set; the template of the deployment sets it")]
    Unset(&'static str),
    /// The store is none.
    #[error("BEADLE_STORE is `{0}`, and has to be dynamodb://TABLE")]
    NoTable(String),
}

/// Where a function finds what it needs.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `beadle.toml`; a layer has it, with the policy.
    pub config: PathBuf,
    /// The table's name.
    pub table: String,
    /// The queues.
    pub queues: Urls,
}

impl Environment {
    /// Reads it.
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

/// What is logged, where the environment says a level.
pub fn log_level() -> tracing::Level {
    #[expect(clippy::disallowed_methods, reason = "this is where a function's environment is read")]
    let level = std::env::var("BEADLE_LOG").ok();
    level.and_then(|level| level.parse().ok()).unwrap_or(tracing::Level::INFO)
}

/// How AWS is asked: as the environment says, and not for long, since somebody waits for the answer.
pub async fn aws() -> SdkConfig {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(8))
        .build();
    aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience).load().await
}
