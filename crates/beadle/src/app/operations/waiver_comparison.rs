//! Compares the waivers in force with the waivers that were in force at the last look. So Beadle
//! finds the waivers that ended, that were removed, or that end soon.

use std::time::Duration;

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use beadle_repositories::policy::{Waiver, WaiverRules, WaiverState};
use beadle_repositories::stored_waiver;
use serde::{Deserialize, Serialize};

/// Beadle gives notice of the end of a waiver this long before the end.
pub(crate) const NOTICE: Duration = Duration::from_secs(3 * 24 * 3600);

/// If a waiver is not longer than [`NOTICE`], the notice comes when an eighth of the waiver's
/// length remains. Without this rule, the notice would come when the waiver begins.
const SHARE: u32 = 8;

/// The waivers in force at the last look, for one organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenWaivers {
    waivers: Vec<SeenWaiver>,
}

/// A waiver that was in force at the last look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenWaiver {
    waiver: Waiver,
    /// True if Beadle has given notice of the waiver's end.
    is_noticed: bool,
    /// The time of the first look that saw the waiver in force. `None` in records of older
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

impl SeenWaiver {
    /// Returns the time between the notice of the waiver's end and the end itself.
    fn notice(&self) -> Duration {
        match self.since.map(|since| self.waiver.until.since(since)) {
            Some(length) if length <= NOTICE => length / SHARE,
            _ => NOTICE,
        }
    }
}

impl Metadata for SeenWaivers {
    const KIND: &'static str = "waivers-seen";
}

impl SeenWaivers {
    /// Returns the note of an organisation.
    pub(crate) fn note(organisation: &str) -> Note<Self> {
        Note::of(&[organisation])
    }

    /// Returns the waivers in force.
    pub(crate) fn waivers(&self) -> impl Iterator<Item = &Waiver> {
        self.waivers.iter().map(|seen| &seen.waiver)
    }

    /// Returns the number of waivers in force.
    pub(crate) fn count(&self) -> usize {
        self.waivers.len()
    }

    /// Returns the number of waivers in force that end soon.
    pub(crate) fn ending(&self) -> usize {
        self.waivers.iter().filter(|seen| seen.is_noticed).count()
    }
}

/// The stored data for one look at the waivers of an organisation.
pub(crate) struct KnownWaivers {
    /// The waivers in force at the last look.
    pub(crate) before: SeenWaivers,
    /// The waivers of `beadle waive` that this version can read.
    pub(crate) stored: Vec<Waiver>,
    /// The codes of the waivers of `beadle waive` that this version cannot read.
    unreadable: Vec<String>,
}

impl KnownWaivers {
    /// Reads the data. An unreadable waiver causes no error, so that Beadle can still end the other
    /// waivers.
    pub(crate) async fn read(store: &dyn Store, organisation: &str) -> Result<Self, StoreError> {
        let (stored, unreadable) = stored_waiver(organisation, "").list_readable(store).await?;
        let stored = stored.into_iter().map(|(_, waiver)| waiver).collect();
        let before = SeenWaivers::note(organisation).get(store).await?.unwrap_or_default();
        Ok(Self { before, stored, unreadable })
    }

    /// Compares the present waivers with the waivers that were in force at the last look. The end
    /// of an unreadable waiver is unknown. So if the last look saw this waiver in force, the waiver
    /// stays in force.
    pub(crate) fn look(&self, of_policy: &[Waiver], rules: &WaiverRules, now: Time) -> Look {
        let mut found = look(&self.before, (of_policy, &self.stored), rules, now);
        let (kept, ended): (Vec<Waiver>, Vec<Waiver>) =
            found.ended.into_iter().partition(|waiver| self.unreadable.contains(&waiver.id()));
        let is_kept = |seen: &&SeenWaiver| kept.contains(&seen.waiver);
        found.now.waivers.extend(self.before.waivers.iter().filter(is_kept).cloned());
        Look { ended, ..found }
    }

    /// If at least one waiver is unreadable, returns an error that names each unreadable waiver.
    pub(crate) fn check(&self, organisation: &str) -> Result<(), StoreError> {
        if self.unreadable.is_empty() {
            return Ok(());
        }
        let names = self.unreadable.iter().map(|code| format!("the waiver {code} of {organisation}"));
        let what = names.collect::<Vec<_>>().join(", ");
        Err(StoreError::Newer { doing: "reading the waivers", what })
    }
}

/// The findings of one look at the waivers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The waivers in force now.
    pub(crate) now: SeenWaivers,
    /// The waivers that are not in force any more. Beadle must compare the keys of these waivers
    /// again.
    pub(crate) ended: Vec<Waiver>,
    /// The waivers that end soon, and for which Beadle has not given notice yet.
    pub(crate) near: Vec<Waiver>,
}

/// Compares the present waivers with the waivers that were in force at the last look. `stored`
/// contains the waivers of `beadle waive`. A stored waiver stays in the store until a look has
/// found that the waiver ended. So a look also finds a waiver that began and ended while the
/// service was down.
pub(crate) fn look(
    before: &SeenWaivers,
    (of_policy, stored): (&[Waiver], &[Waiver]),
    rules: &WaiverRules,
    now: Time,
) -> Look {
    let mut seen: Vec<SeenWaiver> = Vec::new();
    for waiver in of_policy.iter().chain(stored).filter(|waiver| waiver.is_in_force(rules, now)) {
        // If the policy and the store waive the same keys, Beadle uses the waiver with the later
        // end.
        match seen.iter_mut().find(|seen| seen.waiver.id() == waiver.id()) {
            Some(other) if other.waiver.until >= waiver.until => {}
            Some(other) => other.waiver = waiver.clone(),
            None => {
                seen.push(SeenWaiver { waiver: waiver.clone(), is_noticed: false, since: Some(now) });
            }
        }
    }
    let mut near = Vec::new();
    for one in &mut seen {
        let known = before.waivers.iter().find(|other| other.waiver.id() == one.waiver.id());
        if let Some(known) = known {
            // A stored time in the future comes from a wrong clock.
            one.since = known.since.map(|since| since.min(now));
        }
        one.is_noticed = one.waiver.until.since(now) <= one.notice();
        let was_noticed = known.is_some_and(|known| known.is_noticed);
        if one.is_noticed && !was_noticed {
            near.push(one.waiver.clone());
        }
    }
    let mut ended: Vec<Waiver> = Vec::new();
    let gone = stored.iter().filter(|waiver| waiver.state(rules, now) == WaiverState::Ended);
    for waiver in before.waivers.iter().map(|other| &other.waiver).chain(gone) {
        let is_same = |other: &Waiver| other.id() == waiver.id();
        if !seen.iter().any(|one| is_same(&one.waiver)) && !ended.iter().any(is_same) {
            ended.push(waiver.clone());
        }
    }
    Look { now: SeenWaivers { waivers: seen }, ended, near }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

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

    fn keys(waivers: &[Waiver]) -> Vec<&str> {
        waivers.iter().flat_map(|waiver| &waiver.keys).map(String::as_str).collect()
    }

    #[test]
    fn each_end_is_found_once_and_again_if_the_clock_jumps_back() {
        let (rules, policy) = (WaiverRules::default(), [waiver("teams", 10 * DAY)]);
        let mut seen = SeenWaivers::default();
        // The service is down between the third and the fourth look, and the clock jumps.
        for (now, ended, near) in [
            (0, vec![], vec![]),
            (6 * DAY, vec![], vec![]),
            (7 * DAY, vec![], vec!["teams"]),
            (300 * DAY, vec!["teams"], vec![]),
            (301 * DAY, vec![], vec![]),
            (DAY, vec![], vec![]),
            (9 * DAY, vec![], vec!["teams"]),
            (9 * DAY, vec![], vec![]),
            (10 * DAY, vec!["teams"], vec![]),
        ] {
            let look = look(&seen, (&policy, &[]), &rules, Time(now));
            assert_eq!((keys(&look.ended), keys(&look.near)), (ended, near), "{now}");
            assert_eq!(look.now.count(), usize::from((0..10 * DAY).contains(&now)), "{now}");
            seen = look.now;
        }
    }

    #[test]
    fn the_notice_of_a_short_waiver_does_not_come_when_it_begins() {
        let (rules, policy) = (WaiverRules::default(), [waiver("teams", 2 * DAY)]);
        let mut seen = SeenWaivers::default();
        let notice = 2 * DAY - DAY / 4;
        for (now, near) in
            [(0, vec![]), (DAY, vec![]), (notice - 1, vec![]), (notice, vec!["teams"]), (notice + 1, vec![])]
        {
            let look = look(&seen, (&policy, &[]), &rules, Time(now));
            assert_eq!(keys(&look.near), near, "{now}");
            assert_eq!(look.now.ending(), usize::from(now >= notice), "{now}");
            seen = look.now;
        }
        // A record of an older version does not contain the start of the waiver.
        let mut older = SeenWaivers { waivers: seen.waivers };
        older.waivers[0].since = None;
        older.waivers[0].is_noticed = false;
        assert_eq!(keys(&look(&older, (&policy, &[]), &rules, Time(DAY)).near), ["teams"]);
    }

    #[tokio::test]
    async fn an_unreadable_waiver_keeps_no_other_waiver_from_its_end() {
        let (_folder, store) = crate::app::store::temporary().unwrap();
        let (store, rules) = (store.as_ref(), WaiverRules::default());
        let (teams, labels) = (waiver("teams", DAY), waiver("labels", 2 * DAY));
        let [of_teams, of_labels] = [&teams, &labels].map(|waiver| stored_waiver("acme", &waiver.id()));
        of_teams.put(store, &teams).await.unwrap();
        of_labels.put(store, &labels).await.unwrap();
        let known = KnownWaivers::read(store, "acme").await.unwrap();
        let seen = known.look(&[], &rules, Time(0)).now;
        assert_eq!((seen.count(), known.check("acme")), (2, Ok(())));
        SeenWaivers::note("acme").put(store, &seen).await.unwrap();
        // Beadle has not looked at the waivers since somebody stored this one.
        store.put(stored_waiver("acme", "c1").name(), "{").await.unwrap();
        store.put(of_labels.name(), r#"{"paths":["labels"]}"#).await.unwrap();
        let known = KnownWaivers::read(store, "acme").await.unwrap();
        let found = known.look(&[], &rules, Time(3 * DAY));
        assert_eq!((keys(&found.ended), found.now.count()), (vec!["teams"], 1));
        let error = known.check("acme").unwrap_err().to_string();
        for code in ["c1", labels.id().as_str()] {
            assert!(error.contains(&format!("the waiver {code} of acme")), "{error}");
        }
        SeenWaivers::note("acme").put(store, &found.now).await.unwrap();
        of_teams.forget(store).await.unwrap();
        let known = KnownWaivers::read(store, "acme").await.unwrap();
        assert!(
            known.look(&[], &rules, Time(4 * DAY)).ended.is_empty(),
            "the waiver of the teams ended once"
        );
        // An operator ends the unreadable waiver.
        of_labels.forget(store).await.unwrap();
        let known = KnownWaivers::read(store, "acme").await.unwrap();
        let found = known.look(&[], &rules, Time(4 * DAY));
        assert_eq!((keys(&found.ended), found.now.count()), (vec!["labels"], 0));
    }

    #[test]
    fn a_removed_waiver_ends_and_an_extended_one_does_not() {
        let rules = WaiverRules::default();
        let both = [waiver("teams", 10 * DAY), waiver("labels", 10 * DAY)];
        let seen = look(&SeenWaivers::default(), (&both, &[]), &rules, Time(0)).now;
        let found = look(&seen, (&[waiver("teams", 20 * DAY)], &[]), &rules, Time(0));
        assert_eq!(keys(&found.ended), ["labels"]);
        let found = look(&seen, (&both, &[]), &WaiverRules { never: vec!["teams".into()], ..rules }, Time(0));
        assert_eq!(keys(&found.ended), ["teams"]);
    }

    #[test]
    fn a_stored_waiver_that_no_look_has_seen_ends_too() {
        let rules = WaiverRules::default();
        let found = look(&SeenWaivers::default(), (&[], &[waiver("teams", DAY)]), &rules, Time(2 * DAY));
        assert_eq!((keys(&found.ended), found.now.count()), (vec!["teams"], 0));
    }

    #[test]
    fn keys_that_two_waivers_exempt_stay_exempt_until_the_later_end() {
        let rules = WaiverRules::default();
        let (policy, stored) = ([waiver("teams", 10 * DAY)], [waiver("teams", DAY)]);
        let seen = look(&SeenWaivers::default(), (&policy, &stored), &rules, Time(0));
        assert_eq!((seen.now.count(), seen.now.ending()), (1, 0));
        let found = look(&seen.now, (&policy, &stored), &rules, Time(2 * DAY));
        assert_eq!((found.ended, found.now.count()), (Vec::new(), 1));
    }
}
