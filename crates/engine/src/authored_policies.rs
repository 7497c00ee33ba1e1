//! Finds the writes that a person's policies asked for.

use std::collections::{BTreeSet, HashMap};

use crate::journal::{Detail, Entry, EntryKind, PolicyInForce};
use crate::key::Key;
use crate::store::{History, Store, StoreError};

/// The number of entries that one read of the store returns.
const WINDOW: u32 = 500;
/// The maximum number of policy entries that one search reads.
const MOST: usize = 5_000;

/// The policies that some authors wrote and that came into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthoredPolicies {
    /// The generations that the authors wrote, for each organisation.
    generations: HashMap<String, BTreeSet<String>>,
    /// The number of the newest entry that the search has read.
    newest: u64,
    has_unread: bool,
}

impl AuthoredPolicies {
    /// The maximum number of policy entries in the journal that one search reads.
    pub const LIMIT: usize = MOST;

    /// Reads the policies that came into force since the previous call. The first call reads the
    /// newest policies of the journal. `is_author` returns whether a person is one of the searched
    /// authors. The person can be the author of the policy or of its base.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub async fn read_newer(
        &mut self,
        store: &dyn Store,
        is_author: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<(), StoreError> {
        let (key, kind) = (Some("-".to_owned()), Some(EntryKind::Policy));
        let mut history = History { after: self.newest, key, kind, limit: WINDOW, ..History::default() };
        let mut read = 0;
        while read < MOST {
            let entries = store.newest_entries(history.clone()).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            history.before = Some(last.seq);
            read += entries.len();
            for entry in entries {
                self.newest = self.newest.max(entry.seq);
                if let Detail::Policy(policy) = entry.detail
                    && has_author(&policy, is_author)
                {
                    self.generations.entry(entry.subject).or_default().insert(policy.in_force);
                }
            }
        }
        self.has_unread = true;
        Ok(())
    }

    /// Returns whether a search stopped at its limit. The journal might then contain older policies
    /// that the authors wrote.
    pub fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// Returns the remark about a search that stopped at its limit. The text has no full stop.
    /// `author` describes the author, such as `this author`. The pages and the commands show this
    /// remark.
    pub fn unread_note(author: &str) -> String {
        format!(
            "Beadle searched only the newest {MOST} journal entries about policies for policies of {author}: writes \
             of older policies can be missing"
        )
    }

    /// Returns whether one of the policies asked for the write of an intent. The policy was in
    /// force during the write, or was the first policy that asked for the change.
    pub fn asked_for(&self, intent: &Entry) -> bool {
        let (Detail::Change(intended), Ok(key)) = (&intent.detail, intent.key.parse::<Key>()) else {
            return false;
        };
        let Some(own) = self.generations.get(key.instance()) else { return false };
        own.contains(&intended.generation)
            || intended.first_asked.as_ref().is_some_and(|first| own.contains(first))
    }
}

/// Returns whether one of the searched people wrote the policy or its base.
fn has_author(policy: &PolicyInForce, is_author: &(dyn Fn(&str) -> bool + Send + Sync)) -> bool {
    std::iter::once(&policy.from).chain(&policy.base).any(|from| is_author(&from.author))
}
