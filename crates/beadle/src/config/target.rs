//! `[[target]]`: SCIM servers, and the teams of organisations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::Limits;
use beadle_groups::GroupLimits;
use beadle_groups::targets::Match;
use beadle_repositories::policy::{nearest, read_text};
use beadle_scim::{Dialect, Members, Paging, Removal};
use beadle_secrets::Reference;
use serde::Deserialize;

use super::file::{File, GuardFile, OrgFile, Span};
use super::read::parse;

/// Where groups are made so: a SCIM 2.0 server, or an organisation's teams.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetFile {
    pub(crate) name: String,
    pub(crate) scim: Option<ScimFile>,
    pub(crate) github: Option<TeamsFile>,
    #[serde(default)]
    pub(crate) guard: GuardFile,
    #[serde(default)]
    pub(crate) group_guard: GroupGuardFile,
    /// Of a SCIM server; an organisation has its own.
    pub(crate) budget: Option<TargetBudgetFile>,
}

impl TargetFile {
    pub(crate) fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// What can be seen to be wrong of it, in the file at this path.
    pub(super) fn check(&self, file: &File, path: &str) -> anyhow::Result<()> {
        let what = format!("target {}", self.name);
        let wrong = |why: String| anyhow::anyhow!("{path}: {what}: {why}");
        match (&self.scim, &self.github) {
            (Some(scim), None) => {
                scim.dialect().map_err(wrong)?;
                if scim.identity_store.is_some() && cfg!(not(feature = "aws")) {
                    return Err(wrong("identity_store needs a Beadle built with `--features aws`".into()));
                }
                scim.token.parse::<Reference>().with_context(|| format!("{path}: {what}"))?;
            }
            (None, Some(teams)) => {
                teams.check(&file.org).map_err(wrong)?;
                let is_its = |other: &&Arc<TargetFile>| {
                    other.name != self.name
                        && other.github.as_ref().is_some_and(|other| other.org == teams.org)
                };
                if let Some(other) = file.target.iter().find(is_its) {
                    return Err(wrong(format!(
                        "target {} is the teams of {} already; two would take each other's",
                        other.name, teams.org
                    )));
                }
                if self.budget.is_some() {
                    return Err(wrong(format!(
                        "its budget is that of [[org]] {}; leave `budget` out",
                        teams.org
                    )));
                }
            }
            (None, None) => return Err(wrong("give `scim` or `github`".into())),
            (Some(_), Some(_)) => return Err(wrong("give `scim` or `github`, not both".into())),
        }
        if self.group_guard.percent > 100 {
            bail!("{path}: {what}: group_guard.percent must be at most 100");
        }
        if self.limits().window < Duration::from_secs(60) {
            bail!("{path}: {what}: guard.window has to be 60s at least");
        }
        if self.guard.percent.is_some() || self.guard.repositories.is_some() {
            bail!(
                "{path}: {what}: guard.percent and guard.repositories are for the repositories of an [[org]]; \
                 for groups set group_guard.percent and group_guard.count"
            );
        }
        Ok(())
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match (&self.scim, &self.github) {
            (Some(scim), _) => scim.url.clone(),
            (None, Some(teams)) => format!("teams of {}", teams.org),
            (None, None) => String::new(),
        }
    }
}

/// Teams of an organisation that the file names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamsFile {
    /// The organisation, whose credential and budget are used.
    pub(crate) org: String,
    /// How a person's account is found, the surest way first.
    #[serde(rename = "match")]
    pub(crate) clients: Vec<Match>,
    /// A file of `"login, address or id at the directory" = "login at GitHub"`.
    pub(crate) users_from: Option<PathBuf>,
}

impl TeamsFile {
    fn check(&self, orgs: &[Arc<OrgFile>]) -> Result<(), String> {
        let Some(org) = orgs.iter().find(|org| org.name == self.org) else {
            let near = nearest(&self.org, orgs.iter().map(|org| org.name.as_str()));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("there is no [[org]] `{}`{hint}", self.org));
        };
        if org.app.is_none() {
            return Err(format!(
                "[[org]] {} has a token; whoever owns it would maintain every team that is made: use an App",
                self.org
            ));
        }
        if self.clients.is_empty() {
            return Err("match is empty; say \"saml\", \"mail\" or \"file\"".into());
        }
        match (self.clients.contains(&Match::File), &self.users_from) {
            (true, None) => Err("match names \"file\"; say which in users_from".into()),
            (false, Some(_)) => Err("users_from is for match = [\"file\"], which is not said".into()),
            _ => Ok(()),
        }
    }
}

/// Logins at GitHub by login, address or id at the directory.
pub(crate) fn users(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = read_text(path).with_context(|| format!("cannot read {} (users_from)", path.display()))?;
    parse(path, &text)
}

/// A SCIM 2.0 server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScimFile {
    pub(crate) url: String,
    pub(crate) token: String,
    dialect: String,
    paging: Option<Paging>,
    members: Option<Members>,
    removal: Option<Removal>,
    page: Option<usize>,
    changes: Option<usize>,
    attributes: Option<bool>,
    /// The extent of `beadle targets probe`.
    #[serde(default)]
    pub(crate) probe: Probing,
    /// The last day of the token, as `2027-03-01`.
    pub(crate) token_ends: Option<jiff::civil::Date>,
    /// Where it is read who is in a group, in place of SCIM.
    pub(crate) identity_store: Option<IdentityStoreFile>,
}

/// The extent of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Probing {
    /// Questions.
    #[default]
    Read,
    /// A group of the probe's own, too: made, filled with three users, emptied one by one and
    /// deleted.
    Write,
}

/// AWS' identity store behind the SCIM server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(feature = "aws"),
    expect(dead_code, reason = "it is read by AWS' SDK alone, and refused without it")
)]
pub(crate) struct IdentityStoreFile {
    /// Such as `d-1234567890`.
    pub(crate) id: String,
    pub(crate) region: String,
    /// Another place than AWS'.
    pub(crate) endpoint: Option<String>,
}

#[cfg(feature = "aws")]
impl IdentityStoreFile {
    pub(crate) fn open(&self, clock: &beadle_engine::Clock) -> beadle_identity_store::IdentityStore {
        let endpoint = self.endpoint.as_deref();
        beadle_identity_store::IdentityStore::new(&self.id, &self.region, endpoint, clock.clone())
    }
}

impl ScimFile {
    pub(crate) fn dialect(&self) -> Result<Dialect, String> {
        if self.page == Some(0) || self.changes == Some(0) {
            return Err("`page` and `changes` must be at least 1".into());
        }
        let base = Dialect::named(&self.dialect).ok_or_else(|| {
            let near = nearest(&self.dialect, Dialect::NAMES);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("there is no dialect `{}`, only {}{hint}", self.dialect, Dialect::NAMES.join(" and "))
        })?;
        Ok(Dialect {
            paging: self.paging.unwrap_or(base.paging),
            members: self.members.unwrap_or(base.members),
            removal: self.removal.unwrap_or(base.removal),
            page: self.page.unwrap_or(base.page).max(1),
            changes: self.changes.unwrap_or(base.changes).max(1),
            attributes: self.attributes.unwrap_or(base.attributes),
            trusted: base.trusted,
        })
    }
}

/// How many may leave one group at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupGuardFile {
    large: usize,
    percent: usize,
    count: usize,
    leavers: usize,
    /// For so long it is remembered who left.
    window: Span,
}

impl Default for GroupGuardFile {
    fn default() -> Self {
        let GroupLimits { large, percent, count, leavers, window } = GroupLimits::default();
        Self { large, percent, count, leavers, window: Span::of(window) }
    }
}

impl GroupGuardFile {
    pub(crate) fn limits(&self) -> GroupLimits {
        GroupLimits {
            large: self.large,
            percent: self.percent,
            count: self.count,
            leavers: self.leavers,
            window: self.window.into(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TargetBudgetFile {
    /// Requests at once.
    pub(crate) concurrency: usize,
    /// Requests in a minute, of which a write counts as five.
    pub(crate) points: u32,
    /// Bulk writes are so far apart.
    pub(crate) write_every: Span,
}

impl Default for TargetBudgetFile {
    fn default() -> Self {
        // AWS publishes no rate; 429 was seen at about 40,000 calls in 15 s.
        Self { concurrency: 10, points: 20_000, write_every: Span::of(Duration::from_millis(50)) }
    }
}
