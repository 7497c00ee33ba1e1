//! The generations that the store has accepted, for the fence of the runs.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Store, StoreError};
use beadle_repositories::PolicyHandle;

use crate::app::accepted_mappings::{self, generation_of};
use crate::app::accepted_policy::AcceptedPolicy;
use crate::app::directories_and_targets::Directories;
use crate::app::fence::InForce;
use crate::app::last_sweep::modes;
use crate::config::OrgConfig;

/// The policy of an organisation.
pub(super) struct PolicyInForce {
    pub(super) store: Arc<dyn Store>,
    pub(super) file: Arc<OrgConfig>,
    pub(super) policy: PolicyHandle,
}

#[async_trait]
impl InForce for PolicyInForce {
    async fn other(&self) -> Result<Option<String>, StoreError> {
        let accepted = AcceptedPolicy::of(self.store.as_ref(), &self.file).await?;
        // Services do not follow a generation that only a command applied, and none with other modes.
        let accepted =
            accepted.filter(|accepted| !accepted.by_command && accepted.modes == modes(&self.file));
        let current = self.policy.current();
        Ok(accepted.map(|accepted| accepted.generation).filter(|accepted| *accepted != current.generation))
    }
}

/// The mappings of the configuration to a target.
pub(super) struct ConfiguredMappings {
    pub(super) store: Arc<dyn Store>,
    pub(super) target: String,
    pub(super) directories: Arc<Directories>,
}

#[async_trait]
impl InForce for ConfiguredMappings {
    async fn other(&self) -> Result<Option<String>, StoreError> {
        let accepted = accepted_mappings::of(self.store.as_ref(), &self.target).await?;
        let current = generation_of(&self.directories.in_force.configured_of(&self.target));
        Ok(accepted.map(|accepted| accepted.generation).filter(|accepted| *accepted != current))
    }
}
