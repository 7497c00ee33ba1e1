//! The guard: it limits removals, weakenings and exposures in a window, and holds each change that
//! exceeds a limit.
//!
//! The rules are pure functions over the window of one instance ([`window`]). A store loads the
//! window, calls the function and writes the window back.

mod count;
pub mod window;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::Key;
use crate::plan::{Change, Risk, Risks};

pub use count::RepositoryCount;
pub use window::{GuardReservation, Spent};

/// The maximum number of risks in a window, over all keys and processes of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The length of the window.
    pub window: Duration,
    /// The maximum number of removals.
    pub removes: u32,
    /// The maximum number of weakenings.
    pub weakens: u32,
    /// The maximum number of exposures.
    pub exposes: u32,
    /// The number of times that the same change is made within an hour before its aspect counts as
    /// contested. Zero means no limit.
    pub repeats: u32,
    /// The share of the instance's repositories, in percent, of which one aspect may lose or weaken
    /// something in a window.
    pub percent: u32,
    /// The number of repositories that one aspect may always reach, however small the share is.
    pub repositories: u32,
    /// The number of repositories of the instance. Without it, the share is not checked.
    #[serde(default)]
    pub among: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(3600),
            removes: 50,
            weakens: 25,
            exposes: 10,
            repeats: 5,
            percent: 20,
            repositories: 10,
            among: None,
        }
    }
}

impl Limits {
    /// Returns the limit of one risk, if it has one.
    pub fn of(&self, risk: Risk) -> Option<u32> {
        match risk {
            Risk::Removes => Some(self.removes),
            Risk::Weakens => Some(self.weakens),
            Risk::Exposes => Some(self.exposes),
            Risk::Adds | Risk::Changes => None,
        }
    }

    /// Returns the number of repositories that one aspect may reach in a window, and the number of
    /// all repositories.
    pub fn share(&self) -> Option<(u64, u32)> {
        let among = self.among?;
        let share = u64::from(among) * u64::from(self.percent) / 100;
        Some((share.max(u64::from(self.repositories)), among))
    }

    /// Returns the first limit that `more` would exceed after `used`, with its number.
    pub fn exceeded_by(&self, used: &Risks, more: &Risks) -> Option<(Risk, u32)> {
        Risk::ALL.into_iter().find_map(|risk| {
            let limit = self.of(risk)?;
            let passes = more.count(risk) > 0 && used.count(risk).saturating_add(more.count(risk)) > limit;
            passes.then_some((risk, limit))
        })
    }
}

/// The guard's decision about one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The change may be written.
    Pass,
    /// The change is held, for this reason, until an operator approves its digest or the policy
    /// changes.
    Hold(String),
}

/// A change that the guard holds, until an operator approves it or the policy's generation is
/// replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// The digest of the change: [`Change::digest`].
    pub digest: String,
    /// The key.
    pub key: Key,
    /// The name for people.
    pub subject: String,
    /// The beginning of the hold.
    pub since: Time,
    /// The reason of the hold. A change that a planner stops is held for the planner's reason,
    /// unless it was approved.
    pub why: String,
    /// Whether two writers fight over the aspect.
    #[serde(default)]
    pub contested: bool,
    /// The operator who approved the change.
    pub approved_by: Option<String>,
    /// Whether the approved write was begun and its result is not known. Then the approval lets no
    /// other write pass.
    #[serde(default)]
    pub spent: bool,
    /// The policy's generation that asks for the change.
    pub generation: String,
    /// The held change.
    pub change: Change<()>,
}

impl Hold {
    /// Returns whether another generation of this instance asked for the change.
    pub fn is_outdated(&self, instance: &str, generation: &str) -> bool {
        self.key.instance() == instance && self.generation != generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_passed_only_by_what_it_counts() {
        let limits = Limits { removes: 2, weakens: 0, ..Limits::default() };
        let mut used = Risks::default();
        used.add(Risk::Removes, 2);
        let mut more = Risks::default();
        more.add(Risk::Adds, 1000);
        assert_eq!(
            limits.exceeded_by(&used, &more),
            None,
            "adding is never stopped, however full the window"
        );
        more.add(Risk::Removes, 1);
        assert_eq!(limits.exceeded_by(&used, &more), Some((Risk::Removes, 2)));
        let mut weakens = Risks::default();
        weakens.add(Risk::Weakens, 1);
        assert_eq!(limits.exceeded_by(&Risks::default(), &weakens), Some((Risk::Weakens, 0)));
    }
}
