//! Approves the generations that the gate holds. `beadle approve` and the pages use this module.

use std::collections::BTreeSet;

use anyhow::bail;
use beadle_engine::journal::OperatorAction;
use beadle_engine::{Entry, Key, Store};

use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};

/// Returns whether `name` is the name of this held generation or the code of its plan.
pub(crate) fn is_named(held: &HeldGeneration, name: &str) -> bool {
    held.generation == name || held.digest == name
}

/// Returns an error if several plans wait for an approval. Organisations with the same policy have
/// the same generation, and an operator might have seen only the plan of one organisation. If a
/// service and a command hold the same plan, one approval covers both holds.
pub(crate) fn ambiguity(held: &[&(String, HeldGeneration)]) -> Option<String> {
    let open: Vec<&HeldGeneration> =
        held.iter().map(|(_, held)| held).filter(|held| held.approved.is_none()).collect();
    let plans: BTreeSet<(&str, &str)> =
        open.iter().map(|held| (held.organisation.as_str(), held.digest.as_str())).collect();
    if plans.len() < 2 {
        return None;
    }
    let plans = plans.iter().map(|(organisation, digest)| format!("{organisation} (plan {digest})"));
    let plans = plans.collect::<Vec<_>>().join(", ");
    Some(format!("held for {plans}\nhint: approve each plan by its code, as `beadle holds` shows it"))
}

/// Approves a held generation, and records the approval in the journal. `seen` is the hold that the
/// operator saw. If another operator has already approved the generation, the earlier approval
/// stays, and the function returns the name of that operator. Returns an error if the hold ended,
/// or if its plan has changed.
pub(crate) async fn approve(
    store: &dyn Store,
    (note, seen): (&str, HeldGeneration),
    approval: GenerationApproval,
) -> anyhow::Result<Option<String>> {
    // An approval must not overwrite a hold that began in the meantime. A hold of another commit
    // can belong to another author.
    let is_seen = |held: &HeldGeneration| {
        (&held.digest, &held.generation, &held.commit) == (&seen.digest, &seen.generation, &seen.commit)
    };
    loop {
        let stored = HeldGeneration::note(note).get(store).await?;
        let Some(held) = stored.filter(is_seen) else {
            bail!("the gate does not hold this plan of {} any more", seen.organisation);
        };
        if let Some(before) = &held.approved {
            return Ok(Some(before.by.clone()));
        }
        // Another process can approve or replace the hold at the same moment.
        if held.approve(store, note, approval.clone()).await? {
            break;
        }
    }
    let (organisation, at) = (seen.organisation, approval.at);
    let action = OperatorAction::ApprovedGeneration {
        approved_generation: seen.generation.clone(),
        plan: seen.digest,
        reason: approval.reason,
        by: approval.by,
    };
    let key = Key::new("policy", &organisation, &seen.generation).to_string();
    let entry = Entry::of_operator(action, (&key, &organisation), at);
    store.journal(None, vec![entry], at).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Listing, Time};

    use super::*;

    fn held(organisation: &str, is_approved: bool) -> (String, HeldGeneration) {
        let held = HeldGeneration::new((organisation, "g1"), &[], 1, Time(0));
        let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(0) };
        let digest = format!("plan-of-{organisation}");
        (
            organisation.to_owned(),
            HeldGeneration { digest, approved: is_approved.then_some(approval), ..held },
        )
    }

    #[test]
    fn a_generation_of_several_organisations_is_approved_plan_by_plan() {
        let all = [held("acme", false), held("labs", false), held("other", true)];
        let named = |name: &str| all.iter().filter(|(_, held)| is_named(held, name)).collect::<Vec<_>>();
        let error = ambiguity(&named("g1")).unwrap();
        assert!(
            error.starts_with("held for acme (plan plan-of-acme), labs (plan plan-of-labs)\n"),
            "{error}"
        );
        assert_eq!(named("plan-of-labs").len(), 1);
        assert_eq!(ambiguity(&named("plan-of-labs")), None);
        assert_eq!(ambiguity(&[&all[0], &all[2]]), None, "one of them is approved");
        let by_command = held("acme", false);
        assert_eq!(ambiguity(&[&all[0], &by_command]), None, "a command holds the same plan");
    }

    #[tokio::test]
    async fn of_two_people_who_approve_a_generation_the_first_is_the_approver() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let (store, (note, held)) = (store.as_ref(), held("acme", false));
        let approval = |by: &str| GenerationApproval { by: by.into(), reason: "read it".into(), at: Time(1) };
        HeldGeneration::note(&note).put(store, &held).await.unwrap();
        assert_eq!(approve(store, (&note, held.clone()), approval("ann")).await.unwrap(), None);
        let before = approve(store, (&note, held.clone()), approval("bob")).await.unwrap();
        assert_eq!(before.as_deref(), Some("ann"), "the second one saw the generation without an approval");
        let stored = HeldGeneration::note(&note).get(store).await.unwrap().unwrap();
        assert_eq!(stored.approved.unwrap().by, "ann");
        let entries = store.entries(Listing { limit: 5, ..Listing::default() }).await.unwrap();
        assert_eq!(entries.len(), 1, "{entries:?}");
    }

    #[tokio::test]
    async fn of_two_processes_that_approve_a_generation_one_is_the_approver() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let (store, (note, held)) = (store.as_ref(), held("acme", false));
        let approval = |by: &str| GenerationApproval { by: by.into(), reason: "read it".into(), at: Time(1) };
        HeldGeneration::note(&note).put(store, &held).await.unwrap();
        // Both operators read the hold before one of them stores the approval.
        assert!(held.clone().approve(store, &note, approval("ann")).await.unwrap());
        assert!(!held.clone().approve(store, &note, approval("bob")).await.unwrap());
        let stored = HeldGeneration::note(&note).get(store).await.unwrap().unwrap();
        assert_eq!(stored.approved.unwrap().by, "ann");
        let (one, other) = tokio::join!(
            approve(store, (&note, held.clone()), approval("cyd")),
            approve(store, (&note, held.clone()), approval("dan")),
        );
        assert_eq!([one.unwrap().as_deref(), other.unwrap().as_deref()], [Some("ann"); 2]);
    }

    #[tokio::test]
    async fn an_approval_does_not_bring_back_a_hold_that_ended_or_that_has_another_plan() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let (store, (note, held)) = (store.as_ref(), held("acme", false));
        let approval = || GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(1) };
        assert!(approve(store, (&note, held.clone()), approval()).await.is_err());
        assert_eq!(HeldGeneration::note(&note).get(store).await.unwrap(), None);
        let other = HeldGeneration { digest: "another plan".into(), ..held.clone() };
        HeldGeneration::note(&note).put(store, &other).await.unwrap();
        assert!(approve(store, (&note, held), approval()).await.is_err());
        assert_eq!(HeldGeneration::note(&note).get(store).await.unwrap(), Some(other));
    }
}
