//! The rounds of `beadle apply`. The limits and waiting times also apply to the rounds of `beadle
//! sweep`. A write can change which repositories a layer selects. Then the declared values of a
//! repository might change too. So Beadle plans again after the writes. Beadle stops when a plan
//! has only changes that Beadle has already tried to write.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use beadle_engine::{Clock, Key, Plan, Report, StepResult};

use crate::commands::shared::tally::Tally;
use crate::output::plans_and_results::WholePlan;

/// The maximum number of rounds for one organisation or target. Without a maximum, two layers could
/// undo each other's changes without end.
pub(in crate::commands) const MOST: usize = 5;
/// The time between the writes and the next read. Earlier answers of the vendor might not show the
/// writes yet.
const SETTLE: Duration = Duration::from_millis(500);

/// Waits before Beadle reads the written values.
pub(in crate::commands) async fn settle(clock: &Clock) {
    // The simulated GitHub shows a write immediately, and the tests run `apply` hundreds of times.
    // So the tests do not wait.
    fail::fail_point!("settle", |_| ());
    clock.sleep(SETTLE).await;
}

/// The end of one round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// The operator declined the plan.
    Declined,
    /// Beadle wrote changes. Because of these writes, the next plan might have further changes.
    Again,
    /// Beadle had nothing to write.
    Quiet,
}

/// The rounds of `beadle apply` for one organisation or target, with the results of their writes.
#[derive(Default)]
pub(crate) struct Rounds {
    /// The number of rounds that have ended.
    done: usize,
    /// The keys in the plan of the first round.
    keys: Option<BTreeSet<Key>>,
    /// The digest of every change that Beadle tried to write, and whether the write succeeded.
    tried: HashMap<String, bool>,
    tally: Tally,
    /// True if the command line has a name that no repository or group has.
    pub(crate) misnamed: bool,
}

impl Rounds {
    pub(crate) fn is_first(&self) -> bool {
        self.done == 0
    }

    /// Keeps only the keys of the first round in a later plan, because the operator confirmed only
    /// these keys.
    pub(crate) fn keep<W>(&mut self, shown: &mut WholePlan, plans: &mut Vec<Plan<W>>) {
        match &self.keys {
            Some(keys) => shown.keep(plans, keys),
            None => self.keys = Some(shown.keys()),
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns whether the plan has a change that Beadle has not tried to write yet.
    pub(crate) fn has_news(&self, plan: &WholePlan) -> bool {
        self.done < MOST && changes(plan).any(|digest| !self.tried.contains_key(&digest))
    }

    /// Counts those changes in the last plan that Beadle wrote without effect or never tried to
    /// write.
    pub(crate) fn end(&mut self, plan: &WholePlan) {
        self.tally.again = changes(plan).filter(|digest| *self.tried.get(digest).unwrap_or(&true)).count();
        let unknowns = plan.plans.iter().map(|(_, plan)| plan.unknowns.len()).sum::<usize>();
        self.tally.unknown = unknowns + usize::from(plan.short.is_some() || self.misnamed);
    }

    /// Counts the results of a round that has ended. The held and failed changes of this round
    /// replace the held and failed changes of the previous round.
    ///
    /// `is_changed` is true if a plan changed between its confirmation and its write. `asks` is
    /// true if the next round asks for confirmation. In that case, the operator can still confirm
    /// the changed plan.
    pub(crate) fn count(
        &mut self,
        reports: &[(Key, Report)],
        errors: usize,
        is_short: bool,
        is_changed: bool,
        asks: bool,
    ) -> Went {
        let mut now = Tally { failed: errors, unknown: usize::from(is_short), ..Tally::default() };
        for (key, report) in reports {
            now.count(report);
            for step in &report.steps {
                self.tried.insert(step.change.digest(key), step.outcome == StepResult::Written);
            }
        }
        let is_news = now.failed == 0 && if is_changed { asks } else { now.written > 0 };
        self.done += 1;
        self.tally = Tally { written: self.tally.written + now.written, ..now };
        if is_news { Went::Again } else { Went::Quiet }
    }
}

fn changes(plan: &WholePlan) -> impl Iterator<Item = String> {
    plan.plans.iter().flat_map(|(key, plan)| plan.changes.iter().map(|change| change.digest(key)))
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Change, Mode, Plan, Step};
    use serde_json::json;

    use super::*;
    use crate::commands::{FINE, PENDING};
    use crate::output::plans_and_results::PlanScope;

    fn key() -> Key {
        Key::new("repository", "acme", 1)
    }

    fn change(name: &str) -> Change<()> {
        let field = json!({ "name": name, "before": null, "after": true, "asked": null, "risk": "adds" });
        let change = json!({
            "aspect": "settings", "what": "", "fields": [field], "mode": "enforce", "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn plan(names: &[&str]) -> WholePlan {
        let mut plan = Plan::new("acme/widgets");
        plan.changes = names.iter().map(|name| change(name)).collect();
        WholePlan {
            of: "acme".into(),
            scope: PlanScope::Repositories(Mode::Enforce),
            plans: vec![(key(), plan)],
            short: None,
            unmatched: Vec::new(),
            links: None,
        }
    }

    fn wrote(names: &[&str]) -> Vec<(Key, Report)> {
        let step = |name: &&str| Step { change: change(name), outcome: StepResult::Written };
        let report = Report {
            subject: "acme/widgets".into(),
            steps: names.iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        };
        vec![(key(), report)]
    }

    #[test]
    fn rounds_go_on_until_a_plan_is_empty() {
        let mut rounds = Rounds::default();
        assert!(rounds.has_news(&plan(&["property"])));
        assert_eq!(rounds.count(&wrote(&["property"]), 0, false, false, true), Went::Again);
        assert!(rounds.has_news(&plan(&["has_wiki"])), "a layer reaches it now");
        assert_eq!(rounds.count(&wrote(&["has_wiki"]), 0, false, false, true), Went::Again);
        assert!(!rounds.has_news(&plan(&[])));
        rounds.end(&plan(&[]));
        assert_eq!((rounds.tally().written, rounds.tally().code()), (2, FINE));
    }

    #[test]
    fn a_change_that_is_still_planned_after_its_write_is_left() {
        let mut rounds = Rounds::default();
        rounds.count(&wrote(&["property"]), 0, false, false, true);
        assert!(!rounds.has_news(&plan(&["property"])));
        rounds.end(&plan(&["property"]));
        assert_eq!(rounds.tally().code(), PENDING);
    }

    #[test]
    fn two_layers_that_undo_each_other_end() {
        let mut rounds = Rounds::default();
        let names: Vec<String> = (0..10).map(|n| format!("n{n}")).collect();
        let mut count = 0;
        for name in &names {
            if !rounds.has_news(&plan(&[name.as_str()])) {
                rounds.end(&plan(&[name.as_str()]));
                break;
            }
            rounds.count(&wrote(&[name.as_str()]), 0, false, false, true);
            count += 1;
        }
        assert_eq!((count, rounds.tally().code()), (MOST, PENDING));
    }
}
