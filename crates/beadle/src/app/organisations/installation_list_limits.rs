//! The limits for the installations of the App. Anybody can install a public App, so strangers can
//! make the list of the installations long.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use beadle_config::{InstallationState, Installed};
use beadle_engine::Time;
use beadle_github::Installation;

/// The maximum number of stored installations of strangers. A stranger is an organisation that has
/// no `[[org]]` and matches no pattern. The store keeps all installations in one item of a table,
/// and a DynamoDB item can contain at most 400 KB.
const STRANGERS: usize = 100;

/// The maximum number of stored installations that have ended.
const ENDED: usize = 100;

/// The maximum number of missing installations that one look checks at GitHub. Later looks check
/// the remaining missing installations.
pub(crate) const ASKED: usize = 100;

/// If reading the list takes several requests, each request except the first one adds this time to
/// the wait before the next read. So a long list uses only a part of the App's hourly limit.
const PER_REQUEST: Duration = Duration::from_secs(6);

/// Returns the listed installations that Beadle considers: the wanted installations, the stored
/// installations, and some of the other installations. The result always contains the stored
/// installations, so that the stored list does not change.
pub(crate) fn considered(
    mut listed: Vec<Installation>,
    before: &[Installed],
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<Installation> {
    let known: BTreeSet<u64> = before.iter().map(|one| one.organisation).collect();
    let stored = before.iter().filter(|one| !is_wanted(&one.login)).count();
    let mut room = STRANGERS.saturating_sub(stored);
    listed.retain(|one| {
        if known.contains(&one.organisation) || is_wanted(&one.login) {
            return true;
        }
        let has_room = room > 0;
        room = room.saturating_sub(1);
        has_room
    });
    listed
}

/// Returns the installations that the store keeps. The store keeps an ended installation only if
/// both of these are true: its organisation is wanted, and fewer than [`ENDED`] such installations
/// ended later.
pub(crate) fn kept(mut all: Vec<Installed>, is_wanted: impl Fn(&str) -> bool) -> Vec<Installed> {
    let has_ended = |one: &Installed| one.state == InstallationState::Uninstalled;
    all.retain(|one| !has_ended(one) || is_wanted(&one.login));
    all.sort_by_key(|one| (has_ended(one), Reverse(one.since)));
    let ended = all.iter().filter(|one| has_ended(one)).count();
    all.truncate(all.len() - ended.saturating_sub(ENDED));
    all
}

/// The time at which Beadle last listed the installations.
#[derive(Debug, Default)]
pub(crate) struct ListPace {
    /// The time at which Beadle last read the list, and the number of requests for this read.
    last: Option<(Time, u32)>,
}

impl ListPace {
    /// Returns whether the installations can be listed again at this time.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        let Some((at, requests)) = self.last else { return true };
        // The list is also due if the clock was set back.
        now < at || now.since(at) >= PER_REQUEST * requests.saturating_sub(1)
    }

    /// Records that Beadle read the list with this number of requests.
    pub(crate) fn listed(&mut self, now: Time, requests: u32) {
        self.last = Some((now, requests));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(organisation: u64, login: &str) -> Installation {
        Installation { id: organisation + 1000, organisation, login: login.into(), is_suspended: false }
    }

    fn installed(organisation: u64, login: &str, state: InstallationState, since: i64) -> Installed {
        let installation = organisation + 1000;
        Installed { login: login.into(), organisation, installation, state, since: Time(since) }
    }

    fn is_wanted(login: &str) -> bool {
        login.starts_with("acme")
    }

    #[test]
    fn a_flood_of_strangers_does_not_grow_the_stored_list() {
        let strangers = (1..=5000).map(|id| listed(id, &format!("stranger-{id}")));
        let all: Vec<Installation> = strangers.chain([listed(9000, "acme-labs")]).collect();
        let first = considered(all.clone(), &[], is_wanted);
        assert_eq!(first.len(), STRANGERS + 1);
        assert_eq!(first.last().unwrap().login, "acme-labs");
        let stored: Vec<Installed> = first
            .iter()
            .map(|one| installed(one.organisation, &one.login, InstallationState::Active, 1))
            .collect();
        // The order of GitHub's list does not matter for the stored installations.
        let again = considered(all.iter().rev().cloned().collect(), &stored, is_wanted);
        let ids = |list: &[Installation]| list.iter().map(|one| one.organisation).collect::<BTreeSet<_>>();
        assert_eq!(ids(&again), ids(&first));
        // If a pattern allows an organisation, Beadle considers the organisation even if the store
        // contains many strangers.
        let more: Vec<Installation> = all.into_iter().chain([listed(9001, "acme-games")]).collect();
        assert_eq!(considered(more, &stored, is_wanted).len(), STRANGERS + 2);
    }

    #[test]
    fn of_the_ended_installations_only_the_newest_wanted_ones_stay() {
        use InstallationState::{Active, Suspended, Uninstalled};
        let ended =
            (0..150).map(|at| installed(100 + at, "acme-old", Uninstalled, i64::try_from(at).unwrap()));
        let others = [
            installed(1, "stranger", Active, 0),
            installed(2, "stranger-2", Uninstalled, 500),
            installed(3, "acme", Suspended, 0),
        ];
        let kept = kept(others.into_iter().chain(ended).collect(), is_wanted);
        assert_eq!(kept.len(), ENDED + 2);
        let has = |id: u64| kept.iter().any(|one| one.organisation == id);
        assert!(has(1) && has(3) && !has(2), "an active or suspended installation stays");
        assert!(has(249) && has(150) && !has(149), "the installations that ended last stay");
    }

    #[test]
    fn a_long_list_is_read_less_often() {
        let mut pace = ListPace::default();
        assert!(pace.is_due(Time(0)));
        pace.listed(Time(1_000_000), 1);
        assert!(pace.is_due(Time(1_000_000)), "a list of one page is read at each event");
        pace.listed(Time(1_000_000), 101);
        for (now, is_due) in [(1_000_000, false), (1_599_999, false), (1_600_000, true), (999_999, true)] {
            assert_eq!(pace.is_due(Time(now)), is_due, "{now}");
        }
    }
}
