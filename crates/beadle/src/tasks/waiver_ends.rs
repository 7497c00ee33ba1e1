//! Marks the repositories of a waiver as due when the waiver ends or is removed. Beadle then
//! compares the keys of the waiver again. The task also warns before a waiver ends.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::journal::WaiverEnded;
use beadle_engine::{BackgroundTask, Detail, Entry, EntryKind, Failure, Key, Lane, Runs, TaskStatus};
use beadle_github::IndexRow;
use beadle_repositories::policy::{Waiver, WaiverState};
use beadle_repositories::stored_waiver;

use super::{LOOK, REMOTE};
use crate::app::operations::waiver_comparison::{KnownWaivers, SeenWaivers};
use crate::app::operations::waiver_repositories::{covered, mark};
use crate::app::organisations::open_organisation::GithubOrganisation;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;
use crate::config::waiver_rules;
use crate::output::plural::counted;

/// The task that watches the waivers of one organisation.
pub(super) struct WaiverEnds(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

impl WaiverEnds {
    /// Marks the repositories of ended waivers as due, and records that the waivers ended.
    async fn end(&self, org: &GithubOrganisation, ended: &[Waiver]) -> Result<(), Failure> {
        let (service, name) = (&self.0.0, &self.0.1.file.name);
        let (store, now) = (service.store.as_ref(), service.clock().now());
        let rows = covered(&org.reader, ended).await?;
        mark(store, name, &rows, (Lane::Event, now)).await?;
        service.bell.notify_one();
        let mut entries = Vec::new();
        for waiver in ended {
            let due = rows.iter().filter(|row: &&IndexRow| waiver.covers(&row.name)).count();
            let (keys, repositories) = (waiver.keys.join(", "), waiver.repositories.join(", "));
            tracing::info!(organisation = name, keys, repositories, due, "waiver ended");
            entries.push(Entry {
                seq: 0,
                at: now,
                kind: EntryKind::Policy,
                key: Key::new("policy", name, waiver.id()).to_string(),
                subject: name.clone(),
                intent: None,
                trace: beadle_engine::trace::current_id(),
                detail: Detail::WaiverEnded(WaiverEnded {
                    waiver_ended: waiver.id(),
                    keys: waiver.keys.clone(),
                    repositories: waiver.repositories.clone(),
                    until: waiver.until.to_string(),
                    reason: waiver.reason.clone(),
                    owner: waiver.owner.clone(),
                    due,
                }),
            });
        }
        store.journal(None, entries, now).await?;
        Ok(())
    }
}

#[async_trait]
impl BackgroundTask for WaiverEnds {
    fn name(&self) -> String {
        format!("waivers of {}", self.0.1.file.name)
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

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.0;
        // The gate has not let the first policy pass yet, so no policy is in force.
        let Some(org) = organisation.open().filter(|_| !organisation.is_first()) else {
            return Ok(TaskStatus::Idle);
        };
        let (store, file) = (service.store.as_ref(), &organisation.file);
        let (rules, policy, now) = (waiver_rules(file), org.policy.current(), service.clock().now());
        let known = KnownWaivers::read(store, &file.name).await?;
        let found = known.look(&policy.waivers, &rules, now);
        service.metrics.waivers(&file.name, found.now.count(), found.now.ending());
        // Each process shows the numbers of waivers, but only one process records that waivers
        // ended.
        if !service.is_chosen() {
            known.check(&file.name)?;
            return Ok(TaskStatus::Idle);
        }
        if !found.ended.is_empty() {
            self.end(&org, &found.ended).await?;
        }
        // Beadle stores the record after the marks. If the process ends in between, the next run of
        // the task finds the same ended waivers again.
        if found.now != known.before {
            SeenWaivers::note(&file.name).put(store, &found.now).await?;
        }
        for waiver in known.stored.iter().filter(|waiver| waiver.state(&rules, now) == WaiverState::Ended) {
            stored_waiver(&file.name, &waiver.id()).forget(store).await?;
        }
        for waiver in &found.near {
            let (keys, repositories) = (waiver.keys.join(", "), waiver.repositories.join(", "));
            let (organisation, owner, until) = (&file.name, &waiver.owner, waiver.until.to_string());
            tracing::warn!(organisation, keys, repositories, owner, until, "waiver ends soon");
        }
        // The task fails only at this point, because an unreadable waiver must not stop the work
        // for the other waivers.
        known.check(&file.name)?;
        if found.ended.is_empty() {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done(format!("{} ended", counted(found.ended.len() as u64, "waiver", "waivers"))))
    }
}
