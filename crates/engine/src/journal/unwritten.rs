//! A change that a run did not write, in the form that the journal and the state of a key store.

use serde::{Deserialize, Serialize};

use super::changed_part::ChangedPart;
use crate::plan::{PolicyLocation, Risk};

/// A change that a run planned and did not write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnwrittenChange {
    /// The part that the change is about.
    #[serde(flatten)]
    pub part: ChangedPart,
    /// The gravest risk of the change.
    pub risk: Risk,
    /// The policy line that asks for the change.
    pub asked: Option<PolicyLocation>,
    /// The reason why Beadle did not write the change.
    pub because: DriftCause,
    /// True if the change would replace values that an undo restored. The reason is then
    /// [`DriftCause::Mode`], because older versions know no separate reason for an undo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// The digest of the change, if the guard holds it. An operator uses the digest to approve the
    /// change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
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
    /// change also has this cause, because older versions do not know [`DriftCause::Blocked`].
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
        assert_eq!((change.because, change.part.value_names()), (DriftCause::NotReached, String::new()));
        assert_eq!(json!(change), of_journal, "an entry of the journal must not change");
        let change = read(&of_state);
        assert_eq!((change.because, change.digest.as_deref()), (DriftCause::Blocked, None));
        assert_eq!(change.part.value_names(), "color, 2 more");
        assert_eq!(json!(change), of_state, "the state of a key must not change");
        let keys = serde_json::to_string(&change).unwrap();
        let expected = r#"{"aspect":"labels","what":"label old","values":["color"],"more_values":2,"risk":"#;
        assert!(keys.starts_with(expected), "the digest of a list depends on the order: {keys}");
    }
}
