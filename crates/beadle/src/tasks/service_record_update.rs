//! Stores facts about this process: its version, its configuration, and the modes and generations
//! in force. `beadle status` and other commands read this record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Mode, Runs, TaskStatus, Time};
use parking_lot::Mutex;

use super::{LOCAL, LOOK};
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::modes;
use crate::app::service::record::{InForce, ServiceRecord, digests};

/// The time between two writes of an unchanged record.
const RENEW: Duration = Duration::from_secs(55);
/// When a record of another process reaches this age, the task deletes the record.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// The task that stores the record of this process.
pub(super) struct Record {
    service: Arc<Service>,
    stored: Mutex<Option<ServiceRecord>>,
}

impl Record {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service, stored: Mutex::default() }
    }

    /// Returns the present record of this process.
    fn present(&self, at: Time) -> ServiceRecord {
        let service = &self.service;
        let mut organisations = BTreeMap::new();
        for org in &service.orgs {
            let Some(open) = org.open() else { continue };
            let policy = open.policy.current();
            let commit = policy.origin.as_ref().map(|origin| &origin.commit);
            let in_force = InForce {
                modes: modes(&org.file),
                generation: (!org.is_first()).then(|| policy.generation.clone()),
                author: commit.map(|commit| commit.author.clone()),
                subject: commit.map(|commit| commit.subject.clone()),
            };
            organisations.insert(org.file.name.clone(), in_force);
        }
        let mut of_targets: BTreeMap<String, BTreeSet<Mode>> = BTreeMap::new();
        for mapping in &service.directories.mappings().all {
            of_targets.entry(mapping.target.clone()).or_default().insert(mapping.mode);
        }
        let joined =
            |modes: BTreeSet<Mode>| modes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ServiceRecord {
            at,
            started: service.started,
            process_started: Some(service.process_started),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            organisations,
            targets: of_targets.into_iter().map(|(target, modes)| (target, joined(modes))).collect(),
            configuration: digests(&service.config().values),
        }
    }
}

#[async_trait]
impl BackgroundTask for Record {
    fn name(&self) -> String {
        "service record".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let now = self.service.clock().now();
        let present = self.present(now);
        let is_news = {
            let stored = self.stored.lock();
            stored.as_ref().is_none_or(|stored| {
                let is_old = now.since(stored.at) >= RENEW || stored.at > now;
                is_old || ServiceRecord { at: stored.at, ..present.clone() } != *stored
            })
        };
        if !is_news {
            return Ok(TaskStatus::Idle);
        }
        let store = self.service.store.as_ref();
        ServiceRecord::note(&self.service.process).put(store, &present).await?;
        for (process, record) in ServiceRecord::note("").list(store).await? {
            if now.since(record.at) > FORGOTTEN {
                ServiceRecord::note(&process).forget(store).await?;
            }
        }
        *self.stored.lock() = Some(present);
        Ok(TaskStatus::Idle)
    }
}
