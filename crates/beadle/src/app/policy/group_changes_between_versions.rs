//! Plans how a new version of a policy changes groups. Groups can change because of new mappings,
//! or because of new teams and members in the files of the policy. Writes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::{Class, Clock, Failure, Key, Plan, Risks, Store, span_text};
use beadle_groups::sources::FileSource;
use beadle_groups::{ChangedFile, GroupPreview};
use beadle_repositories::Policy;
use beadle_repositories::policy::{MAPPINGS, MEMBERS, TEAMS};

use crate::app::groups::directories_and_targets::{Directories, files_of};
use crate::app::groups::policy_group_files::Parse;
use crate::app::groups::target::GroupTarget;
use crate::config::{Config, OrgConfig};

/// The changes that a new version of a policy makes in the groups of one target.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChangedGroups {
    /// The name of the target.
    pub(crate) target: String,
    /// The values that only the new mappings ask for.
    pub(crate) mapped: Vec<(Key, Plan<()>)>,
    /// The number of groups at the target.
    pub(crate) total: u64,
    /// The values that only the new teams and members ask for.
    pub(crate) declared: Vec<(Key, Plan<()>)>,
    /// The number of planned values that the previous version also asks for.
    pub(crate) drift: u64,
    /// One plan for each group that has an unknown part but no change.
    pub(crate) unknown: Vec<(Key, Plan<()>)>,
    /// The reasons why Beadle could not plan some parts.
    pub(crate) incomplete: Vec<String>,
    /// The guard's limit that the declared changes would exceed.
    pub(crate) exceeded: Option<String>,
}

impl ChangedGroups {
    /// Returns the plans of all groups. A group can have two plans.
    pub(crate) fn plans(&self) -> impl Iterator<Item = &(Key, Plan<()>)> {
        self.mapped.iter().chain(&self.declared)
    }

    /// Returns the plans of a preview. If the preview failed only because Beadle must wait for a
    /// budget, returns the failure. Records every other failure as an incomplete part.
    fn completed(&mut self, found: Result<GroupPreview, Failure>) -> Result<GroupPreview, Failure> {
        match found {
            Ok(mut found) => {
                self.incomplete.append(&mut found.incomplete);
                self.unknown.append(&mut found.unknown);
                self.drift += found.drift as u64;
                Ok(found)
            }
            Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
            Err(failure) => {
                self.incomplete.push(format!("the groups of {}: {}", self.target, failure.text));
                Ok(GroupPreview::default())
            }
        }
    }
}

/// Returns whether two versions of a policy can declare different groups.
pub(crate) fn differ(before: &Policy, after: &Policy) -> bool {
    [MAPPINGS, TEAMS, MEMBERS].into_iter().any(|file| before.sources.get(file) != after.sources.get(file))
}

/// The reason why Beadle does not plan the groups of new mappings.
const FROM_FORK: &str =
    "Beadle reads no groups for the mappings of a fork, because they can select any group of a directory";

/// Compares two versions of an organisation's policy. Plans the groups whose mappings, teams or
/// members differ. Returns one entry for each target with such groups. If the new version comes
/// from a fork, Beadle does not read groups of a directory for the new mappings.
pub(crate) async fn preview(
    (config, directories): (&Config, &Directories),
    (store, clock): (Option<&Arc<dyn Store>>, &Clock),
    org: &OrgConfig,
    (before, after, is_from_fork): (&Policy, &Policy, bool),
) -> Result<Vec<ChangedGroups>, Failure> {
    if !differ(before, after) {
        return Ok(Vec::new());
    }
    // The previous version of the policy might be invalid with the present configuration. The
    // mappings of an invalid version are not in force.
    let old = config.mappings_of_policy(org, before).unwrap_or_default();
    let new = config.mappings_of_policy(org, after);
    let new = new.map_err(|error| Failure::new(Class::Rejected, error))?;
    let in_force = &directories.in_force;
    let (old, new) = (in_force.with_policy(&org.name, &old), in_force.with_policy(&org.name, &new));
    let mapped = old.changed_targets(&new);
    let mut files = changed_files(config, org, (&before.sources, &after.sources));
    let mut targets = mapped.clone();
    targets.extend(files.keys().cloned());
    let mut all = Vec::new();
    for name in targets {
        let mut changed = ChangedGroups { target: name.clone(), ..ChangedGroups::default() };
        let Some(target) = directories.targets.get(&name) else {
            changed.incomplete.push(format!("the target {name} is unavailable"));
            all.push(changed);
            continue;
        };
        let planner = target.planner(store, clock);
        if mapped.contains(&name) && is_from_fork {
            changed.incomplete.push(format!("the groups of {name}: {FROM_FORK}"));
        } else if mapped.contains(&name) {
            let found = Box::pin(planner.preview(&old, &new)).await;
            let found = changed.completed(found)?;
            (changed.mapped, changed.total) = (found.plans, found.total);
        }
        if let Some(files) = files.remove(&name) {
            let found = Box::pin(planner.preview_files(&new, &files)).await;
            let found = changed.completed(found)?;
            changed.declared = found.plans;
            changed.total = changed.total.max(found.total);
            changed.exceeded = exceeded(target, &changed.declared);
        }
        all.push(changed);
    }
    Ok(all)
}

/// Returns the changed files that declare groups, keyed by the names of their targets. `before` and
/// `after` contain the texts of all files of a policy.
pub(in crate::app) fn changed_files(
    config: &Config,
    org: &OrgConfig,
    (before, after): (&BTreeMap<String, String>, &BTreeMap<String, String>),
) -> BTreeMap<String, Vec<ChangedFile>> {
    let mut files: BTreeMap<String, Vec<ChangedFile>> = BTreeMap::new();
    for target in config.teams_of(&org.name) {
        let Some(teams) = &target.github else { continue };
        for (source, name, parse) in files_of(target, teams) {
            let (old, new) = (before.get(name), after.get(name));
            if old != new {
                let [before, after] = [old, new].map(|text| declared(name, text, &parse));
                files.entry(target.name.clone()).or_default().push(ChangedFile { source, before, after });
            }
        }
    }
    files
}

/// Returns the groups that a file declares. If there is no file, the groups are unknown, and Beadle
/// changes none of them.
fn declared(name: &str, text: Option<&String>, parse: &Parse) -> FileSource {
    let teams = match text {
        Some(text) => parse(text).map_err(|error| format!("{error:#}")),
        None => Err(format!("the policy has no {name}")),
    };
    FileSource::fixed(teams)
}

/// Returns the limit of the target's guard that these changes together would exceed in one window.
/// Returns `None` if the changes exceed no limit. Does not count changes that need an approval
/// anyway.
fn exceeded(target: &GroupTarget, plans: &[(Key, Plan<()>)]) -> Option<String> {
    let mut sums = Risks::default();
    for change in plans.iter().flat_map(|(_, plan)| &plan.changes) {
        let risks = change.risks();
        if change.stop.is_none() && change.mode.allows(&risks) {
            sums.merge(&risks);
        }
    }
    let limits = target.limits.current();
    let (risk, limit) = limits.exceeded_by(&Risks::default(), &sums)?;
    let (noun, window) = (risk.noun(limit), span_text(limits.window));
    Some(format!("at most {limit} {noun} in {window} allowed, found {}", sums.count(risk)))
}
