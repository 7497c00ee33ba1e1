//! The file's other half: directories, targets, and which groups go from one to the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use beadle_engine::{Asked, Limits, Mode};
use beadle_groups::mapping::{
    Case, Naming, OnDelete, OnMissingGroup, OnMissingUser, OnRename, Pattern, Role, Users, replacements,
};
use beadle_groups::targets::Match;
use beadle_groups::{GroupLimits, Mapping};
use beadle_okta::Status;
use beadle_repositories::policy::nearest;
use beadle_scim::{Dialect, Members, Paging, Removal};
use beadle_secrets::Reference;
use serde::Deserialize;

use super::file::{File, GuardFile, OrgFile, Schedule, Span, parse};

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

    pub(crate) fn leaving(&self) -> Vec<Status> {
        self.leaving.iter().cloned().map(Status::from).collect()
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
    pub(crate) ways: Vec<Match>,
    /// A file of `"login, address or id at the directory" = "login at GitHub"`.
    pub(crate) users_from: Option<PathBuf>,
}

impl TeamsFile {
    fn check(&self, orgs: &[OrgFile]) -> Result<(), String> {
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
        if self.ways.is_empty() {
            return Err("match is empty; say \"saml\", \"mail\" or \"file\"".into());
        }
        match (self.ways.contains(&Match::File), &self.users_from) {
            (true, None) => Err("match names \"file\"; say which in users_from".into()),
            (false, Some(_)) => Err("users_from is for match = [\"file\"], which is not said".into()),
            _ => Ok(()),
        }
    }
}

/// Logins at GitHub by login, address or id at the directory.
pub(crate) fn users(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {} (users_from)", path.display()))?;
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
    /// The last day of the token, as `2027-03-01`.
    pub(crate) token_ends: Option<jiff::civil::Date>,
    /// Where it is read who is in a group, in place of SCIM.
    pub(crate) identity_store: Option<IdentityStoreFile>,
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
}

impl Default for GroupGuardFile {
    fn default() -> Self {
        let GroupLimits { large, percent, count, leavers } = GroupLimits::default();
        Self { large, percent, count, leavers }
    }
}

impl GroupGuardFile {
    pub(crate) fn limits(&self) -> GroupLimits {
        GroupLimits { large: self.large, percent: self.percent, count: self.count, leavers: self.leavers }
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

/// Which groups of a directory make which groups of a target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupsFile {
    source: toml::Spanned<String>,
    target: String,
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    strip_prefix: Option<String>,
    strip_suffix: Option<String>,
    #[serde(default)]
    replace: Vec<(String, String)>,
    case: Option<Case>,
    prefix: Option<String>,
    into: Option<String>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    on_missing_group: OnMissingGroup,
    #[serde(default)]
    on_missing_user: OnMissingUser,
    #[serde(default)]
    users: Users,
    #[serde(default)]
    on_rename: OnRename,
    #[serde(default)]
    on_delete: OnDelete,
    #[serde(default)]
    adopt: bool,
    #[serde(default)]
    protected: Vec<String>,
    role: Option<Role>,
    parent: Option<String>,
    description: Option<String>,
}

impl GroupsFile {
    /// The line that begins it, from 1.
    fn line(&self, text: &str) -> u32 {
        let before = &text[..self.source.span().start.min(text.len())];
        u32::try_from(before.matches('\n').count() + 1).unwrap_or(u32::MAX)
    }

    /// What one kind of target has and another has not.
    fn check(&self, is_teams: bool) -> Result<(), String> {
        if is_teams {
            let provisions = self.users == Users::Provision;
            return if provisions {
                Err("users = \"provision\" makes no accounts at GitHub: they are people's own; invite them there".into())
            } else {
                Ok(())
            };
        }
        let keys = [
            ("role", self.role.is_some()),
            ("parent", self.parent.is_some()),
            ("description", self.description.is_some()),
        ];
        match keys.into_iter().find(|(_, is_said)| *is_said) {
            Some((key, _)) => {
                Err(format!("`{key}` is for teams of GitHub; a group of a SCIM server has none"))
            }
            None => Ok(()),
        }
    }

    fn mapping(&self, file: &Arc<str>, text: &str) -> anyhow::Result<Mapping> {
        let patterns = |list: &[String]| -> anyhow::Result<Vec<Pattern>> {
            list.iter().map(|text| Ok(text.parse::<Pattern>()?)).collect()
        };
        let naming = Naming {
            strip_prefix: self.strip_prefix.clone(),
            strip_suffix: self.strip_suffix.clone(),
            case: self.case,
            prefix: self.prefix.clone(),
            replace: replacements(&self.replace)?,
        };
        Ok(Mapping {
            source: self.source.get_ref().clone(),
            target: self.target.clone(),
            include: patterns(&self.include)?,
            exclude: patterns(&self.exclude)?,
            naming,
            into: self.into.clone(),
            mode: self.mode,
            on_missing_group: self.on_missing_group,
            on_missing_user: self.on_missing_user,
            users: self.users,
            on_rename: self.on_rename,
            on_delete: self.on_delete,
            adopt: self.adopt,
            protected: patterns(&self.protected)?,
            role: self.role,
            parent: self.parent.clone(),
            description: self.description.clone(),
            asked: Some(Asked { file: file.clone(), line: self.line(text) }),
        })
    }
}

/// A file that has nothing but mappings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingsFile {
    #[serde(default)]
    groups: Vec<GroupsFile>,
}

/// The mappings of a file that has nothing else, read anew.
pub(super) fn read(file: &File, path: &Path) -> anyhow::Result<Vec<Mapping>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {} (groups_from)", path.display()))?;
    let found: MappingsFile = parse(path, &text)?;
    mappings(file, &found.groups, path, &text)
}

/// The mappings of a file with this text.
pub(super) fn mappings(
    file: &File,
    groups: &[GroupsFile],
    path: &Path,
    text: &str,
) -> anyhow::Result<Vec<Mapping>> {
    let name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    let short: Arc<str> = name.into();
    let mut all = Vec::new();
    for groups in groups {
        let place = || format!("{}:{}: [[groups]]", path.display(), groups.line(text));
        let known = |what: &str, name: &str, names: Vec<&str>| -> anyhow::Result<()> {
            if names.contains(&name) {
                return Ok(());
            }
            let near = nearest(name, names);
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("{}: there is no {what} `{name}`{hint}", place())
        };
        known(
            "[[okta]]",
            groups.source.get_ref(),
            file.okta.iter().map(|okta| okta.name.as_str()).collect(),
        )?;
        known("[[target]]", &groups.target, file.target.iter().map(|target| target.name.as_str()).collect())?;
        if groups.into.as_deref() == Some("") {
            bail!("{}: `into` is empty", place());
        }
        let is_teams = file.target.iter().any(|one| one.name == groups.target && one.github.is_some());
        groups.check(is_teams).map_err(|why| anyhow::anyhow!("{}: {why}", place()))?;
        all.push(groups.mapping(&short, text).with_context(place)?);
    }
    Ok(all)
}

/// What can be seen to be wrong without any network.
pub(super) fn validate(file: &File, path: &str) -> anyhow::Result<()> {
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    let orgs = file.org.iter().map(|org| (&org.name, "[[org]]"));
    let oktas = file.okta.iter().map(|okta| (&okta.name, "[[okta]]"));
    let targets = file.target.iter().map(|target| (&target.name, "[[target]]"));
    for (name, what) in orgs.chain(oktas).chain(targets) {
        if let Some(other) = names.insert(name.to_lowercase(), what) {
            bail!("{path}: {what} {name}: {other} has this name already; keys are told apart by it");
        }
        if name.is_empty() || name.contains([':', '/', ' ']) {
            bail!("{path}: {what}: `{name}` is no name: it has no `:`, `/` or blank");
        }
    }
    let references = |what: String, list: Vec<&String>| -> anyhow::Result<()> {
        list.into_iter().try_for_each(|reference| {
            reference.parse::<Reference>().map(|_| ()).with_context(|| format!("{path}: {what}"))
        })
    };
    for okta in &file.okta {
        let what = format!("okta {}", okta.name);
        match (&okta.app, &okta.token) {
            (None, None) => bail!("{path}: {what}: give `app` or `token`"),
            (Some(_), Some(_)) => bail!("{path}: {what}: give `app` or `token`, not both"),
            _ => {}
        }
        if okta.name == "into" {
            bail!("{path}: {what}: `into` is the name of unions; choose another");
        }
        let lists = [Some(&okta.hook_secrets), okta.hook_key.as_ref().map(|key| &key.secrets)];
        for list in lists.into_iter().flatten() {
            if list.len() > 2 {
                bail!("{path}: {what}: at most two values are valid at once");
            }
        }
        if okta.hook_key.as_ref().is_some_and(|key| key.secrets.is_empty()) {
            bail!("{path}: {what}: hook_key has no secrets; nobody could send it");
        }
        for status in &okta.leaving {
            if !Status::names().any(|known| known == status) {
                let near = nearest(status, Status::names());
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                bail!("{path}: {what}: leaving: Okta has no status `{status}`{hint}");
            }
        }
        okta.schedule().check().map_err(|why| anyhow::anyhow!("{path}: {what}: {why}"))?;
        if okta.reserve > 90 {
            bail!("{path}: {what}: reserve is in percent, 90 at most");
        }
        let mut all: Vec<&String> = okta.hook_secrets.iter().collect();
        all.extend(okta.hook_key.iter().flat_map(|key| &key.secrets));
        all.extend(&okta.token);
        all.extend(okta.app.iter().map(|app| &app.key));
        references(what, all)?;
    }
    for target in &file.target {
        let what = format!("target {}", target.name);
        let wrong = |why: String| anyhow::anyhow!("{path}: {what}: {why}");
        match (&target.scim, &target.github) {
            (Some(scim), None) => {
                scim.dialect().map_err(wrong)?;
                if scim.identity_store.is_some() && cfg!(not(feature = "aws")) {
                    return Err(wrong("identity_store needs a Beadle built with `--features aws`".into()));
                }
                references(what.clone(), vec![&scim.token])?;
            }
            (None, Some(teams)) => {
                teams.check(&file.org).map_err(wrong)?;
                let is_its = |other: &&TargetFile| {
                    other.name != target.name
                        && other.github.as_ref().is_some_and(|other| other.org == teams.org)
                };
                if let Some(other) = file.target.iter().find(is_its) {
                    return Err(wrong(format!(
                        "target {} is the teams of {} already; two would take each other's",
                        other.name, teams.org
                    )));
                }
                if target.budget.is_some() {
                    return Err(wrong(format!(
                        "its budget is that of [[org]] {}; leave `budget` out",
                        teams.org
                    )));
                }
            }
            (None, None) => return Err(wrong("give `scim` or `github`".into())),
            (Some(_), Some(_)) => return Err(wrong("give `scim` or `github`, not both".into())),
        }
        if target.group_guard.percent > 100 {
            bail!("{path}: {what}: group_guard.percent is at most 100");
        }
        if target.limits().window < Duration::from_secs(60) {
            bail!("{path}: {what}: guard.window has to be 60s at least");
        }
    }
    Ok(())
}
