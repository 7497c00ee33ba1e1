//! Finds the policies behind the writes of the journal, for the pages.

use std::collections::BTreeMap;

use beadle_engine::{Detail, Entry, Key, StoreError};
use beadle_server::pages::{DeclaredFacts, WriteFacts};

use crate::app::pages::policy_lines::link_at;
use crate::app::policy::attributions::Attributions;
use crate::app::service::Service;
use crate::journal::attribution::Attribution;

/// Returns the policies behind the writes of these entries, keyed by the numbers of the entries.
pub(super) async fn known(
    service: &Service,
    entries: &[Entry],
) -> Result<BTreeMap<u64, WriteFacts>, StoreError> {
    let mut attributions = Attributions::new(&service.store);
    let mut known = BTreeMap::new();
    for entry in entries {
        let (Detail::Change(_), Ok(key)) = (&entry.detail, entry.key.parse::<Key>()) else { continue };
        let Attribution { policy, first, declared } = attributions.of(entry).await?;
        let declared = declared.into_iter().map(|(name, before)| {
            let link = link_at(service, key.instance(), (&before.at, &before.commit));
            (name, DeclaredFacts { path: before.path, at: before.at, commit: before.commit, link })
        });
        let facts = WriteFacts {
            policy: policy.map(|known| known.policy),
            first: first.map(|known| known.policy),
            declared: declared.collect(),
        };
        if facts != WriteFacts::default() {
            known.insert(entry.seq, facts);
        }
    }
    Ok(known)
}
