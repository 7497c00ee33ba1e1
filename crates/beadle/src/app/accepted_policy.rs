//! The generation of the policy that a service accepted last, with the texts of its files. After a
//! restart, the service continues with this generation until the gate lets another one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use beadle_engine::{Metadata, Note, Store, StoreError};
use beadle_repositories::Policy;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::last_sweep::modes;
use crate::config::OrgConfig;

/// The last accepted generation of an organisation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AcceptedPolicy {
    /// The name of the generation.
    pub(crate) generation: String,
    /// The modes with which the generation was accepted.
    pub(crate) modes: String,
    /// The code of the text of each file. The texts are notes of their own, because a note must
    /// stay small, and because most files do not change.
    files: BTreeMap<String, String>,
}

impl Metadata for AcceptedPolicy {
    const KIND: &'static str = "accepted-policy";
}

/// The text of a file of an accepted policy.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct PolicyText(String);

impl Metadata for PolicyText {
    const KIND: &'static str = "policy-text";
    const IS_PLAIN: bool = true;
}

/// Returns the code under which the text of a file is stored.
fn code(text: &str) -> String {
    Sha256::digest(text).iter().take(10).fold(String::new(), |code, byte| format!("{code}{byte:02x}"))
}

impl AcceptedPolicy {
    fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// Returns the last accepted generation of an organisation, if there is one.
    pub(crate) async fn of(store: &dyn Store, file: &OrgConfig) -> Result<Option<Self>, StoreError> {
        Self::note(&file.name).get(store).await
    }

    /// Forgets which generation was accepted. The next call of [`Self::remember`] deletes the texts.
    pub(crate) async fn forget(store: &dyn Store, file: &OrgConfig) -> Result<(), StoreError> {
        Self::note(&file.name).forget(store).await
    }

    /// Returns the accepted policy with the texts that were stored.
    pub(crate) async fn policy(&self, store: &dyn Store, file: &OrgConfig) -> anyhow::Result<Policy> {
        let mut texts = BTreeMap::new();
        for (path, code) in &self.files {
            let text = Note::<PolicyText>::of(&[&file.name, code]).get(store).await?;
            let PolicyText(text) = text
                .ok_or_else(|| anyhow::anyhow!("the store has no text of {path} of {}", self.generation))?;
            texts.insert(path.clone(), text);
        }
        let policy = Policy::from_sources(texts, &file.policy_repository, Path::new("the store"))?;
        Ok(Policy { generation: self.generation.clone(), ..policy })
    }

    /// Stores a generation as the accepted one. The texts are stored first: if the process is killed
    /// in between, the generation before stays the accepted one.
    pub(crate) async fn remember(
        store: &dyn Store,
        file: &OrgConfig,
        policy: &Policy,
    ) -> Result<(), StoreError> {
        let texts = Note::<PolicyText>::of(&[&file.name, ""]);
        let stored: BTreeSet<String> = texts.list(store).await?.into_iter().map(|(code, _)| code).collect();
        let mut files = BTreeMap::new();
        for (path, text) in &policy.sources {
            let code = code(text);
            if !stored.contains(&code) {
                let note = Note::<PolicyText>::of(&[&file.name, &code]);
                note.put(store, &PolicyText(text.clone())).await?;
            }
            files.insert(path.clone(), code);
        }
        let used: BTreeSet<&String> = files.values().collect();
        let unused: Vec<String> = stored.into_iter().filter(|code| !used.contains(code)).collect();
        let accepted = Self { generation: policy.generation.clone(), modes: modes(file), files };
        Self::note(&file.name).put(store, &accepted).await?;
        for code in &unused {
            Note::<PolicyText>::of(&[&file.name, code]).forget(store).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    fn policy(files: &[(&str, &str)]) -> Policy {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap()
    }

    fn organisation() -> OrgConfig {
        toml::from_str("name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n")
            .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_policy_is_read_back_and_texts_that_no_file_has_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let file = organisation();
        assert!(AcceptedPolicy::of(&store, &file).await.unwrap().is_none());
        let settings = ("settings.yml", "repository: { has_wiki: false }");
        let both = policy(&[settings, ("repos/shop.yml", "repository: { has_wiki: true }")]);
        let one = policy(&[settings]);
        for accepted in [&both, &one, &both, &one] {
            AcceptedPolicy::remember(&store, &file, accepted).await.unwrap();
            let found = AcceptedPolicy::of(&store, &file).await.unwrap().unwrap();
            assert_eq!((&found.generation, found.modes.as_str()), (&accepted.generation, "enforce"));
            let read = found.policy(&store, &file).await.unwrap();
            assert_eq!(
                (read.generation, read.sources),
                (accepted.generation.clone(), accepted.sources.clone())
            );
            let texts = Note::<PolicyText>::of(&["acme", ""]).list(&store).await.unwrap();
            assert_eq!(texts.len(), accepted.sources.len());
        }
    }
}
