//! For the commands, finds the texts of those policy lines that asked for changes.
//!
//! The store has the files of only these policies: the policy in force, the accepted policy, and
//! the newest policy that Beadle has read. So Beadle does not find the texts of lines in older
//! generations.

use std::collections::HashMap;
use std::sync::Arc;

use beadle_engine::{Change, Key, PolicyLocation, Store, StoreError};
use beadle_repositories::policy::{BASE, quoted_line};

use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::policy::store::{self as policy_store, KeptPolicy};
use crate::config::{Config, OrgConfig};
use crate::journal::story::Quotes;

/// The stored policies of one organisation.
struct StoredPolicies {
    file: Arc<OrgConfig>,
    /// The policies that come from a repository.
    kept: Vec<KeptPolicy>,
    /// The accepted policy. It has texts if it comes from a folder.
    accepted: Option<AcceptedPolicy>,
}

/// The name of a file. It consists of the organisation, the generation of the policy, and the path.
type FileName = (String, String, String);

/// Finds the texts of lines. Reads each file only once.
pub(crate) struct PolicyLines {
    store: Arc<dyn Store>,
    orgs: Vec<Arc<OrgConfig>>,
    /// The stored policies, keyed by the name of the organisation. `None` if the configuration has
    /// no organisation of this name.
    policies: HashMap<String, Option<Arc<StoredPolicies>>>,
    /// The texts that were read. `None` if the store does not have the text.
    texts: HashMap<FileName, Option<Arc<str>>>,
}

impl PolicyLines {
    /// Creates a reader for the policies of the configured organisations.
    pub(crate) fn new(store: &Arc<dyn Store>, config: &Config) -> Self {
        let (policies, texts) = (HashMap::new(), HashMap::new());
        Self { store: store.clone(), orgs: config.file.org.clone(), policies, texts }
    }

    /// Returns the texts of the lines that asked for a change. `generation` is the generation of
    /// the policy.
    pub(crate) async fn quotes(
        &mut self,
        (key, generation): (&Key, &str),
        change: &Change<()>,
    ) -> Result<Quotes, StoreError> {
        let mut quotes = Quotes::new();
        // The mappings of a target are not in the policy of an organisation.
        if !matches!(key.kind(), "repository" | "organisation") {
            return Ok(quotes);
        }
        for at in change.fields.iter().filter_map(|field| field.asked.as_ref()) {
            if let Some(text) = self.quote((key.instance(), generation), at).await? {
                quotes.insert(at.clone(), text);
            }
        }
        Ok(quotes)
    }

    /// Returns the text of a line. Returns `None` if the store does not have the text, or if the
    /// line might contain a secret.
    async fn quote(
        &mut self,
        (organisation, generation): (&str, &str),
        at: &PolicyLocation,
    ) -> Result<Option<String>, StoreError> {
        let text = self.text(organisation, generation, &at.file).await?;
        Ok(text.and_then(|text| quoted_line(&text, at.line)))
    }

    async fn text(
        &mut self,
        organisation: &str,
        generation: &str,
        file: &str,
    ) -> Result<Option<Arc<str>>, StoreError> {
        let name = (organisation.to_owned(), generation.to_owned(), file.to_owned());
        if let Some(text) = self.texts.get(&name) {
            return Ok(text.clone());
        }
        let text = match self.policies(organisation).await? {
            Some(policies) => policies.text(self.store.as_ref(), generation, file).await?,
            None => None,
        };
        let text: Option<Arc<str>> = text.map(Arc::from);
        self.texts.insert(name, text.clone());
        Ok(text)
    }

    async fn policies(&mut self, organisation: &str) -> Result<Option<Arc<StoredPolicies>>, StoreError> {
        if let Some(known) = self.policies.get(organisation) {
            return Ok(known.clone());
        }
        let found = match self.orgs.iter().find(|file| file.name == organisation) {
            Some(file) => Some(Arc::new(StoredPolicies::read(self.store.as_ref(), file.clone()).await?)),
            None => None,
        };
        self.policies.insert(organisation.to_owned(), found.clone());
        Ok(found)
    }
}

impl StoredPolicies {
    async fn read(store: &dyn Store, file: Arc<OrgConfig>) -> Result<Self, StoreError> {
        let accepted = match AcceptedPolicy::of(store, &file).await {
            // A list for people must not fail because a newer version stored the accepted policy.
            Err(StoreError::Newer { .. }) => None,
            accepted => accepted?,
        };
        let kept = policy_store::all(store, &file.name).await?;
        Ok(Self { file, kept, accepted })
    }

    /// Returns the text of a file of a generation, if the store has the text.
    async fn text(
        &self,
        store: &dyn Store,
        generation: &str,
        file: &str,
    ) -> Result<Option<String>, StoreError> {
        if let Some(kept) = self.kept.iter().find(|kept| kept.generation() == generation) {
            return match blob(kept, file) {
                Some(blob) => policy_store::text(store, &self.file.name, blob).await,
                None => Ok(None),
            };
        }
        match self.accepted.as_ref().filter(|accepted| accepted.generation == generation) {
            Some(accepted) => accepted.text(store, &self.file, file).await,
            None => Ok(None),
        }
    }
}

/// Returns the content id of a file of a policy.
fn blob<'a>(kept: &'a KeptPolicy, file: &str) -> Option<&'a String> {
    match (&kept.base, file.strip_prefix(BASE)) {
        (Some(base), Some(file)) => base.files.get(file),
        _ => kept.own.files.get(file),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use beadle_engine::{Risk, Time, testing};
    use beadle_github::Commit;
    use beadle_repositories::Policy;
    use beadle_repositories::policy::PolicyOrigin;

    use super::*;
    use crate::app::store;

    const SETTINGS: &str = "repository:
  has_wiki: false # by <mona>
labels:
  - { name: bug, color: \"00ff00\" } # secret: hunter2
";

    fn config() -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("beadle.toml");
        std::fs::write(&file, "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n").unwrap();
        Config::load(&file).unwrap()
    }

    fn files(settings: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("settings.yml".to_owned(), settings.to_owned())])
    }

    fn at(file: &str, line: u32) -> PolicyLocation {
        PolicyLocation { file: file.into(), line }
    }

    fn origin(repository: &str, digit: &str) -> PolicyOrigin {
        let commit = Commit {
            id: digit.repeat(40),
            author: "ann".into(),
            logins: Vec::new(),
            subject: "Change it".into(),
        };
        PolicyOrigin { repository: repository.into(), path: String::new(), commit }
    }

    #[tokio::test]
    async fn a_line_of_the_policy_in_force_has_its_text_and_an_older_one_has_none() {
        let (_folder, store) = store::temporary().unwrap();
        let files = BTreeMap::from([
            ("settings.yml".to_owned(), SETTINGS.to_owned()),
            ("base/settings.yml".to_owned(), "repository: { has_issues: true }\n".to_owned()),
        ]);
        let base = Some(origin("shared/rules", "b"));
        let policy = Policy::on_base(files, "admin", origin("acme/admin", "a"), base).unwrap();
        policy_store::accept(store.as_ref(), "acme", &policy, Time(1)).await.unwrap();
        let mut lines = PolicyLines::new(&store, &config());
        let (generation, older) = (policy.generation.as_str(), "c".repeat(12));
        for (organisation, generation, at, expected) in [
            ("acme", generation, at("settings.yml", 2), Some("has_wiki: false")),
            ("acme", generation, at("base/settings.yml", 1), Some("repository: { has_issues: true }")),
            ("acme", generation, at("settings.yml", 4), None),
            ("acme", generation, at("settings.yml", 99), None),
            ("acme", generation, at("repos/shop.yml", 1), None),
            ("acme", older.as_str(), at("settings.yml", 2), None),
            ("labs", generation, at("settings.yml", 2), None),
        ] {
            let quote = lines.quote((organisation, generation), &at).await.unwrap();
            assert_eq!(quote.as_deref(), expected, "{organisation} {generation} {at}");
        }
    }

    #[tokio::test]
    async fn a_change_has_the_texts_of_its_lines_if_the_policy_is_in_a_folder_too() {
        let (_folder, store) = store::temporary().unwrap();
        let config = config();
        let policy = Policy::from_sources(files(SETTINGS), "admin", Path::new("p")).unwrap();
        let file = config.orgs(Some("acme")).unwrap()[0].clone();
        AcceptedPolicy::remember(store.as_ref(), &file, &policy, false).await.unwrap();
        let mut change = testing::change("settings", "", &[Risk::Changes, Risk::Changes]);
        change.fields[0].asked = Some(at("settings.yml", 2));
        change.fields[1].asked = Some(at("settings.yml", 4));
        let mut lines = PolicyLines::new(&store, &config);
        let own = Key::new("repository", "acme", 1);
        let found = lines.quotes((&own, &policy.generation), &change).await.unwrap();
        let expected = (at("settings.yml", 2), "has_wiki: false".to_owned());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [expected]);
        let of_target = Key::new("target-group", "acme", 1);
        assert!(lines.quotes((&of_target, &policy.generation), &change).await.unwrap().is_empty());
        // A newer version stored the accepted policy in another form.
        let (_other, newer) = store::temporary().unwrap();
        newer.put("accepted-policy:acme", r#"{"generations":["g9"]}"#).await.unwrap();
        let mut lines = PolicyLines::new(&newer, &config);
        assert!(lines.quotes((&own, &policy.generation), &change).await.unwrap().is_empty());
    }
}
