//! `beadle.toml`: read, checked, and turned into what the rest works with.

mod example;
mod file;
mod groups;
mod okta;
mod read;
mod target;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use beadle_engine::{Limits, Mode};
use beadle_groups::{Mapping, Mappings};
use beadle_hooks::github::{EVENTS, REPOSITORY_ACTIONS};
use beadle_repositories::policy::forms::{Form, LOGIN, NAME, REPOSITORY, URL, WORKFLOW};
use beadle_repositories::policy::{ReadingAt, nearest};
use beadle_repositories::{DispatchRule, Modes};
use beadle_secrets::{Reference, SecretStore, SecretString, SigningKey};

pub(crate) use example::EXAMPLE;
pub(crate) use file::{DispatchFile as Dispatch, File, OrgFile as OrgConfig, Span};
pub(crate) use groups::read as read_mappings;
pub(crate) use okta::{OktaFile as Okta, PUSH_SCOPE, SCOPES};
pub(crate) use target::{Probing, ScimFile, TargetFile as TargetConfig, TeamsFile, users};

use file::OrgFile;

use crate::app::store_location::StoreLocation;

/// The whole configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// Relative paths begin here: at the file itself.
    pub(crate) base: PathBuf,
    pub(crate) file: File,
    /// Mappings of the configuration itself.
    own: Vec<Mapping>,
    /// Which groups go where, as it was when the configuration was read.
    pub(crate) mappings: Mappings,
    /// Where the state is.
    pub(crate) place: StoreLocation,
    secrets: SecretStore,
}

impl Config {
    /// Reads the file. Secrets are not read yet.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {} (print one to begin with: `beadle example`)", path.display())
        })?;
        let file: File = read::parse(path, &text)?;
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        told_apart(&file, &path.display().to_string())?;
        for okta in &file.okta {
            okta.check(&path.display().to_string())?;
        }
        for target in &file.target {
            target.check(&file, &path.display().to_string())?;
        }
        let own = groups::mappings(&file, &file.groups, path, &text)?;
        let place = file.store.path.parse();
        let place = place.map_err(|why: String| anyhow!("{}: store.path: {why}", path.display()))?;
        let secrets = SecretStore::new(base.to_owned());
        let mut config =
            Self { base: base.to_owned(), file, own, mappings: Mappings::default(), place, secrets };
        let texts = groups::read(config.mapping_files(), &ReadingAt::default())?;
        config.mappings = config.mappings_of(&texts)?;
        for list in config.file.target.iter().filter_map(|target| target.github.as_ref()?.users_from.as_ref())
        {
            users(&config.base.join(list))?;
        }
        config.validate(path)?;
        Ok(config)
    }

    /// The further files with mappings.
    pub(crate) fn mapping_files(&self) -> Vec<PathBuf> {
        self.file.groups_from.iter().map(|path| self.base.join(path)).collect()
    }

    /// All mappings, with those of the further files, which have these texts.
    pub(crate) fn mappings_of(&self, further: &[(PathBuf, String)]) -> anyhow::Result<Mappings> {
        let mut all = self.own.clone();
        for (path, text) in further {
            all.extend(groups::mappings_alone(&self.file, path, text)?);
        }
        Ok(Mappings::new(all))
    }

    fn validate(&self, path: &Path) -> anyhow::Result<()> {
        let file = path.display();
        if self.file.org.is_empty() && self.file.groups.is_empty() && self.file.groups_from.is_empty() {
            bail!(
                "{file}: there is no [[org]] and no [[groups]]; name at least one organisation, or groups of a directory"
            );
        }
        for (at, org) in self.file.org.iter().enumerate() {
            let again = self.file.org[..at].iter().any(|other| other.name.eq_ignore_ascii_case(&org.name));
            if again {
                bail!("{file}: the organisation {} is there twice", org.name);
            }
            check_form(&LOGIN, &format!("{file}: org.name"), &org.name)?;
            check_form(&URL, &format!("{file}: {}: api", org.name), &org.api)?;
            let home = format!("{file}: {}: policy_repository", org.name);
            check_form(&REPOSITORY, &home, &org.policy_repository)?;
            match (&org.app, &org.token) {
                (None, None) => bail!("{file}: {}: give `app` or `token`", org.name),
                (Some(_), Some(_)) => bail!("{file}: {}: give `app` or `token`, not both", org.name),
                _ => {}
            }
            if org.webhook_secrets.len() > 2 {
                bail!("{file}: {}: at most two webhook secrets are valid at once", org.name);
            }
            for aspect in org.modes.keys() {
                let known = beadle_repositories::aspect_names();
                if !known.clone().any(|name| name == aspect) {
                    let near = nearest(aspect, known);
                    let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                    bail!("{file}: {}: [org.modes] has no aspect `{aspect}`{hint}", org.name);
                }
            }
            for (key, reference) in org.keyed_references() {
                // The text of the reference is not shown: it may be the secret itself.
                reference.parse::<Reference>().with_context(|| format!("{file}: {}: {key}", org.name))?;
            }
        }
        if Duration::from(self.file.retention.ids) < Duration::from_secs(8 * 24 * 3600) {
            bail!(
                "{file}: retention.ids has to be 8d at least: GitHub may deliver an event again for 7 days"
            );
        }
        // The bookings of a guard's window are kept for as long as the journal.
        let window = self.longest_window();
        if Duration::from(self.file.retention.journal) < window {
            let seconds = window.as_secs();
            bail!(
                "{file}: retention.journal must be at least the longest guard.window, which is {seconds} s\n\
                 hint: set journal = \"{seconds}s\" or longer in [retention]"
            );
        }
        for org in &self.file.org {
            if org.budget.reserve > 90 {
                bail!("{file}: {}: budget.reserve is in percent, 90 at most", org.name);
            }
            if org.limits().window < Duration::from_secs(60) {
                bail!("{file}: {}: guard.window has to be 60s at least", org.name);
            }
            if org.guard.percent.is_some_and(|percent| percent > 100) {
                bail!("{file}: {}: guard.percent must be at most 100", org.name);
            }
            if org.budget.concurrency == 0 || org.budget.concurrency > 90 {
                bail!("{file}: {}: budget.concurrency has to be from 1 to 90", org.name);
            }
        }
        for org in &self.file.org {
            org.schedule().check().map_err(|why| anyhow!("{file}: {}: {why}", org.name))?;
            for (at, rule) in org.dispatch.iter().enumerate() {
                let what = format!("{file}: {}: dispatch `{}`", org.name, rule.name);
                if rule.name.is_empty() || rule.name.contains('/') {
                    bail!("{what}: a name is not empty and has no `/`");
                }
                if org.dispatch[..at].iter().any(|other| other.name == rule.name) {
                    bail!("{what} is there twice");
                }
                check_form(&REPOSITORY, &format!("{what}: repository"), &rule.repository)?;
                check_form(&WORKFLOW, &format!("{what}: workflow"), rule.workflow())?;
                let (event, action) = rule.on.split_once('.').unwrap_or((&rule.on, ""));
                // An event that is new at GitHub passes; one that looks like another is a slip.
                for (word, known) in [(event, EVENTS), (action, REPOSITORY_ACTIONS)] {
                    let concerns = !word.is_empty() && (word == event || event == "repository");
                    // `repos` is short for an event, and no event.
                    let begun = || known.iter().copied().find(|other| other.starts_with(word));
                    if concerns
                        && !known.contains(&word)
                        && let Some(near) = nearest(word, known.iter().copied()).or_else(begun)
                    {
                        bail!("{what}: on = `{}`: `{word}` is unknown; did you mean `{near}`?", rule.on);
                    }
                }
                rule.rule().check().map_err(|why| anyhow!("{what}: {why}"))?;
            }
        }
        if self.file.worker.concurrency == 0 {
            bail!("{file}: worker.concurrency has to be 1 at least");
        }
        if self.file.server.listen == self.file.server.operator {
            bail!("{file}: server.listen and server.operator are the same address");
        }
        let operator = self.file.server.operator;
        if !operator.ip().is_loopback() && self.file.server.operator_token.is_none() {
            bail!(
                "{file}: server.operator listens on {operator}; beyond loopback it needs server.operator_token"
            );
        }
        Ok(())
    }

    /// The organisations, or the one that was asked for.
    pub(crate) fn orgs(&self, wanted: Option<&str>) -> anyhow::Result<Vec<&Arc<OrgFile>>> {
        let Some(wanted) = wanted else { return Ok(self.file.org.iter().collect()) };
        let found: Vec<_> =
            self.file.org.iter().filter(|org| org.name.eq_ignore_ascii_case(wanted)).collect();
        if found.is_empty() {
            let near = nearest(wanted, self.file.org.iter().map(|org| org.name.as_str()));
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            bail!("the configuration has no organisation `{wanted}`{hint}");
        }
        Ok(found)
    }

    /// The targets that are teams of an organisation.
    pub(crate) fn teams_of(&self, org: &str) -> impl Iterator<Item = &Arc<TargetConfig>> {
        let is_its =
            move |target: &&Arc<TargetConfig>| target.github.as_ref().is_some_and(|teams| teams.org == org);
        self.file.target.iter().filter(is_its)
    }

    /// References to what vendors are asked with, and what they may be lent.
    fn vendor_references(&self) -> Vec<Reference> {
        let orgs = self.file.org.iter().flat_map(|org| org.vendor_references());
        let oktas = self.file.okta.iter().flat_map(|okta| okta.vendor_references());
        let targets = self.file.target.iter().filter_map(|target| Some(&target.scim.as_ref()?.token));
        orgs.chain(oktas).chain(targets).filter_map(|reference| reference.parse().ok()).collect()
    }

    /// Every reference to a secret in it.
    fn references(&self) -> Vec<Reference> {
        let orgs = self.file.org.iter().flat_map(|org| &org.webhook_secrets);
        let oktas = self.file.okta.iter().flat_map(|okta| okta.hook_references());
        let asked = orgs.chain(oktas).chain(&self.file.server.operator_token);
        let asked = asked.filter_map(|reference| reference.parse().ok());
        self.vendor_references().into_iter().chain(asked).collect()
    }

    /// Asks AWS for the secrets that it keeps and has not given yet, all at once.
    pub(crate) async fn fetch_secrets(&self) {
        self.secrets.fetch(&self.references()).await;
    }

    /// Asks AWS again for all with which vendors are asked. Whether one is another than before.
    #[cfg(feature = "aws")]
    pub(crate) async fn fetch_vendor_secrets(&self) -> bool {
        self.secrets.fetch_again(&self.vendor_references()).await
    }

    /// Every reference to a secret, and whether there is a value.
    #[cfg(feature = "aws")]
    pub(crate) fn secrets_there(&self) -> Vec<(Reference, Result<(), beadle_secrets::SecretError>)> {
        let there = |reference: Reference| {
            let found = match &reference {
                Reference::Kms(_) => self.secrets.signing_key(&reference).map(drop),
                _ => self.secrets.current(&reference).map(drop),
            };
            (reference, found)
        };
        self.references().into_iter().map(there).collect()
    }

    /// The value of a secret.
    pub(crate) fn secret(&self, reference: &str, what: &str) -> anyhow::Result<SecretString> {
        let reference: Reference = reference.parse().with_context(|| what.to_owned())?;
        self.secrets.current(&reference).with_context(|| what.to_owned())
    }

    /// The values of secrets that are valid now: while one is replaced, the one before it too.
    pub(crate) fn valid_secrets(
        &self,
        references: &[String],
        what: &str,
    ) -> anyhow::Result<Vec<SecretString>> {
        let mut valid = Vec::new();
        for reference in references {
            let reference: Reference = reference.parse().with_context(|| what.to_owned())?;
            valid.append(&mut self.secrets.valid(&reference).with_context(|| what.to_owned())?);
        }
        Ok(valid)
    }

    /// A private key.
    pub(crate) fn signing_key(&self, reference: &str, what: &str) -> anyhow::Result<SigningKey> {
        let reference: Reference = reference.parse().with_context(|| what.to_owned())?;
        self.secrets.signing_key(&reference).with_context(|| what.to_owned())
    }

    /// The longest time that a guard looks back.
    pub(crate) fn longest_window(&self) -> Duration {
        let orgs = self.file.org.iter().map(|org| org.limits().window);
        let all = orgs.chain(self.file.target.iter().map(|target| target.limits().window));
        all.max().unwrap_or_else(|| Limits::default().window)
    }

    /// The state is somewhere else than the file says.
    pub(crate) fn stored_at(mut self, place: Option<StoreLocation>) -> Self {
        if let Some(place) = place {
            self.place = place.absolute();
        }
        self
    }

    /// The state's file; `None` where it is a table.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        match &self.place {
            StoreLocation::File(path) => Some(self.base.join(path)),
            StoreLocation::Table { .. } => None,
        }
    }
}

/// Refuses a value that has not the form that GitHub takes.
fn check_form(form: &Form, place: &str, value: &str) -> anyhow::Result<()> {
    form.check(value).map_err(|misfit| {
        let hint = misfit.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        anyhow!("{place} must {}, found `{}`{hint}", misfit.must, value.escape_debug())
    })
}

/// Names are in keys: no two are the same, whatever they are of.
fn told_apart(file: &File, path: &str) -> anyhow::Result<()> {
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
        // It is in keys, in logs and in the names of files.
        check_form(&NAME, &format!("{path}: {what}: name"), name)?;
    }
    Ok(())
}

impl OrgFile {
    /// References to what GitHub is asked with, and what policies may name.
    fn vendor_references(&self) -> impl Iterator<Item = &String> {
        let app = self.app.iter().map(|app| &app.key);
        self.token.iter().chain(self.secrets.values()).chain(app)
    }

    /// Every reference to a secret, with its key.
    fn keyed_references(&self) -> impl Iterator<Item = (String, &String)> {
        let hooks = self.webhook_secrets.iter().map(|reference| ("webhook_secrets".to_owned(), reference));
        let token = self.token.iter().map(|reference| ("token".to_owned(), reference));
        let app = self.app.iter().map(|app| ("app.key".to_owned(), &app.key));
        let lent = self.secrets.iter().map(|(name, reference)| (format!("secrets.{name}"), reference));
        hooks.chain(token).chain(app).chain(lent)
    }

    /// The guard's limits.
    pub(crate) fn limits(&self) -> Limits {
        self.guard.limits()
    }

    /// The rules that dispatch workflows. The more careful mode of the rule and the organisation
    /// counts.
    pub(crate) fn rules(&self) -> Vec<DispatchRule> {
        let rules = self.dispatch.iter().map(Dispatch::rule);
        rules.map(|rule| DispatchRule { mode: rule.mode.min(self.mode), ..rule }).collect()
    }

    /// How far each aspect may go.
    pub(crate) fn modes(&self) -> Modes {
        let modes: std::collections::BTreeMap<String, Mode> = self.modes.clone();
        Modes { organisation: self.mode, aspects: modes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    fn org(name: &str, more: &str) -> String {
        format!("[[org]]\nname = \"{name}\"\npolicy = \"p\"\ntoken = \"env:T\"\n{more}\n")
    }

    #[test]
    fn the_journal_is_kept_for_as_long_as_the_longest_window_of_a_guard() {
        let kept = |journal: &str| {
            let guard = "[org.guard]\nwindow = \"2d\"";
            format!("{}[retention]\njournal = \"{journal}\"\n", org("acme", guard))
        };
        load(&kept("2d")).unwrap();
        let error = format!("{:#}", load(&kept("47h")).unwrap_err());
        assert!(error.contains("retention.journal must be at least the longest guard.window"), "{error}");
        assert!(error.contains("set journal = \"172800s\""), "{error}");
    }

    #[test]
    fn a_name_or_an_address_has_the_form_that_github_takes() {
        let dispatch = |on: &str, repository: &str, workflow: &str| {
            format!(
                "[[org.dispatch]]\nname = \"police\"\non = \"{on}\"\nrepository = \"{repository}\"\n\
                 workflow = \"{workflow}\"\nref = \"main\""
            )
        };
        load(&org("acme", &dispatch("repository.created", "cop", "police.yml"))).unwrap();
        for (text, said) in [
            (org("..", ""), "name must not be `.` or `..`"),
            (org("a/b", ""), "is no name"),
            (org("acme", "api = \"api.github.com\""), "hint: write it as `https://api.github.com`"),
            (org("acme", "policy_repository = \"..\""), "policy_repository must not be `.` or `..`"),
            (org("acme", &dispatch("repos.created", "cop", "police.yml")), "did you mean `repository`?"),
            (
                org("acme", &dispatch("repository.created", "acme/cop", "police.yml")),
                "hint: write it as `cop`",
            ),
            (org("acme", &dispatch("repository.created", "..", "police.yml")), "repository must not be"),
            (org("acme", &dispatch("repository.created", "cop", "..")), "workflow must not be"),
            (
                org("acme", "[org.secrets]\nci = \"hunter2\""),
                "acme: secrets.ci: a secret is given by reference",
            ),
        ] {
            let error = format!("{:#}", load(&text).unwrap_err());
            assert!(error.contains(said) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
