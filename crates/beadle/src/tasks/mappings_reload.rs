//! Reads the mappings regularly. Starts to use a new generation of the mappings, if the gate lets
//! the generation pass.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Runs, TaskStatus};
use beadle_groups::Mappings;

use super::{LOOK, failed};
use crate::app::file_timeout::FileReader;
use crate::app::gate::planning_backoff::PlanningBackoff;
use crate::app::groups::accepted_mappings::to_target;
use crate::app::groups::mapping_adoption::{MappingAdoption, adopt};
use crate::app::service::Service;
use crate::config::{self, TargetConfig, read_mappings};

/// The timeout for each run. The gate might read many groups.
const PLANNING: Duration = Duration::from_secs(1800);

/// The task that reads the mappings.
pub(super) struct MappingsReload {
    service: Arc<Service>,
    /// The generation that the last run read. Somebody might be changing a file while a run reads
    /// the file. So a generation comes into force only if two runs in succession read the same
    /// generation.
    candidate: Mutex<Option<String>>,
    /// The reader of the files.
    files: tokio::sync::Mutex<FileReader>,
    /// For each target, the last failed attempt to plan its mappings.
    waits: Mutex<HashMap<String, PlanningBackoff>>,
}

impl MappingsReload {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self {
            service,
            candidate: Mutex::default(),
            files: tokio::sync::Mutex::default(),
            waits: Mutex::default(),
        }
    }

    async fn read(&self) -> anyhow::Result<Mappings> {
        let config = self.service.config();
        let paths = config.mapping_files();
        let texts = self.files.lock().await.read(move |at| read_mappings(paths, at)).await??;
        let found = config.mappings_of(&texts)?;
        config::check_policies(&self.service.directories.in_force.of_policies(), &found)?;
        Ok(found)
    }

    /// Starts to use new mappings to one target.
    async fn adopt(&self, target: &TargetConfig, found: &Mappings) -> Result<MappingAdoption, Failure> {
        let (name, wanted) = (&target.name, to_target(found, &target.name));
        let generation = Mappings::new(wanted.clone()).generation;
        let now = self.service.clock().now();
        let recent = self.waits.lock().get(name).and_then(|wait| wait.failure(&generation, now));
        if let Some(failure) = recent {
            return Err(failure);
        }
        let adopted = adopt(&self.service, target, wanted).await;
        let mut waits = self.waits.lock();
        let before = waits.remove(name);
        adopted.map_err(|failure| {
            let failure =
                failure.during(format_args!("the mappings {generation} to {name} wait for the gate"));
            let now = self.service.clock().now();
            waits.insert(name.clone(), PlanningBackoff::after(before, generation, now, failure.clone()));
            failure
        })
    }
}

#[async_trait]
impl BackgroundTask for MappingsReload {
    fn name(&self) -> String {
        "mappings".into()
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        PLANNING
    }

    fn wakes(&self) -> Vec<String> {
        let oktas = self.service.directories.okta.iter();
        oktas.map(|(file, _)| super::sweep_start::name_of(&file.name)).collect()
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let service = &self.service;
        service.follow_accepted_mappings().await?;
        let refused = "invalid mappings, the previous mappings stay in force";
        let found = self.read().await.map_err(|error| failed(error.context(refused)))?;
        let was_read = {
            let before = self.candidate.lock().replace(found.generation.clone());
            before.as_ref() == Some(&found.generation)
        };
        // The service reads `beadle.toml` only at its start.
        if !was_read && !service.config().file.groups_from.is_empty() {
            return Ok(TaskStatus::Idle);
        }
        let (mut done, mut held, mut failure) = (Vec::new(), Vec::new(), None);
        for target in &service.config().file.target {
            match self.adopt(target, &found).await {
                Ok(MappingAdoption::Unchanged) => {}
                Ok(MappingAdoption::InForce(generation)) => done.push(generation),
                Ok(MappingAdoption::Held { generation, why }) => {
                    held.push(format!("generation {generation} held: {why}"));
                }
                // An error of one target must not delay the other targets.
                Err(error) => failure = Some(error),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !held.is_empty() {
            return Ok(TaskStatus::Unfinished(format!("{}; see `beadle holds`", held.join("; "))));
        }
        if done.is_empty() {
            return Ok(TaskStatus::Idle);
        }
        Ok(TaskStatus::Done(format!("generation {} in force", done.join(", "))))
    }
}
