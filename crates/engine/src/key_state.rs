//! The state of each key. It contains everything that the last run of the key could not read or
//! write. The store keeps the state, so that an operator need not search the journal. The journal
//! does not list all keys, because it has no entry for a run that found nothing to do.

mod changes;
mod contest;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::apply::{Report, StepResult, first_asked_note};
use crate::clock::Time;
use crate::failure::Class;
use crate::journal::{DriftCause, UnwrittenChange, is_default};
use crate::key::{Key, KeyScope};
use crate::note::{Metadata, Note};
use crate::plan::Unknown;
use crate::store::{Store, StoreError};
use crate::unwritten::cause;

use changes::ChangeList;
use contest::{contests, writers};

pub use contest::Contest;

/// The maximum number of unknown parts in a state, because a note must stay small.
const UNKNOWNS: usize = 20;

/// The state of a key after its last run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// The name that people use for the key, such as `acme/widgets`.
    pub subject: String,
    /// Since when the key has been in its present condition: as declared, not as declared, or
    /// skipped.
    pub since: Time,
    /// The number of changes that were planned and not written.
    pub pending: usize,
    /// The number of changes that the mode does not allow.
    #[serde(default)]
    pub withheld: usize,
    /// The number of changes that Beadle only observes, because they would replace values that an
    /// undo restored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub undone: usize,
    /// The aspects with a change that Beadle only observes after an undo. An aspect is not in the
    /// set if it has another change that the mode does not allow.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only_undone: BTreeSet<String>,
    /// Since when Beadle only observes changes because of an undo. `None` if there are no such
    /// changes, and in states of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_since: Option<Time>,
    /// Since when the vendor has refused changes. The next two fields have the same meaning for
    /// failed changes and for unknown parts. `None` if there is no such problem, and in states of
    /// older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Time>,
    /// See [`Self::refused_since`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<Time>,
    /// See [`Self::refused_since`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Time>,
    /// The number of changes that the guard holds.
    #[serde(default)]
    pub held: usize,
    /// The number of changes that failed or that the run did not reach.
    #[serde(default)]
    pub failed: usize,
    /// The error of the first failed change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The first refused change and the reason of the vendor, if the last run failed only because
    /// the vendor refused changes. `None` in states of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The aspects with a contested change that the last run postponed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub contested: BTreeSet<String>,
    /// The contested changes that a run postponed in the last hour, at most 20. A later run might
    /// have written some of these changes. States of older versions have no list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contests: Vec<Contest>,
    /// Maps each aspect with a held or contested change to the person or program that changed the
    /// aspect last. An aspect is missing if no webhook names the writer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writers: BTreeMap<String, String>,
    /// The aspects with a change that was not written, each with the most severe cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drift: BTreeMap<String, DriftCause>,
    /// The digest of the list of unwritten changes, which [`Self::unwritten`] reads. `None` if the
    /// list is empty, and in states of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unwritten_digest: Option<String>,
    /// The parts that could not be read or resolved, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
    /// The reason why Beadle skips the key; `None` if Beadle compares the key with the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

impl Metadata for KeyState {
    const KIND: &'static str = "key-state";
}

impl KeyState {
    /// Returns the note that contains the state of a key.
    fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.as_str()])
    }

    /// Returns the state of a key after a run, without the fields that depend on the previous
    /// state.
    fn of(report: &Report, now: Time) -> Self {
        let pending = report.steps.len() - report.count(|result| *result == StepResult::Written);
        let failure = report.steps.iter().find_map(|step| match &step.outcome {
            StepResult::Failed(why) => Some(why.clone()),
            _ => None,
        });
        let postponed = report.steps.iter().filter(|step| matches!(step.outcome, StepResult::Postponed(_)));
        Self {
            subject: report.subject.clone(),
            since: now,
            pending,
            withheld: report.withheld(),
            undone: report.undone(),
            only_undone: only_undone(report),
            undone_since: None,
            refused_since: None,
            failed_since: None,
            unknown_since: None,
            held: report.count(|result| matches!(result, StepResult::Held { .. })),
            failed: report.count(|result| matches!(result, StepResult::Failed(_) | StepResult::NotReached)),
            failure,
            refused: refused(report),
            contested: postponed.map(|step| step.change.aspect.clone()).collect(),
            contests: Vec::new(),
            writers: BTreeMap::new(),
            drift: drift(report),
            unwritten_digest: None,
            unknown: report.unknowns.iter().take(UNKNOWNS).cloned().collect(),
            skipped: report.skipped.clone(),
        }
    }

    /// Returns whether the last run left nothing to do: the key is as declared, or Beadle skips it.
    pub fn is_settled(&self) -> bool {
        self.pending == 0 && self.unknown.is_empty()
    }

    /// Returns whether a list of problems contains the key. The list contains keys that are not
    /// settled, and keys that had a contested change when the state was stored.
    pub fn is_problem(&self) -> bool {
        !self.is_settled() || !self.contests.is_empty()
    }

    /// Returns the contests of the key: the contested changes that are not written, and the recent
    /// ones that a later run wrote.
    pub fn present_contests(&self, now: Time) -> impl Iterator<Item = &Contest> {
        self.contests
            .iter()
            .filter(move |one| one.is_recent(now) || self.contested.contains(&one.part.aspect))
    }

    /// Returns the aspects with a contested change. Leaves out the changes that the guard holds.
    pub fn contested_aspects(&self, now: Time) -> BTreeSet<&str> {
        let recent = self.present_contests(now).map(|contest| contest.part.aspect.as_str());
        recent.chain(self.contested.iter().map(String::as_str)).collect()
    }

    /// Returns the aspects with a change that the mode does not allow. Leaves out an aspect in
    /// which Beadle only observes changes because of an undo, and an aspect with a cause that is
    /// more severe than the mode.
    pub fn mode_aspects(&self) -> Vec<&str> {
        let its = self.drift.iter().filter(|(_, cause)| **cause == DriftCause::Mode);
        its.map(|(aspect, _)| aspect.as_str()).filter(|aspect| !self.only_undone.contains(*aspect)).collect()
    }

    /// Reads the changes that the last run of a key did not write, at most 20. The gravest change
    /// comes first. The list is empty if the state is from an older version.
    pub async fn unwritten(&self, store: &dyn Store, key: &Key) -> Result<Vec<UnwrittenChange>, StoreError> {
        if self.unwritten_digest.is_none() {
            return Ok(Vec::new());
        }
        // If the process ended between two writes, the stored list can belong to another run.
        let is_its = |stored: &ChangeList| stored.digest() == self.unwritten_digest;
        let stored = ChangeList::note(key).get(store).await?.filter(is_its);
        Ok(stored.map(|stored| stored.0).unwrap_or_default())
    }

    /// Reads the state of a key. Returns `None` if the key has not run.
    pub async fn get(store: &dyn Store, key: &Key) -> Result<Option<Self>, StoreError> {
        Self::note(key).get(store).await
    }

    /// Lists the keys that are not as declared or have a recent contest, each with its state.
    pub async fn all(store: &dyn Store) -> Result<Vec<(Key, Self)>, StoreError> {
        let mut all = Self::stored(store).await?;
        all.retain(|(_, state)| state.is_problem());
        Ok(all)
    }

    /// Lists all keys, each with its state. The list includes the keys that are as declared.
    pub async fn stored(store: &dyn Store) -> Result<Vec<(Key, Self)>, StoreError> {
        Self::listed(store, "").await
    }

    /// Lists the same keys as [`Self::all`], page by page. The page has at most `limit` keys and
    /// begins after the name `after`. For the first page, `after` is empty. Also returns the last
    /// name of the page. With this name, the caller can read the next page. On the last page, the
    /// result is `None` instead of the name.
    pub async fn page(
        store: &dyn Store,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<(Key, Self)>, Option<String>), StoreError> {
        let (page, next) = Note::<Self>::of(&[""]).page(store, after, limit).await?;
        let problems = page.into_iter().filter(|(_, state)| state.is_problem());
        let with_key = |(key, state): (String, Self)| Some((key.parse::<Key>().ok()?, state));
        Ok((problems.filter_map(with_key).collect(), next))
    }

    /// Lists all keys of one kind, each with its state.
    pub async fn of_kind(store: &dyn Store, kind: &str) -> Result<Vec<(Key, Self)>, StoreError> {
        Self::listed(store, &format!("{kind}:")).await
    }

    /// Lists keys of one kind, each with its state. The pages are like those of [`Self::page`], but
    /// they also contain the keys that are as declared.
    pub async fn page_of_kind(
        store: &dyn Store,
        kind: &str,
        after: &str,
        limit: u32,
    ) -> Result<(Vec<(Key, Self)>, Option<String>), StoreError> {
        let prefix = format!("{kind}:");
        let (page, next) = Note::<Self>::of(&[&prefix]).page(store, after, limit).await?;
        let with_key =
            |(rest, state): (String, Self)| Some((format!("{prefix}{rest}").parse::<Key>().ok()?, state));
        Ok((page.into_iter().filter_map(with_key).collect(), next))
    }

    /// Reads the states of some keys. Keys that have not run are left out.
    pub async fn of_keys(store: &dyn Store, keys: &[&Key]) -> Result<Vec<(Key, Self)>, StoreError> {
        let notes: Vec<Note<Self>> = keys.iter().map(|key| Self::note(key)).collect();
        let states = Note::get_all(store, &notes).await?;
        Ok(keys.iter().zip(states).filter_map(|(key, state)| Some(((*key).clone(), state?))).collect())
    }

    /// Lists the keys that begin with `prefix`.
    async fn listed(store: &dyn Store, prefix: &str) -> Result<Vec<(Key, Self)>, StoreError> {
        let all = Note::<Self>::of(&[prefix]).list(store).await?.into_iter();
        let with_key =
            |(rest, state): (String, Self)| Some((format!("{prefix}{rest}").parse::<Key>().ok()?, state));
        Ok(all.filter_map(with_key).collect())
    }

    /// Deletes the states of the keys in a scope, except the keys in `keys`. With each state, also
    /// deletes the list of unwritten changes, and the notes about the policies that asked for these
    /// changes. The repositories or groups of the deleted states no longer exist, so no run reads
    /// these states.
    pub async fn forget_others(
        store: &dyn Store,
        scope: &KeyScope,
        keys: &BTreeSet<Key>,
    ) -> Result<(), StoreError> {
        for (key, _) in Self::listed(store, scope.prefix()).await? {
            if !keys.contains(&key) {
                // The state is deleted last. Without the state, no later call would find the other
                // notes of the key.
                ChangeList::note(&key).forget(store).await?;
                store.forget(&first_asked_note(&key)).await?;
                Self::note(&key).forget(store).await?;
            }
        }
        Ok(())
    }

    /// Stores the state of a key after a run that no webhook caused. See [`Self::record_run`].
    pub async fn record(store: &dyn Store, key: &Key, report: &Report, now: Time) -> Result<(), StoreError> {
        Self::record_run(store, key, report, &BTreeMap::new(), now).await
    }

    /// Stores the state of a key after a run, and the list of its unwritten changes. Writes nothing
    /// if the state is the same as before, so that a sweep stays cheap. The state contains the
    /// digest of the list, so the call need not read the list. `news` maps aspects to the persons
    /// or programs that changed them, according to the webhooks that made the run necessary.
    pub async fn record_run(
        store: &dyn Store,
        key: &Key,
        report: &Report,
        news: &BTreeMap<String, String>,
        now: Time,
    ) -> Result<(), StoreError> {
        let note = Self::note(key);
        let before = note.get(store).await?;
        let list = ChangeList::of(report);
        let found = Self::of(report, now);
        let is_other = |before: &Self| {
            (before.is_settled(), before.skipped.is_some()) != (found.is_settled(), found.skipped.is_some())
        };
        let since = match &before {
            // If the stored time is in the future, a wrong clock set it.
            Some(before) if !is_other(before) => before.since.min(now),
            _ => now,
        };
        // `since` does not show when a problem began, because the key might have differed from the
        // policy long before the problem, for another reason.
        let began = |is: fn(&Self) -> bool, at: fn(&Self) -> Option<Time>| {
            is(&found).then(|| match &before {
                Some(before) if is(before) => at(before).unwrap_or(before.since).min(now),
                _ => now,
            })
        };
        let undone_since = began(|state| state.undone > 0, |state| state.undone_since);
        let refused_since = began(|state| state.refused.is_some(), |state| state.refused_since);
        let failed_since = began(|state| state.failed > 0, |state| state.failed_since);
        let unknown_since = began(|state| !state.unknown.is_empty(), |state| state.unknown_since);
        let contests =
            contests(report, before.as_ref().map_or(&[][..], |before| before.contests.as_slice()), now);
        let writers = writers(report, &contests, news, before.as_ref().map(|before| &before.writers));
        let unwritten_digest = list.digest();
        let state = Self {
            since,
            undone_since,
            refused_since,
            failed_since,
            unknown_since,
            contests,
            writers,
            unwritten_digest,
            ..found
        };
        if before.as_ref() == Some(&state) {
            return Ok(());
        }
        let stored = before.and_then(|before| before.unwritten_digest);
        if stored != state.unwritten_digest {
            // If the process ends before it stores the list and the state, the state has no digest.
            // The next run then stores its list, even if this list equals the previous one.
            if stored.is_some() {
                note.put(store, &Self { unwritten_digest: None, ..state.clone() }).await?;
            }
            list.put(store, key).await?;
        }
        note.put(store, &state).await
    }
}

/// Returns the first refused change and the reason of the vendor, if the run failed only because
/// the vendor refused changes.
fn refused(report: &Report) -> Option<String> {
    // A refusal is the least severe failure. If a refusal is the failure of the run, no change
    // failed for another reason.
    let failure = report.failure.as_ref().filter(|failure| failure.class == Class::Rejected)?;
    let has_failed = report.count(|result| matches!(result, StepResult::Failed(_))) > 0;
    has_failed.then(|| failure.text.clone())
}

/// Returns the aspects with a change that Beadle only observes after an undo. Leaves out an aspect
/// with another change that the mode does not allow.
fn only_undone(report: &Report) -> BTreeSet<String> {
    let aspects = |undone: bool| {
        let its = report.steps.iter().filter(|step| step.outcome == StepResult::Withheld);
        let its = its.filter(move |step| step.change.undone == undone);
        its.map(|step| step.change.aspect.clone()).collect::<BTreeSet<String>>()
    };
    &aspects(true) - &aspects(false)
}

/// Returns the aspects with a change that was not written, each with the most severe cause. A
/// change that the run did not reach counts as failed, because the metrics have no separate cause
/// for this case.
fn drift(report: &Report) -> BTreeMap<String, DriftCause> {
    let mut drift = BTreeMap::new();
    for step in &report.steps {
        let cause = match cause(&step.outcome) {
            Some(DriftCause::NotReached) => DriftCause::Failed,
            Some(cause) => cause,
            None => continue,
        };
        let kept = drift.entry(step.change.aspect.clone()).or_insert(cause);
        *kept = cause.max(*kept);
    }
    drift
}

#[cfg(test)]
mod tests;
