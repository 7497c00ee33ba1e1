//! The files that the setup writes. The setup writes each file completely or not at all. The setup
//! never overwrites a file.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::Builder;

use crate::commands::init::answers::Answers;

/// The name of the file with the private key of the App.
const KEY: &str = "beadle-app.pem";
/// The name of the file with the webhook secret of the App.
const SECRET: &str = "beadle-webhook.secret";
/// The name of the first file of the policy.
const SETTINGS: &str = "settings.yml";
/// The default address of the REST API. The setup does not write this address to `beadle.toml`.
const DEFAULT_API: &str = "https://api.github.com";
/// The permissions of a file that only its owner can read.
const PRIVATE: u32 = 0o600;
/// The permissions of other files.
const SHARED: u32 = 0o644;

/// The first policy. The policy makes only changes that are safe in every repository.
const FIRST_POLICY: &str = "\
# The declared state of every repository of the organisation. `beadle plan` shows what differs.
# docs/policy/sections.md lists all sections. `beadle schema settings` prints a schema for editors.

repository:
  delete_branch_on_merge: true

# More sections, to begin with one at a time. A plain list is exclusive: Beadle plans to remove what
# the list does not name. `additive` keeps the rest.
#
# teams:
#   additive:
#     - name: platform
#       permission: admin
#
# branches:
#   - name: default
#     protection:
#       required_pull_request_reviews:
#         required_approving_review_count: 1
";

/// The paths of the files.
pub(super) struct Places {
    config: PathBuf,
    pub(super) key: PathBuf,
    secret: PathBuf,
    pub(super) policy: PathBuf,
}

impl Places {
    /// Returns the paths of the configuration file and of the policy's folder.
    pub(super) fn new(config: &Path, policy: &str) -> Self {
        let parent = config.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new("."));
        Self {
            config: config.to_owned(),
            key: folder.join(KEY),
            secret: folder.join(SECRET),
            policy: folder.join(policy),
        }
    }

    /// Checks that the setup can write the files of a new App. The setup makes this check before it
    /// creates the App, because GitHub shows the private key only once.
    pub(super) fn check_writable(&self) -> anyhow::Result<()> {
        for path in [&self.key, &self.secret] {
            if path.exists() {
                bail!(
                    "{} exists, and `beadle init` overwrites no file\n\
                     hint: to use the App of this key, set `--app-id ID`; to create another App, move the file away",
                    path.display()
                );
            }
        }
        let folder = folder_of(&self.config);
        temporary(folder, PRIVATE).map(drop).with_context(|| format!("cannot write to {}", folder.display()))
    }

    /// Returns whether the policy already has files. The setup keeps existing files.
    pub(super) fn has_policy(&self) -> bool {
        std::fs::read_dir(&self.policy).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Returns whether there is a file with a webhook secret.
    fn has_secret(&self) -> bool {
        self.secret.exists()
    }

    /// Writes the secrets of a new App.
    pub(super) fn write_secrets(
        &self,
        key: &SecretString,
        webhook_secret: Option<&SecretString>,
    ) -> anyhow::Result<()> {
        write_new(&self.key, key.expose_secret(), PRIVATE)?;
        webhook_secret.map_or(Ok(()), |secret| write_new(&self.secret, secret.expose_secret(), PRIVATE))
    }

    /// If the policy has no files, writes the first policy. Then writes the configuration. When the
    /// configuration exists, the setup is complete.
    pub(super) fn write_rest(&self, answers: &Answers, app: u64) -> anyhow::Result<()> {
        if !self.has_policy() {
            std::fs::create_dir_all(&self.policy)
                .with_context(|| format!("cannot create {}", self.policy.display()))?;
            write_new(&self.policy.join(SETTINGS), FIRST_POLICY, SHARED)?;
        }
        write_new(&self.config, &configuration(answers, app, self.has_secret()), SHARED)
    }
}

/// Writes the first policy into a folder that is not the policy's folder. So the command can read
/// this policy before the setup writes it into the policy's folder.
pub(super) fn write_first_policy(folder: &Path) -> anyhow::Result<()> {
    write_new(&folder.join(SETTINGS), FIRST_POLICY, SHARED)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary(folder: &Path, mode: u32) -> std::io::Result<tempfile::NamedTempFile> {
    Builder::new().prefix(".beadle-init-").permissions(Permissions::from_mode(mode)).tempfile_in(folder)
}

/// Writes a file that does not exist yet. The file appears with its whole content, or not at all.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let written = temporary(folder_of(path), mode).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)
    });
    match written {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists, and `beadle init` overwrites no file", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Returns the text of `beadle.toml`.
fn configuration(answers: &Answers, app: u64, has_secret: bool) -> String {
    // A JSON string is also a valid basic string of TOML, with one exception: TOML must escape DEL.
    let text = |value: &str| serde_json::json!(value).to_string().replace('\u{7f}', "\\u007F");
    let api =
        if answers.api == DEFAULT_API { String::new() } else { format!("api = {}\n", text(&answers.api)) };
    let secrets = if has_secret { text(&format!("file:{SECRET}")) } else { String::new() };
    format!(
        "# `beadle init` wrote this file. docs/configuration.md lists all keys, and `beadle example` prints a\n\
         # file with all of them. The files of the references have secrets: keep them out of Git.\n\
         \n\
         [[org]]\n\
         name = {}\n\
         {api}app = {{ id = {app}, key = {} }}\n\
         webhook_secrets = [{secrets}]\n\
         policy = {}\n\
         mode = \"observe\"                    # observe: write nothing. add-only: never remove, weaken or expose. enforce\n",
        text(&answers.org),
        text(&format!("file:{KEY}")),
        text(&answers.policy),
    )
}

#[cfg(test)]
mod tests {
    use beadle_config::{File, Source};

    use super::*;

    fn answers(org: &str, policy: &str) -> Answers {
        Answers {
            org: org.to_owned(),
            api: "https://ghe.example.com/api/v3".to_owned(),
            web: "https://ghe.example.com".to_owned(),
            webhook_url: None,
            app_name: "beadle".to_owned(),
            policy: policy.to_owned(),
        }
    }

    #[test]
    fn no_value_changes_the_structure_of_the_configuration() {
        let hostile = [
            "acme",
            "a\"b",
            "a'b",
            "a\\b",
            "'''",
            "\"\"\"",
            "a\nmode = \"enforce\"",
            "a\r\nb",
            "x\" # y",
            "]]",
            "\u{7f}",
            "\u{0}",
            "\u{1b}[0m",
            "{{ x }}",
            "ä\u{202e}b",
        ];
        for value in hostile {
            let text = configuration(&answers("acme", value), 7, true);
            let file = File::parse(&Source::new(Path::new("beadle.toml"), text.clone()));
            let file = file.unwrap_or_else(|error| panic!("{value:?}: {error}\n{text}"));
            let [org] = file.org.as_slice() else { panic!("{text}") };
            assert_eq!((org.name.as_str(), org.api.as_str()), ("acme", "https://ghe.example.com/api/v3"));
            assert_eq!(
                org.app.as_ref().map(|app| (app.id, app.key.as_str())),
                Some((7, "file:beadle-app.pem"))
            );
            assert_eq!(org.webhook_secrets, ["file:beadle-webhook.secret"]);
            assert_eq!(org.mode, beadle_engine::Mode::Observe);
            // Validation rejects some of these values as names. But a value must never change
            // another key of the file.
            let text = configuration(&answers(value, value), 7, false);
            let table: toml::Table =
                text.parse().unwrap_or_else(|error| panic!("{value:?}: {error}\n{text}"));
            let org = &table["org"].as_array().unwrap()[0];
            assert_eq!((org["name"].as_str(), org["policy"].as_str()), (Some(value), Some(value)), "{text}");
            assert_eq!(org["mode"].as_str(), Some("observe"), "{text}");
            assert_eq!(org.as_table().unwrap().len(), 6, "{text}");
        }
    }

    #[test]
    fn a_new_file_is_private_if_it_must_be_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::new(&folder.path().join("beadle.toml"), "policy");
        let secret = SecretString::from("s3cret");
        places.check_writable().unwrap();
        places.write_secrets(&secret, Some(&secret)).unwrap();
        places.write_rest(&answers("acme", "policy"), 7).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&places.key), mode(&places.secret)), (PRIVATE, PRIVATE));
        let before = std::fs::read_to_string(&places.config).unwrap();
        assert!(!before.contains("s3cret"), "{before}");
        for error in [
            places.check_writable().unwrap_err(),
            places.write_secrets(&SecretString::from("other"), None).unwrap_err(),
            places.write_rest(&answers("other", "policy"), 8).unwrap_err(),
        ] {
            assert!(error.to_string().contains("overwrites no file"), "{error:#}");
        }
        assert_eq!(std::fs::read_to_string(&places.config).unwrap(), before);
        assert_eq!(std::fs::read_to_string(&places.key).unwrap(), "s3cret");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 4, "no temporary file is left: {left:?}");
    }

    #[test]
    fn the_first_policy_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        write_first_policy(folder.path()).unwrap();
        let policy = beadle_repositories::Policy::load(folder.path(), "admin").unwrap();
        assert_eq!(policy.sections().into_iter().collect::<Vec<_>>(), ["repository"]);
        assert!(policy.remarks.is_empty(), "{:?}", policy.remarks);
    }
}
