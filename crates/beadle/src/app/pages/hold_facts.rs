//! Finds the policies that asked for held changes, for the pages. Reads only the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::guard::is_undo;
use beadle_engine::{Hold, Store, StoreError, first_asking_generations};
use beadle_server::pages::HoldFacts;

use crate::app::policy::generations::PoliciesInForce;

/// Returns the policies that asked for these held changes, keyed by the digests of the changes.
pub(super) async fn known(
    store: &Arc<dyn Store>,
    holds: &[&Hold],
) -> Result<BTreeMap<String, HoldFacts>, StoreError> {
    let first = first_asking_generations(store.as_ref(), holds).await?;
    let mut policies = PoliciesInForce::new(store);
    let mut known = BTreeMap::new();
    for (hold, first_asked) in holds.iter().zip(first) {
        // A target of groups has no policy, even if the target and an organisation have the same
        // name.
        let has_policy = matches!(hold.key.kind(), "repository" | "organisation");
        if !has_policy || is_undo(&hold.generation) {
            continue;
        }
        let organisation = hold.key.instance();
        let policy = policies.find((organisation, &hold.generation), u64::MAX).await?;
        let first = match &first_asked {
            Some(first) => policies.find((organisation, first), u64::MAX).await?,
            None => None,
        };
        let (policy, first) = (policy.map(|known| known.policy), first.map(|known| known.policy));
        let facts = HoldFacts { policy, first_asked, first };
        if facts != HoldFacts::default() {
            known.insert(hold.digest.clone(), facts);
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Entry, EntryKind, Key, Time, first_asked_note, testing};
    use serde_json::json;

    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn a_held_change_has_the_policy_of_its_plan_and_the_policy_that_first_asked_for_it() {
        let (_folder, store) = store::temporary().unwrap();
        for (organisation, generation, author) in
            [("acme", "g1", "mona"), ("labs", "g1", "eve"), ("acme", "g2", "zoe")]
        {
            let detail = json!({
                "in_force": generation, "repository": "acme/admin", "commit": generation, "author": author,
                "subject": "Drop a team",
            });
            let (kind, key, subject) = (EntryKind::Policy, "-".to_owned(), organisation.to_owned());
            let (seq, at, detail) = (0, Time(1), detail.into());
            let entry = Entry { seq, at, kind, key, subject, intent: None, trace: None, detail };
            store.journal(None, vec![entry], Time(1)).await.unwrap();
        }
        let of = |n: u64, generation: &str| Hold { generation: generation.to_owned(), ..testing::hold(n) };
        let asked = |digest: &str, generation: &str| {
            let change = json!({ "generation": generation, "aspect": "teams", "what": "team engineering" });
            json!({ "changes": { digest: change } }).to_string()
        };
        for (n, first) in [(1, "g1"), (2, "g2"), (3, "gone")] {
            let note = first_asked_note(&testing::hold(n).key);
            store.put(&note, &asked(&format!("d{n}"), first)).await.unwrap();
        }
        let group = Hold { key: Key::new("target-group", "acme", 5), ..of(5, "g2") };
        let holds = [of(1, "g2"), of(2, "g2"), of(3, "g2"), of(4, "undo of 7"), group, of(6, "folder")];
        let holds: Vec<&Hold> = holds.iter().collect();
        let found = known(&store, &holds).await.unwrap();
        let found: Vec<(&str, [Option<&str>; 3])> = found
            .iter()
            .map(|(digest, facts)| {
                let HoldFacts { policy, first_asked, first } = facts;
                let policy = policy.as_ref().map(|policy| policy.from.author.as_str());
                let first = first.as_ref().map(|policy| policy.from.author.as_str());
                (digest.as_str(), [policy, first_asked.as_deref(), first])
            })
            .collect();
        let expected = [
            ("d1", [Some("zoe"), Some("g1"), Some("mona")]),
            ("d2", [Some("zoe"), None, None]),
            ("d3", [Some("zoe"), Some("gone"), None]),
        ];
        assert_eq!(found, expected);
    }
}
