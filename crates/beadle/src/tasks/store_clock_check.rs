//! Compares this machine's clock with the store's clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Class, Failure, Runs, TaskStatus};

use super::LOCAL;
use crate::app::service::Service;
use crate::app::store::clock_check::check;

/// The task that compares the clocks.
pub(super) struct StoreClock(pub(super) Arc<Service>);

#[async_trait]
impl BackgroundTask for StoreClock {
    fn name(&self) -> String {
        "clock".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let service = &self.0;
        match check(service.store.as_ref(), service.clock()).await? {
            None => Ok(TaskStatus::Idle),
            Some(why) => Err(Failure::new(Class::Retry, why)),
        }
    }
}
