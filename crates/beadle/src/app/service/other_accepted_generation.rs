//! Compares the generation of this process with the accepted generation in the store. The fence
//! stops each run that uses another generation.

use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::{Store, StoreError};
use beadle_repositories::PolicyHandle;

use crate::app::groups::accepted_mappings::{self, generation_of};
use crate::app::groups::directories_and_targets::Directories;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::service::generation_fence::InForce;
use crate::app::service::last_sweep_generation::modes;
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
        let current = self.policy.current();
        Ok(followed(accepted, &self.file).filter(|accepted| *accepted != current.generation))
    }
}

/// Returns the name of the accepted generation if services follow this generation. Services ignore
/// two kinds of generations: a generation that only a command applied, and a generation that was
/// accepted with other modes.
fn followed(accepted: Option<AcceptedPolicy>, file: &OrgConfig) -> Option<String> {
    let accepted = accepted.filter(|accepted| !accepted.by_command && accepted.modes == modes(file));
    accepted.map(|accepted| accepted.generation)
}

/// The mappings to a target, from the configuration and from policies.
pub(super) struct MappingsToTarget {
    pub(super) store: Arc<dyn Store>,
    pub(super) target: String,
    pub(super) directories: Arc<Directories>,
    pub(super) orgs: Vec<Arc<OrgConfig>>,
}

#[async_trait]
impl InForce for MappingsToTarget {
    async fn other(&self) -> Result<Option<String>, StoreError> {
        let (store, in_force) = (self.store.as_ref(), &self.directories.in_force);
        let accepted = accepted_mappings::of(store, &self.target).await?;
        let current = generation_of(&in_force.configured_of(&self.target));
        let other = accepted.map(|accepted| accepted.generation).filter(|accepted| *accepted != current);
        if other.is_some() {
            return Ok(other);
        }
        // The policies of all organisations matter here, because a new generation of a policy might
        // contain the first mapping to this target.
        let accepted = AcceptedPolicy::of_all(store, &self.orgs).await?;
        let mut accepted = self.orgs.iter().zip(accepted);
        Ok(accepted.find_map(|(file, accepted)| {
            followed(accepted, file).filter(|generation| in_force.has_other_policy(&file.name, generation))
        }))
    }
}
