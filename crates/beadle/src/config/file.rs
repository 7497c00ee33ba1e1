//! The file's own shape. Unknown keys are errors, with the nearest right one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Limits, Mode, Time};
use beadle_repositories::DispatchRule;
use serde::Deserialize;

use super::groups::GroupsFile;
use super::okta::OktaFile;
use super::target::TargetFile;

/// A length of time as `90s`, `2h`, `7d`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(Duration);

impl Span {
    pub(super) fn of(time: Duration) -> Self {
        Self(time)
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        crate::cli::duration(&text).map(Self)
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) store: StoreFile,
    #[serde(default)]
    pub(crate) server: ServerFile,
    #[serde(default)]
    pub(crate) retention: RetentionFile,
    #[serde(default)]
    pub(crate) recovery: RecoveryFile,
    #[serde(default)]
    pub(crate) worker: WorkerFile,
    #[serde(default)]
    pub(crate) org: Vec<Arc<OrgFile>>,
    #[serde(default)]
    pub(crate) okta: Vec<Arc<OktaFile>>,
    #[serde(default)]
    pub(crate) target: Vec<Arc<TargetFile>>,
    #[serde(default)]
    pub(crate) groups: Vec<GroupsFile>,
    /// Files with nothing but further `[[groups]]`; the service takes changes of them over as it runs.
    #[serde(default)]
    pub(crate) groups_from: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreFile {
    /// A file, or `dynamodb://TABLE`.
    pub(crate) path: String,
    /// Mebibytes; beyond, deliveries are answered 503 as on a full disk.
    pub(crate) max_mib: Option<u64>,
}

impl Default for StoreFile {
    fn default() -> Self {
        Self { path: "beadle.db".into(), max_mib: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServerFile {
    pub(crate) listen: SocketAddr,
    pub(crate) operator: SocketAddr,
    pub(crate) operator_token: Option<String>,
    /// Mebibytes of all bodies being received at once.
    pub(crate) in_flight_mib: u64,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            operator: ([127, 0, 0, 1], 8081).into(),
            operator_token: None,
            in_flight_mib: 128,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionFile {
    pub(crate) bodies: Span,
    pub(crate) ids: Span,
    pub(crate) journal: Span,
}

impl Default for RetentionFile {
    fn default() -> Self {
        Self { bodies: days(8), ids: days(30), journal: days(400) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RecoveryFile {
    /// How often missed webhooks are looked for.
    pub(crate) every: Span,
}

impl Default for RecoveryFile {
    fn default() -> Self {
        Self { every: Span(Duration::from_secs(900)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerFile {
    pub(crate) concurrency: usize,
    /// How long a claim holds without a sign of life.
    pub(crate) lease: Span,
}

impl Default for WorkerFile {
    fn default() -> Self {
        Self { concurrency: 64, lease: Span(Duration::from_secs(60)) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrgFile {
    pub(crate) name: String,
    #[serde(default = "github")]
    pub(crate) api: String,
    pub(crate) app: Option<AppFile>,
    pub(crate) token: Option<String>,
    #[serde(default)]
    pub(crate) webhook_secrets: Vec<String>,
    pub(crate) policy: PathBuf,
    #[serde(default = "admin")]
    pub(crate) policy_repository: String,
    #[serde(default)]
    pub(crate) mode: Mode,
    #[serde(default)]
    pub(crate) modes: BTreeMap<String, Mode>,
    /// Secrets that the policy may name, by the name that it uses.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) guard: GuardFile,
    #[serde(default)]
    pub(crate) budget: BudgetFile,
    /// A day where neither this nor `schedule` is given.
    pub(crate) sweep_every: Option<Span>,
    /// Cron, in UTC.
    pub(crate) schedule: Option<String>,
    #[serde(default)]
    pub(crate) dispatch: Vec<DispatchFile>,
}

impl OrgFile {
    pub(crate) fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, cron: self.schedule.as_deref() }
    }
}

/// When sweeps are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule<'a> {
    /// A day where neither this nor `cron` is given.
    pub(super) every: Option<Span>,
    /// In UTC.
    pub(super) cron: Option<&'a str>,
}

impl Schedule<'_> {
    /// When the sweep after the one at `last` is.
    pub(crate) fn next(&self, last: Time) -> Option<Time> {
        let Some(schedule) = self.cron else {
            return Some(last + self.every.unwrap_or(days(1)).into());
        };
        // It was checked at the start.
        let schedule: croner::Cron = schedule.parse().ok()?;
        let last = jiff::Timestamp::from_millisecond(last.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        let next = schedule.find_next_occurrence(&last, false).ok()?;
        Some(Time(next.timestamp().as_millisecond()))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match (self.cron, self.every) {
            (Some(_), Some(_)) => Err("say `schedule` or `sweep_every`, and not both".into()),
            (Some(cron), None) => match cron.parse::<croner::Cron>() {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("schedule `{cron}`: {error}; write it like `0 3 * * *` (UTC)")),
            },
            (None, _) => Ok(()),
        }
    }
}

/// A workflow that is dispatched for a webhook.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DispatchFile {
    pub(crate) name: String,
    /// The event, such as `repository.created`.
    pub(crate) on: String,
    when: Option<String>,
    /// Where the workflow is: a repository of the organisation.
    pub(crate) repository: String,
    workflow: String,
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    token_input: Option<String>,
    #[serde(default)]
    mode: Mode,
}

impl DispatchFile {
    pub(crate) fn workflow(&self) -> &str {
        &self.workflow
    }

    pub(crate) fn rule(&self) -> DispatchRule {
        DispatchRule {
            name: self.name.clone(),
            when: self.when.clone(),
            repository: self.repository.clone(),
            workflow: self.workflow.clone(),
            reference: self.reference.clone(),
            inputs: self.inputs.clone(),
            token_input: self.token_input.clone(),
            mode: self.mode,
        }
    }
}

fn github() -> String {
    "https://api.github.com".into()
}

/// As the incumbent calls it.
fn admin() -> String {
    "admin".into()
}

pub(super) fn days(n: u64) -> Span {
    Span(Duration::from_secs(n * 24 * 3600))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppFile {
    pub(crate) id: u64,
    pub(crate) key: String,
    pub(crate) installation: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GuardFile {
    pub(crate) window: Option<Span>,
    pub(crate) removes: Option<u32>,
    pub(crate) weakens: Option<u32>,
    pub(crate) exposes: Option<u32>,
    /// How often one and the same change is made in an hour.
    pub(crate) repeats: Option<u32>,
    /// The share of the repositories that one aspect may reach in a window with removals and
    /// weakenings.
    pub(crate) percent: Option<u32>,
    /// The number of repositories that it may always reach.
    pub(crate) repositories: Option<u32>,
}

impl GuardFile {
    /// The guard's limits.
    pub(crate) fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            window: self.window.map_or(default.window, Duration::from),
            removes: self.removes.unwrap_or(default.removes),
            weakens: self.weakens.unwrap_or(default.weakens),
            exposes: self.exposes.unwrap_or(default.exposes),
            repeats: self.repeats.unwrap_or(default.repeats),
            percent: self.percent.unwrap_or(default.percent),
            repositories: self.repositories.unwrap_or(default.repositories),
            among: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BudgetFile {
    /// Requests at once.
    pub(crate) concurrency: usize,
    /// Percent of each budget that only events and operators may use.
    pub(crate) reserve: u64,
    /// What GitHub's minute is; shorter only before a simulator.
    pub(crate) minute: Span,
    /// Points of REST requests in a minute; GitHub takes 900.
    pub(crate) rest_points: u32,
    /// Points of GraphQL requests in a minute; GitHub takes 2,000.
    pub(crate) graphql_points: u32,
    /// Bulk writes are so far apart; a sixtieth of the minute if not said.
    write_every: Option<Span>,
}

impl BudgetFile {
    pub(crate) fn write_every(&self) -> Duration {
        self.write_every.map_or(self.minute.0 / 60, |every| every.0)
    }
}

impl Default for BudgetFile {
    fn default() -> Self {
        Self {
            concurrency: 32,
            reserve: 20,
            minute: Span(Duration::from_secs(60)),
            rest_points: 850,
            graphql_points: 1800,
            write_every: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::read::parse;
    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let file: File = parse(Path::new("beadle.toml"), crate::config::EXAMPLE).unwrap();
        assert_eq!(file.org.len(), 1);
        assert_eq!(file.org[0].mode, Mode::Observe, "a new organisation observes");
    }
}
