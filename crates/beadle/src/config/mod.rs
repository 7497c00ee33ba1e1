//! The configuration of the program: `beadle.toml`, its mappings and secrets, and the senders of
//! webhooks. Some checks of the configuration need the crate of a vendor.

mod beadle_toml_checks;
mod conversions;
pub(crate) mod email_address;
mod mappings;
mod policy_mappings;
mod reload;
mod waiver_check;
pub(crate) mod webhook_senders;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use beadle_config::{ConfigError, File, Source, StoreLocation, did_you_mean};
use beadle_groups::{Mapping, Mappings};
use beadle_repositories::policy::{ReadingAt, read_text};
use beadle_secrets::{Reference, SecretStore, SecretString, SigningKey};

pub(crate) use beadle_config::{
    EXAMPLE, InstallationsFile, OktaFile as Okta, OrgFile as OrgConfig, PUSH_SCOPE, PolicySource, Probing,
    Refusals, RepositorySource, SCOPES, ScimFile, Span, TargetFile as TargetConfig, TeamsFile,
};
#[cfg(feature = "aws")]
pub(crate) use conversions::identity_store;
pub(crate) use conversions::{
    attributes, dialect, found_by, group_limits, leaving, membership_limits, modes, provisioned, rules,
    waiver_rules,
};
pub(crate) use mappings::read as read_mappings;
pub(crate) use policy_mappings::check_policies;
pub(crate) use reload::{ConfigPlace, needs_restart};
pub(crate) use waiver_check::findings as waiver_findings;

/// The whole configuration, after all checks.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The folder of the configuration file. Relative paths in the file start here.
    pub(crate) base: PathBuf,
    /// The content of the configuration file.
    pub(crate) file: File,
    /// The mappings in `beadle.toml` itself.
    own: Vec<Mapping>,
    /// All mappings that existed when Beadle read the configuration.
    pub(crate) mappings: Mappings,
    /// The location of the store.
    pub(crate) place: StoreLocation,
    /// Every value of the configuration file, by the path of its key, such as `org.acme.mode`.
    pub(crate) values: BTreeMap<String, String>,
    secrets: Arc<SecretStore>,
}

impl Config {
    /// Reads and checks the configuration file and the further files that it lists. Reads no
    /// secrets.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let source = Source::read(path).map_err(|error| match error {
            ConfigError::Unreadable { .. } => {
                anyhow!(
                    "{error}\nhint: run `beadle init`, or start from the file that `beadle example` prints"
                )
            }
            ConfigError::Invalid { .. } => error.into(),
        })?;
        let file = File::parse(&source)?;
        beadle_toml_checks::check(&file).map_err(|invalid| source.error(invalid))?;
        let mut own = mappings::mappings(&file, &file.groups, path, &source)?;
        own.extend(mappings::mappings_of_team_files(&file)?);
        let place = file.store.path.parse::<StoreLocation>().map_err(anyhow::Error::msg)?;
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let secrets = Arc::new(SecretStore::new(base.to_owned()));
        let (base, mappings, values) = (base.to_owned(), Mappings::default(), source.values());
        let mut config = Self { base, file, own, mappings, place, values, secrets };
        let texts = mappings::read(config.mapping_files(), &ReadingAt::default())?;
        config.mappings = config.mappings_of(&texts)?;
        for list in config.file.target.iter().filter_map(|target| target.github.as_ref()?.users_from.as_ref())
        {
            users(&config.base.join(list))?;
        }
        Ok(config)
    }

    /// Returns the paths of the files in `groups_from`.
    pub(crate) fn mapping_files(&self) -> Vec<PathBuf> {
        self.file.groups_from.iter().map(|path| self.base.join(path)).collect()
    }

    /// Returns all mappings in `beadle.toml` and in the files of `groups_from`. `further` contains
    /// the texts of these files.
    pub(crate) fn mappings_of(&self, further: &[(PathBuf, String)]) -> anyhow::Result<Mappings> {
        let mut all = self.own.clone();
        for (path, text) in further {
            all.extend(mappings::mappings_alone(&self.file, path, text)?);
        }
        Ok(Mappings::new(all))
    }

    /// Returns the organisation with this name. Without a name, returns all organisations.
    pub(crate) fn orgs(&self, wanted: Option<&str>) -> anyhow::Result<Vec<&Arc<OrgConfig>>> {
        let Some(wanted) = wanted else { return Ok(self.file.org.iter().collect()) };
        let found: Vec<_> =
            self.file.org.iter().filter(|org| org.name.eq_ignore_ascii_case(wanted)).collect();
        if found.is_empty() {
            let hint = did_you_mean(wanted, self.file.org.iter().map(|org| org.name.as_str()));
            let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            bail!("the configuration has no organisation `{wanted}`{hint}");
        }
        Ok(found)
    }

    /// Returns the targets that are teams of an organisation.
    pub(crate) fn teams_of(&self, org: &str) -> impl Iterator<Item = &Arc<TargetConfig>> {
        self.file.teams_of(org)
    }

    /// Returns the references to the credentials of vendors, and to the secrets that a policy is
    /// allowed to use.
    fn vendor_references(&self) -> Vec<Reference> {
        let orgs = self.file.org.iter().flat_map(|org| org.vendor_references());
        let oktas = self.file.okta.iter().flat_map(|okta| okta.vendor_references());
        let targets = self.file.target.iter().filter_map(|target| Some(&target.scim.as_ref()?.token));
        let installations = self.file.installations.iter().map(|from| &from.app.key);
        orgs.chain(installations)
            .chain(oktas)
            .chain(targets)
            .filter_map(|reference| reference.parse().ok())
            .collect()
    }

    /// Returns all references to secrets in the configuration file.
    fn references(&self) -> Vec<Reference> {
        let token = self.file.server.operator_token.iter().filter_map(|reference| reference.parse().ok());
        let token =
            token.chain(self.file.server.sign_in.iter().flat_map(beadle_config::SignInFile::references));
        let vendors = self.vendor_references().into_iter();
        let senders = vendors.chain(self.file.sender_references()).chain(token);
        senders.chain(self.file.notify_references()).collect()
    }

    /// Reads the missing secrets from AWS. All reads run at the same time.
    pub(crate) async fn fetch_secrets(&self) {
        self.secrets.fetch(&self.references()).await;
    }

    /// Reads the credentials of vendors from AWS again. Returns whether at least one credential has
    /// changed.
    #[cfg(feature = "aws")]
    pub(crate) async fn fetch_vendor_secrets(&self) -> bool {
        self.secrets.fetch_again(&self.vendor_references()).await
    }

    /// Returns every reference to a secret, and whether the secret has a value.
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

    /// Returns the value of a secret. `what` is the name of the secret in error texts.
    pub(crate) fn secret(&self, reference: &str, what: &str) -> anyhow::Result<SecretString> {
        let reference: Reference = reference.parse().with_context(|| what.to_owned())?;
        self.secrets.current(&reference).with_context(|| what.to_owned())
    }

    /// Returns all valid values of a secret. During a rotation, both the old and the new value are
    /// valid.
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

    /// Returns the private key that a secret contains.
    pub(crate) fn signing_key(&self, reference: &str, what: &str) -> anyhow::Result<SigningKey> {
        let reference: Reference = reference.parse().with_context(|| what.to_owned())?;
        self.secrets.signing_key(&reference).with_context(|| what.to_owned())
    }

    /// Returns the longest window of all guards.
    pub(crate) fn longest_window(&self) -> Duration {
        self.file.longest_window()
    }

    /// Replaces the location of the store, if `place` is set.
    pub(crate) fn stored_at(mut self, place: Option<StoreLocation>) -> Self {
        if let Some(place) = place {
            self.place = place.absolute();
        }
        self
    }

    /// Returns whether the store is a table at AWS. In that case, Beadle assumes that the worker is
    /// a Lambda function, and takes the name of a command's caller from AWS.
    pub(crate) fn is_at_aws(&self) -> bool {
        matches!(self.place, StoreLocation::Table { .. })
    }

    /// Returns the path of the file that contains the store, or `None` if the store is not a file.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        match &self.place {
            StoreLocation::File(path) => Some(self.base.join(path)),
            StoreLocation::Table { .. } | StoreLocation::Postgres(_) => None,
        }
    }
}

/// Reads the file of `users_from`. The file maps accounts of a directory to logins at GitHub. An
/// account is a login, an address or an id.
pub(crate) fn users(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = read_text(path).with_context(|| format!("cannot read {} (users_from)", path.display()))?;
    Ok(Source::new(path, text).parse()?)
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
        assert!(error.contains("`retention.journal` must be at least the longest `guard.window`"), "{error}");
        assert!(error.contains("set `journal = \"172800s\"`"), "{error}");
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
            (org("..", ""), "beadle.toml:2: `org.name` must not be `.` or `..`"),
            (org("a/b", ""), "`org.name` must not have `:`, `/` or a blank"),
            (org("acme", "api = \"api.github.com\""), "hint: write it as `https://api.github.com`"),
            (
                org("acme", "policy_repository = \"..\""),
                "beadle.toml:5: `org.policy_repository` must not be `.` or `..`",
            ),
            (org("acme", &dispatch("repos.created", "cop", "police.yml")), "did you mean `repository`?"),
            (
                org("acme", &dispatch("repository.created", "acme/cop", "police.yml")),
                "hint: write it as `cop`",
            ),
            (
                org("acme", &dispatch("repository.created", "..", "police.yml")),
                "beadle.toml:8: `org.dispatch.repository` must not be",
            ),
            (
                org("acme", &dispatch("repository.created", "cop", "..")),
                "beadle.toml:9: `org.dispatch.workflow` must not be",
            ),
            (
                org("acme", "[org.secrets]\nci = \"hunter2\""),
                "beadle.toml:6: `org.secrets.ci`: a secret must be a reference",
            ),
        ] {
            let error = format!("{:#}", load(&text).unwrap_err());
            assert!(error.contains(said) && !error.contains("hunter2"), "{text}: {error}");
        }
    }

    #[test]
    fn the_templates_and_the_addresses_of_a_channel_are_checked() {
        let channel = |lines: &str| org("acme", &format!("[[notify]]\nname = \"ops\"\n{lines}"));
        let email = "[notify.email]\nserver = \"smtp.example.com\"\n";
        let from = "from = \"beadle@example.com\"\n";
        load(&channel("slack = \"env:S\"\ntitle = \"{{ kind }}: {{ title }}\"\nbody = \"{{ advice }}\""))
            .unwrap();
        load(&channel(&format!("{email}{from}to = [\"ops@example.com\"]"))).unwrap();
        for (lines, said) in [
            (
                "slack = \"env:S\"\ntitle = \"{{ titel }}\"".to_owned(),
                "beadle.toml:8: `notify` has an invalid template: `title`: undefined value",
            ),
            (
                "slack = \"env:S\"\nbody = \"\"\"\none\n{{ problems[0].what }}\"\"\"".to_owned(),
                "beadle.toml:8: `notify` has an invalid template: `body`: undefined value",
            ),
            (
                "slack = \"env:S\"\ntitle = \"{{ titel }}\"".to_owned(),
                "hint: a template can name `kind`, `instance`",
            ),
            (
                format!("{email}{from}to = [\"ops@example.com\", \"Ops <ops@example.com>\"]"),
                "beadle.toml:10: `notify.email.to` must be an address of e-mail, found `Ops <ops@example.com>`",
            ),
            (
                format!("{email}from = \"beadle\"\nto = [\"ops@example.com\"]"),
                "beadle.toml:9: `notify.email.from` must be an address of e-mail, found `beadle`",
            ),
        ] {
            let error = format!("{:#}", load(&channel(&lines)).unwrap_err());
            assert!(error.contains(said), "{lines}: {error}");
        }
    }

    #[test]
    fn the_examples_of_the_repository_pass_the_checks() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for path in [
            "examples/beadle.toml",
            "examples/github-cop/beadle.toml",
            "deploy/github-action/beadle.toml",
            "deploy/sam/layer/beadle/beadle.toml",
        ] {
            let loaded = Config::load(&root.join(path));
            assert!(loaded.is_ok(), "{:#}", loaded.unwrap_err());
        }
    }

    #[test]
    fn an_error_about_a_rule_of_a_vendor_names_the_line_and_the_key() {
        let okta = "[[okta]]\nname = \"corp\"\nurl = \"https://x\"\ntoken = \"env:T\"\n";
        let scim = "[[target]]\nname = \"aws\"\n\
                    scim = { url = \"https://x\", token = \"env:T\", dialect = \"rfc\" }\n";
        for (text, said) in [
            (
                org("acme", "[org.modes]\nteam = \"observe\""),
                ":6: [org.modes] has no aspect `team`\nhint: did you mean `teams`?",
            ),
            (
                org("acme", &format!("{okta}leaving = [\"ACTIV\"]")),
                ":9: `okta.leaving`: Okta has no status `ACTIV`\nhint: did you mean `ACTIVE`?",
            ),
            (
                org("acme", &okta.replace("corp", "into")),
                ":6: `okta.name` must not be `into`, which is reserved",
            ),
            (
                org("acme", scim),
                ":7: `target.scim.dialect` must be `aws-identity-center` or `rfc7644`, found `rfc`",
            ),
        ] {
            let error = format!("{:#}", load(&text).unwrap_err());
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
