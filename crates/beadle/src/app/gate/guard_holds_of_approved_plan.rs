//! The approved holds of a generation. If an operator approved the whole plan of the generation,
//! these holds let the changes of the plan pass the guard.

use std::collections::BTreeSet;

use beadle_engine::{Hold, Key, Plan, Store, StoreError, Time};
use futures::future::try_join_all;

use crate::app::gate::held_generation::GenerationApproval;

/// The number of holds that Beadle stores or deletes at the same time.
const BATCH: usize = 500;
/// The number of keys that Beadle reads at the same time if a hold is unreadable.
const READS: usize = 50;

/// Stores an approved hold for each change that the guard would check. So exactly these changes
/// pass the guard, and the guard's window does not count these changes. A change that an operator
/// rejected stays held, because the approver of a generation does not see the rejection.
pub(in crate::app) async fn let_pass(
    store: &dyn Store,
    plans: &[(Key, Plan<()>)],
    generation: &str,
    approval: &GenerationApproval,
    now: Time,
) -> Result<(), StoreError> {
    check_readable(store, plans).await?;
    let mut holds = Vec::new();
    for (key, plan) in plans {
        let guarded = plan.changes.iter().filter(|change| {
            let risks = change.risks();
            change.mode.allows(&risks) && (risks.is_guarded() || change.stop.is_some())
        });
        holds.extend(guarded.map(|change| Hold {
            why: format!("approved with the generation {generation}"),
            approved_by: Some(approval.by.clone()),
            approval_reason: Some(approval.reason.clone()),
            ..Hold::new(key, &plan.subject, generation, change.clone(), now)
        }));
    }
    for batch in holds.chunks(BATCH) {
        store.let_pass(batch.to_vec()).await?;
    }
    Ok(())
}

/// Deletes the approved holds that [`let_pass`] stored. The deletion is necessary if another
/// process accepted a generation at the same moment. If a change still needs an approval, the guard
/// then holds the change again. A hold stays if an operator rejects its change during this call.
pub(in crate::app) async fn take_back(
    store: &dyn Store,
    plans: &[(Key, Plan<()>)],
) -> Result<(), StoreError> {
    let digests = |(key, plan): &(Key, Plan<()>)| {
        plan.changes.iter().map(|change| change.digest(key)).collect::<Vec<String>>()
    };
    let planned: BTreeSet<String> = plans.iter().flat_map(digests).collect();
    // This version of Beadle can read the holds that it stored itself. An unreadable hold stays,
    // because an operator might have rejected its change.
    let holds = store.all_holds().await?.holds.into_iter();
    let approved = holds.filter(|hold| hold.rejected.is_none() && planned.contains(&hold.digest));
    let approved: Vec<Hold> = approved.collect();
    for batch in approved.chunks(BATCH) {
        store.release(batch.to_vec()).await?;
    }
    Ok(())
}

/// Returns an error if a hold of a planned key is unreadable, because an operator might have
/// rejected the change. An unreadable hold of another key causes no error, so that the hold does
/// not stop the policy of another organisation.
async fn check_readable(store: &dyn Store, plans: &[(Key, Plan<()>)]) -> Result<(), StoreError> {
    if store.all_holds().await?.unreadable.is_empty() {
        return Ok(());
    }
    for batch in plans.chunks(READS) {
        try_join_all(batch.iter().map(|(key, _)| store.holds_of(key))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_engine::guard::Decision;
    use beadle_engine::testing::{change, hold};
    use beadle_engine::{Risk, StoreRecord};

    use super::*;
    use crate::app::store;

    fn plans() -> [(Key, Plan<()>); 1] {
        let changes = vec![change("teams", "team a", &[Risk::Removes])];
        let plan = Plan { changes, ..Plan::new("acme/shop") };
        [(Key::new("repository", "acme", 1), plan)]
    }

    fn approval() -> GenerationApproval {
        GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(1) }
    }

    #[tokio::test]
    async fn the_approval_of_a_generation_ends_no_rejection() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let (plans, approval) = (plans(), approval());
        let_pass(store, &plans, "g1", &approval, Time(1)).await.unwrap();
        let digest = store.holds().await.unwrap().remove(0).digest;
        let reject = Decision::reject("bob", Some("the team stays"));
        store.decide(&digest, &reject, Time(2)).await.unwrap().unwrap();
        let_pass(store, &plans, "g2", &approval, Time(3)).await.unwrap();
        take_back(store, &plans).await.unwrap();
        let holds = store.holds().await.unwrap();
        assert_eq!(holds.len(), 1);
        assert_eq!(holds[0].approved_by, None);
        assert_eq!(holds[0].rejected.as_ref().map(|rejected| rejected.by.as_str()), Some("bob"));
    }

    #[tokio::test]
    async fn an_unreadable_hold_stops_only_the_plans_of_its_own_key() {
        let (folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        store.take(StoreRecord::Hold(hold(7))).await.unwrap();
        let file = rusqlite::Connection::open(folder.path().join("beadle.db")).unwrap();
        file.execute("UPDATE hold SET hold = '{'", []).unwrap();
        let (plans, approval) = (plans(), approval());
        let_pass(store, &plans, "g1", &approval, Time(1)).await.unwrap();
        assert_eq!(store.all_holds().await.unwrap().holds.len(), 1);
        take_back(store, &plans).await.unwrap();
        let [(_, plan)] = plans;
        let own = [(hold(7).key, plan)];
        let refused = let_pass(store, &own, "g1", &approval, Time(1)).await;
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
        take_back(store, &own).await.unwrap();
        let list = store.all_holds().await.unwrap();
        assert_eq!((list.holds.len(), list.unreadable.len()), (0, 1), "the unreadable hold stays");
    }

    #[tokio::test]
    async fn approvals_that_were_taken_back_let_nothing_pass() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let (plans, approval) = (plans(), approval());
        let_pass(store, &plans, "g1", &approval, Time(1)).await.unwrap();
        let approved = store.holds().await.unwrap();
        assert_eq!(approved[0].approved_by.as_deref(), Some("ann"));
        take_back(store, &plans).await.unwrap();
        assert!(store.holds().await.unwrap().is_empty());
    }
}
