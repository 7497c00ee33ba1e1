//! The rules of the guard, as pure functions over the window of one instance. The window lists the
//! changes with reserved room, each with the result of its write.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Hold, Limits, Verdict, is_undo};
use crate::clock::Time;
use crate::journal::Entry;
use crate::plan::{Risk, Risks};
use crate::span::span_text;

/// What happened to the room that the guard reserved for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "Stored")]
pub enum Spent {
    /// The write has not begun. If Beadle retries the same change, the retry uses this room.
    Reserved,
    /// The write began, and its result is not known. The cause is a lost answer, a timeout, a 5xx
    /// answer or a killed process. The room still counts as used, and a retry needs more room.
    Unknown,
    /// The change was written.
    Written,
    /// The change was certainly not written, so the room is free again.
    Refused,
}

impl Spent {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Reserved, Self::Unknown, Self::Written, Self::Refused];

    /// Returns the name that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Unknown => "unknown",
            Self::Written => "written",
            Self::Refused => "refused",
        }
    }

    /// Returns the state with this stored name. If this version does not know the state, a newer
    /// version wrote it. The result is then [`Self::Unknown`], so that the room stays used.
    pub fn stored(name: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == name).unwrap_or(Self::Unknown)
    }
}

/// A state in its stored form. Older versions stored only `true` or `false`. The value showed
/// whether the change was written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Used(bool),
    Named(String),
}

impl From<Stored> for Spent {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Used(true) => Self::Written,
            // An older version also stored `false` after a lost answer.
            Stored::Used(false) => Self::Unknown,
            Stored::Named(name) => Self::stored(&name),
        }
    }
}

/// The room in the window that the guard reserved for one change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReservation {
    /// The instance that the window belongs to.
    pub instance: String,
    /// The digest of the change, which identifies it.
    pub digest: String,
    /// The key of the change; empty if an older version stored the reservation.
    #[serde(default)]
    pub key: String,
    /// The aspect of the change; empty if an older version stored the reservation.
    #[serde(default)]
    pub aspect: String,
    /// The time when the room was reserved. After the write has begun, this field contains the time
    /// when the write began.
    pub at: Time,
    /// What happened to the room.
    #[serde(alias = "written")]
    pub state: Spent,
    /// The number of weakenings, counted for every repository that the change reaches.
    pub weakens: u32,
    /// The number of exposures, counted for every repository that the change reaches.
    pub exposes: u32,
    /// The number of removals, counted for every repository that the change reaches.
    pub removes: u32,
    /// The number of repositories that the change affects.
    #[serde(default = "one")]
    pub reaches: u32,
    /// The journal number of the intent whose write uses the room. `None` if the write has not
    /// begun, or if an older version began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// The fields that only a newer version knows. If a store keeps a window as one text, the store
    /// writes these fields back. In SQL, these fields are columns that an older version does not
    /// change.
    #[serde(flatten)]
    pub newer: Map<String, Value>,
}

fn one() -> u32 {
    1
}

impl GuardReservation {
    fn of(hold: &Hold, now: Time) -> Self {
        let Risks { weakens, exposes, removes, .. } = hold.change.risks();
        Self {
            instance: hold.key.instance().to_owned(),
            digest: hold.digest.clone(),
            key: hold.key.to_string(),
            aspect: hold.change.aspect.clone(),
            at: now,
            state: Spent::Reserved,
            weakens,
            exposes,
            removes,
            reaches: hold.change.reaches,
            intent: None,
            newer: Map::new(),
        }
    }

    /// Returns whether the reservation uses room in the window that began at `since`.
    fn counts(&self, since: Time) -> bool {
        self.at > since && self.state != Spent::Refused
    }
}

/// The guard's verdicts about the changes of a request, and the holds that the store must write.
#[derive(Debug, Default)]
pub struct Judged {
    /// The verdicts, in the order of the changes.
    pub verdicts: Vec<Verdict>,
    /// The holds that are new or have changed.
    pub held: Vec<Hold>,
}

/// The reason for a hold if another held change has the same digest.
const SAME_DIGEST: &str = "another held change has the same digest, so this change needs its own approval";

/// Decides about changes of one instance, one after the other, and reserves room for each change
/// that fits. The function appends reservations to `window` or changes existing ones in place, so
/// the order of the reservations stays the same. `known` contains the stored holds of these
/// changes, keyed by digest.
pub fn check_guard(
    window: &mut Vec<GuardReservation>,
    known: &BTreeMap<String, Hold>,
    limits: &Limits,
    asked: &[&Hold],
    now: Time,
) -> Judged {
    // The clock was ahead when Beadle stored such a reservation. Without this step, the reservation
    // would use room until the far time.
    for booking in window.iter_mut().filter(|booking| booking.at > now) {
        booking.at = now;
    }
    let mut judged = Judged::default();
    let mut new: HashMap<&str, String> = HashMap::new();
    for hold in asked {
        let verdict = match known.get(&hold.digest) {
            _ if new.contains_key(hold.digest.as_str()) => Verdict::Hold(new[hold.digest.as_str()].clone()),
            // A decision applies only to the change that the person saw.
            Some(held) if held.key != hold.key || !held.change.is_same(&hold.change) => {
                let why = if hold.why.is_empty() { SAME_DIGEST.to_owned() } else { hold.why.clone() };
                stop(Hold { why, ..(*hold).clone() }, &mut judged.held)
            }
            Some(Hold { approved_by: Some(by), spent: true, .. }) => {
                let why = format!(
                    "{by} approved this change, but the answer to the write was lost: check whether the change was \
                     made, and approve it again if it is still needed"
                );
                let again = Hold { why, approved_by: None, spent: false, ..(*hold).clone() };
                stop(again, &mut judged.held)
            }
            // The approval stays valid after the vendor refused the approved write.
            Some(Hold { approved_by: Some(_), .. }) => Verdict::Pass,
            // A run with the earlier generation stored the hold after this generation came into
            // force. Without this case, the hold would name the earlier generation until the next
            // sweep. The hold of a contested change ends with its generation, and the hold of an
            // undo belongs to the undo.
            Some(held)
                if held.rejected.is_none()
                    && !held.contested
                    && held.generation != hold.generation
                    && is_undo(&held.generation) == is_undo(&hold.generation) =>
            {
                let why = if hold.why.is_empty() { held.why.clone() } else { hold.why.clone() };
                stop(Hold { why, ..(*hold).clone() }, &mut judged.held)
            }
            Some(held) => Verdict::Hold(held.stated()),
            None if !hold.why.is_empty() => stop((*hold).clone(), &mut judged.held),
            None => match place(window, limits, hold, now) {
                None => Verdict::Pass,
                Some(why) => stop(Hold { why, ..(*hold).clone() }, &mut judged.held),
            },
        };
        if let Verdict::Hold(why) = &verdict {
            new.insert(&hold.digest, why.clone());
        }
        judged.verdicts.push(verdict);
    }
    judged
}

fn stop(hold: Hold, held: &mut Vec<Hold>) -> Verdict {
    let why = hold.why.clone();
    held.push(hold);
    Verdict::Hold(why)
}

/// Reserves room for one change. If the change does not fit, the function returns a text that names
/// the exceeded limit.
fn place(window: &mut Vec<GuardReservation>, limits: &Limits, hold: &Hold, now: Time) -> Option<String> {
    let since = now - limits.window;
    let asked = GuardReservation::of(hold, now);
    // Two changes can have the same digest. The larger change must not use the room of the smaller
    // change.
    let reserved = |booking: &&mut GuardReservation| {
        booking.digest == asked.digest
            && booking.state == Spent::Reserved
            && booking.at > since
            && booking.weakens == asked.weakens
            && booking.exposes == asked.exposes
            && booking.removes == asked.removes
    };
    if let Some(booking) = window.iter_mut().find(reserved) {
        booking.at = booking.at.max(now);
        return None;
    }
    let exceeded =
        exceeded(window, limits, hold, since).or_else(|| share_exceeded(window, limits, hold, since));
    if exceeded.is_none() {
        window.push(asked);
    }
    exceeded
}

fn exceeded(window: &[GuardReservation], limits: &Limits, hold: &Hold, since: Time) -> Option<String> {
    let mut used = Risks::default();
    for booking in window.iter().filter(|booking| booking.counts(since)) {
        used.add(Risk::Weakens, booking.weakens);
        used.add(Risk::Exposes, booking.exposes);
        used.add(Risk::Removes, booking.removes);
    }
    let risks = hold.change.risks();
    let (risk, limit) = limits.exceeded_by(&used, &risks)?;
    let mut why = format!(
        "guard limit reached: at most {limit} {} in {}, {} used",
        risk.noun(limit),
        span_text(limits.window),
        used.count(risk)
    );
    if hold.change.reaches > 1 {
        let _ = write!(why, "; this change reaches {} repositories", hold.change.reaches);
    }
    Some(why)
}

/// Returns a text if the change would make one aspect lose or weaken something in too many
/// repositories. The function adds up all changes in the window. A change that reaches many
/// repositories counts once for each repository.
fn share_exceeded(window: &[GuardReservation], limits: &Limits, hold: &Hold, since: Time) -> Option<String> {
    let (allowed, among) = limits.share()?;
    let risks = hold.change.risks();
    if risks.removes == 0 && risks.weakens == 0 {
        return None;
    }
    let mut reached: HashMap<&str, u32> = HashMap::new();
    let its = |booking: &&GuardReservation| {
        booking.counts(since)
            && booking.aspect == hold.change.aspect
            && (booking.removes > 0 || booking.weakens > 0)
    };
    for booking in window.iter().filter(its) {
        let most = reached.entry(&booking.key).or_default();
        *most = booking.reaches.max(*most);
    }
    let sum = |reached: &HashMap<&str, u32>| reached.values().map(|reaches| u64::from(*reaches)).sum::<u64>();
    let before = sum(&reached);
    let most = reached.entry(hold.key.as_str()).or_default();
    *most = hold.change.reaches.max(*most);
    let after = sum(&reached);
    // If a repository is already part of the share, another change of this repository does not make
    // the share larger. The change is then allowed.
    (after > allowed && after > before).then(|| {
        format!(
            "guard limit reached: changes of `{}` may remove or weaken something in at most {allowed} of {among} \
             repositories in {}, {before} used, {after} with this change",
            hold.change.aspect,
            span_text(limits.window)
        )
    })
}

/// What the store needs to know about a write that is about to begin.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The intent of the write. The store adds it to the journal.
    pub entry: Entry,
    /// The digest of the change and the length of the window. Both are present only if the change
    /// was submitted to the guard.
    pub spends: Option<(String, Duration)>,
}

/// Whether a write may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The write may begin. The value is the journal number of the intent.
    Yes(u64),
    /// The lease is no longer valid, because another worker took the key or the lease ended.
    LeaseLost,
    /// The key or its instance is paused.
    Paused {
        /// The paused key or instance.
        scope: String,
        /// The time when the pause ends.
        until: Time,
    },
    /// The room in the window, or the approval, is no longer valid.
    Lapsed,
}

/// Returns whether a write may begin. A held change needs an approval that is not used up. A change
/// without a hold needs room that is still valid.
pub fn may_begin(
    window: &[GuardReservation],
    hold: Option<&Hold>,
    digest: &str,
    length: Duration,
    now: Time,
) -> bool {
    match hold {
        Some(hold) => has_approval(hold),
        None => window.iter().any(|booking| is_reserved(booking, digest, length, now)),
    }
}

fn has_approval(hold: &Hold) -> bool {
    hold.approved_by.is_some() && !hold.spent
}

fn is_reserved(booking: &GuardReservation, digest: &str, length: Duration, now: Time) -> bool {
    booking.digest == digest && booking.state == Spent::Reserved && booking.at > now - length
}

/// Marks the approval of `hold`, or the room in the window, as used by a write. `intent` is the
/// number of that write's intent. The store calls this function immediately before a write. Returns
/// `false` if the change has neither an approval nor room that is still valid.
pub fn begin(
    window: &mut [GuardReservation],
    hold: Option<&mut Hold>,
    digest: &str,
    length: Duration,
    intent: u64,
    now: Time,
) -> bool {
    if let Some(hold) = hold {
        let may = has_approval(hold);
        if may {
            hold.spent = true;
            hold.intent = Some(intent);
        }
        return may;
    }
    let reserved = |booking: &&mut GuardReservation| is_reserved(booking, digest, length, now);
    let Some(booking) = window.iter_mut().find(reserved) else { return false };
    booking.state = Spent::Unknown;
    booking.intent = Some(intent);
    booking.at = booking.at.max(now);
    true
}

/// How a change ended after it was submitted to the guard. If the answer to the write is lost, the
/// change has no end, and the room of the change still counts as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The change was written. The value is the journal number of the write's intent.
    Written(u64),
    /// The write began, and certainly had no effect. The value is the journal number of the write's
    /// intent.
    Refused(u64),
    /// The write did not begin.
    NotBegun,
}

/// Records the end of a change in the reservation and in the hold of the change. Returns the hold
/// that the store must keep. Returns `None` if the change has no hold, or if its approval is used
/// up.
///
/// The function changes only the room and the approval that this write itself uses. A second call
/// for the same write therefore changes nothing. A late call changes nothing either, if another run
/// has begun to write the same change meanwhile.
pub fn conclude(window: &mut [GuardReservation], hold: Option<Hold>, digest: &str, end: End) -> Option<Hold> {
    let used_by = |hold: &Hold, intent: u64| hold.spent && hold.intent == Some(intent);
    match (hold, end) {
        // An approved change uses no room in the window.
        (Some(hold), End::Written(intent)) if used_by(&hold, intent) => None,
        (Some(hold), End::Refused(intent)) if used_by(&hold, intent) => {
            Some(Hold { spent: false, intent: None, ..hold })
        }
        (hold, _) => {
            let (from, intent, to) = match end {
                End::Written(intent) => (Spent::Unknown, Some(intent), Spent::Written),
                End::Refused(intent) => (Spent::Unknown, Some(intent), Spent::Refused),
                // Another run might want to use the same room. It does no harm to free the room,
                // because the write of that run then does not begin, and Beadle plans the change
                // again.
                End::NotBegun => (Spent::Reserved, None, Spent::Refused),
            };
            let its = |booking: &&mut GuardReservation| {
                booking.digest == digest && booking.state == from && booking.intent == intent
            };
            if let Some(booking) = window.iter_mut().rev().find(its) {
                booking.state = to;
            }
            hold
        }
    }
}

/// Groups the positions of the changes by instance, because each instance has its own window.
pub fn by_instance(asked: &[Hold]) -> BTreeMap<String, Vec<usize>> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, hold) in asked.iter().enumerate() {
        places.entry(hold.key.instance().to_owned()).or_default().push(at);
    }
    places
}

#[cfg(test)]
mod tests;
