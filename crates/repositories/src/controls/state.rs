//! The two kinds of notes in the record of controls.

use std::collections::BTreeMap;
use std::time::Duration;

use beadle_engine::{Metadata, Note, Time, Waived};
use serde::{Deserialize, Serialize};

use crate::policy::NO_OTHERS;

/// The maximum expected difference between the clocks of two processes. If a state is later than
/// the present time by more than this difference, the state is from the future.
pub(super) const SKEW: Duration = Duration::from_secs(300);

/// The findings of a run in one repository. These findings are valid until the time of the next
/// state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    /// The time of the run.
    pub at: Time,
    /// The full name of the repository, `owner/name`.
    pub subject: String,
    /// The commit or the generation of the policy in this run.
    pub commit: String,
    /// The digests of the policy parts that apply to the repository, see [`ControlLines`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The controls that the repository did not meet after the run. Each control comes with the
    /// reason why Beadle did not repair it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_met: BTreeMap<String, String>,
    /// The controls that Beadle could not read or resolve. Each control comes with its cause.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, String>,
    /// The controls that waivers exempted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Waived>,
    /// The reason why the policy does not apply to the repository. `None` if the policy applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<String>,
    /// The reason why the run could not check the repository. If there is a reason, the other
    /// fields come from the previous run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Metadata for ControlState {
    const KIND: &'static str = "control-state";
}

impl ControlState {
    /// Returns the note for a state of a repository. The state starts at the time `at`.
    pub(super) fn note(instance: &str, id: &str, at: Time) -> Note<Self> {
        Note::of(&[instance, id, &moment(at)])
    }

    /// Returns the common prefix of all notes about one repository. The newest note comes first.
    pub(super) fn of_repository(instance: &str, id: &str) -> Note<Self> {
        Note::of(&[instance, id, ""])
    }

    /// Returns the common prefix of all notes about one organisation. The name of a note consists
    /// of this prefix, the id of the repository and the moment.
    pub(super) fn of_organisation(instance: &str) -> Note<Self> {
        Note::of(&[instance, ""])
    }

    /// Returns the common prefix of all notes of this kind.
    pub(super) fn of_all() -> Note<Self> {
        Note::of(&[""])
    }

    /// Returns whether two runs have the same findings. The function ignores the texts of errors,
    /// because these texts can contain the id of a request.
    pub(super) fn finds_same(&self, other: &Self) -> bool {
        self.subject == other.subject
            && self.lines == other.lines
            && self.not_met == other.not_met
            && self.unknown.keys().eq(other.unknown.keys())
            && self.waived == other.waived
            && self.outside == other.outside
            && self.failed.is_some() == other.failed.is_some()
    }
}

/// The values that one file of the policy declares for repositories. Each value comes with its line
/// at a commit. The name of the note contains a digest. The digest covers the file, the paths and
/// the values, but not the lines. So if lines only move, the states of the repositories stay the
/// same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLines {
    /// The start of the period in which the values are on these lines.
    pub at: Time,
    /// The path of the file, relative to the folder of the policy.
    pub file: String,
    /// The commit in which the file has these lines. For a policy in a folder, the field contains
    /// the name of the generation.
    pub commit: String,
    /// The values. The key is the path of the value.
    pub controls: BTreeMap<String, ControlLine>,
}

/// One value from a file of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlLine {
    /// The beginning of the value, as JSON.
    pub value: String,
    /// The line that sets the value.
    pub line: u32,
}

impl ControlLine {
    /// Returns `true` if the control is about a whole list, and `false` if it is about one entry.
    pub(super) fn is_list(&self) -> bool {
        self.value == "[]" || self.value == format!("\"{NO_OTHERS}\"")
    }
}

impl Metadata for ControlLines {
    const KIND: &'static str = "control-lines";
}

impl ControlLines {
    /// Returns the note for the lines of a policy part. The lines are valid from the time `at`.
    pub(super) fn note(instance: &str, digest: &str, at: Time) -> Note<Self> {
        Note::of(&[instance, digest, &moment(at)])
    }

    /// Returns the common prefix of all notes about one part. The newest note comes first.
    pub(super) fn of_part(instance: &str, digest: &str) -> Note<Self> {
        Note::of(&[instance, digest, ""])
    }

    /// Returns the common prefix of all notes about one organisation.
    pub(super) fn of_organisation(instance: &str) -> Note<Self> {
        Note::of(&[instance, ""])
    }

    /// Returns the common prefix of all notes of this kind.
    pub(super) fn of_all() -> Note<Self> {
        Note::of(&[""])
    }
}

/// Returns a time as text. The text of a later time sorts before the text of an earlier time, so
/// that a store finds the newest note first.
fn moment(at: Time) -> String {
    format!("{:016x}", i64::MAX.saturating_sub(at.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_moment_comes_first() {
        let times = [0, 1, 999, 1000, 1_800_000_000_000, i64::MAX].map(|at| moment(Time(at)));
        assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
        assert!(times.iter().all(|text| text.len() == 16), "{times:?}");
    }

    #[test]
    fn only_what_a_run_found_makes_a_new_state() {
        let map = |why: &str| BTreeMap::from([("teams".to_owned(), why.to_owned())]);
        let state = ControlState { unknown: map("request 1"), ..ControlState::default() };
        let later = ControlState { at: Time(9), commit: "c".into(), ..state.clone() };
        assert!(state.finds_same(&later));
        assert!(state.finds_same(&ControlState { unknown: map("request 2"), ..state.clone() }));
        for other in [
            ControlState { subject: "acme/b".into(), ..state.clone() },
            ControlState { lines: vec!["d".into()], ..state.clone() },
            ControlState { not_met: map("held"), ..state.clone() },
            ControlState { unknown: BTreeMap::new(), ..state.clone() },
            ControlState { outside: Some("archived".into()), ..state.clone() },
            ControlState { failed: Some("502".into()), ..state.clone() },
        ] {
            assert!(!state.finds_same(&other), "{other:?}");
        }
    }
}
