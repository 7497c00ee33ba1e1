//! Reads from the journal which generations of policies came into force.

use std::sync::Arc;

use beadle_engine::journal::PolicyInForce;
use beadle_engine::{Detail, EntryKind, History, Store, StoreError, Time};

use crate::app::operations::key_names::PAGE;
use crate::journal::attribution::KnownPolicy;

/// The maximum number of policies that Beadle reads to find one policy. Nobody waits long for the
/// author of a very old policy.
const MOST: usize = 5_000;

/// Reads the generations that came into force, newest first. Ends as soon as `is_last` returns true
/// for a generation, or if the journal has no further generation. `is_last` also gets the instance
/// of the generation, and the time when it came into force.
pub(crate) async fn newest_generations(
    store: &dyn Store,
    mut is_last: impl FnMut((&str, Time), PolicyInForce) -> bool,
) -> Result<(), StoreError> {
    let mut history = all();
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        history.before = Some(last.seq);
        for entry in entries {
            if let Detail::Policy(policy) = entry.detail
                && is_last((&entry.subject, entry.at), policy)
            {
                return Ok(());
            }
        }
    }
}

/// Returns the search for all entries of the journal about policies.
fn all() -> History {
    History { key: Some("-".to_owned()), kind: Some(EntryKind::Policy), limit: PAGE, ..History::default() }
}

/// Finds policies that came into force. Reads the journal backwards, each entry at most once, and
/// only as far as a search needs.
pub(crate) struct PoliciesInForce {
    store: Arc<dyn Store>,
    /// The policies that were read, each with its organisation. The newest policy comes first.
    found: Vec<(String, KnownPolicy)>,
    /// The search for the next entries. `None` if the search is over.
    next: Option<History>,
}

impl PoliciesInForce {
    /// Creates a search in the journal of a store.
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), found: Vec::new(), next: Some(all()) }
    }

    /// Returns the policy with this generation that came into force before the entry with the
    /// number `before`. Returns `None` if the journal does not have this policy. For example, a
    /// policy in a folder has no entry.
    pub(crate) async fn find(
        &mut self,
        (organisation, generation): (&str, &str),
        before: u64,
    ) -> Result<Option<KnownPolicy>, StoreError> {
        loop {
            let is_it = |(instance, known): &&(String, KnownPolicy)| {
                known.entry < before && instance == organisation && known.policy.in_force == generation
            };
            if let Some((_, known)) = self.found.iter().find(is_it) {
                return Ok(Some(known.clone()));
            }
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// Reads the next entries. Returns false if the search is over.
    async fn read_more(&mut self) -> Result<bool, StoreError> {
        let Some(mut history) = self.next.take() else { return Ok(false) };
        let entries = self.store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(false) };
        history.before = Some(last.seq);
        for entry in entries {
            if let Detail::Policy(policy) = entry.detail {
                self.found.push((entry.subject, KnownPolicy { entry: entry.seq, policy }));
            }
        }
        self.next = (self.found.len() < MOST).then_some(history);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Entry;
    use serde_json::json;

    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn a_policy_is_found_by_its_organisation_and_its_generation() {
        let (_folder, store) = store::temporary().unwrap();
        for (organisation, generation, author) in
            [("acme", "g1", "ann"), ("labs", "g1", "bob"), ("acme", "g2", "zoe"), ("acme", "g1", "mona")]
        {
            let detail = json!({
                "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
                "subject": "Change it",
            });
            let (kind, key, subject) = (EntryKind::Policy, "-".to_owned(), organisation.to_owned());
            let (seq, at, detail) = (0, Time(1), detail.into());
            let entry = Entry { seq, at, kind, key, subject, intent: None, trace: None, detail };
            store.journal(None, vec![entry], Time(1)).await.unwrap();
        }
        let mut policies = PoliciesInForce::new(&store);
        for (organisation, generation, before, expected) in [
            ("acme", "g1", 9, Some("mona")),
            // The same generation came into force twice.
            ("acme", "g1", 4, Some("ann")),
            ("acme", "g2", 9, Some("zoe")),
            ("acme", "g2", 3, None),
            ("labs", "g1", 9, Some("bob")),
            ("labs", "g2", 9, None),
        ] {
            let found = policies.find((organisation, generation), before).await.unwrap();
            let author = found.map(|known| known.policy.from.author);
            assert_eq!(author.as_deref(), expected, "{organisation} {generation} {before}");
        }
    }
}
