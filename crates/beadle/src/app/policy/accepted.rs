//! The last accepted generation of the policy, with the texts of its files. After a restart, the
//! service continues with this generation until the gate lets another generation pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use beadle_engine::{Metadata, Note, Store, StoreError, Stored};
use beadle_repositories::Policy;
use beadle_repositories::policy::PolicyOrigin;
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::service::last_sweep_generation::modes;
use crate::app::store::text_parts::split;
use crate::config::OrgConfig;

/// The last accepted generation of an organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AcceptedPolicy {
    /// The name of the generation.
    pub(crate) generation: String,
    /// The modes at the time of the acceptance.
    pub(crate) modes: String,
    /// For each file, the codes of the parts of its text. Each part has its own note, because a
    /// note must stay small, and because most files do not change between generations.
    #[serde(deserialize_with = "stored_files")]
    files: BTreeMap<String, Vec<String>>,
    /// The repositories and the folders of the policy. `None` if the policy comes from a folder on
    /// the disk, or if an older version stored the generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// True if a command applied the generation, and no service has used it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) by_command: bool,
}

impl Metadata for AcceptedPolicy {
    const KIND: &'static str = "accepted-policy";
    // An old process must not ignore this note. Otherwise, the process would accept its own
    // generation again, and the fence would never stop the process.
    const IS_NEEDED: bool = true;
}

/// Reads the codes of each file's parts. The first version stored the text of a file in one part,
/// under one code.
fn stored_files<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Codes {
        Parts(Vec<String>),
        Whole(String),
    }
    let codes = |codes: Codes| match codes {
        Codes::Parts(parts) => parts,
        Codes::Whole(code) => vec![code],
    };
    let stored: BTreeMap<String, Codes> = BTreeMap::deserialize(deserializer)?;
    Ok(stored.into_iter().map(|(path, stored)| (path, codes(stored))).collect())
}

/// A part of the text of a file.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PolicyText(String);

impl Metadata for PolicyText {
    const KIND: &'static str = "policy-text";
    const IS_PLAIN: bool = true;
}

impl PolicyText {
    /// Returns the note of a part. With an empty code, returns the prefix of all parts.
    fn note(organisation: &str, code: &str) -> Note<Self> {
        Note::of(&[organisation, code])
    }
}

/// Returns the repositories and the folders of a policy. One commit can contain several policies in
/// different folders. All policies of one commit have the same generation.
fn source(policy: &Policy) -> Option<String> {
    let place = |origin: &PolicyOrigin| format!("{}:{}", origin.repository, origin.path);
    let own = place(policy.origin.as_ref()?);
    Some(policy.base.as_ref().map_or_else(|| own.clone(), |base| format!("{own} {}", place(base))))
}

/// Returns the code for one part of a text. The code is the name of the part in the store.
fn code(text: &str) -> String {
    Sha256::digest(text).iter().take(10).fold(String::new(), |code, byte| format!("{code}{byte:02x}"))
}

/// A generation with stored texts that is not accepted yet.
pub(crate) struct PreparedPolicy {
    accepted: AcceptedPolicy,
    /// The codes of the stored parts that belong to no file of the generation.
    unused: Vec<String>,
}

impl PreparedPolicy {
    /// Records the generation as accepted, if the accepted generation is still the generation of
    /// `before`. Returns whether this call recorded the generation. Without this condition, a
    /// process that was suspended could replace a newer generation.
    pub(crate) async fn accept_after(
        &self,
        store: &dyn Store,
        file: &OrgConfig,
        before: &Stored<AcceptedPolicy>,
    ) -> Result<bool, StoreError> {
        AcceptedPolicy::note(&file.name).replace(store, before, &self.accepted).await
    }

    /// Deletes the texts that belong to no file of the accepted generation. If the deletion fails,
    /// the next generation deletes these texts.
    pub(crate) async fn tidy(self, store: &dyn Store, file: &OrgConfig) {
        for code in &self.unused {
            if let Err(error) = PolicyText::note(&file.name, code).forget(store).await {
                tracing::warn!(organisation = file.name, %error, "unused texts of the policy not deleted");
                return;
            }
        }
    }
}

impl AcceptedPolicy {
    fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// Returns the last accepted generation of an organisation, if there is one.
    pub(crate) async fn of(store: &dyn Store, file: &OrgConfig) -> Result<Option<Self>, StoreError> {
        Self::note(&file.name).get(store).await
    }

    /// Returns the last accepted generation of each of these organisations.
    pub(crate) async fn of_all(
        store: &dyn Store,
        files: &[Arc<OrgConfig>],
    ) -> Result<Vec<Option<Self>>, StoreError> {
        let notes: Vec<Note<Self>> = files.iter().map(|file| Self::note(&file.name)).collect();
        Note::get_all(store, &notes).await
    }

    /// Returns the last accepted generation of an organisation, for
    /// [`PreparedPolicy::accept_after`].
    pub(crate) async fn stored(store: &dyn Store, file: &OrgConfig) -> Result<Stored<Self>, StoreError> {
        Self::note(&file.name).stored(store).await
    }

    /// Returns the name of the last accepted generation of an organisation, if there is one.
    pub(crate) async fn generation(
        store: &dyn Store,
        organisation: &str,
    ) -> Result<Option<String>, StoreError> {
        Ok(Self::note(organisation).get(store).await?.map(|accepted| accepted.generation))
    }

    /// Returns whether this accepted generation is the generation of `policy`.
    pub(crate) fn is(&self, policy: &Policy) -> bool {
        let is_its = self.source.is_none() || self.source == source(policy);
        self.generation == policy.generation && is_its
    }

    /// Returns whether the policy came from a folder on the disk.
    pub(crate) fn is_of_folder(&self) -> bool {
        self.source.is_none()
    }

    /// Deletes the record of the accepted generation. The next call of [`Self::prepare`] finds the
    /// unused texts.
    pub(crate) async fn forget(store: &dyn Store, file: &OrgConfig) -> Result<(), StoreError> {
        Self::note(&file.name).forget(store).await
    }

    /// Returns the codes of a file's parts, joined to one text. The text identifies the content of
    /// the file. Returns `None` if the generation has no such file.
    pub(in crate::app) fn content(&self, path: &str) -> Option<String> {
        self.files.get(path).map(|codes| codes.join(" "))
    }

    /// Returns the text of a file, if the store contains all parts of the text.
    pub(in crate::app) async fn text(
        &self,
        store: &dyn Store,
        file: &OrgConfig,
        path: &str,
    ) -> Result<Option<String>, StoreError> {
        let Some(codes) = self.files.get(path) else { return Ok(None) };
        let mut text = String::new();
        for code in codes {
            let Some(PolicyText(part)) = PolicyText::note(&file.name, code).get(store).await? else {
                return Ok(None);
            };
            text.push_str(&part);
        }
        Ok(Some(text))
    }

    /// Returns the accepted policy with the stored texts.
    pub(crate) async fn policy(&self, store: &dyn Store, file: &OrgConfig) -> anyhow::Result<Policy> {
        let mut texts = BTreeMap::new();
        anyhow::ensure!(!self.files.is_empty(), "the store has no file of {}", self.generation);
        // If Beadle read thousands of notes one by one, the start would take too long.
        let parts = PolicyText::note(&file.name, "").list(store).await?;
        let parts: BTreeMap<String, PolicyText> = parts.into_iter().collect();
        for (path, codes) in &self.files {
            let part = |code: &String| parts.get(code).map(|PolicyText(part)| part.as_str());
            let whole = codes.iter().map(part).collect::<Option<String>>();
            let whole =
                whole.with_context(|| format!("the store has no text of {path} of {}", self.generation))?;
            texts.insert(path.clone(), whole);
        }
        let mut policy = Policy::from_sources(texts, &file.policy_repository, Path::new("the store"))?;
        policy.generation.clone_from(&self.generation);
        Ok(policy)
    }

    /// Stores the texts of a generation, if the store does not contain them yet. Only
    /// [`PreparedPolicy::accept_after`] replaces the accepted generation.
    pub(crate) async fn prepare(
        store: &dyn Store,
        file: &OrgConfig,
        policy: &Policy,
    ) -> Result<PreparedPolicy, StoreError> {
        let texts = PolicyText::note(&file.name, "").list(store).await?;
        let mut unused: BTreeSet<String> = texts.into_iter().map(|(code, _)| code).collect();
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut files = BTreeMap::new();
        // If the policy comes from a repository, `policy/store.rs` stores the files with their
        // commit.
        let sources = policy.sources.iter().filter(|_| policy.origin.is_none());
        for (path, text) in sources {
            let mut codes = Vec::new();
            for part in split(text) {
                let code = code(part);
                if used.insert(code.clone()) && !unused.remove(&code) {
                    PolicyText::note(&file.name, &code).put(store, &PolicyText(part.to_owned())).await?;
                }
                codes.push(code);
            }
            files.insert(path.clone(), codes);
        }
        let generation = policy.generation.clone();
        let (modes, source) = (modes(file), source(policy));
        let accepted = Self { generation, modes, files, source, by_command: false };
        Ok(PreparedPolicy { accepted, unused: unused.into_iter().collect() })
    }

    /// Records that a service uses this generation with the policy `policy`. From now on, only a
    /// service accepts a generation.
    pub(crate) async fn take_over(
        &self,
        store: &dyn Store,
        file: &OrgConfig,
        policy: &Policy,
    ) -> Result<(), StoreError> {
        if self.by_command { Self::remember(store, file, policy, false).await } else { Ok(()) }
    }

    /// Stores a generation as the accepted generation.
    pub(crate) async fn remember(
        store: &dyn Store,
        file: &OrgConfig,
        policy: &Policy,
        by_command: bool,
    ) -> Result<(), StoreError> {
        let mut prepared = Self::prepare(store, file, policy).await?;
        prepared.accepted.by_command = by_command;
        Self::note(&file.name).put(store, &prepared.accepted).await?;
        prepared.tidy(store, file).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use beadle_github::Commit;
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;
    use crate::app::store;
    use crate::app::store::text_parts::PART;

    fn policy(files: &[(&str, &str)]) -> Policy {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap()
    }

    fn organisation() -> OrgConfig {
        toml::from_str("name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n")
            .unwrap()
    }

    #[tokio::test]
    async fn a_suspended_process_does_not_replace_a_newer_generation() {
        let (_folder, store) = store::temporary().unwrap();
        let (store, file) = (store.as_ref(), organisation());
        let of = |value: &str| policy(&[("settings.yml", value)]);
        let first = of("repository: { has_wiki: true }");
        let second = of("repository: { has_wiki: false }");
        let third = of("repository: { has_issues: true }");
        AcceptedPolicy::remember(store, &file, &first, false).await.unwrap();
        // Two processes plan different generations, and one of them is suspended.
        let before = AcceptedPolicy::stored(store, &file).await.unwrap();
        let suspended = AcceptedPolicy::prepare(store, &file, &second).await.unwrap();
        let other = AcceptedPolicy::prepare(store, &file, &third).await.unwrap();
        assert!(other.accept_after(store, &file, &before).await.unwrap());
        assert!(!suspended.accept_after(store, &file, &before).await.unwrap());
        let accepted = AcceptedPolicy::generation(store, &file.name).await.unwrap();
        assert_eq!(accepted, Some(third.generation));
        let other: OrgConfig = OrgConfig { name: "other".into(), ..organisation() };
        let all = AcceptedPolicy::of_all(store, &[Arc::new(other), Arc::new(file)]).await.unwrap();
        assert!(all[0].is_none() && all[1].is_some());
    }

    #[tokio::test]
    async fn a_generation_of_another_version_is_read_or_never_counts_as_missing() {
        let (_folder, store) = store::temporary().unwrap();
        let (store, file) = (store.as_ref(), organisation());
        let own = policy(&[("settings.yml", "repository: { has_wiki: false }")]);
        AcceptedPolicy::remember(store, &file, &own, false).await.unwrap();
        let name = AcceptedPolicy::note(&file.name).name().to_owned();
        let stored = store.get(&name).await.unwrap().unwrap();
        // The first version stored one code for each file, and not a list of codes.
        let mut first: serde_json::Value = serde_json::from_str(&stored).unwrap();
        first["files"]["settings.yml"] = first["files"]["settings.yml"][0].clone();
        store.put(&name, &first.to_string()).await.unwrap();
        let accepted = AcceptedPolicy::of(store, &file).await.unwrap().unwrap();
        assert_eq!(accepted.policy(store, &file).await.unwrap().sources, own.sources);
        // If a newer version stored the generation, Beadle keeps this generation, and never treats
        // it as missing.
        let newer = r#"{"generations":["g9"]}"#;
        store.put(&name, newer).await.unwrap();
        let before = AcceptedPolicy::stored(store, &file).await.map(|stored| stored.value);
        assert!(matches!(before, Err(StoreError::Newer { .. })), "{before:?}");
        assert!(AcceptedPolicy::of(store, &file).await.is_err());
        assert!(AcceptedPolicy::of_all(store, &[Arc::new(organisation())]).await.is_err());
        assert!(AcceptedPolicy::generation(store, &file.name).await.is_err());
        // In the mode `observe`, Beadle forgets the accepted generation.
        AcceptedPolicy::forget(store, &file).await.unwrap();
        assert!(AcceptedPolicy::of(store, &file).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn another_folder_of_the_same_commit_is_not_the_accepted_policy() {
        let (_folder, store) = store::temporary().unwrap();
        let (store, file) = (store.as_ref(), organisation());
        let in_folder = |path: &str| {
            let files = [("settings.yml".to_owned(), "repository: { has_wiki: false }".to_owned())].into();
            let commit = Commit {
                id: "a".repeat(40),
                author: String::new(),
                logins: Vec::new(),
                subject: String::new(),
            };
            let origin = PolicyOrigin { repository: "acme/admin".into(), path: path.into(), commit };
            Policy::from_files(files, "admin", origin).unwrap()
        };
        let (own, other) = (in_folder("own"), in_folder("other"));
        AcceptedPolicy::remember(store, &file, &own, false).await.unwrap();
        let mut accepted = AcceptedPolicy::of(store, &file).await.unwrap().unwrap();
        assert_eq!(own.generation, other.generation);
        assert!(accepted.is(&own) && !accepted.is(&other));
        accepted.source = None;
        assert!(accepted.is(&other), "an older version did not record the folder");
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_policy_is_read_back_and_texts_that_no_file_has_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let file = organisation();
        assert!(AcceptedPolicy::of(&store, &file).await.unwrap().is_none());
        let settings = ("settings.yml", "repository: { has_wiki: false }");
        let long = format!("# {}\nrepository: {{ has_wiki: true }}", "é".repeat(PART));
        let both = policy(&[settings, ("repos/shop.yml", long.as_str()), ("repos/empty.yml", "")]);
        let one = policy(&[settings]);
        for accepted in [&both, &one, &both, &one] {
            AcceptedPolicy::remember(&store, &file, accepted, false).await.unwrap();
            let found = AcceptedPolicy::of(&store, &file).await.unwrap().unwrap();
            assert_eq!((&found.generation, found.modes.as_str()), (&accepted.generation, "enforce"));
            let (path, whole) = accepted.sources.first_key_value().unwrap();
            assert_eq!(found.text(&store, &file, path).await.unwrap().as_ref(), Some(whole));
            assert!(found.content(path).is_some() && found.content("teams.yml").is_none());
            let read = found.policy(&store, &file).await.unwrap();
            assert_eq!(
                (read.generation, read.sources),
                (accepted.generation.clone(), accepted.sources.clone())
            );
            let texts = PolicyText::note("acme", "").list(&store).await.unwrap();
            // The long text has three parts. The empty text has no part.
            assert_eq!(texts.len(), if accepted.sources.len() == 1 { 1 } else { 1 + 3 });
        }
    }
}
