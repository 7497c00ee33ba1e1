//! Finds out who asked for the writes in the journal. Finds the authors of the policies, and the
//! policy lines that last declared the removed entries. Beadle reads these facts only when a person
//! looks at a write.

use std::sync::Arc;

use beadle_engine::guard::is_undo;
use beadle_engine::{Detail, Entry, Key, Store, StoreError};
use beadle_repositories::controls::PastDeclarations;
use beadle_repositories::policy::absent_entry;

use crate::app::policy::generations::PoliciesInForce;
use crate::journal::attribution::Attribution;

/// Finds the policies behind writes. Reads each part of the store only once.
pub(crate) struct Attributions {
    policies: PoliciesInForce,
    past: PastDeclarations,
}

impl Attributions {
    /// Creates a search in a store.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self { policies: PoliciesInForce::new(store), past: PastDeclarations::new(store) }
    }

    /// Returns what Beadle knows about the policies behind the write of an intent. The result is
    /// empty if the entry is not an intent, or if no policy asked for the write.
    pub(crate) async fn of(&mut self, intent: &Entry) -> Result<Attribution, StoreError> {
        let (Detail::Change(intended), Ok(key)) = (&intent.detail, intent.key.parse::<Key>()) else {
            return Ok(Attribution::default());
        };
        // A target of groups has no policy, even if the target and an organisation have the same
        // name.
        let has_policy = matches!(key.kind(), "repository" | "organisation");
        if !has_policy || is_undo(&intended.generation) {
            return Ok(Attribution::default());
        }
        let organisation = key.instance();
        let policy = self.policies.find((organisation, &intended.generation), intent.seq).await?;
        let first = match &intended.first_asked {
            Some(first) => self.policies.find((organisation, first), intent.seq).await?,
            None => None,
        };
        let mut found = Attribution { policy, first, ..Attribution::default() };
        let change = &intended.change;
        for field in &change.fields {
            let Some(entry) = absent_entry(&change.aspect, &change.what, field) else { continue };
            if let Some(declared) = self.past.find(&key, intent.at, &entry).await? {
                found.declared.insert(field.name.clone(), declared);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{EntryKind, Listing, Time};
    use serde_json::{Value, json};

    use super::*;
    use crate::app::store;
    use crate::journal::attribution::KnownPolicy;

    fn entry(kind: EntryKind, key: &str, detail: Value) -> Entry {
        Entry {
            seq: 0,
            at: Time(1000),
            kind,
            key: key.to_owned(),
            subject: "acme".to_owned(),
            intent: None,
            trace: None,
            detail: detail.into(),
        }
    }

    #[tokio::test]
    async fn a_write_has_the_authors_of_its_policies() {
        let (_folder, store) = store::temporary().unwrap();
        let policy = |generation: &str, author: &str| {
            let detail = json!({
                "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
                "subject": "Drop a team",
            });
            entry(EntryKind::Policy, "-", detail)
        };
        let change = |generation: &str, first: Option<&str>| {
            let line = json!({ "file": "settings.yml", "line": 6 });
            let field = json!({
                "name": "permission", "before": "push", "after": null, "asked": line, "risk": "removes",
            });
            let mut detail = json!({
                "aspect": "teams", "what": "team ops", "mode": "enforce", "after": [], "write": null,
                "generation": generation, "fields": [field],
            });
            if let Some(first) = first {
                detail["first_asked"] = json!(first);
            }
            detail
        };
        let repository = "repository:acme:1";
        for one in [
            policy("g1", "mona"),
            policy("g2", "zoe"),
            entry(EntryKind::Intent, repository, change("g2", Some("g1"))),
            entry(EntryKind::Intent, repository, change("g2", None)),
            entry(EntryKind::Intent, repository, change("undo of 3", None)),
            entry(EntryKind::Intent, "target-group:acme:1", change("g2", None)),
            entry(EntryKind::Run, repository, json!({ "from": "another version" })),
        ] {
            store.journal(None, vec![one], Time(1000)).await.unwrap();
        }
        let entries = store.entries(Listing { limit: 10, ..Listing::default() }).await.unwrap();
        let mut attributions = Attributions::new(&store);
        let mut found = Vec::new();
        for one in &entries {
            let Attribution { policy, first, declared } = attributions.of(one).await.unwrap();
            assert!(declared.is_empty(), "the store has no record of the repository");
            let author =
                |known: Option<KnownPolicy>| known.map(|known| known.policy.from.author).unwrap_or_default();
            found.push((author(policy), author(first)));
        }
        let pair = |policy: &str, first: &str| (policy.to_owned(), first.to_owned());
        let none = || pair("", "");
        let expected = [none(), none(), pair("zoe", "mona"), pair("zoe", ""), none(), none(), none()];
        assert_eq!(found, expected);
    }
}
