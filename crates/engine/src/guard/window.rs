//! The window of one instance: the room that the guard gave, the result of each write, and whether
//! another change fits.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hold, Limits, Verdict};
use crate::clock::Time;
use crate::journal::Entry;
use crate::plan::{Risk, Risks};

/// The state of the room that the guard gave to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Stored")]
pub enum Spent {
    /// The write was not begun. A retry of the same change uses this room.
    Reserved,
    /// The write was begun, and its result is not known: a lost answer, a timeout, a 5xx answer or
    /// a kill. The room stays spent, and a retry needs room of its own.
    Unknown,
    /// The change was written.
    Written,
    /// The change was certainly not written. The room is free again.
    Refused,
}

impl Spent {
    /// Every state.
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

    /// Returns the state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A stored state. Older versions stored only whether the room was used.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Used(bool),
    Named(String),
}

impl TryFrom<Stored> for Spent {
    type Error = String;

    fn try_from(stored: Stored) -> Result<Self, String> {
        match stored {
            Stored::Used(true) => Ok(Self::Written),
            // An older version also kept this after a lost answer.
            Stored::Used(false) => Ok(Self::Unknown),
            Stored::Named(name) => Self::named(&name).ok_or_else(|| format!("unknown state `{name}`")),
        }
    }
}

/// Room in the window that the guard gave to a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReservation {
    /// The instance of the window.
    pub instance: String,
    /// The digest of the change.
    pub digest: String,
    /// The key of the change; empty if an older version stored the reservation.
    #[serde(default)]
    pub key: String,
    /// The aspect of the change; empty if an older version stored the reservation.
    #[serde(default)]
    pub aspect: String,
    /// The time at which the room was given, or the write begun.
    pub at: Time,
    /// The state of the room.
    #[serde(alias = "written")]
    pub state: Spent,
    /// The number of protections that the change weakens, over all that it reaches.
    pub weakens: u32,
    /// The number of exposures.
    pub exposes: u32,
    /// The number of removals.
    pub removes: u32,
    /// The number of repositories that the change reaches.
    #[serde(default = "one")]
    pub reaches: u32,
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
        }
    }

    /// Returns whether the reservation fills the window that began at `since`.
    fn counts(&self, since: Time) -> bool {
        self.at > since && self.state != Spent::Refused
    }
}

/// The verdicts about some changes, and the new or changed holds.
#[derive(Debug, Default)]
pub struct Judged {
    /// One verdict a change, in the order of the changes.
    pub verdicts: Vec<Verdict>,
    /// The holds to store.
    pub held: Vec<Hold>,
}

/// Decides about changes of one instance, in their order, and reserves room for each one that fits.
/// Reservations are appended to `window` or changed in their place; none is moved. `known` has the
/// stored holds of these changes, by digest.
pub fn check_guard(
    window: &mut Vec<GuardReservation>,
    known: &BTreeMap<String, Hold>,
    limits: &Limits,
    asked: &[&Hold],
    now: Time,
) -> Judged {
    let mut judged = Judged::default();
    let mut new: HashMap<&str, String> = HashMap::new();
    for hold in asked {
        let verdict = match known.get(&hold.digest) {
            _ if new.contains_key(hold.digest.as_str()) => Verdict::Hold(new[hold.digest.as_str()].clone()),
            Some(Hold { approved_by: Some(by), spent: true, .. }) => {
                let why = format!(
                    "{by} approved it, and the answer to the write was lost: find out whether the change was made, \
                     and approve it again if it is still needed"
                );
                let again = Hold { why, approved_by: None, spent: false, ..(*hold).clone() };
                stop(again, &mut judged.held)
            }
            // A refused write needs no second approval.
            Some(Hold { approved_by: Some(_), .. }) => Verdict::Pass,
            Some(held) => Verdict::Hold(held.why.clone()),
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

/// Reserves room for one change, or returns the exceeded limit.
fn place(window: &mut Vec<GuardReservation>, limits: &Limits, hold: &Hold, now: Time) -> Option<String> {
    let since = now - limits.window;
    let reserved = |booking: &&mut GuardReservation| {
        booking.digest == hold.digest && booking.state == Spent::Reserved && booking.at > since
    };
    if let Some(booking) = window.iter_mut().find(reserved) {
        booking.at = booking.at.max(now);
        return None;
    }
    let exceeded =
        exceeded(window, limits, hold, since).or_else(|| share_exceeded(window, limits, hold, since));
    if exceeded.is_none() {
        window.push(GuardReservation::of(hold, now));
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
        "guard limit reached: at most {limit} {} in {} min, {} used",
        risk.noun(limit),
        limits.window.as_secs() / 60,
        used.count(risk)
    );
    if hold.change.reaches > 1 {
        let _ = write!(why, "; this change reaches {} repositories", hold.change.reaches);
    }
    Some(why)
}

/// Returns the reason if one aspect would lose or weaken something in too large a share of the
/// repositories. Many small changes add up, and one change that reaches many repositories counts as
/// many.
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
    // A repository that was reached before may be reached again.
    (after > allowed && after > before).then(|| {
        format!(
            "guard limit reached: `{}` may lose or weaken something in {allowed} of {among} repositories in {} min, \
             {before} used, {after} with this change",
            hold.change.aspect,
            limits.window.as_secs() / 60
        )
    })
}

/// A write that is about to begin.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The entry for the journal.
    pub entry: Entry,
    /// The digest of the change and the length of the window, if the guard let the change pass.
    pub spends: Option<(String, Duration)>,
}

/// The answer to a write that is about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The write may begin. The journal has this intent.
    Yes(u64),
    /// Another worker has the key.
    LeaseLost,
    /// An operator paused the key or its instance.
    Paused {
        /// The key or the instance.
        scope: String,
        /// The end of the pause.
        until: Time,
    },
    /// The room in the window, or the approval, is not valid any more.
    Lapsed,
}

/// Spends the approval `hold`, or the room in the window, immediately before a write. Returns
/// `false` if neither is valid any more.
pub fn begin(
    window: &mut [GuardReservation],
    hold: Option<&mut Hold>,
    digest: &str,
    length: Duration,
    now: Time,
) -> bool {
    if let Some(hold) = hold {
        let may = hold.approved_by.is_some() && !hold.spent;
        hold.spent |= may;
        return may;
    }
    let reserved = |booking: &&mut GuardReservation| {
        booking.digest == digest && booking.state == Spent::Reserved && booking.at > now - length
    };
    let Some(booking) = window.iter_mut().find(reserved) else { return false };
    booking.state = Spent::Unknown;
    booking.at = booking.at.max(now);
    true
}

/// Approves a held change for one write. Returns `None` if it was approved before: the hold stays
/// as it is. The approved write may be under way, and a second approval would let the change pass
/// once more. If the answer to that write is lost, [`check_guard`] holds the change again without
/// an approval.
pub fn approve(hold: &Hold, by: &str) -> Option<Hold> {
    let approved = || Hold { approved_by: Some(by.to_owned()), spent: false, ..hold.clone() };
    hold.approved_by.is_none().then(approved)
}

/// The end of a change for which the guard was asked. A lost answer has no end: the room stays
/// spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The change was written.
    Written,
    /// The write was begun, and certainly not made.
    Refused,
    /// The write was not begun.
    NotBegun,
}

/// Records the end of a change: for its room in the window, and for its hold. Returns the hold to
/// keep; `None` if there is none, or if the approval is used up.
pub fn conclude(window: &mut [GuardReservation], hold: Option<Hold>, digest: &str, end: End) -> Option<Hold> {
    let (from, to) = match end {
        End::Written => (Spent::Unknown, Spent::Written),
        End::Refused => (Spent::Unknown, Spent::Refused),
        End::NotBegun => (Spent::Reserved, Spent::Refused),
    };
    match (hold, end) {
        // An approved change has no room in the window.
        (Some(hold), End::Written) if hold.spent => None,
        (Some(hold), End::Refused) if hold.spent => Some(Hold { spent: false, ..hold }),
        (hold, _) => {
            // The newest reservation belongs to the run that ends. The result of an older one stays
            // unknown.
            let open = |booking: &&mut GuardReservation| booking.digest == digest && booking.state == from;
            if let Some(booking) = window.iter_mut().rev().find(open) {
                booking.state = to;
            }
            hold
        }
    }
}

/// Returns the positions of changes by instance: each instance has a window of its own.
pub fn by_instance(asked: &[Hold]) -> BTreeMap<String, Vec<usize>> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, hold) in asked.iter().enumerate() {
        places.entry(hold.key.instance().to_owned()).or_default().push(at);
    }
    places
}

#[cfg(test)]
mod tests;
