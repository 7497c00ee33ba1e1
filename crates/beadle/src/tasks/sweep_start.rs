//! Starts sweeps on a schedule. Also starts a sweep if the policy or the mappings have changed
//! since the last sweep began.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use beadle_engine::{
    BackgroundTask, Failure, Key, Lane, Mark, Mode, Store, StoreError, TaskStatus, Time, swept_hint,
};
use beadle_github::{another_organisation, remember_organisation};

use super::{Directory, LOOK, REMOTE, failed};
use crate::app::groups::partly_open_directory::is_whole;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::{LastSweep, modes, swept as swept_with};

pub(super) fn name_of(instance: &str) -> String {
    format!("sweep of {instance}")
}

/// Returns a warning if the modes of the running service differ from the modes in the configuration
/// file. The modes can differ because the service reads them only at its start.
pub(crate) async fn other_modes(
    store: &dyn Store,
    file: &crate::config::OrgConfig,
) -> Result<Option<String>, StoreError> {
    let last = LastSweep::note(&file.name).get(store).await?;
    let running = last.as_ref().and_then(LastSweep::modes);
    Ok(running.filter(|running| *running != modes(file)).map(|running| {
        format!(
            "{}: the running service has mode {running}, the configuration has {}; run `beadle reload` or restart the service",
            file.name,
            modes(file)
        )
    }))
}

/// The task that starts the sweeps of one organisation.
pub(super) struct Repositories(pub(super) (Arc<Service>, Arc<ServedOrganisation>));

#[async_trait]
impl BackgroundTask for Repositories {
    fn name(&self) -> String {
        name_of(&self.0.1.file.name)
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let (service, organisation) = &self.0;
        // If another process has accepted a generation, this process must also use this generation.
        // Otherwise this process would delete the holds of that generation, and start a sweep with
        // its own old generation.
        if organisation.open().is_some() {
            service.open(organisation).await.map_err(failed)?;
        }
        // Before the first generation of the policy has passed the gate, there is nothing to sweep.
        let Some(org) = organisation.open().filter(|_| !organisation.is_first()) else {
            return Ok(TaskStatus::Idle);
        };
        // Without its own login, Beadle cannot recognise the webhooks that its own writes caused.
        // The runs for these webhooks would then use the part of the budget that is reserved for
        // events.
        if !organisation.has_asked_login() {
            return Ok(TaskStatus::Idle);
        }
        // While the task has this lock, no other generation comes into force.
        let _alone = organisation.generation_change.lock().await;
        let (store, name) = (&service.store, &organisation.file.name);
        let note = LastSweep::note(name);
        let LastSweep { at: last, swept } = note.get(store.as_ref()).await?.unwrap_or_default();
        let now = service.clock().now();
        let policy = org.policy.current();
        let generation = policy.generation.clone();
        // A new generation of the policy or a changed mode also starts a sweep.
        let wanted = swept_with(&generation, &organisation.file);
        // If the time of the last sweep is in the future, the time comes from a wrong clock. In
        // that case, a sweep is due.
        let due = organisation.file.schedule().next(last).is_some_and(|next| next <= now) || last > now;
        if !due && swept == wanted {
            return Ok(TaskStatus::Idle);
        }
        // Another process has newer files in its folder, and has accepted another generation. If
        // each of the two processes started a sweep because of the other process, new sweeps would
        // start again and again.
        let is_gated = organisation.file.mode != Mode::Observe;
        if !due && is_gated && !organisation.is_accepted(store.as_ref(), &policy).await? {
            return Ok(TaskStatus::Idle);
        }
        store.forget_holds(name, &generation).await?;
        let (answer, _) = org.reader.organisation_and_clock().await?;
        let id = answer["id"].as_u64().context("GitHub's answer has no id of the organisation");
        let id = id.map_err(failed)?;
        // If the configuration sets the installation, the credential is valid only for the owner of
        // that installation. So Beadle skips this check.
        let is_named = organisation.file.app.as_ref().is_some_and(|app| app.installation.is_some());
        if !is_named && let Some(why) = another_organisation(store.as_ref(), name, id).await? {
            return Err(failed(anyhow::anyhow!(why)));
        }
        remember_organisation(store.as_ref(), name, id).await?;
        let mark = Mark::new(Key::new("sweep", name, id), Lane::Sweep);
        store.mark(vec![Mark { hint: Some(swept_hint("")), ..mark }], now).await?;
        note.put(store.as_ref(), &LastSweep { at: now, swept: wanted }).await?;
        service.bell.notify_one();
        Ok(TaskStatus::Done(format!("started for generation {generation}")))
    }
}

/// The task that starts the sweeps of one directory.
pub(super) struct Groups(pub(super) Directory);

#[async_trait]
impl BackgroundTask for Groups {
    fn name(&self) -> String {
        name_of(&self.0.file.name)
    }

    fn period(&self) -> Duration {
        self.0.look()
    }

    fn timeout(&self) -> Duration {
        REMOTE
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let Directory { service, file, .. } = &self.0;
        let store = service.store.as_ref();
        let note = LastSweep::note(&file.name);
        let LastSweep { at: last, swept } = note.get(store).await?.unwrap_or_default();
        let directories = &service.directories;
        let is_unavailable = |target: &str| directories.unavailable.contains(target);
        // A target that was not open might have missed an event, so a sweep might be needed.
        let is_whole = is_whole(store, &file.name, last, is_unavailable).await?;
        let now = service.clock().now();
        let mappings = directories.mappings();
        let generation = &mappings.generation;
        let due = file.schedule().next(last).is_some_and(|next| next <= now) || last > now;
        // After a restart, the mappings of a policy can be unknown for some time. The sweep begins
        // when the mappings are known.
        if !due && ((swept == *generation && is_whole) || !mappings.incomplete.is_empty()) {
            return Ok(TaskStatus::Idle);
        }
        for target in directories.targets.keys() {
            store.forget_holds(target, generation).await?;
        }
        mark_groups(&file.name, service, now).await?;
        note.put(store, &LastSweep { at: now, swept: generation.clone() }).await?;
        Ok(TaskStatus::Done(format!("started for mappings {generation}")))
    }
}

/// Marks the key of a directory's sweep as due.
async fn mark_groups(directory: &str, service: &Service, now: Time) -> Result<(), StoreError> {
    let mark = Mark::new(Key::new("sweep", directory, "groups"), Lane::Sweep);
    service.store.mark(vec![mark], now).await?;
    service.bell.notify_one();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn an_organisation_whose_remembered_id_cannot_be_read_may_be_another_one() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        remember_organisation(store, "Acme", 7).await.unwrap();
        assert_eq!(another_organisation(store, "acme", 7).await.unwrap(), None);
        store.put("organisation-id:acme", r#"{"id":7,"node":"O_1"}"#).await.unwrap();
        for id in [7, 8] {
            let another = another_organisation(store, "acme", id).await;
            assert!(matches!(another, Err(StoreError::Newer { .. })), "{another:?}");
        }
    }
}
