//! A sweep marks the organisation and all of its repositories as due. After all runs, the sweep
//! summarises the results.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use beadle_engine::guard::RepositoryCount;
use beadle_engine::sweep::{self as engine, Summary};
use beadle_engine::{
    Clock, Failure, Key, KeyScope, KeyState, Lane, Mark, Reconcile, Report, Run, Store, StoreError, Time,
    forget_refusals, read_hint, swept_hint,
};
use beadle_github::Reader;

use crate::controls::record_gone;
use crate::creation::creation_key;
use crate::gone;
use crate::in_force::PolicyHandle;

/// The number of keys that Beadle marks in one transaction.
const BATCH: usize = 500;

/// Runs a `sweep` key. Marks the organisation and its repositories as due.
pub struct Sweep {
    /// Lists the repositories.
    pub reader: Reader,
    /// The store in which the sweep marks the keys.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Clock,
    /// The policy. The sweep reports the parts of the policy that match no repository.
    pub policy: PolicyHandle,
}

#[async_trait]
impl Reconcile for Sweep {
    async fn reconcile(&self, run: &Run) -> Result<Report, Failure> {
        let instance = run.lease.key.instance();
        let is_scheduled = is_ordinary(run);
        if !is_scheduled {
            // The event that started the sweep might report that the App has new permissions. The
            // runs of this sweep must then use a token with the new permissions, in every process.
            // The lane and the hint of the key do not show what the event reported. So the sweep
            // renews its token in any case, before it marks the keys. The new token shows the App's
            // permissions.
            self.reader.renew_token().await?;
        }
        if run.lane < Lane::Sweep {
            // With new permissions, GitHub might accept changes that it refused before. The runs of
            // the marked keys must therefore send these changes again. These runs have the lane
            // `sweep`. In this lane, a refused change waits before Beadle sends it again, unless
            // this call deletes the record of the refusal.
            for kind in ["repository", "organisation"] {
                forget_refusals(self.store.as_ref(), kind, instance).await?;
            }
        }
        let listed = self.clock.now();
        // If the list is incomplete, the sweep fails and Beadle retries it.
        let index = self.reader.in_lane(run.lane).index().await?;
        let policy = self.policy.current();
        let now = self.clock.now();
        let swept: Vec<_> = index.iter().filter(|row| !policy.leaves_out(&row.name)).collect();
        if !engine::begin(self.store.as_ref(), instance, swept.len(), now).await? {
            tracing::warn!(instance, "previous sweep unfinished, its repositories are part of this sweep");
        }
        // The guard can limit changes to a percentage of the repositories. Archived repositories
        // accept no writes, so they do not count.
        let count = index.iter().filter(|row| !row.archived).count();
        let count = RepositoryCount(u32::try_from(count).unwrap_or(u32::MAX));
        RepositoryCount::note(instance).put(self.store.as_ref(), &count).await?;
        let own = Mark::new(Key::new("organisation", instance, run.lease.key.id()), Lane::Sweep);
        // If an event started the sweep, the event might affect any part of each repository. So the
        // runs must read all parts. The runs must also read all parts if the sweep replaces lost
        // events. The lane does not show whether an event started the sweep, because an event that
        // Beadle's own write caused also has the lane `sweep`.
        let repositories = swept.iter().map(|row| Mark {
            hint: Some(if is_scheduled { swept_hint(&row.node_id) } else { row.node_id.clone() }),
            ..Mark::new(Key::new("repository", instance, row.id), Lane::Sweep)
        });
        let names: Vec<&str> = index.iter().map(|row| row.name.as_str()).collect();
        let creations = policy.creations(&names).into_iter();
        let creations =
            creations.map(|creation| Mark::new(creation_key(instance, &creation.name), Lane::Sweep));
        let marks: Vec<Mark> = std::iter::once(own).chain(repositories).chain(creations).collect();
        for batch in marks.chunks(BATCH) {
            // The sweep counts a key with an unreadable row as failed.
            self.store.mark_readable(batch.to_vec(), now).await?;
        }
        // The sweep did not mark the other keys. There are two possible reasons: somebody deleted
        // or transferred the repository, or the key was for the creation of a repository that
        // exists now. No run uses these keys any more.
        let marked: BTreeSet<Key> = marks.iter().map(|mark| mark.key.clone()).collect();
        let scope = KeyScope::new("repository", instance);
        KeyState::forget_others(self.store.as_ref(), &scope, &marked).await?;
        let found = swept.iter().map(|row| row.id.to_string()).collect();
        record_gone(self.store.as_ref(), instance, &found, (listed, now)).await?;
        for what in policy.unmatched(&names) {
            tracing::warn!(instance, what, "a part of the policy has no effect");
        }
        let there: BTreeSet<u64> = index.iter().map(|row| row.id).collect();
        let has_file = |file: &str| policy.layers.iter().any(|layer| layer.file.to_lowercase() == file);
        let of = (self.reader.organisation(), instance);
        match gone::forget(self.store.as_ref(), of, &there, &has_file, now).await {
            Ok(0) => {}
            Ok(notes) => tracing::info!(instance, notes, "stored data about deleted repositories removed"),
            Err(error) => {
                tracing::warn!(instance, %error, "stored data about deleted repositories not removed, the next sweep retries");
            }
        }
        tracing::info!(instance, repositories = swept.len(), "sweep started");
        Ok(Report {
            subject: instance.to_owned(),
            steps: Vec::new(),
            unknowns: Vec::new(),
            skipped: None,
            failure: None,
        })
    }
}

/// Returns whether the runs of a sweep are allowed to use stored answers. The runs are allowed to
/// use stored answers only if every mark of the sweep has a hint that allows this.
fn is_ordinary(run: &Run) -> bool {
    run.lane == Lane::Sweep && run.hint.as_deref().is_some_and(|hint| read_hint(hint).1)
}

/// Summarises a sweep after all of its repositories are done. Returns `None` if the sweep is still
/// running, or if no sweep has started.
pub async fn summarise(store: &dyn Store, instance: &str, now: Time) -> Result<Option<Summary>, StoreError> {
    let scopes = ["repository", "organisation", "sweep"].map(|kind| KeyScope::new(kind, instance));
    engine::summarise(store, instance, &scopes, now).await
}

#[cfg(test)]
mod tests {
    use beadle_engine::Lease;
    use beadle_engine::queue::{Row, Timing};

    use super::*;

    #[test]
    fn a_sweep_is_ordinary_only_if_each_of_its_marks_says_so() {
        let ordinary = || Some(swept_hint(""));
        for (marks, expected) in [
            (vec![(Lane::Sweep, ordinary())], true),
            (vec![(Lane::Sweep, ordinary()), (Lane::Sweep, ordinary())], true),
            // If a mark has no hint, the mark has one of three causes: an event that Beadle's own
            // write caused, lost events, or an older version of Beadle.
            (vec![(Lane::Sweep, None)], false),
            (vec![(Lane::Sweep, ordinary()), (Lane::Sweep, None)], false),
            (vec![(Lane::Sweep, None), (Lane::Sweep, ordinary())], false),
            (vec![(Lane::Event, None), (Lane::Sweep, ordinary())], false),
            (vec![(Lane::Sweep, ordinary()), (Lane::Manual, None)], false),
            (vec![(Lane::Manual, ordinary())], false),
        ] {
            let mut row = Row::new(Key::new("sweep", "acme", 3));
            for (lane, hint) in &marks {
                let mark = Mark { hint: hint.clone(), ..Mark::new(row.key.clone(), *lane) };
                row.mark(&mark, Time(0), &Timing::default());
            }
            let lease = Lease { key: row.key.clone(), epoch: 1, until: Time(1) };
            let run = Run { lease, lane: row.lane, hint: row.hint, since: Time(0) };
            assert_eq!(is_ordinary(&run), expected, "{marks:?}");
        }
    }
}
