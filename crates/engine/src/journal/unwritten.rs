//! A change that a run did not write, as the journal and the state of a key store it.

use serde::{Deserialize, Serialize};

use crate::plan::{PolicyLocation, Risk};

/// A change that a run planned and did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwrittenChange {
    /// The aspect that the change belongs to.
    pub aspect: String,
    /// The part of the aspect, such as `team platform`. The text is empty if the change is about
    /// the repository as a whole.
    pub what: String,
    /// The names of some of the values that the change sets or removes. Only the state of a key has
    /// names. The journal has none, because older versions cannot read them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The number of further values that `values` does not name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_values: usize,
    /// The gravest risk of the change.
    pub risk: Risk,
    /// The policy line that asks for the change.
    pub asked: Option<PolicyLocation>,
    /// The reason why Beadle did not write the change.
    pub because: DriftCause,
    /// True if the change would replace values that an undo restored. The reason is then
    /// [`DriftCause::Mode`], because older versions know no other reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// The digest of the change, if the guard holds it. An operator uses the digest to approve the
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl UnwrittenChange {
    /// Returns the names of the values as a text, such as `has_wiki, has_issues, 3 more`. Returns
    /// an empty text if the change names no value.
    pub fn value_names(&self) -> String {
        match (self.values.as_slice(), self.more_values) {
            ([], _) => String::new(),
            (values, 0) => values.join(", "),
            (values, more) => format!("{}, {more} more", values.join(", ")),
        }
    }
}

/// The reason why Beadle did not write a change. The last variant is the most severe one. A stored
/// cause that only a newer version knows counts as the most severe one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", from = "String")]
pub enum DriftCause {
    /// The change depends on another change that was not written.
    Blocked,
    /// The mode does not allow the change, or the change would replace values that an undo
    /// restored.
    Mode,
    /// The guard holds the change.
    Held,
    /// Another writer undoes the change. Beadle writes it again later.
    Contested,
    /// The run ended before it reached the change. In the journal, a change that depends on another
    /// change also has this cause, because older versions do not know the other cause.
    NotReached,
    /// The write failed.
    Failed,
}

impl From<String> for DriftCause {
    fn from(name: String) -> Self {
        let known = [Self::Blocked, Self::Mode, Self::Held, Self::Contested, Self::NotReached];
        known.into_iter().find(|cause| cause.as_str() == name).unwrap_or(Self::Failed)
    }
}

impl DriftCause {
    /// Returns the name that is stored. The labels of metrics have the same names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Mode => "mode",
            Self::Held => "held",
            Self::Contested => "contested",
            Self::NotReached => "not-reached",
            Self::Failed => "failed",
        }
    }
}

/// Returns whether a count is 0. Some stored forms leave out a count of 0.
pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ALL: [DriftCause; 6] = [
        DriftCause::Blocked,
        DriftCause::Mode,
        DriftCause::Held,
        DriftCause::Contested,
        DriftCause::NotReached,
        DriftCause::Failed,
    ];

    #[test]
    fn the_name_of_a_cause_is_the_stored_one() {
        for cause in ALL {
            assert_eq!(json!(cause), cause.as_str());
            assert_eq!(serde_json::from_value::<DriftCause>(json!(cause)).unwrap(), cause);
        }
    }

    #[test]
    fn a_cause_of_a_newer_version_counts_as_the_most_severe_one() {
        let newer = serde_json::from_value::<DriftCause>(json!("deferred")).unwrap();
        assert_eq!((newer, ALL.into_iter().max()), (DriftCause::Failed, Some(DriftCause::Failed)));
    }

    #[test]
    fn the_changes_of_older_versions_are_readable() {
        let of_journal = json!({
            "aspect": "teams", "what": "team a", "risk": "removes", "because": "not-reached",
            "asked": { "file": "settings.yml", "line": 7 },
        });
        let of_state = json!({
            "aspect": "labels", "what": "label old", "values": ["color"], "more_values": 2, "risk": "changes",
            "asked": null, "because": "blocked",
        });
        let read = |stored: &Value| serde_json::from_value::<UnwrittenChange>(stored.clone()).unwrap();
        let change = read(&of_journal);
        assert_eq!((change.because, change.value_names()), (DriftCause::NotReached, String::new()));
        assert_eq!(json!(change), of_journal, "an entry of the journal must not change");
        let change = read(&of_state);
        assert_eq!((change.because, change.digest.as_deref()), (DriftCause::Blocked, None));
        assert_eq!(change.value_names(), "color, 2 more");
    }
}
