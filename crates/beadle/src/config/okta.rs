//! `[[okta]]`: the directories.

use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_groups::mapping::RESERVED;
use beadle_okta::Status;
use beadle_repositories::policy::nearest;
use beadle_secrets::Reference;
use serde::Deserialize;

use super::file::{Schedule, Span};

/// What Beadle asks of Okta.
pub(crate) const SCOPES: [&str; 3] = ["okta.groups.read", "okta.users.read", "okta.logs.read"];

/// And where it is to see which groups Okta pushes itself.
pub(crate) const PUSH_SCOPE: &str = "okta.apps.read";

/// An Okta organisation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OktaFile {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) app: Option<OktaAppFile>,
    /// Values of the hook's header that are valid now.
    #[serde(default)]
    pub(crate) hook_secrets: Vec<String>,
    #[serde(default = "authorization")]
    pub(crate) hook_header: String,
    /// A second header that has to be there too, such as an API key.
    pub(crate) hook_key: Option<HookKeyFile>,
    /// Statuses of those whose access should go.
    #[serde(default = "leaving")]
    pub(crate) leaving: Vec<String>,
    /// Statuses of those for whom an account may be made.
    #[serde(default = "provisioned")]
    pub(crate) provisioned: Vec<String>,
    /// Ids of applications into which Okta may push groups itself: those groups are only observed.
    #[serde(default)]
    pub(crate) push_apps: Vec<String>,
    pub(crate) sweep_every: Option<Span>,
    pub(crate) schedule: Option<String>,
    /// How often the System Log is read for what hooks lost.
    #[serde(default = "minute")]
    pub(crate) log_every: Span,
    /// How often groups are looked for whose members changed.
    #[serde(default = "minutes")]
    pub(crate) changes_every: Span,
    /// Percent of each budget that only events and operators may use.
    #[serde(default = "reserve")]
    pub(crate) reserve: u64,
    #[serde(default = "concurrency")]
    pub(crate) concurrency: usize,
}

impl OktaFile {
    pub(crate) fn schedule(&self) -> Schedule<'_> {
        Schedule { every: self.sweep_every, cron: self.schedule.as_deref() }
    }

    /// References to what Okta is asked with.
    pub(super) fn vendor_references(&self) -> impl Iterator<Item = &String> {
        self.token.iter().chain(self.app.iter().map(|app| &app.key))
    }

    /// References to what its hooks prove themselves with.
    pub(super) fn hook_references(&self) -> impl Iterator<Item = &String> {
        let key = self.hook_key.iter().flat_map(|key| &key.secrets);
        self.hook_secrets.iter().chain(key)
    }

    /// What can be seen to be wrong of it, in the file at this path.
    pub(super) fn check(&self, path: &str) -> anyhow::Result<()> {
        let what = format!("okta {}", self.name);
        match (&self.app, &self.token) {
            (None, None) => bail!("{path}: {what}: give `app` or `token`"),
            (Some(_), Some(_)) => bail!("{path}: {what}: give `app` or `token`, not both"),
            _ => {}
        }
        if RESERVED.contains(&self.name.as_str()) {
            bail!("{path}: {what}: `{}` is reserved for Beadle; choose another name", self.name);
        }
        let lists = [Some(&self.hook_secrets), self.hook_key.as_ref().map(|key| &key.secrets)];
        for list in lists.into_iter().flatten() {
            if list.len() > 2 {
                bail!("{path}: {what}: at most two values are valid at once");
            }
        }
        if self.hook_key.as_ref().is_some_and(|key| key.secrets.is_empty()) {
            bail!("{path}: {what}: hook_key has no secrets; nobody could send it");
        }
        for (key, list) in [("leaving", &self.leaving), ("provisioned", &self.provisioned)] {
            for status in list {
                if !Status::names().any(|known| known == status) {
                    let near = nearest(status, Status::names());
                    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    bail!("{path}: {what}: {key}: Okta has no status `{status}`{hint}");
                }
            }
        }
        self.schedule().check().map_err(|why| anyhow::anyhow!("{path}: {what}: {why}"))?;
        if self.reserve > 90 {
            bail!("{path}: {what}: reserve is in percent, 90 at most");
        }
        for reference in self.hook_references().chain(self.vendor_references()) {
            reference.parse::<Reference>().with_context(|| format!("{path}: {what}"))?;
        }
        Ok(())
    }

    pub(crate) fn leaving(&self) -> Vec<Status> {
        self.leaving.iter().cloned().map(Status::from).collect()
    }

    pub(crate) fn provisioned(&self) -> Vec<Status> {
        let stay = self.provisioned.iter().filter(|status| !self.leaving.contains(status));
        stay.cloned().map(Status::from).collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OktaAppFile {
    pub(crate) client_id: String,
    pub(crate) key: String,
    pub(crate) key_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HookKeyFile {
    pub(crate) header: String,
    pub(crate) secrets: Vec<String>,
}

fn authorization() -> String {
    "authorization".into()
}

fn leaving() -> Vec<String> {
    vec!["SUSPENDED".into(), "DEPROVISIONED".into()]
}

/// All but those who are not activated yet, and those whose access should go.
fn provisioned() -> Vec<String> {
    ["PROVISIONED", "ACTIVE", "RECOVERY", "LOCKED_OUT", "PASSWORD_EXPIRED"].map(String::from).to_vec()
}

fn minute() -> Span {
    Span::of(Duration::from_secs(60))
}

fn minutes() -> Span {
    Span::of(Duration::from_secs(300))
}

fn reserve() -> u64 {
    20
}

fn concurrency() -> usize {
    10
}
