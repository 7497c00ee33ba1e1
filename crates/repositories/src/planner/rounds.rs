//! Makes successive plans of one repository for a preview, and finds the changes that a new policy
//! causes in this repository.

use std::borrow::Cow;
use std::collections::BTreeMap;

use beadle_engine::{Caused, Change, Failure, Instructions, Plan, PlannedValues};
use beadle_github::Repository;

use super::RepositoryPlanner;
use crate::affected::differs_later;
use crate::aspects::Step;
use crate::planner::later::later;
use crate::policy::{Policy, Waiver};
use crate::undo::is_in_aspect;

/// The maximum number of successive plans that a preview makes for one repository.
const ROUNDS: usize = 3;

/// Plans one repository. The writes of the plan can change the values that the policy declares for
/// the repository. The function then also plans the repository in the state after these writes.
/// Without this second plan, the gate would not see the removals of the key's next run.
pub(super) async fn rounds(
    planner: &RepositoryPlanner,
    policy: &Policy,
    repository: &Repository,
) -> Result<Vec<Plan<Box<dyn Step>>>, Failure> {
    let mut plans = Vec::new();
    let mut seen = Cow::Borrowed(repository);
    while plans.len() < ROUNDS {
        let (plan, _) = planner.attempt(policy, &seen).await?;
        let next = later(&seen, &plan.changes, &planner.names).await?;
        plans.push(plan);
        let Some(next) = next else { break };
        let is = planner.standing(policy, &seen).await?;
        let will = planner.standing(policy, &next).await?;
        if !differs_later(policy, (seen.as_ref(), &is), (&next, &will)) {
            break;
        }
        seen = Cow::Owned(next);
    }
    Ok(plans)
}

/// The changes that a new policy causes in one repository.
pub(super) struct Consequences {
    /// All changes, including the changes that wait for the end of a waiver.
    pub(super) plan: Plan<()>,
    /// The changes that Beadle can write after an operator approves `plan`. See
    /// [`Caused::approvable`].
    pub(super) approvable: Vec<Change<()>>,
    /// The changes of `plan` that wait for the end of a waiver. Each key of the map is a text that
    /// contains the waiver's end.
    pub(super) delayed: BTreeMap<String, Plan<()>>,
    /// The number of values that are in the plans of the new policy and also in the plans of the
    /// earlier policy.
    pub(super) drift: usize,
}

impl From<Caused> for Consequences {
    fn from(caused: Caused) -> Self {
        let approvable = caused.approvable();
        Self { plan: caused.plan, approvable, delayed: BTreeMap::new(), drift: caused.drift }
    }
}

impl Consequences {
    /// Compares the successive plans of a new policy with those of the earlier policy. Each
    /// argument is a pair: the plans of the new policy, and the plans of the earlier policy. The
    /// first pair contains the plans with all waivers, and `at_end` contains the plans for the end
    /// of the waivers. If waivers hide nothing, `at_end` is empty. `waivers` contains the waivers
    /// that are in force with the new policy.
    pub(super) fn of<W: Instructions>(
        subject: &str,
        (now, earlier): (&[Plan<W>], &[Plan<W>]),
        (at_end, earlier_at_end): (&[Plan<W>], &[Plan<W>]),
        waivers: &[Waiver],
    ) -> Self {
        let nothing = || Caused { plan: Plan::new(subject), writes: Vec::new(), drift: 0 };
        let caused = caused_by(&[], now, earlier).unwrap_or_else(nothing);
        let mut found = Self::from(caused);
        // A change that the earlier policy makes at the end of the same waivers is drift.
        let Some(later) = caused_by(now, at_end, earlier_at_end) else { return found };
        // A waiver can exempt a whole aspect. If the read of this aspect fails, Beadle does not
        // know which changes the end of the waiver causes.
        for unknown in later.plan.unknowns {
            if !found.plan.unknowns.contains(&unknown) {
                found.plan.unknowns.push(unknown);
            }
        }
        if !later.plan.changes.is_empty() {
            // While a waiver of `archived` is in force, Beadle might skip the repository.
            found.plan.skipped = None;
        }
        // If a waiver ended after the first plans, its exempted changes no longer wait for
        // anything.
        for change in later.plan.changes.iter().filter(|_| !waivers.is_empty()) {
            let plan = found.delayed.entry(end_of(change, waivers)).or_insert_with(|| Plan::new(subject));
            plan.changes.push(Change { after: Vec::new(), ..change.clone() });
        }
        append(&mut found.plan, later.plan.changes);
        found
    }
}

/// Returns a text with the ends of the waivers that a change might wait for.
fn end_of(change: &Change<()>, waivers: &[Waiver]) -> String {
    let is_about = |waiver: &&Waiver| waiver.keys.iter().any(|key| is_in_aspect(key, &change.aspect));
    let mut waivers_of_change: Vec<&Waiver> = waivers.iter().filter(is_about).collect();
    if waivers_of_change.is_empty() {
        // At the end of a waiver, an additional layer might start to apply to the repository. This
        // layer can change any aspect.
        waivers_of_change = waivers.iter().collect();
    }
    waivers_of_change.sort_by_key(|waiver| waiver.until);
    let ends = waivers_of_change.iter().map(|waiver| format!("{} ({})", waiver.until, waiver.place()));
    ends.collect::<Vec<_>>().join(" or ")
}

/// Returns the changes in the successive plans of one policy (`plans`). The result omits the
/// changes in the successive plans of the earlier policy (`earlier`), and the changes in the plans
/// that already count (`counted`). Returns `None` if there are no plans.
fn caused_by<W: Instructions>(counted: &[Plan<W>], plans: &[Plan<W>], earlier: &[Plan<W>]) -> Option<Caused> {
    let (mut known, mut of_both) = (PlannedValues::default(), PlannedValues::default());
    for plan in counted {
        known.learn(plan);
    }
    let mut all: Option<Caused> = None;
    let mut is_same_way = true;
    for (round, plan) in plans.iter().enumerate() {
        // The guard might hold a change in the first plans of the earlier policy. Beadle then might
        // never make the later plans of the earlier policy. So the changes in these later plans
        // count as drift only in two cases: both policies make the same writes first, or the guard
        // can hold no change in the first plans.
        let (may_wait, later) = earlier.split_at_checked(round).unwrap_or((earlier, &[]));
        if let Some(before) = later.first().filter(|_| is_same_way || !may_wait.iter().any(can_be_held)) {
            known.learn(before);
            of_both.learn(before);
        }
        let caused = known.caused(plan);
        // If only `counted` contains a write, the two policies do not both make this write.
        is_same_way = is_same_way && of_both.caused(plan).plan.changes.is_empty();
        known.learn(plan);
        of_both.learn(plan);
        match &mut all {
            None => all = Some(caused),
            // The drift of a later plan does not count, because the first plan already contains the
            // same drift.
            Some(all) => {
                all.writes.extend(caused.writes);
                append(&mut all.plan, caused.plan.changes);
            }
        }
    }
    all
}

/// Returns whether a plan has a change that the guard can hold.
fn can_be_held<W>(plan: &Plan<W>) -> bool {
    plan.changes.iter().any(|change| change.risks().is_guarded() || change.stop.is_some())
}

/// Adds the changes of a later plan.
fn append(all: &mut Plan<()>, later: Vec<Change<()>>) {
    let first = all.changes.len();
    for mut change in later {
        change.after.iter_mut().for_each(|at| *at += first);
        all.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::testing::change;
    use beadle_engine::{Risk, Time, Unknown};

    use super::*;

    fn plan(changes: &[&Change<()>]) -> Plan<()> {
        Plan { changes: changes.iter().map(|change| (*change).clone()).collect(), ..Plan::new("acme/shop") }
    }

    fn shown(plans: &[Plan<()>], earlier: &[Plan<()>]) -> Vec<String> {
        let changes = caused_by(&[], plans, earlier).unwrap().plan.changes.into_iter();
        changes.map(|change| format!("{} {}", change.aspect, change.what)).collect()
    }

    #[test]
    fn what_waits_behind_a_held_write_of_the_policy_before_is_not_drift() {
        let held = change("topics", "gone", &[Risk::Removes]);
        let topic = change("topics", "new", &[Risk::Adds]);
        let team = change("teams", "team core", &[Risk::Removes]);
        let issue = change("settings", "", &[Risk::Changes]);
        let before = [plan(&[&held]), plan(&[&team])];
        // Both policies cause the same changes in the same way.
        assert_eq!(shown(&before, &before), Vec::<String>::new());
        // In the next two cases, no hold delays the new policy. The new policy removes the team
        // immediately, or after a change that the guard does not hold.
        assert_eq!(shown(&[plan(&[&team])], &before), ["teams team core"]);
        let after = [plan(&[&topic]), plan(&[&topic, &team])];
        assert_eq!(shown(&after, &before), ["topics new", "teams team core"]);
        // The guard holds no change of the earlier policy. So the removal in this policy's later
        // plan is drift.
        let before = [plan(&[&topic]), plan(&[&team])];
        let after = [plan(&[&topic, &issue]), plan(&[&team])];
        assert_eq!(shown(&after, &before), ["settings "]);
    }

    #[test]
    fn what_waits_behind_a_held_write_of_the_policy_before_is_not_drift_under_a_waiver_either() {
        let held = change("topics", "gone", &[Risk::Removes]);
        let topic = change("topics", "new", &[Risk::Adds]);
        let team = change("teams", "team core", &[Risk::Removes]);
        let waivers = [waiver("teams", 1000)];
        // Both policies have the waiver. Here, the waiver hides the team in the second plan of each
        // policy.
        let (now, earlier) = ([plan(&[&topic]), plan(&[])], [plan(&[&held]), plan(&[])]);
        let at_end = [plan(&[&topic]), plan(&[&topic, &team])];
        for (earlier_at_end, expected) in [
            // Without an approval of its first plan, the earlier policy never removes the team.
            ([plan(&[&held]), plan(&[&team])], vec!["new", "team core"]),
            ([plan(&[&topic]), plan(&[&team])], vec!["new"]),
        ] {
            let (now, at_end) = ((&now[..], &earlier[..]), (&at_end[..], &earlier_at_end[..]));
            let found = Consequences::of("acme/shop", now, at_end, &waivers);
            let whats: Vec<&str> = found.plan.changes.iter().map(|change| change.what.as_str()).collect();
            assert_eq!(whats, expected);
        }
    }

    #[test]
    fn a_change_counts_even_if_its_waiver_has_ended_since() {
        let team = change("teams", "team core", &[Risk::Removes]);
        let (none, at_end) = ([plan(&[])], [plan(&[&team])]);
        let (now, at_end) = ((&none[..], &none[..]), (&at_end[..], &none[..]));
        let found = Consequences::of("acme/shop", now, at_end, &[]);
        assert_eq!(found.plan.changes, [team]);
        assert!(found.delayed.is_empty(), "the change waits for no waiver any more");
    }

    fn waiver(key: &str, until: i64) -> Waiver {
        Waiver {
            keys: vec![key.to_owned()],
            repositories: vec!["shop".to_owned()],
            until: Time(until),
            reason: "release".to_owned(),
            owner: "mona".to_owned(),
            asked: None,
        }
    }

    #[test]
    fn a_change_waits_for_the_waivers_of_its_aspect_and_an_unread_aspect_is_unknown() {
        let team = change("teams", "team core", &[Risk::Removes]);
        let label = change("labels", "label a", &[Risk::Removes]);
        let topic = change("topics", "old", &[Risk::Removes]);
        let waivers = [waiver("teams[x]", 2000), waiver("teams", 1000), waiver("labels", 3000)];
        let unknown =
            Unknown { aspect: "webhooks".to_owned(), part: None, why: "502".to_owned(), transient: true };
        let now = [plan(&[&topic])];
        let at_end = [Plan { unknowns: vec![unknown.clone()], ..plan(&[&team, &label, &topic]) }];
        let none: [Plan<()>; 0] = [];
        let at_end = (at_end.as_slice(), none.as_slice());
        let found = Consequences::of("acme/shop", (now.as_slice(), none.as_slice()), at_end, &waivers);
        let whats: Vec<&str> = found.plan.changes.iter().map(|change| change.what.as_str()).collect();
        assert_eq!(whats, ["old", "team core", "label a"], "each change once");
        assert_eq!(found.plan.unknowns, [unknown]);
        assert_eq!(found.approvable, [topic], "the next run plans no other change");
        let ends: Vec<(&str, usize)> =
            found.delayed.iter().map(|(end, plan)| (end.as_str(), plan.changes.len())).collect();
        assert_eq!(
            ends,
            [
                ("1970-01-01T00:00:01Z (beadle waive) or 1970-01-01T00:00:02Z (beadle waive)", 1),
                ("1970-01-01T00:00:03Z (beadle waive)", 1),
            ]
        );
    }

    #[test]
    fn a_change_that_the_policy_before_makes_at_the_end_of_the_waiver_too_is_drift() {
        let team = change("teams", "team core", &[Risk::Removes]);
        let other = change("teams", "team ops", &[Risk::Removes]);
        let topic = change("topics", "old", &[Risk::Removes]);
        let waivers = [waiver("teams", 1000)];
        let (none, drift) = ([plan(&[])], [plan(&[&team])]);
        let (now, at_end) = ([plan(&[&topic])], [plan(&[&topic, &team, &other])]);
        // The earlier policy has the same waiver, and removes only one of the teams at the end of
        // the waiver.
        for (earlier, earlier_at_end, expected) in [
            (&none, &drift, vec!["old", "team ops"]),
            (&none, &none, vec!["old", "team core", "team ops"]),
            (&now, &at_end, Vec::new()),
        ] {
            let (now, at_end) =
                ((now.as_slice(), earlier.as_slice()), (at_end.as_slice(), earlier_at_end.as_slice()));
            let found = Consequences::of("acme/shop", now, at_end, &waivers);
            let whats: Vec<&str> = found.plan.changes.iter().map(|change| change.what.as_str()).collect();
            assert_eq!(whats, expected);
            let delayed = found.delayed.values().map(|plan| plan.changes.len()).sum::<usize>();
            assert_eq!(delayed, whats.iter().filter(|what| what.starts_with("team")).count());
        }
    }
}
