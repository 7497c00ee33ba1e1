//! Reads the login of an organisation's App. With this login, the intake recognises the webhooks
//! that Beadle's own writes caused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};

use super::{LOOK, REMOTE};
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;

/// The task that reads the login of one organisation's App.
pub(super) struct OwnLogin {
    of: (Arc<Service>, Arc<ServedOrganisation>),
    is_known: AtomicBool,
}

pub(super) fn name_of(org: &str) -> String {
    format!("own login at {org}")
}

impl OwnLogin {
    pub(super) fn new(of: (Arc<Service>, Arc<ServedOrganisation>)) -> Self {
        Self { of, is_known: AtomicBool::new(false) }
    }
}

#[async_trait]
impl BackgroundTask for OwnLogin {
    fn name(&self) -> String {
        name_of(&self.of.1.file.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    fn wakes(&self) -> Vec<String> {
        vec![super::sweep_start::name_of(&self.of.1.file.name)]
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let organisation = &self.of.1;
        let Some(org) = organisation.open().filter(|_| !self.is_known.load(Ordering::SeqCst)) else {
            return Ok(TaskStatus::Idle);
        };
        let asked = org.reader.app_slug().await;
        organisation.set_asked_login();
        let slug = asked?;
        self.is_known.store(true, Ordering::SeqCst);
        let Some(slug) = slug else { return Ok(TaskStatus::Done("a token has no login of its own".into())) };
        let login = format!("{slug}[bot]");
        organisation.known.set_own(login.clone());
        Ok(TaskStatus::Done(login))
    }
}
