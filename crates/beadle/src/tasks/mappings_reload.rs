//! Reads the mappings regularly, and puts a new generation of them in force.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, TaskStatus};
use beadle_groups::Mappings;

use super::{LOOK, REMOTE, failed};
use crate::app::file_timeout::FileReader;
use crate::app::service::Service;
use crate::config::{self, read_mappings};

/// The task that reads the mappings.
pub(super) struct MappingsReload {
    service: Arc<Service>,
    /// The generation that the last run read. Somebody may be changing a file while a run reads it.
    /// So a generation comes into force only if two runs in succession read the same one.
    candidate: Mutex<Option<String>>,
    /// The reader of the files.
    files: tokio::sync::Mutex<FileReader>,
}

impl MappingsReload {
    pub(super) fn new(service: Arc<Service>) -> Self {
        Self { service, candidate: Mutex::default(), files: tokio::sync::Mutex::default() }
    }

    async fn read(&self) -> anyhow::Result<Mappings> {
        let config = self.service.config();
        let paths = config.mapping_files();
        let texts = self.files.lock().await.read(move |at| read_mappings(paths, at)).await??;
        let found = config.mappings_of(&texts)?;
        config::check_policies(&self.service.directories.in_force.of_policies(), &found)?;
        Ok(found)
    }
}

#[async_trait]
impl BackgroundTask for MappingsReload {
    fn name(&self) -> String {
        "mappings".into()
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        // The file system may be slow, so the run gets the longer timeout.
        REMOTE
    }

    fn wakes(&self) -> Vec<String> {
        let oktas = self.service.directories.okta.iter();
        oktas.map(|(file, _)| super::sweep_start::name_of(&file.name)).collect()
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let service = &self.service;
        let refused = "invalid mappings, the previous mappings stay in force";
        let found = self.read().await.map_err(|error| failed(error.context(refused)))?;
        let mut candidate = self.candidate.lock();
        if found.generation == service.directories.in_force.configured_generation() {
            *candidate = None;
        } else if candidate.as_ref() == Some(&found.generation) {
            let generation = found.generation.clone();
            tracing::info!(generation, mappings = found.all.len(), "mappings in force");
            service.directories.in_force.replace_configured(found);
            *candidate = None;
            return Ok(TaskStatus::Done(format!("generation {generation} in force")));
        } else {
            *candidate = Some(found.generation);
        }
        Ok(TaskStatus::Idle)
    }
}
