//! The contested changes of a key. Beadle writes a contested change again and again, and the key is
//! as declared for a short time after each write. The state of the key keeps the contests, so that
//! an operator also finds the key during this short time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::apply::{Report, Step, StepResult};
use crate::clock::Time;
use crate::contested::HOUR;
use crate::journal::ChangedPart;

/// The maximum number of contests in a state, because a note must stay small.
const CONTESTS: usize = 20;
/// The maximum number of values that one contest names.
const VALUES: usize = 5;

/// A change that Beadle writes again and again, because another writer undoes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contest {
    /// The part that the change is about, with the names of at most 5 values.
    #[serde(flatten)]
    pub part: ChangedPart,
    /// The end of the first run that postponed the change.
    pub since: Time,
    /// The end of the last run that postponed the change.
    pub at: Time,
}

impl Contest {
    fn of(step: &Step, now: Time) -> Self {
        Self { part: ChangedPart::of(&step.change, VALUES), since: now, at: now }
    }

    /// Returns whether the contest is still in the period in which Beadle looks for repeated
    /// writes.
    pub fn is_recent(&self, now: Time) -> bool {
        self.at + HOUR > now
    }

    fn is_about(&self, other: &Self) -> bool {
        (&self.part.aspect, &self.part.what) == (&other.part.aspect, &other.part.what)
    }
}

/// Returns the contests of a key after a run. `before` are the contests before the run. A contest
/// stays for an hour after the last run that postponed its change.
pub(super) fn contests(report: &Report, before: &[Contest], now: Time) -> Vec<Contest> {
    let mut found: Vec<Contest> = Vec::new();
    for step in report.steps.iter().filter(|step| matches!(step.outcome, StepResult::Postponed(_))) {
        let contest = Contest::of(step, now);
        if !found.iter().any(|known| known.is_about(&contest)) {
            found.push(contest);
        }
    }
    for known in before.iter().filter(|known| known.is_recent(now)) {
        // If a stored time is in the future, a wrong clock set it.
        let (since, at) = (known.since.min(now), known.at.min(now));
        match found.iter_mut().find(|contest| contest.is_about(known)) {
            Some(contest) => contest.since = since,
            None => found.push(Contest { since, at, ..known.clone() }),
        }
    }
    found.truncate(CONTESTS);
    found
}

/// Maps each aspect with a held or contested change to the person or program that changed the
/// aspect last. An aspect is missing if no webhook names the writer. `news` are the names from the
/// webhooks that made the run necessary. `before` are the names before the run.
pub(super) fn writers(
    report: &Report,
    contests: &[Contest],
    news: &BTreeMap<String, String>,
    before: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, String> {
    let is_disputed =
        |step: &&Step| matches!(step.outcome, StepResult::Held { .. } | StepResult::Postponed(_));
    let disputed = report.steps.iter().filter(is_disputed).map(|step| &step.change.aspect);
    let aspects: BTreeSet<&String> =
        disputed.chain(contests.iter().map(|contest| &contest.part.aspect)).collect();
    let name = |aspect: &String| news.get(aspect).or_else(|| before?.get(aspect));
    aspects.into_iter().filter_map(|aspect| Some((aspect.clone(), name(aspect)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Risk;
    use crate::testing::change;

    const MINUTE: i64 = 60_000;

    fn report(results: &[(&str, StepResult)]) -> Report {
        let step = |(aspect, outcome): &(&str, StepResult)| Step {
            change: change(aspect, "", &[Risk::Changes]),
            outcome: outcome.clone(),
        };
        Report {
            subject: "acme/shop".into(),
            steps: results.iter().map(step).collect(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        }
    }

    fn postponed() -> StepResult {
        StepResult::Postponed("another writer".into())
    }

    #[test]
    fn a_contest_stays_for_an_hour_after_the_last_run_that_postponed_its_change() {
        let first = contests(&report(&[("settings", postponed())]), &[], Time(0));
        assert_eq!((first[0].since, first[0].at, first[0].part.values.len()), (Time(0), Time(0), 1));
        let repaired = report(&[("settings", StepResult::Written)]);
        let later = Time(59 * MINUTE);
        assert_eq!(contests(&repaired, &first, later), first, "the repair does not end the contest");
        assert_eq!(contests(&report(&[]), &first, later), first);
        assert!(contests(&repaired, &first, Time(60 * MINUTE)).is_empty());
        let again = contests(&report(&[("settings", postponed())]), &first, later);
        assert_eq!((again[0].since, again[0].at), (Time(0), later));
    }

    #[test]
    fn a_contest_is_stored_as_before() {
        let stored =
            r#"{"aspect":"labels","what":"label bug","values":["color"],"more_values":2,"since":7,"at":9}"#;
        let contest: Contest = serde_json::from_str(stored).unwrap();
        assert_eq!((contest.part.value_names().as_str(), contest.at), ("color, 2 more", Time(9)));
        assert_eq!(serde_json::to_string(&contest).unwrap(), stored);
        let short = r#"{"aspect":"labels","what":"","since":7,"at":9}"#;
        let contest: Contest = serde_json::from_str(short).unwrap();
        assert_eq!(serde_json::to_string(&contest).unwrap(), short);
    }

    #[test]
    fn a_contest_of_the_future_begins_now() {
        let first = contests(&report(&[("settings", postponed())]), &[], Time(5 * MINUTE));
        let kept = contests(&report(&[]), &first, Time(MINUTE));
        assert_eq!((kept[0].since, kept[0].at), (Time(MINUTE), Time(MINUTE)));
    }

    #[test]
    fn the_last_known_writer_stays_while_the_change_is_held_or_contested() {
        let held = || StepResult::Held { digest: "d".into(), why: "limit".into() };
        let both = report(&[("teams", held()), ("labels", StepResult::Withheld)]);
        let names = |name: &str| {
            BTreeMap::from([("teams", name), ("labels", name)].map(|(of, by)| (of.to_owned(), by.to_owned())))
        };
        let known = writers(&both, &[], &names("ann"), None);
        assert_eq!(known, BTreeMap::from([("teams".to_owned(), "ann".to_owned())]));
        let none = BTreeMap::new();
        assert_eq!(writers(&both, &[], &none, Some(&known)), known);
        assert_eq!(writers(&both, &[], &names("bob"), Some(&known))["teams"], "bob");
        assert_eq!(writers(&report(&[]), &[], &none, Some(&known)), none);
        let contest = contests(&report(&[("teams", postponed())]), &[], Time(0));
        assert_eq!(writers(&report(&[]), &contest, &none, Some(&known)), known);
    }
}
