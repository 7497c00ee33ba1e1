//! Warns an operator before the token of a target expires.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus, Time};

use super::LOCAL;
use crate::app::groups::target::{GroupTarget, TOKEN_DAYS};
use crate::app::service::Service;

/// The time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The task that warns before the token of one target expires.
pub(super) struct TokenExpiry {
    service: Arc<Service>,
    target: Arc<GroupTarget>,
    warned: Mutex<Option<Time>>,
}

impl TokenExpiry {
    pub(super) fn new(service: Arc<Service>, target: Arc<GroupTarget>) -> Self {
        Self { service, target, warned: Mutex::default() }
    }
}

#[async_trait]
impl BackgroundTask for TokenExpiry {
    fn name(&self) -> String {
        format!("token of {}", self.target.file.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        Duration::from_secs(3600)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (clock, name) = (self.service.clock(), &self.target.file.name);
        let Some(days) = self.target.token_days(clock) else { return Ok(TaskStatus::Idle) };
        if let Some(end) = self.target.token_end() {
            self.service.metrics.token_end(name, end);
        }
        let now = clock.now();
        let mut warned = self.warned.lock();
        let is_due = warned.is_none_or(|at| at > now || now.since(at) >= WARN_EVERY);
        if days > TOKEN_DAYS || !is_due {
            return Ok(TaskStatus::Idle);
        }
        *warned = Some(now);
        tracing::warn!(target = name, days, "token of a target expires soon, create a new token");
        Ok(TaskStatus::Done(format!("the token expires in {days} days")))
    }
}
