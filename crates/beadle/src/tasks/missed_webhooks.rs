//! Finds the webhooks of an App that GitHub sent but Beadle did not accept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Class, Failure, TaskStatus};
use beadle_github::{NameKind, Names, Writer};
use beadle_repositories::Recovery;
use beadle_repositories::recovery::Installed;

use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;
use crate::config::OrgConfig;

/// The minimum time between two reads of GitHub's list of deliveries. This minimum applies even if
/// the configuration sets a shorter time.
const LEAST: Duration = Duration::from_secs(1);
/// The time to wait after a run that failed or did not read everything.
const AGAIN: Duration = Duration::from_secs(45);
/// The timeout for each run. If an App gets many deliveries, their list has many pages, and a run
/// can take a long time.
const TIMEOUT: Duration = Duration::from_secs(1800);

fn period(every: Duration) -> Duration {
    every.max(LEAST)
}

/// The task of one App, for all organisations of that App.
pub(super) struct MissedWebhooks {
    pub(super) service: Arc<Service>,
    pub(super) app: u64,
    pub(super) orgs: Vec<Arc<ServedOrganisation>>,
}

#[async_trait]
impl BackgroundTask for MissedWebhooks {
    fn name(&self) -> String {
        format!("missed webhooks of App {}", self.app)
    }

    fn period(&self) -> Duration {
        period(self.service.config().file.recovery.every.into())
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn retry(&self) -> Duration {
        AGAIN.min(self.period())
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let service = &self.service;
        let open: Vec<_> = self.orgs.iter().filter_map(|org| org.open()).collect();
        let (mut installed, mut unreadable) = (Vec::new(), Vec::new());
        for org in &open {
            let installation = match org.reader.app().await {
                Ok(Some(installation)) => installation,
                Ok(None) => continue,
                // An organisation without the App must not delay the other organisations.
                Err(failure) => {
                    unreadable.push(format!("{}: {failure}", org.file.name));
                    continue;
                }
            };
            let ids = (installation["id"].as_u64(), installation["target_id"].as_u64());
            let (Some(id), Some(organisation)) = ids else { continue };
            installed.push(Installed {
                instance: org.file.name.clone(),
                installation: id,
                organisation,
                dispatches: org.file.dispatched(),
                policies: policies(service, &org.file).await?,
            });
        }
        let Some(org) = open.first() else {
            return Ok(TaskStatus::Unfinished("every organisation of the App is unavailable".into()));
        };
        let recovery = Recovery {
            reader: org.reader.clone(),
            writer: Writer::new(org.api.clone()),
            store: service.store.clone(),
            clock: service.clock().clone(),
            app: self.app,
            installed,
        };
        let recovered = recovery.recover().await?;
        if recovered.marked > 0 || recovered.beyond {
            service.bell.notify_one();
        }
        if !unreadable.is_empty() {
            let text = format!("installations cannot be read: {}", unreadable.join("; "));
            return Err(Failure::new(Class::Retry, text));
        }
        if recovered.open {
            return Ok(TaskStatus::Unfinished(
                "the log of deliveries changed between two reads, the next run reads it again".into(),
            ));
        }
        Ok(match recovered.marked {
            0 => TaskStatus::Idle,
            marked => TaskStatus::Done(format!("missed webhooks found; keys marked as due: {marked}")),
        })
    }
}

/// Returns the ids of the repositories that contain the policy of an organisation. Returns `None` if
/// Beadle has not stored an id yet.
async fn policies(service: &Service, org: &OrgConfig) -> Result<Option<BTreeSet<u64>>, Failure> {
    let names = Names::new(Some(service.store.clone()), &org.name, service.clock());
    let mut ids = BTreeSet::new();
    for part in [org.policy.repository(), org.base.as_ref()].into_iter().flatten() {
        let name = format!("{}/{}", part.owner(&org.name), part.repository);
        let Some(id) = names.remembered(NameKind::Repository, &name).await? else { return Ok(None) };
        ids.insert(id);
    }
    Ok(Some(ids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_pause_between_two_reads_of_a_log() {
        assert_eq!(period(Duration::ZERO), LEAST);
        assert_eq!(period(Duration::from_secs(300)), Duration::from_secs(300));
    }
}
