//! Remembers what the plans of a key could not show. A policy can ask for a change long before a
//! plan shows it. Until then, the aspect might be unknown, a waiver might exempt the value, or
//! Beadle might not be able to make a plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::plan::{ARCHIVED, NOT_FOUND, Plan};

/// A function that returns whether a waiver can hide a change, see [`super::Planner::can_hide`].
pub(super) type CanHide<'a> = &'a (dyn Fn(&str, &str, &str) -> bool + Send + Sync);

/// The name for all aspects of a key.
const ALL: &str = "";
/// The maximum number of names in a note, because a note must stay small.
const MOST: usize = 100;

/// What plans could not show: aspects, and waived keys of the policy. Each entry has the time of
/// the first plan that could not show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Hidden(BTreeMap<String, Time>);

impl Hidden {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what remains hidden if a failure prevented a plan of the key.
    pub(super) fn after_failure(&self, now: Time) -> Self {
        let mut after = self.clone();
        after.0.entry(ALL.to_owned()).or_insert(now);
        after
    }

    /// Returns what is hidden after a plan.
    pub(super) fn after<W>(&self, plan: &Plan<W>, now: Time) -> Self {
        // A policy asks for no change in a repository that the policy excludes.
        let is_hidden = |why: &&String| [ARCHIVED, NOT_FOUND].contains(&why.as_str());
        let skipped = plan.skipped.iter().filter(is_hidden).map(|_| ALL);
        let unknown = plan.unknowns.iter().map(|unknown| unknown.aspect.as_str());
        let waived = plan.waived.iter().map(|waived| waived.key.as_str());
        let names = skipped.chain(unknown).chain(waived);
        let since = |name: &str| self.0.get(name).copied().unwrap_or(now);
        let mut after: BTreeMap<String, Time> = names.map(|name| (name.to_owned(), since(name))).collect();
        if after.len() > MOST {
            after = after.into_values().min().into_iter().map(|since| (ALL.to_owned(), since)).collect();
        }
        Self(after)
    }

    /// Returns since when plans could not show a change. Returns `None` if the plan before this one
    /// would have shown the change.
    pub(super) fn since(&self, aspect: &str, what: &str, can_hide: CanHide<'_>) -> Option<Time> {
        let hides = |name: &str| name == ALL || name == aspect || can_hide(name, aspect, what);
        self.0.iter().filter(|(name, _)| hides(name)).map(|(_, since)| *since).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ARCHIVED, Unknown, Waived};

    fn plan() -> Plan<()> {
        Plan::new("acme/shop")
    }

    fn unknown(aspect: &str) -> Unknown {
        Unknown { aspect: aspect.into(), part: Some("core".into()), why: "502".into(), transient: true }
    }

    fn waived(key: &str) -> Waived {
        Waived {
            key: key.into(),
            until: "2030-01-01T00:00:00Z".into(),
            reason: "release".into(),
            owner: "mona".into(),
            asked: None,
        }
    }

    /// In these tests, a waiver exempts a whole aspect.
    fn can_hide(waived: &str, aspect: &str, _: &str) -> bool {
        waived.strip_prefix("waived ") == Some(aspect)
    }

    #[test]
    fn a_change_can_be_asked_for_since_the_first_plan_that_hid_it() {
        let since = |hidden: &Hidden, aspect: &str| hidden.since(aspect, "team core", &can_hide);
        let one = Hidden::default().after(
            &Plan { unknowns: vec![unknown("teams")], waived: vec![waived("waived labels")], ..plan() },
            Time(1),
        );
        let two = one.after(&Plan { unknowns: vec![unknown("teams"), unknown("labels")], ..plan() }, Time(2));
        for (aspect, first, second) in [
            ("teams", Some(Time(1)), Some(Time(1))),
            ("labels", Some(Time(1)), Some(Time(2))),
            ("topics", None, None),
        ] {
            assert_eq!((since(&one, aspect), since(&two, aspect)), (first, second), "{aspect}");
        }
        assert!(two.after(&plan(), Time(3)).is_empty());
        let skipped = two.after(&Plan { skipped: Some(ARCHIVED.into()), ..plan() }, Time(3));
        assert_eq!(since(&skipped, "topics"), Some(Time(3)));
        let excluded = two.after(&Plan { skipped: Some("excluded".into()), ..plan() }, Time(3));
        assert_eq!(since(&excluded, "topics"), None);
        let failed = skipped.after_failure(Time(4));
        assert_eq!(since(&failed, "topics"), Some(Time(3)));
        assert_eq!(since(&Hidden::default().after_failure(Time(4)), "topics"), Some(Time(4)));
    }

    #[test]
    fn a_note_with_too_many_names_counts_as_hidden_as_a_whole() {
        let waivers = |count: usize| (0..count).map(|n| waived(&format!("labels[{n}]"))).collect::<Vec<_>>();
        let one = Hidden::default().after(&Plan { waived: waivers(1), ..plan() }, Time(1));
        let all = one.after(&Plan { waived: waivers(MOST + 1), ..plan() }, Time(2));
        assert_eq!(all.0, BTreeMap::from([(ALL.to_owned(), Time(1))]));
    }
}
