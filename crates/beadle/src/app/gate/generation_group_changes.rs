//! Plans how a new generation of a policy changes groups. Groups can change because of new
//! mappings, or because of new teams and members in the files of the policy.

use beadle_engine::{Class, Failure, Key, Mark, Plan, Store, StoreError, Time};
use beadle_groups::{ChangedFile, Mappings};
use beadle_repositories::Policy;

use crate::app::gate::accepted_target_place::is_in_use;
use crate::app::organisations::served_organisation::ServedOrganisation;
use crate::app::policy::group_changes_between_versions::changed_files;
use crate::app::service::Service;

/// The number of marks that one transaction stores.
const BATCH: usize = 500;

/// The changes that a generation would make in the groups of all targets.
#[derive(Default)]
pub(in crate::app) struct GenerationGroupChanges {
    /// The generation of all mappings that would be in force with the new policy.
    pub(in crate::app) generation: String,
    /// The values that only the new mappings, teams and members ask for.
    pub(in crate::app) plans: Vec<(Key, Plan<()>)>,
    /// The changes that pass the gate after an approval of `plans`.
    pub(in crate::app) approvable: Vec<(Key, Plan<()>)>,
    /// The number of planned values that the plan of the policy in force also contains.
    pub(in crate::app) drift: u64,
    /// The number of all groups at the affected targets. A target is affected if its mappings,
    /// teams or members would change.
    pub(in crate::app) total: u64,
    /// The reasons why Beadle could not plan some parts.
    pub(in crate::app) incomplete: Vec<String>,
    /// The marks for the groups whose mappings would change. A background task marks the groups
    /// that a changed file declares.
    marks: Vec<Mark>,
}

impl GenerationGroupChanges {
    /// Marks the affected groups as due.
    pub(in crate::app) async fn mark(&self, store: &dyn Store, now: Time) -> Result<(), StoreError> {
        for batch in self.marks.chunks(BATCH) {
            store.mark_readable(batch.to_vec(), now).await?;
        }
        Ok(())
    }
}

/// Compares `candidate` with the policy in force. Plans the groups whose mappings, teams or members
/// differ.
pub(in crate::app) async fn preview(
    service: &Service,
    organisation: &ServedOrganisation,
    candidate: &Policy,
) -> Result<GenerationGroupChanges, Failure> {
    let rejected = |error: beadle_repositories::PolicyError| Failure::new(Class::Rejected, error.to_string());
    let own = service.config().mappings_of_policy(&organisation.file, candidate).map_err(rejected)?;
    let in_force = &service.directories.in_force;
    let (before, after) = (in_force.all(), in_force.with_policy(&organisation.file.name, &own));
    let mut preview =
        GenerationGroupChanges { generation: after.generation.clone(), ..GenerationGroupChanges::default() };
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
        preview.approvable.extend(found.approvable);
        preview.drift += found.drift as u64;
        preview.incomplete.extend(found.incomplete);
    }
    add_declared(service, organisation, (&after, candidate), &mut preview).await?;
    Ok(preview)
}

/// Adds the changes that result from the new teams and members, and not from the mappings.
/// `mappings` are the mappings that would be in force.
async fn add_declared(
    service: &Service,
    organisation: &ServedOrganisation,
    (mappings, candidate): (&Mappings, &Policy),
    preview: &mut GenerationGroupChanges,
) -> Result<(), Failure> {
    let (config, store) = (service.config(), service.store.as_ref());
    let open = organisation.open().filter(|_| !organisation.is_first());
    // If no generation was accepted yet, the gate counts everything that the first generation
    // declares.
    let before = open.map(|open| open.policy.current().sources.clone()).unwrap_or_default();
    for (name, files) in changed_files(config, &organisation.file, (&before, &candidate.sources)) {
        let files = valid(files).await;
        if files.is_empty() {
            continue;
        }
        let Some(target) = service.directories.targets.get(&name) else {
            return Err(Failure::new(Class::Retry, format!("the target {name} is unavailable")));
        };
        // If a target is not in use yet, the gate of the target counts everything that Beadle would
        // write to it.
        if !is_in_use(config, &target.file, store).await? {
            continue;
        }
        let planner = target.planner(Some(&service.store), service.clock());
        let found = Box::pin(planner.preview_files(mappings, &files)).await;
        let found = found.map_err(|failure| failure.during(format_args!("planning the groups of {name}")))?;
        preview.total += found.total;
        preview.plans.extend(found.plans);
        preview.approvable.extend(found.approvable);
        preview.drift += found.drift as u64;
        preview.incomplete.extend(found.incomplete);
    }
    Ok(())
}

/// Returns the files whose new text is valid. If a file is missing or invalid, Beadle changes none
/// of its groups.
async fn valid(files: Vec<ChangedFile>) -> Vec<ChangedFile> {
    let mut valid = Vec::new();
    for file in files {
        if file.after.teams().await.is_ok() {
            valid.push(file);
        }
    }
    valid
}
