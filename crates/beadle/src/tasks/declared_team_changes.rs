//! Looks for changes of the teams and members that a policy declares. Also starts the sweeps of the
//! teams.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use beadle_engine::{BackgroundTask, Failure, Key, Lane, Mark, Metadata, Note, Runs, TaskStatus, Time};
use beadle_groups::sources::FileTeam;
use beadle_hooks::okta::WHOLE;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::sweep_summary_log::ended;
use super::{LOCAL, LOOK};
use crate::app::groups::directories_and_targets::TeamSource;
use crate::app::service::Service;
use crate::app::service::last_sweep_generation::LastSweep;

/// The time between two sweeps of the teams.
const SWEEP: Duration = Duration::from_secs(24 * 3600);

/// The task for one file of a policy that declares groups of a target.
pub(super) struct DeclaredTeamChanges {
    pub(super) service: Arc<Service>,
    /// The name of the source.
    pub(super) name: String,
    pub(super) of: TeamSource,
    /// The teams that this process found at its last look. This list is necessary because another
    /// process might mark a changed team before this process uses the new file. In this case, this
    /// process might work on the marked team with the old file.
    pub(super) seen: Mutex<Option<SeenTeams>>,
}

/// Maps the id of each team to the digest that the team had when Beadle last read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SeenTeams(BTreeMap<String, String>);

impl Metadata for SeenTeams {
    const KIND: &'static str = "team-file";
}

impl SeenTeams {
    fn of(teams: &[FileTeam]) -> Self {
        let digest = |team: &FileTeam| {
            let hash = Sha256::digest(format!("{team:?}"));
            hash.iter().take(8).fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        Self(teams.iter().map(|team| (team.id.clone(), digest(team))).collect())
    }

    /// Returns the ids of the teams that have changed since at least one of the looks in `before`.
    /// `before` contains the digests from two reads: the last read of all processes, and the last
    /// read of this process.
    fn changed_since<'a>(&self, before: impl IntoIterator<Item = &'a Self>) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for before in before {
            let ids = self.0.keys().chain(before.0.keys());
            changed.extend(ids.filter(|id| self.0.get(*id) != before.0.get(*id)).cloned());
        }
        changed
    }
}

impl DeclaredTeamChanges {
    /// Marks the changed teams as due. Returns the number of changed teams. The first look marks no
    /// team, because the first sweep marks all teams.
    async fn look(&self, now: Time) -> Result<usize, Failure> {
        let store = self.service.store.as_ref();
        let teams = SeenTeams::of(&self.of.source.teams().await?);
        let note = Note::<SeenTeams>::of(&[self.name.as_str()]);
        let before = note.get(store).await?;
        let own = self.seen.lock().clone();
        let changed = teams.changed_since(before.iter().chain(&own));
        let mark =
            |id: &String| Mark::new(Key::new("group", &self.name, format!("{WHOLE}{id}")), Lane::Event);
        if !changed.is_empty() {
            store.mark_readable(changed.iter().map(mark).collect(), now).await?;
            self.service.bell.notify_one();
        }
        // Beadle stores the marks before the note. If the process is killed in between, the next
        // look marks the teams again.
        if before.as_ref() != Some(&teams) {
            note.put(store, &teams).await?;
        }
        *self.seen.lock() = Some(teams);
        Ok(changed.len())
    }

    /// Starts a sweep if one is due. Returns whether the function started a sweep.
    async fn sweep(&self, now: Time) -> Result<bool, Failure> {
        let store = self.service.store.as_ref();
        let note = LastSweep::note(&self.name);
        let LastSweep { at: last, swept } = note.get(store).await?.unwrap_or_default();
        let generation = self.service.directories.mappings().generation.clone();
        let is_due = last > now || now.since(last) >= SWEEP;
        if !is_due && swept == generation {
            return Ok(false);
        }
        store.forget_holds(&self.name, &generation).await?;
        let mark = Mark::new(Key::new("sweep", &self.name, "groups"), Lane::Sweep);
        store.mark(vec![mark], now).await?;
        note.put(store, &LastSweep { at: now, swept: generation }).await?;
        self.service.bell.notify_one();
        Ok(true)
    }
}

#[async_trait]
impl BackgroundTask for DeclaredTeamChanges {
    fn name(&self) -> String {
        format!("teams in the policy for {}", self.name)
    }

    fn runs(&self) -> Runs {
        Runs::Everywhere
    }

    fn period(&self) -> Duration {
        LOOK
    }

    fn timeout(&self) -> Duration {
        LOCAL
    }

    async fn activate(&self) -> Result<TaskStatus, Failure> {
        let now = self.service.clock().now();
        let changed = self.look(now).await?;
        if self.sweep(now).await? {
            return Ok(TaskStatus::Done("sweep started".into()));
        }
        if changed > 0 {
            return Ok(TaskStatus::Done(format!("changed teams found: {changed}")));
        }
        let store = self.service.store.as_ref();
        let summary =
            beadle_groups::sweep::summarise(store, &self.name, &[self.of.target.as_str()], now).await?;
        Ok(ended(&self.name, summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_a_changed_and_a_removed_team_are_found() {
        let team = |id: &str, member: &str| FileTeam {
            id: id.into(),
            name: id.into(),
            description: None,
            settings: BTreeMap::new(),
            members: BTreeMap::from([(member.to_owned(), None)]),
        };
        let before = SeenTeams::of(&[team("a", "ada"), team("b", "bob"), team("c", "carl")]);
        let now = SeenTeams::of(&[team("a", "ada"), team("b", "bea"), team("d", "dan")]);
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(now.changed_since([&before]), ids(&["b", "c", "d"]));
        assert!(now.changed_since([&now]).is_empty() && now.changed_since([]).is_empty());
        // Another process has recorded the new teams, but this process still used the old teams.
        assert_eq!(now.changed_since([&now, &before]), ids(&["b", "c", "d"]));
    }
}
