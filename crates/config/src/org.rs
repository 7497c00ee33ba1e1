//! `[[org]]`: the GitHub organisations that Beadle manages.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle_engine::{GateLimits, Limits, Mode};
use serde::Deserialize;

use crate::{PolicySource, RepositorySource, Schedule, Span};

/// The time between two sweeps if neither `sweep_every` nor `schedule` is set.
const SWEEP_EVERY: Span = Span::from_seconds(2 * 3600);
/// The default of `reread`. With the default time between two sweeps, Beadle reads each part at
/// least once a day.
const REREAD: Duration = Duration::from_secs(22 * 3600);

/// `[[org]]`: one GitHub organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrgFile {
    /// The login of the organisation.
    pub name: String,
    /// The address of GitHub's REST API.
    #[serde(default = "github")]
    pub api: String,
    /// The GitHub App that Beadle uses in the organisation.
    pub app: Option<AppFile>,
    /// A reference to an access token. Beadle uses the token if no `app` is set.
    pub token: Option<String>,
    /// References to all valid webhook secrets.
    #[serde(default)]
    pub webhook_secrets: Vec<String>,
    /// The folder or the repository that contains the policy.
    pub policy: PolicySource,
    /// The repository of a shared base. The policy of the organisation extends this base.
    pub base: Option<RepositorySource>,
    /// The name of the repository that contains the policy.
    #[serde(default = "admin")]
    pub policy_repository: String,
    /// The mode of the organisation, which decides how far Beadle may go.
    #[serde(default)]
    pub mode: Mode,
    /// The modes of single aspects, by the name of the aspect.
    #[serde(default)]
    pub modes: BTreeMap<String, Mode>,
    /// What Beadle does with a policy that has JavaScript validators for safe-settings.
    #[serde(default)]
    pub validators: Validators,
    /// References to secrets. The policy uses these secrets by their names in this table.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The limits of the guard for the organisation.
    #[serde(default)]
    pub guard: GuardFile,
    /// The limits of the gate for the organisation.
    #[serde(default)]
    pub gate: GateFile,
    /// The limits of waivers in the organisation.
    #[serde(default)]
    pub waivers: WaiversFile,
    /// The slug of a team. A member of this team can approve a held policy by a review of the
    /// policy's pull request.
    pub approve_by_review: Option<String>,
    /// Who can approve held changes by a comment, and where.
    pub approve_by_comment: Option<CommentApprovalFile>,
    /// True if each commit of the policy gets a check run, which shows whether the policy is in
    /// force.
    #[serde(default)]
    pub commit_check: bool,
    /// How much of GitHub's rate limits Beadle may use.
    #[serde(default)]
    pub budget: BudgetFile,
    /// The time between two sweeps. If `schedule` is not set, the default is 2 hours.
    pub sweep_every: Option<Span>,
    /// The cron expression, in UTC, that sets when sweeps begin.
    pub schedule: Option<String>,
    /// How often sweeps read the parts of a repository that only the REST API shows. The default is
    /// once in 22 hours.
    pub reread: Option<Span>,
    /// The rules for starting workflows when webhooks arrive.
    #[serde(default)]
    pub dispatch: Vec<DispatchFile>,
    /// True if the organisation comes from an installation of the App. False if it comes from the
    /// file.
    #[serde(skip)]
    pub is_taken_in: bool,
}

/// `approve_by_comment` of an `[[org]]`: who can approve held changes by a comment, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommentApprovalFile {
    /// The name of a repository in the organisation. A comment on any issue or pull request of this
    /// repository can approve held changes.
    pub repository: String,
    /// The slug of the team. The members of the team can approve.
    pub team: String,
}

/// What Beadle refuses in an organisation's policy. It depends on the organisation's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// JavaScript validators. Beadle does not run validators, so Beadle would also write values
    /// that the validators reject.
    pub validators: bool,
    /// `repository.name` in a file that applies to several repositories. The file was probably
    /// written for one repository, but Beadle would apply the file to several repositories.
    pub shared_names: bool,
}

impl OrgFile {
    /// Returns when the sweeps of the organisation begin.
    pub fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, default: SWEEP_EVERY, cron: self.schedule.as_deref() }
    }

    /// Returns how often sweeps read the parts of a repository that only the REST API shows.
    pub fn reread(&self) -> Duration {
        self.reread.map_or(REREAD, Duration::from)
    }

    /// Returns the limits of the guard, with defaults for all limits that are not set.
    pub fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// Returns what Beadle must refuse in the policy of this organisation. If a field of the result
    /// is `false`, Beadle only reports the problem that the field stands for.
    pub fn refusals(&self) -> Refusals {
        Refusals {
            validators: self.mode == Mode::Enforce && self.validators == Validators::Refused,
            shared_names: self.mode != Mode::Observe,
        }
    }

    /// Returns the address of GitHub's pages, such as `https://github.com`.
    pub fn web(&self) -> String {
        let api = self.api.trim_end_matches('/');
        if let Some(server) = api.strip_suffix("/api/v3") {
            return server.to_owned();
        }
        match api.split_once("://api.") {
            Some((scheme, host)) => format!("{scheme}://{host}"),
            None => api.to_owned(),
        }
    }

    /// Returns the name of the repository that contains the policy. Beadle changes this repository
    /// only if the policy has a file for this repository.
    pub fn policy_home(&self) -> &str {
        match self.policy.repository() {
            Some(source) if source.owner(&self.name) == self.name => &source.repository,
            _ => &self.policy_repository,
        }
    }

    /// Returns the limits of the gate. If `removes`, `weakens` or `exposes` is not set, the guard's
    /// limit with the same name applies. The other limits have their own defaults.
    pub fn gate_limits(&self) -> GateLimits {
        self.gate_limits_with(&self.limits())
    }

    /// Returns the limits of the gate for the given limits of the guard.
    pub fn gate_limits_with(&self, guard: &Limits) -> GateLimits {
        GateLimits {
            removes: self.gate.removes.unwrap_or(guard.removes),
            weakens: self.gate.weakens.unwrap_or(guard.weakens),
            exposes: self.gate.exposes.unwrap_or(guard.exposes),
            creates: self.gate.creates.unwrap_or(GateLimits::CREATES),
            percent: self.gate.percent.unwrap_or(GateLimits::PERCENT),
            repositories: self.gate.repositories.unwrap_or(GateLimits::REPOSITORIES),
        }
    }

    /// Returns the references to the GitHub secrets, and to the secrets that the policy uses.
    pub fn vendor_references(&self) -> impl Iterator<Item = &String> {
        let app = self.app.iter().map(|app| &app.key);
        self.token.iter().chain(self.secrets.values()).chain(app)
    }
}

/// What Beadle does with JavaScript validators for safe-settings. Beadle cannot run JavaScript
/// validators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validators {
    /// In mode `enforce`, Beadle refuses a policy that has validators.
    #[default]
    Refused,
    /// Beadle accepts the policy and does not run the validators.
    Ignored,
}

/// `[[org.dispatch]]`: a rule that starts a workflow when a webhook arrives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchFile {
    /// The name of the rule, which appears in keys and in the journal.
    pub name: String,
    /// The event that starts the workflow, such as `repository.created`.
    pub on: String,
    /// A condition for the payload, such as `not repository.private`. The workflow starts only if
    /// the condition is true.
    pub when: Option<String>,
    /// The name of the repository that contains the workflow. The repository belongs to the same
    /// organisation.
    pub repository: String,
    /// The file name of the workflow.
    pub workflow: String,
    /// The branch or tag of the workflow's run. The text is a template that can use the payload.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The inputs of the workflow. The values are templates that can use the payload.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The name of an input. Beadle passes a token of the delivery to this input. If GitHub's
    /// answer is lost, Beadle finds the workflow's run by this token.
    pub token_input: Option<String>,
    /// The mode of the rule. If the mode of the organisation is more careful than this mode, the
    /// mode of the organisation applies.
    #[serde(default)]
    pub mode: Mode,
}

pub(crate) fn github() -> String {
    "https://api.github.com".into()
}

/// Returns the default name of the repository, which is the same as in safe-settings.
pub(crate) fn admin() -> String {
    "admin".into()
}

/// `app` of an organisation: the GitHub App that Beadle uses in the organisation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppFile {
    /// The id of the App.
    pub id: u64,
    /// A reference to the App's private key.
    pub key: String,
    /// The id of the App's installation. If it is not set, Beadle asks GitHub for the id.
    pub installation: Option<u64>,
}

/// `guard`: the limits of the guard.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardFile {
    /// The length of the window in which the guard counts changes.
    pub window: Option<Span>,
    /// The maximum number of removals in a window.
    pub removes: Option<u32>,
    /// The maximum number of weakenings in a window.
    pub weakens: Option<u32>,
    /// The maximum number of exposures in a window.
    pub exposes: Option<u32>,
    /// How many times Beadle may make the same change within an hour. After that, the change is
    /// contested.
    pub repeats: Option<u32>,
    /// In one aspect and one window, Beadle may remove or weaken something in at most this
    /// percentage of the repositories.
    pub percent: Option<u32>,
    /// The number of repositories that are always allowed, even if `percent` allows fewer.
    pub repositories: Option<u32>,
}

impl GuardFile {
    /// Returns the limits. Limits that are not set have their default values.
    pub fn limits(&self) -> Limits {
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

/// `[org.gate]`: the limits for one new generation of the policy.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateFile {
    /// The maximum number of removals.
    pub removes: Option<u32>,
    /// The maximum number of weakenings.
    pub weakens: Option<u32>,
    /// The maximum number of exposures.
    pub exposes: Option<u32>,
    /// The maximum number of additions.
    pub creates: Option<u32>,
    /// A generation may remove, weaken or expose something in at most this percentage of the
    /// repositories.
    pub percent: Option<u32>,
    /// The number of repositories that are always allowed, even if `percent` allows fewer.
    pub repositories: Option<u32>,
}

/// `[org.waivers]`: the limits of waivers.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WaiversFile {
    /// The maximum duration of a waiver. If the end of a waiver is further away than this duration,
    /// the waiver comes into force later. The waiver then lasts exactly this duration.
    pub longest: Option<Span>,
    /// The paths of the keys that a waiver cannot exempt.
    pub never_waive: Vec<String>,
}

/// `[org.budget]`: how much of GitHub's rate limits Beadle may use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetFile {
    /// The maximum number of requests that are in progress at the same time.
    pub concurrency: usize,
    /// The percentage of each budget that sweeps must leave to events and operators.
    pub reserve: u64,
    /// The period for counting points. At GitHub, the period is a minute. Only a simulator uses a
    /// shorter period.
    pub minute: Span,
    /// The maximum number of points that REST requests may use in a minute. GitHub's limit is 900.
    pub rest_points: u32,
    /// The maximum number of points that GraphQL requests may use in a minute. GitHub's limit is
    /// 2,000.
    pub graphql_points: u32,
    write_every: Option<Span>,
}

impl BudgetFile {
    /// Returns the time between two bulk writes. The default is a sixtieth of `minute`.
    pub fn write_every(&self) -> Duration {
        self.write_every.map_or(Duration::from(self.minute) / 60, Duration::from)
    }
}

impl Default for BudgetFile {
    fn default() -> Self {
        Self {
            concurrency: 32,
            reserve: 20,
            minute: Span::from_seconds(60),
            rest_points: 850,
            graphql_points: 1800,
            write_every: None,
        }
    }
}
