//! Decides whether a planned generation passes the gate.

use beadle_engine::{GateLimits, GateVerdict, Store, StoreError, Time};

use crate::app::gate::generation_holds;
use crate::app::gate::held_generation::{GenerationApproval, HeldGeneration};

/// The decision of the gate about a planned generation.
pub(in crate::app) enum GateDecision {
    /// The generation passes. If an operator approved exactly this plan, the decision contains the
    /// approval. In this case, the caller also lets the changes of the plan pass the guard.
    Passes(Option<GenerationApproval>),
    /// The gate holds the generation.
    Held(Box<HeldGeneration>),
}

/// Compares the changes of a planned generation with the limits. If the changes exceed a limit and
/// nobody approved exactly this plan, stores the hold in the note with the name `note`. The reason
/// of the hold begins with `cause`. The plan is complete before the caller calls this function. So
/// the function also sees an approval that an operator gave while Beadle made the plan.
pub(in crate::app) async fn decide(
    store: &dyn Store,
    note: &str,
    planned: HeldGeneration,
    (limits, cause): (&GateLimits, &str),
    now: Time,
) -> Result<GateDecision, StoreError> {
    let before = HeldGeneration::find(store, note, &planned.generation).await?;
    let since = before.as_ref().map_or(now, |before| before.since);
    let approval = before.filter(|before| before.digest == planned.digest).and_then(|before| before.approved);
    let verdict = planned.verdict(limits);
    if approval.is_some() || verdict == GateVerdict::Passes {
        return Ok(GateDecision::Passes(approval));
    }
    let held = HeldGeneration { since, why: format!("{cause}{verdict}"), ..planned };
    fail::fail_point!("before-generation-hold", |_| std::process::abort());
    generation_holds::begin(store, note, &held, now).await?;
    fail::fail_point!("after-generation-hold", |_| std::process::abort());
    Ok(GateDecision::Held(Box::new(held)))
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Key, Plan, Risk};

    use super::*;
    use crate::app::store;

    /// Returns the generation `g1`, which removes a team from `removes` repositories.
    fn planned(removes: u64) -> HeldGeneration {
        let plan = |n: u64| {
            let changes = vec![change("teams", "team a", &[Risk::Removes])];
            (Key::new("repository", "acme", n), Plan { changes, ..Plan::new(format!("acme/r{n}")) })
        };
        let plans: Vec<(Key, Plan<()>)> = (0..removes).map(plan).collect();
        HeldGeneration::new(("acme", "g1"), &plans, 100, Time(0))
    }

    #[tokio::test]
    async fn a_generation_above_the_limits_passes_only_with_the_approval_of_its_plan() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let limits =
            GateLimits { removes: 2, weakens: 0, exposes: 0, creates: 0, percent: 0, repositories: 99 };
        let decide = async |removes: u64, now: i64| {
            let limits = (&limits, "the target is new: ");
            decide(store, "acme", planned(removes), limits, Time(now)).await.unwrap()
        };
        assert!(matches!(decide(2, 1).await, GateDecision::Passes(None)));
        assert!(HeldGeneration::find(store, "acme", "g1").await.unwrap().is_none());
        let mut last = None;
        for now in [2, 3] {
            let GateDecision::Held(held) = decide(3, now).await else { panic!("3 exceeds 2") };
            assert!(held.why.starts_with("the target is new: "), "{}", held.why);
            assert_eq!(held.since, Time(2), "the hold keeps its start");
            last = Some(held);
        }
        let approval = GenerationApproval { by: "ann".into(), reason: "read it".into(), at: Time(4) };
        assert!(last.unwrap().approve(store, "acme", approval.clone()).await.unwrap());
        assert!(matches!(decide(3, 5).await, GateDecision::Passes(Some(given)) if given == approval));
        let GateDecision::Held(held) = decide(4, 6).await else { panic!("it is another plan") };
        assert_eq!((held.since, held.approved), (Time(2), None));
    }
}
