//! Opens an organisation that Beadle could not open at the start. For example, the policy of the
//! organisation was invalid, or a secret was missing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Class, Failure, Runs, TaskStatus};

use super::{LOOK, REMOTE, failed};
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;

/// The task that opens one organisation.
pub(super) struct Opening(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

#[async_trait]
impl BackgroundTask for Opening {
    fn name(&self) -> String {
        format!("opening of {}", self.0.1.file.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        // The file system might be slow, so the run gets the longer timeout.
        REMOTE
    }

    fn wakes(&self) -> Vec<String> {
        let name = &self.0.1.file.name;
        vec![super::own_login_lookup::name_of(name), super::sweep_start::name_of(name)]
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, org) = &self.0;
        let opened = match service.open(org).await.map_err(failed) {
            Ok(opened) => opened,
            Err(failure) => {
                if failure.class == Class::Rejected {
                    // The App might lack a permission to read the policy. If an owner accepts the
                    // permission later, only a new token has this permission. While the
                    // organisation is not open, no sweep drops the old token. So this task drops
                    // the old token.
                    for reader in service.app.policy_readers(&org.file).unwrap_or_default() {
                        reader.drop_token().await;
                    }
                }
                return Err(failure);
            }
        };
        Ok(if opened { TaskStatus::Done("opened".into()) } else { TaskStatus::Idle })
    }
}
