//! The approved holds of a generation that an operator approved as a whole.

use beadle_engine::{Hold, Key, Plan, Store, StoreError, StoreRecord, Time};
use futures::future::try_join_all;

use crate::app::gate::held_generation::GenerationApproval;

/// The number of holds that are stored or deleted at the same time.
const BATCH: usize = 500;

/// Stores an approved hold for each change that the guard would check. So exactly these changes
/// pass the guard, and use no room in its window.
pub(in crate::app) async fn let_pass(
    store: &dyn Store,
    plans: &[(Key, Plan<()>)],
    generation: &str,
    approval: &GenerationApproval,
    now: Time,
) -> Result<(), StoreError> {
    let mut holds = Vec::new();
    for (key, plan) in plans {
        let guarded = plan.changes.iter().filter(|change| {
            let risks = change.risks();
            change.mode.allows(&risks) && (risks.is_guarded() || change.stop.is_some())
        });
        holds.extend(guarded.map(|change| Hold {
            digest: change.digest(key),
            key: key.clone(),
            subject: plan.subject.clone(),
            since: now,
            why: format!("approved with the generation {generation}"),
            contested: false,
            approved_by: Some(approval.by.clone()),
            approval_reason: Some(approval.reason.clone()),
            rejected: None,
            spent: false,
            intent: None,
            newer: serde_json::Map::new(),
            generation: generation.to_owned(),
            change: change.clone(),
        }));
    }
    for batch in holds.chunks(BATCH) {
        try_join_all(batch.iter().map(|hold| store.take(StoreRecord::Hold(hold.clone())))).await?;
    }
    Ok(())
}

/// Deletes the approved holds that [`let_pass`] stored, because another process accepted a generation
/// at the same moment. What still needs an approval is held again.
pub(in crate::app) async fn take_back(
    store: &dyn Store,
    plans: &[(Key, Plan<()>)],
) -> Result<(), StoreError> {
    let digests = |(key, plan): &(Key, Plan<()>)| {
        plan.changes.iter().map(|change| change.digest(key)).collect::<Vec<String>>()
    };
    let digests: Vec<String> = plans.iter().flat_map(digests).collect();
    for batch in digests.chunks(BATCH) {
        store.release(batch.to_vec()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_engine::Risk;
    use beadle_engine::testing::change;

    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn approvals_that_were_taken_back_let_nothing_pass() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let changes = vec![change("teams", "team a", &[Risk::Removes])];
        let plan = Plan { changes, ..Plan::new("acme/shop") };
        let plans = [(Key::new("repository", "acme", 1), plan)];
        let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(1) };
        let_pass(store, &plans, "g1", &approval, Time(1)).await.unwrap();
        let approved = store.holds().await.unwrap();
        assert_eq!(approved[0].approved_by.as_deref(), Some("ann"));
        take_back(store, &plans).await.unwrap();
        assert!(store.holds().await.unwrap().is_empty());
    }
}
