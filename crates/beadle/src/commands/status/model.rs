//! The state that `beadle status` shows. The output of `--json` is this state as JSON.

use std::collections::{BTreeMap, BTreeSet};

use beadle_config::Standing;
use beadle_engine::{BudgetAccount, Depth, KeyCondition, Time};
use serde::Serialize;

use crate::commands::{FAILED, FINE, PENDING};

/// The state of all parts of the configuration.
#[derive(Debug, Default, Serialize)]
pub(super) struct Status {
    /// The version of this command.
    pub(super) version: &'static str,
    /// The time at which the command read the state.
    pub(super) at: Time,
    /// The service.
    pub(super) service: ServiceStatus,
    /// The organisations, the directories and the targets, in the order of the configuration.
    pub(super) instances: Vec<InstanceStatus>,
    /// The installations of the App in `[installations]`.
    pub(super) installations: Vec<InstallationStatus>,
    /// The differences between the present state and the policy, grouped by cause. The most
    /// important kind comes first.
    pub(super) problems: Vec<Problem>,
    /// The held generations.
    pub(super) held_policies: Vec<HeldPolicy>,
    /// The waivers that are in force. The waiver with the earliest end comes first.
    pub(super) waivers: Vec<WaiverInForce>,
    /// The pauses that are in force.
    pub(super) pauses: Vec<PauseInForce>,
    /// The budgets of the credentials.
    pub(super) budgets: Vec<Budget>,
    /// The tokens that have a configured end.
    pub(super) tokens: Vec<Token>,
    /// The background tasks that fail.
    pub(super) failing_tasks: Vec<FailingTask>,
    /// The stored holds, waivers and rows of the queue that this version cannot read. Beadle does
    /// not work on a repository or group that has such data.
    pub(super) unreadable: Vec<String>,
    /// The number of keys in the queue.
    pub(super) queue: Depth,
}

/// The state of the service.
#[derive(Debug, Default, Serialize)]
pub(super) struct ServiceStatus {
    /// The state of the service.
    pub(super) state: ServiceState,
    /// The answer of the operator listener of this machine. `None` if the listener does not answer.
    pub(super) listener: Option<String>,
    /// The version of the running service.
    pub(super) version: Option<String>,
    /// The time at which the process of the service started. `None` if the version of the service
    /// does not store this time yet.
    pub(super) started: Option<Time>,
    /// The time at which the service began to use its configuration.
    pub(super) configured: Option<Time>,
    /// The keys whose value in the configuration file differs from the value that the service uses.
    pub(super) other_configuration: Vec<String>,
}

/// The state of the service that works on the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ServiceState {
    /// No service has ever used the store. Commands such as `beadle sweep` might have used the
    /// store.
    #[default]
    Never,
    /// A service works on the store.
    #[serde(rename = "running")]
    Up,
    /// The service answers that it is not ready.
    NotReady,
    /// A service worked on the store before, but no service does now.
    Stopped,
}

/// The kind of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum InstanceKind {
    Organisation,
    Directory,
    Target,
}

/// The state of an organisation, a directory or a target.
#[derive(Debug, Serialize)]
pub(super) struct InstanceStatus {
    pub(super) name: String,
    pub(super) kind: InstanceKind,
    /// The mode in force, or the mode of the configuration if no service runs. `None` for a
    /// directory.
    pub(super) mode: Option<String>,
    /// The generation of the policy or of the mappings.
    pub(super) generation: Option<String>,
    /// The author of the policy's commit.
    pub(super) author: Option<String>,
    /// The first line of the commit's message.
    pub(super) subject: Option<String>,
    pub(super) last_sweep: Option<Time>,
    pub(super) next_sweep: Option<Time>,
    /// True if the next sweep should have begun some time ago.
    pub(super) overdue: bool,
    /// The time of the oldest answer from GitHub that the last sweeps compared with the policy.
    /// `None` if no sweep of a service recorded its reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest_read: Option<Time>,
    /// The reason why Beadle writes nothing to a target.
    pub(super) stopped: Option<String>,
    #[serde(flatten)]
    pub(super) keys: KeyCounts,
}

/// The numbers of keys with a problem. The pages show the same numbers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct KeyCounts {
    /// For each kind of problem, the number of repositories or groups with this problem. A
    /// repository with several problems counts for each of them. The map has no entry for a kind of
    /// problem that no repository or group has.
    pub(super) counts: BTreeMap<KeyCondition, usize>,
    /// The number of repositories or groups with at least one problem. Each repository or group
    /// counts once.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) affected: usize,
    /// The problems of the organisation itself. `counts` does not contain them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) organisation: BTreeSet<KeyCondition>,
    /// The number of parked keys that `counts` does not contain, such as the key of a pull request.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) other_parked: usize,
}

impl KeyCounts {
    /// Returns true if there is no problem.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.organisation.is_empty() && self.other_parked == 0
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An installation of the App, and what Beadle does about it.
#[derive(Debug, Serialize)]
pub(super) struct InstallationStatus {
    /// The login of the organisation.
    pub(super) login: String,
    pub(super) standing: Standing,
    /// The time since which GitHub has reported the present state of the installation.
    pub(super) since: Time,
}

/// Repositories or groups with the same problem and the same cause.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    pub(super) kind: KeyCondition,
    /// The organisation or the target.
    pub(super) instance: String,
    /// The kind of the keys, such as `repository`.
    pub(super) of: String,
    pub(super) cause: String,
    /// The reason why Beadle holds the changes, or the decision of the operator about them. `beadle
    /// holds` shows the same text. `None` for a problem that is not a held change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) held_because: Option<String>,
    /// The earliest time at which the problem began for one of the repositories or groups.
    pub(super) since: Time,
    pub(super) count: usize,
    /// The names, sorted.
    pub(super) names: Vec<String>,
}

/// A generation that the gate holds.
#[derive(Debug, Serialize)]
pub(super) struct HeldPolicy {
    pub(super) instance: String,
    pub(super) generation: String,
    pub(super) since: Time,
    pub(super) why: String,
}

/// A waiver that is in force.
#[derive(Debug, Serialize)]
pub(super) struct WaiverInForce {
    pub(super) instance: String,
    /// The code of a waiver that `beadle waive` made. An operator uses the code to end the waiver.
    pub(super) code: String,
    pub(super) keys: Vec<String>,
    pub(super) repositories: Vec<String>,
    pub(super) until: Time,
    pub(super) reason: String,
    pub(super) owner: String,
}

/// A pause that is in force.
#[derive(Debug, Serialize)]
pub(super) struct PauseInForce {
    /// The paused organisation, target or key.
    pub(super) scope: String,
    /// The readable name of the scope, such as `acme/widgets`. If Beadle knows no name for a key,
    /// this is the key itself.
    pub(super) name: String,
    pub(super) until: Time,
}

/// The budget of an organisation's credential.
#[derive(Debug, Serialize)]
pub(super) struct Budget {
    pub(super) instance: String,
    /// The account, such as `core`.
    pub(super) account: &'static str,
    #[serde(flatten)]
    pub(super) figures: BudgetAccount,
}

/// A token that expires.
#[derive(Debug, Serialize)]
pub(super) struct Token {
    pub(super) instance: String,
    /// The number of days until the token ends. The number is negative after the end.
    pub(super) days: i64,
}

/// A background task that fails.
#[derive(Debug, Serialize)]
pub(super) struct FailingTask {
    pub(super) name: String,
    pub(super) why: String,
    pub(super) since: Option<Time>,
}

impl Status {
    /// Returns the exit code, which a monitoring tool can use.
    pub(super) fn code(&self) -> u8 {
        let is_down = matches!(self.service.state, ServiceState::Stopped | ServiceState::NotReady);
        let is_running = self.service.state == ServiceState::Up;
        let is_late = is_running && self.instances.iter().any(|instance| instance.overdue);
        let has_ended = self.tokens.iter().any(|token| token.days < 0);
        let has_stopped = self.instances.iter().any(|instance| instance.stopped.is_some());
        let has_failures = !self.failing_tasks.is_empty() || !self.unreadable.is_empty();
        if is_down || is_late || has_ended || has_stopped || has_failures {
            return FAILED;
        }
        if self.problems.is_empty() && self.held_policies.is_empty() { FINE } else { PENDING }
    }
}
