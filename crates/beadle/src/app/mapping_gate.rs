//! Plans what the mappings of a new generation of a policy would change in groups.

use beadle_engine::{Class, Failure, Key, Mark, Plan, Store, StoreError, Time};
use beadle_repositories::Policy;

use crate::app::configured_organisation::ServedOrganisation;
use crate::app::service::Service;

/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// The changes that the mappings of a generation would make in the groups of all targets.
#[derive(Default)]
pub(super) struct MappingPreview {
    /// The generation of all mappings that would be in force together.
    pub(super) generation: String,
    /// The changes that only the new mappings ask for.
    pub(super) plans: Vec<(Key, Plan<()>)>,
    /// The number of groups of the targets whose mappings differ.
    pub(super) total: u64,
    /// Why parts could not be planned.
    pub(super) incomplete: Vec<String>,
    /// The marks that make the affected groups due.
    marks: Vec<Mark>,
}

impl MappingPreview {
    /// Makes the affected groups due.
    pub(super) async fn mark(&self, store: &dyn Store, now: Time) -> Result<(), StoreError> {
        for batch in self.marks.chunks(BATCH) {
            store.mark(batch.to_vec(), now).await?;
        }
        Ok(())
    }
}

/// Plans the groups whose mappings differ between the mappings in force and those of `candidate`.
pub(super) async fn preview(
    service: &Service,
    organisation: &ServedOrganisation,
    candidate: &Policy,
) -> Result<MappingPreview, Failure> {
    let rejected = |error: beadle_repositories::PolicyError| Failure::new(Class::Rejected, error.to_string());
    let own = service.config().mappings_of_policy(&organisation.file, candidate).map_err(rejected)?;
    let in_force = &service.directories.in_force;
    let (before, after) = (in_force.all(), in_force.with_policy(&organisation.file.name, &own));
    let mut preview = MappingPreview { generation: after.generation.clone(), ..MappingPreview::default() };
    for name in before.changed_targets(&after) {
        let Some(target) = service.directories.targets.get(&name) else {
            return Err(Failure::new(Class::Retry, format!("the target {name} is unavailable")));
        };
        let planner = target.planner(Some(&service.store), service.clock());
        let found = Box::pin(planner.preview(&before, &after)).await;
        let found = found.map_err(|failure| failure.during(format_args!("planning the groups of {name}")))?;
        preview.marks.extend(found.marks());
        preview.total += found.total;
        preview.plans.extend(found.plans);
        preview.incomplete.extend(found.incomplete);
    }
    Ok(preview)
}
