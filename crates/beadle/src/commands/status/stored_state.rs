//! Reads the state from the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beadle_config::{Installed, Standing};
use beadle_engine::gate::is_of_command;
use beadle_engine::{
    Hold, HoldList, Key, KeyState, LastRead, Pause, Resource, Row, RowList, Store, TaskRecord, Time,
    background, counts_as_parked,
};
use beadle_groups::StopReason;
use beadle_repositories::policy::Waiver;
use beadle_repositories::readable_waivers;
use beadle_transport::sharing::ProcessUsage;

use super::model::{
    Budget, FailingTask, HeldPolicy, InstallationStatus, InstanceKind, InstanceStatus, KeyCounts,
    PauseInForce, ServiceState, ServiceStatus, Status, Token, WaiverInForce,
};
use super::problems::{Found, KnownKey, is_thing, problems};
use crate::app::gate::held_generation::HeldGeneration;
use crate::app::operations::key_names as names;
use crate::app::operations::waiver_comparison::SeenWaivers;
use crate::app::organisations::installations;
use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::store as policy_store;
use crate::app::service::last_sweep_generation::{LastSweep, modes};
use crate::app::service::record::{InForce, ServiceRecord};
use crate::config::{Config, OrgConfig, TargetConfig, waiver_rules};

/// The time after the planned start of a sweep until Beadle shows the sweep as overdue.
const LATE: Duration = Duration::from_secs(900);

/// Reads the state of all parts of the configuration. `listener` is the answer of the operator
/// listener: the text, and whether the service is ready.
pub(super) async fn gather(
    config: &Config,
    store: &dyn Store,
    listener: Option<(String, bool)>,
    now: Time,
) -> anyhow::Result<Status> {
    let running = ServiceRecord::running(store, now).await?;
    let record = running.first();
    let tasks = background::stored_records(store).await?;
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION"),
        at: now,
        service: service((config, record), listener, !tasks.is_empty()),
        ..Status::default()
    };
    let is_up = status.service.state == ServiceState::Up;
    for file in &config.file.org {
        status.instances.push(organisation(store, file, record, now).await?);
        status.budgets.extend(budgets(store, &file.name, now).await?);
        let (stored, unreadable) = readable_waivers(store, &file.name).await?;
        status.unreadable.extend(unreadable);
        status.waivers.extend(waivers(store, file, stored, now).await?);
    }
    for file in &config.file.okta {
        let last = LastSweep::note(&file.name).get(store).await?;
        let mut directory = instance(&file.name, InstanceKind::Directory);
        sweeps(&mut directory, last.as_ref(), |last| file.schedule().next(last), now);
        directory.generation = last.map(|last| last.swept).filter(|generation| !generation.is_empty());
        status.instances.push(directory);
    }
    for file in &config.file.target {
        status.instances.push(target(store, config, file, record).await?);
        status.tokens.extend(token(file, now));
    }
    let known: BTreeSet<String> = status.instances.iter().map(|instance| instance.name.clone()).collect();
    let is_known = |key: &Key| known.contains(key.instance());
    let mut states = KeyState::stored(store).await?;
    states.retain(|(key, _)| is_known(key));
    let HoldList { mut holds, unreadable } = store.all_holds().await?;
    status.unreadable.extend(unreadable);
    holds.retain(|hold| is_known(&hold.key));
    let RowList { mut rows, unreadable, .. } = store.troubled().await?;
    status.unreadable.extend(unreadable);
    let max_attempts = store.timing().max_attempts;
    let is_shown = |row: &Row| is_thing(&row.key) || counts_as_parked(row, max_attempts);
    rows.retain(|row| is_known(&row.key) && is_shown(row));
    let keys = known_keys(store, states, &holds, rows).await?;
    let Found { problems, mut counts } = problems(&keys, &holds, (now, max_attempts));
    status.problems = problems;
    for instance in &mut status.instances {
        instance.keys = counts.remove(&instance.name).unwrap_or_default();
    }
    status.held_policies = held_policies(store).await?;
    status.waivers.sort_by_key(|waiver| waiver.until);
    status.pauses = pauses(store, now).await?;
    let installed = installations::stored(config, store).await?;
    status.installations = installation_states(config, &installed);
    // The status shows no old results of tasks. All results are old if no service runs. The results
    // of an organisation's tasks are old if Beadle no longer works on the organisation.
    let is_present = |task: &TaskRecord| is_up && !is_of_gone(&task.name, &status.installations);
    status.failing_tasks = tasks.into_values().filter(is_present).filter_map(failing).collect();
    status.queue = store.depth(now).await?;
    Ok(status)
}

/// Returns the state of the service.
fn service(
    (config, record): (&Config, Option<&ServiceRecord>),
    listener: Option<(String, bool)>,
    has_tasks: bool,
) -> ServiceStatus {
    let state = match (&listener, record) {
        (Some((_, false)), _) => ServiceState::NotReady,
        (Some(_), _) | (None, Some(_)) => ServiceState::Up,
        (None, None) if has_tasks => ServiceState::Stopped,
        (None, None) => ServiceState::Never,
    };
    ServiceStatus {
        state,
        listener: listener.map(|(text, _)| text),
        version: record.map(|record| record.version.clone()),
        started: record.and_then(|record| record.process_started),
        configured: record.map(|record| record.started),
        other_configuration: record.map(|record| record.differences(config)).unwrap_or_default(),
    }
}

fn instance(name: &str, kind: InstanceKind) -> InstanceStatus {
    InstanceStatus {
        name: name.to_owned(),
        kind,
        mode: None,
        generation: None,
        author: None,
        subject: None,
        last_sweep: None,
        next_sweep: None,
        overdue: false,
        oldest_read: None,
        stopped: None,
        keys: KeyCounts::default(),
    }
}

/// Sets the times of the sweeps.
fn sweeps(
    status: &mut InstanceStatus,
    last: Option<&LastSweep>,
    next: impl Fn(Time) -> Option<Time>,
    now: Time,
) {
    let Some(last) = last else { return };
    status.last_sweep = Some(last.at);
    status.next_sweep = next(last.at);
    status.overdue = status.next_sweep.is_some_and(|next| next + LATE < now);
}

async fn organisation(
    store: &dyn Store,
    file: &OrgConfig,
    record: Option<&ServiceRecord>,
    now: Time,
) -> anyhow::Result<InstanceStatus> {
    let last = LastSweep::note(&file.name).get(store).await?;
    let mut status = instance(&file.name, InstanceKind::Organisation);
    sweeps(&mut status, last.as_ref(), |last| file.schedule().next(last), now);
    let reads = LastRead::note(&Key::new("repository", &file.name, "")).list(store).await?;
    let times = reads.iter().flat_map(|(_, reads)| reads.parts.values().map(|read| read.at));
    status.oldest_read = times.min();
    let in_force = match record.and_then(|record| record.organisations.get(&file.name)) {
        Some(in_force) => in_force.clone(),
        None => last_in_force(store, file, last.as_ref()).await?,
    };
    status.mode = Some(in_force.modes);
    status.generation = in_force.generation;
    status.author = in_force.author;
    status.subject = in_force.subject;
    Ok(status)
}

/// Returns the mode and the generation that the last service or command used for an organisation.
async fn last_in_force(
    store: &dyn Store,
    file: &OrgConfig,
    last: Option<&LastSweep>,
) -> anyhow::Result<InForce> {
    let mut in_force = InForce { modes: modes(file), ..InForce::default() };
    if let Some(kept) = policy_store::in_force(store, &file.name).await? {
        in_force.generation = Some(kept.generation());
        in_force.author = Some(kept.own.author);
        in_force.subject = Some(kept.own.subject);
    } else if let Some(accepted) = AcceptedPolicy::of(store, file).await? {
        in_force.generation = Some(accepted.generation);
    } else if let Some((generation, _)) = last.and_then(|last| last.swept.split_once(' ')) {
        in_force.generation = Some(generation.to_owned());
    }
    Ok(in_force)
}

async fn target(
    store: &dyn Store,
    config: &Config,
    file: &TargetConfig,
    record: Option<&ServiceRecord>,
) -> anyhow::Result<InstanceStatus> {
    let mut status = instance(&file.name, InstanceKind::Target);
    let configured = || configured_modes(config, &file.name);
    status.mode = record.map_or_else(configured, |record| record.targets.get(&file.name).cloned());
    status.stopped = StopReason::note(&file.name).get(store).await?.map(|StopReason(why)| why);
    Ok(status)
}

/// Returns the configured modes of the mappings to a target.
fn configured_modes(config: &Config, target: &str) -> Option<String> {
    let its = config.mappings.all.iter().filter(|mapping| mapping.target == target);
    let modes: BTreeSet<_> = its.map(|mapping| mapping.mode).collect();
    let modes: Vec<String> = modes.iter().map(ToString::to_string).collect();
    (!modes.is_empty()).then(|| modes.join(", "))
}

/// If the configuration has the end of a target's token, returns the number of days until this end.
fn token(file: &TargetConfig, now: Time) -> Option<Token> {
    let ends = file.scim.as_ref()?.token_ends?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let days = (ends.as_second() - now.seconds()).div_euclid(24 * 3600);
    Some(Token { instance: file.name.clone(), days })
}

/// Returns the budgets of an organisation's credential. Each process that uses the credential
/// reports these budgets to the store.
async fn budgets(store: &dyn Store, name: &str, now: Time) -> anyhow::Result<Vec<Budget>> {
    let mut accounts = BTreeMap::new();
    for (_, usage) in ProcessUsage::note(name, "").list(store).await? {
        for (resource, account) in usage.accounts {
            // The figures of an earlier period are not valid for the present period.
            if account.reset <= now || resource == Resource::Credential {
                continue;
            }
            let kept = accounts.entry(resource).or_insert(account);
            if (account.period, kept.remaining) > (kept.period, account.remaining) {
                *kept = account;
            }
        }
    }
    let budget = |(resource, figures): (Resource, _)| Budget {
        instance: name.to_owned(),
        account: resource.as_str(),
        figures,
    };
    Ok(accounts.into_iter().map(budget).collect())
}

/// Joins the states, the holds and the rows of the queue to one value for each key. Leaves out the
/// keys that are as declared and have neither a hold nor a row.
async fn known_keys(
    store: &dyn Store,
    states: Vec<(Key, KeyState)>,
    holds: &[Hold],
    rows: Vec<Row>,
) -> anyhow::Result<Vec<KnownKey>> {
    let (problems, settled): (Vec<_>, Vec<_>) = states.into_iter().partition(|(_, state)| state.is_problem());
    let mut found: BTreeMap<Key, (Option<KeyState>, Option<Row>)> =
        problems.into_iter().map(|(key, state)| (key, (Some(state), None))).collect();
    for hold in holds {
        found.entry(hold.key.clone()).or_default();
    }
    for row in rows {
        let key = row.key.clone();
        found.entry(key).or_default().1 = Some(row);
    }
    for (key, state) in settled {
        if let Some((left, _)) = found.get_mut(&key) {
            *left = Some(state);
        }
    }
    let mut known = Vec::new();
    for (key, (left, row)) in found {
        let subject = left.as_ref().map(|left| left.subject.clone()).filter(|subject| !subject.is_empty());
        let held = || holds.iter().find(|hold| hold.key == key).map(|hold| hold.subject.clone());
        let name = match subject.or_else(held) {
            Some(name) => name,
            None => names::name(store, &key).await?.unwrap_or_else(|| key.to_string()),
        };
        known.push(KnownKey { key, name, left, row });
    }
    Ok(known)
}

/// Returns the pauses in force. A pause of a repository has the name of the repository.
async fn pauses(store: &dyn Store, now: Time) -> anyhow::Result<Vec<PauseInForce>> {
    let mut found = Vec::new();
    for Pause { scope, until } in store.pauses(now).await? {
        let name = match scope.parse::<Key>() {
            Ok(key) => names::name(store, &key).await?,
            Err(_) => None,
        };
        found.push(PauseInForce { name: name.unwrap_or_else(|| scope.clone()), scope, until });
    }
    Ok(found)
}

/// Returns an organisation's waivers in force. `stored` contains the waivers of `beadle waive`. The
/// function adds the waivers of the most recent policy that the service used.
async fn waivers(
    store: &dyn Store,
    file: &OrgConfig,
    stored: Vec<Waiver>,
    now: Time,
) -> anyhow::Result<Vec<WaiverInForce>> {
    let mut all = stored;
    let seen = SeenWaivers::note(&file.name).get(store).await?.unwrap_or_default();
    all.extend(seen.waivers().filter(|waiver| waiver.asked.is_some()).cloned());
    let rules = waiver_rules(file);
    all.retain(|waiver| waiver.is_in_force(&rules, now));
    let in_force = |waiver: Waiver| WaiverInForce {
        instance: file.name.clone(),
        code: waiver.id(),
        keys: waiver.keys,
        repositories: waiver.repositories,
        until: waiver.until,
        reason: waiver.reason,
        owner: waiver.owner,
    };
    Ok(all.into_iter().map(in_force).collect())
}

/// Returns the generations that the service's gate holds.
async fn held_policies(store: &dyn Store) -> anyhow::Result<Vec<HeldPolicy>> {
    let all = HeldGeneration::all(store).await?.into_iter();
    let waiting = all.filter(|(note, held)| !is_of_command(note) && held.approved.is_none());
    let policy = |(_, held): (String, HeldGeneration)| HeldPolicy {
        instance: held.organisation,
        generation: held.generation,
        since: held.since,
        why: held.why,
    };
    Ok(waiting.map(policy).collect())
}

/// For each installation of the App, returns what Beadle does about it.
fn installation_states(config: &Config, installed: &[Installed]) -> Vec<InstallationStatus> {
    let state = |(one, standing): (&Installed, Standing)| InstallationStatus {
        login: one.login.clone(),
        standing,
        since: one.since,
    };
    config.file.standings(installed).into_iter().map(state).collect()
}

/// Returns whether a task belongs to an organisation that Beadle no longer works on.
fn is_of_gone(task: &str, installations: &[InstallationStatus]) -> bool {
    let is_gone = |one: &&InstallationStatus| !matches!(one.standing, Standing::TakenIn | Standing::Declared);
    let is_its = |one: &InstallationStatus| {
        let rest = task.strip_suffix(one.login.as_str());
        rest.is_some_and(|rest| rest.ends_with(" of ") || rest.ends_with(" at "))
    };
    installations.iter().filter(is_gone).any(is_its)
}

fn failing(record: TaskRecord) -> Option<FailingTask> {
    let why = record.failure?;
    Some(FailingTask { name: record.name, why, since: record.failing_since })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tasks_of_an_organisation_that_is_left_alone_are_old() {
        let state =
            |login: &str, standing| InstallationStatus { login: login.into(), standing, since: Time(0) };
        let all = [
            state("acme", Standing::Declared),
            state("other", Standing::TakenIn),
            state("gone", Standing::Uninstalled),
        ];
        for (task, expected) in [
            ("policy of gone", true),
            ("own login at gone", true),
            ("policy of other", false),
            ("policy of acme", false),
            ("policy of the-gone", false),
            ("installations of the App", false),
        ] {
            assert_eq!(is_of_gone(task, &all), expected, "{task}");
        }
    }
}
