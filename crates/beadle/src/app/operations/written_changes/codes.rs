//! The codes that an operator uses to specify writes: the digest of a change, the code of an
//! approved group of changes, and the generation of a policy.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::journal::OperatorAction;
use beadle_engine::{Detail, EntryKind, History, Store};

use crate::app::operations::key_names::PAGE;
use crate::app::policy::generations::newest_generations;

/// The number of characters of a digest.
const DIGEST: usize = 12;

/// Returns whether a word is a code. The generation of a policy with a base consists of two codes.
pub(super) fn is_code(word: &str) -> bool {
    let is_digest = |part: &str| part.len() == DIGEST && part.chars().all(|c| c.is_ascii_hexdigit());
    let (first, second) = word.split_once('+').map_or((word, None), |(own, base)| (own, Some(base)));
    is_digest(first) && second.is_none_or(is_digest)
}

/// For each code, returns the digests of its changes. A code is either a digest itself, or the code
/// of a group of changes that an operator approved as a whole.
pub(super) async fn digests(
    store: &dyn Store,
    codes: Vec<String>,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut digests: BTreeMap<String, BTreeSet<String>> =
        codes.into_iter().map(|code| (code.clone(), BTreeSet::from([code]))).collect();
    let mut history = History { kind: Some(EntryKind::Operator), limit: PAGE, ..History::default() };
    loop {
        let entries = store.newest_entries(history.clone()).await?;
        let Some(last) = entries.last() else { return Ok(digests) };
        history.before = Some(last.seq);
        for entry in entries {
            if let Detail::Operator(OperatorAction::Approved { approved, group: Some(group), .. }) =
                entry.detail
                && let Some(own) = digests.get_mut(&group)
            {
                own.insert(approved);
            }
        }
    }
}

/// Returns whether a policy with this generation came into force. The journal does not have the
/// policies of folders.
pub(super) async fn is_policy(store: &dyn Store, generation: &str) -> anyhow::Result<bool> {
    let mut is_known = false;
    newest_generations(store, |_, policy| {
        is_known = policy.in_force == generation;
        is_known
    })
    .await?;
    Ok(is_known)
}
