//! A held generation of the policy: the changes that it would make, and its approval.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::gate::{HELD_NOTE, Holder, is_counted, noun};
use beadle_engine::journal::PolicyCommitted;
use beadle_engine::{
    Change, GateLimits, GateSums, GateVerdict, GroupedChange, Key, Metadata, Note, Plan, PolicyLocation,
    Risk, Store, StoreError, Time, change_title, check_gate, group_changes, plan_digest, reaches_of,
    subjects_of,
};
use beadle_repositories::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::policy::store::committed;
use crate::output::changed_places::ChangedPlaces;
use crate::output::plural::counted;

/// The maximum number of groups of changes in a hold.
const GROUPS: usize = 50;
/// The maximum number of examples in a group.
const EXAMPLES: usize = 5;
/// The maximum number of lines of the policy in a group.
const LINES: usize = 5;

/// A held generation of one organisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldGeneration {
    /// The organisation of the policy.
    pub(crate) organisation: String,
    /// The name of the generation. An operator uses this name to approve the generation.
    pub(crate) generation: String,
    /// The commit with the files of the policy. `None` if the policy comes from a folder, or if an
    /// older version stored the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<PolicyCommitted>,
    /// The code of the shown plan. An approval is valid only for this code.
    pub(crate) digest: String,
    /// The start of the hold.
    pub(crate) since: Time,
    /// The exceeded limits.
    pub(crate) why: String,
    /// The sums of the changes that Beadle would write with this generation.
    pub(crate) sums: GateSums,
    /// The repositories and groups in which the generation removes, weakens or exposes something.
    /// `None` if an older version stored the hold. [`GateSums::repositories`] also counts the
    /// repositories that a change to the organisation itself affects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) places: Option<ChangedPlaces>,
    /// The number of repositories in the organisation.
    pub(crate) total: u64,
    /// The changes, sorted into groups. There is one group for each kind of change. The most severe
    /// group comes first.
    pub(crate) groups: Vec<HeldGroup>,
    /// The number of groups that `groups` leaves out.
    #[serde(default)]
    pub(crate) more_groups: usize,
    /// The number of drifted values. The policy in force already asks for these values, so the sums
    /// do not contain them. The mode, the guard or a missing approval can prevent the repair of
    /// this drift.
    #[serde(default)]
    pub(crate) drift: u64,
    /// One line for each kind of change that waits for the end of a waiver, see [`delayed_lines`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) delayed: Vec<String>,
    /// The approval, if there is one.
    #[serde(default)]
    pub(crate) approved: Option<GenerationApproval>,
}

/// Identical changes to several repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldGroup {
    /// The most severe risk of the changes.
    pub(crate) risk: Risk,
    /// The aspect of the changes.
    pub(crate) aspect: String,
    /// The changed part, such as `team platform`.
    pub(crate) what: String,
    /// The number of repositories.
    pub(crate) repositories: u64,
    /// Some of the repositories.
    pub(crate) examples: Vec<String>,
    /// Some of the policy lines that ask for the changes. Empty if an older version stored the
    /// group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) asked: Vec<PolicyLocation>,
    /// The number of further lines that `asked` does not contain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) more_asked: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The approval of a held generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GenerationApproval {
    /// The operator.
    pub(crate) by: String,
    /// Why the operator approved the generation.
    pub(crate) reason: String,
    /// The time of the approval.
    pub(crate) at: Time,
}

impl Metadata for HeldGeneration {
    const KIND: &'static str = HELD_NOTE;
    const IS_NEEDED: bool = true;
}

impl HeldGeneration {
    /// Returns the note of the organisation with this name. With an empty name, returns the prefix
    /// of all notes.
    pub(crate) fn note(name: &str) -> Note<Self> {
        Note::of(&[name])
    }

    /// Adds up the changes of a policy, and compares the sums with the limits. `plans` contains the
    /// changes. `total` is the number of repositories in the organisation. If the verdict is not
    /// [`GateVerdict::Passes`], returns the hold that begins.
    pub(crate) fn judge(
        (organisation, policy): (&str, &Policy),
        plans: &[(Key, Plan<()>)],
        total: u64,
        limits: &GateLimits,
        since: Time,
    ) -> (Self, GateVerdict) {
        let mut judged = Self::of_policy((organisation, policy), plans, total, since);
        let verdict = judged.verdict(limits);
        if verdict != GateVerdict::Passes {
            judged.why = verdict.to_string();
        }
        (judged, verdict)
    }

    /// Creates the hold of a policy. The hold contains the changes in `plans`. Does not compare the
    /// changes with any limit.
    pub(crate) fn of_policy(
        (organisation, policy): (&str, &Policy),
        plans: &[(Key, Plan<()>)],
        total: u64,
        since: Time,
    ) -> Self {
        let commit = policy.origin.as_ref().map(committed);
        Self { commit, ..Self::new((organisation, policy.generation.as_str()), plans, total, since) }
    }

    /// Creates the hold of a generation. The hold contains the changes in `plans`. Does not compare
    /// the changes with any limit.
    pub(crate) fn new(
        (organisation, generation): (&str, &str),
        plans: &[(Key, Plan<()>)],
        total: u64,
        since: Time,
    ) -> Self {
        let mut groups = grouped(plans);
        let more_groups = groups.len().saturating_sub(GROUPS);
        groups.truncate(GROUPS);
        Self {
            organisation: organisation.to_owned(),
            generation: generation.to_owned(),
            commit: None,
            digest: plan_digest(plans.iter().map(|(key, plan)| (key, plan))),
            since,
            why: String::new(),
            sums: GateSums::of(plans.iter().map(|(_, plan)| plan)),
            places: Some(guarded_places(plans)),
            total,
            groups,
            more_groups,
            drift: 0,
            delayed: Vec::new(),
            approved: None,
        }
    }

    /// Returns the hold in the note with this name, if the hold is about this generation.
    pub(crate) async fn find(
        store: &dyn Store,
        note: &str,
        generation: &str,
    ) -> Result<Option<Self>, StoreError> {
        let held = Self::note(note).get(store).await?;
        Ok(held.filter(|held| held.generation == generation))
    }

    /// Lists the held generations of all organisations, each with the name of its note. The list is
    /// for people, so the list also contains the holds that this version cannot read. With this
    /// rule, an unreadable hold does not prevent a notification or a page. Nobody can approve or
    /// end such a hold with this version, because Beadle reads the note again before each of these
    /// actions.
    pub(crate) async fn all(store: &dyn Store) -> Result<Vec<(String, Self)>, StoreError> {
        let prefix = Self::note("");
        let notes = store.notes(prefix.name()).await?.into_iter();
        let held = |(name, text): (String, String)| {
            let note = name.strip_prefix(prefix.name())?.to_owned();
            let held = serde_json::from_str(&text).unwrap_or_else(|_| Self::unreadable(&note, &text));
            Some((note, held))
        };
        Ok(notes.filter_map(held).collect())
    }

    /// Returns the known facts about a hold that this version cannot read.
    fn unreadable(note: &str, text: &str) -> Self {
        let stored: Value = serde_json::from_str(text).unwrap_or_default();
        let word = |name: &str, other: &str| stored[name].as_str().unwrap_or(other).to_owned();
        // The name of a note begins with the name of the organisation, which has no blank.
        let organisation = note.split(' ').next().unwrap_or(note);
        Self {
            organisation: word("organisation", organisation),
            generation: word("generation", "unknown"),
            commit: None,
            digest: String::new(),
            since: Time(stored["since"].as_i64().unwrap_or_default()),
            why: "this version of Beadle cannot read the hold: use the newest version of Beadle that has used this \
                  store"
                .to_owned(),
            sums: GateSums::default(),
            places: None,
            total: 0,
            groups: Vec::new(),
            more_groups: 0,
            drift: 0,
            delayed: Vec::new(),
            approved: None,
        }
    }

    /// Returns whether this version can read the hold.
    pub(crate) fn is_readable(&self) -> bool {
        !self.digest.is_empty()
    }

    /// Stores an approval of this generation in the note with this name. If the note now contains
    /// another hold, stores nothing and returns `false`.
    pub(crate) async fn approve(
        self,
        store: &dyn Store,
        note: &str,
        approval: GenerationApproval,
    ) -> Result<bool, StoreError> {
        let note = Self::note(note);
        let stored = note.stored(store).await?;
        if stored.value.as_ref() != Some(&self) {
            return Ok(false);
        }
        note.replace(store, &stored, &Self { approved: Some(approval), ..self }).await
    }

    /// Returns whether the generation still waits for an approval if these limits apply. An
    /// operator can raise the limits while the generation is held.
    pub(crate) fn waits(&self, limits: &GateLimits) -> bool {
        self.approved.is_none() && self.verdict(limits) != GateVerdict::Passes
    }

    pub(crate) fn verdict(&self, limits: &GateLimits) -> GateVerdict {
        let GateSums { risks, repositories } = &self.sums;
        check_gate(limits, risks, *repositories, self.total)
    }

    /// Returns one line for each hold of an organisation. The line contains the generation, the
    /// start of the hold, and whether a service or a command holds the generation. The line also
    /// explains how to approve the generation.
    pub(crate) async fn notices(store: &dyn Store, organisation: &str) -> Result<Vec<String>, StoreError> {
        let all = Self::all(store).await?.into_iter();
        let its = all.filter(|(_, held)| held.organisation == organisation);
        Ok(its.map(|(note, held)| held.notice(Holder::of(&note))).collect())
    }

    fn notice(&self, holder: Holder) -> String {
        let Self { organisation, generation, since, .. } = self;
        let state = match &self.approved {
            Some(GenerationApproval { by, .. }) => format!("approved by {by}, not in force yet"),
            None => format!(
                "{}; see `beadle holds`, then run `beadle approve {generation} --reason \"TEXT\"`",
                self.why
            ),
        };
        let noun = noun(generation);
        format!("{organisation}: {holder} holds the {noun} {generation} since {since}: {state}")
    }

    /// Returns the number of values for each risk, and the number of repositories. The most severe
    /// risk comes first.
    pub(crate) fn summary(&self) -> String {
        let risks = Risk::ALL.into_iter().rev().filter(|risk| *risk != Risk::Changes);
        let counts = risks.map(|risk| (risk, self.sums.risks.count(risk))).filter(|(_, count)| *count > 0);
        let counts: Vec<String> =
            counts.map(|(risk, count)| format!("{count} {}", risk.noun(count))).collect();
        format!("{} in {}", counts.join(", "), self.places())
    }

    /// Returns the places in which the generation removes, weakens or exposes something, such as `8
    /// of 40 repositories`, or `8 repositories and the organisation itself`.
    pub(crate) fn places(&self) -> String {
        match self.places {
            Some(places) if places.organisation || places.groups > 0 => places.text(),
            _ => format!("{} of {} repositories", self.sums.repositories, self.total),
        }
    }
}

impl HeldGroup {
    /// Creates a group of these identical changes.
    pub(crate) fn new((risk, aspect, what): (Risk, String, String), changes: &[GroupedChange<'_>]) -> Self {
        let examples = subjects_of(changes).into_iter().take(EXAMPLES).map(str::to_owned);
        let fields = changes.iter().flat_map(|one| &one.change.fields);
        let lines: BTreeSet<&PolicyLocation> = fields.filter_map(|field| field.asked.as_ref()).collect();
        Self {
            risk,
            aspect,
            what,
            repositories: reaches_of(changes),
            examples: examples.collect(),
            more_asked: lines.len().saturating_sub(LINES),
            asked: lines.into_iter().take(LINES).cloned().collect(),
        }
    }

    /// Returns the number of repositories that the examples leave out. If the list of examples is
    /// not full, it leaves out nothing. The number of repositories can still be larger than the
    /// list, because a change to the organisation itself also affects repositories that have no
    /// entry.
    pub(crate) fn unnamed(&self) -> usize {
        if self.examples.len() < EXAMPLES {
            return 0;
        }
        usize::try_from(self.repositories).unwrap_or(usize::MAX).saturating_sub(self.examples.len())
    }

    /// Returns the lines of the policy that ask for the changes, such as `settings.yml:12`. Returns
    /// `None` if they are not known.
    pub(crate) fn sources(&self) -> Option<String> {
        let lines: Vec<String> = self.asked.iter().map(ToString::to_string).collect();
        let more = (self.more_asked > 0).then(|| format!("{} more", self.more_asked));
        match (lines.is_empty(), more) {
            (true, None) => None,
            (true, Some(more)) => Some(more),
            (false, None) => Some(lines.join(", ")),
            (false, Some(more)) => Some(format!("{} and {more}", lines.join(", "))),
        }
    }

    /// Returns the group as one line, such as `removes teams: team a in 3 repositories`.
    pub(crate) fn line(&self) -> String {
        let repositories = counted(self.repositories, "repository", "repositories");
        let examples = self.examples.join(", ");
        format!("{} {}: {} in {repositories}, such as {examples}", self.risk, self.aspect, self.what)
    }
}

/// Returns the places in which the plans remove, weaken or expose something. Leaves out the same
/// changes as [`GateSums::of`].
fn guarded_places(plans: &[(Key, Plan<()>)]) -> ChangedPlaces {
    let mut places = ChangedPlaces::default();
    let is_guarded = |change: &Change<()>| is_counted(change) && change.risks().is_guarded();
    let guarded = plans.iter().filter(|(_, plan)| plan.changes.iter().any(is_guarded));
    let keys: BTreeSet<&Key> = guarded.map(|(key, _)| key).collect();
    for key in keys {
        places.add(key.kind());
    }
    places
}

/// Groups the changes that the gate counts. The changes of a group have the same risk, aspect and
/// title. The most severe risks come first, and then the largest groups.
pub(crate) fn grouped(plans: &[(Key, Plan<()>)]) -> Vec<HeldGroup> {
    groups_of(plans, is_counted)
}

/// Groups changes as [`grouped`] does, but leaves out the changes for which `is_shown` returns
/// false.
fn groups_of(plans: &[(Key, Plan<()>)], is_shown: impl Fn(&Change<()>) -> bool) -> Vec<HeldGroup> {
    let kind = |change: &Change<()>| {
        let risk = change.risks().gravest().filter(|_| is_shown(change))?;
        let title = change_title(change, risk);
        // An approval of the generation also approves the changes that would otherwise need their
        // own approval.
        let what = match &change.stop {
            Some(stop) => format!("{title} (held until an approval: {stop})"),
            None => title,
        };
        Some((risk, change.aspect.clone(), what))
    };
    let mut groups: Vec<HeldGroup> = Vec::new();
    for ((risk, aspect, what), changes) in group_changes(plans.iter().map(|(key, plan)| (key, plan)), kind) {
        groups.push(HeldGroup::new((risk, aspect, what), &changes));
    }
    groups.sort_by_key(|group| std::cmp::Reverse((group.risk, group.repositories)));
    groups
}

/// Returns one line for each kind of change that waits for the end of a waiver. For each end of a
/// waiver, `delayed` contains the plans with these changes; see
/// [`beadle_repositories::Preview::delayed`]. Leaves out the changes for which `is_shown` returns
/// false.
pub(crate) fn delayed_lines(
    delayed: &BTreeMap<String, Vec<(Key, Plan<()>)>>,
    is_shown: impl Fn(&Change<()>) -> bool + Copy,
) -> Vec<String> {
    let lines = delayed.iter().flat_map(|(end, plans)| {
        let groups = groups_of(plans, is_shown).into_iter();
        groups.map(move |group| format!("waits for the end of a waiver, {end}: {}", group.line()))
    });
    lines.take(GROUPS).collect()
}

#[cfg(test)]
mod tests;
