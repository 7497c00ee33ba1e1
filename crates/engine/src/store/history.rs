//! The choice of journal entries for a list that begins with the newest entry.

use crate::clock::Time;
use crate::journal::{Detail, Entry, EntryKind};
use crate::plan::Risk;

/// Conditions for the entries of a list, and the maximum number of entries. The list begins with
/// the newest entry.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// If this is set, the list contains only entries with a number that is smaller than this
    /// number.
    pub before: Option<u64>,
    /// The list contains only entries with a number that is greater than this number.
    pub after: u64,
    /// If this is set, the list contains only entries of this time or later.
    pub since: Option<Time>,
    /// If this is set, the list contains only entries of this key.
    pub key: Option<String>,
    /// If this is set, the list contains only entries of this kind.
    pub kind: Option<EntryKind>,
    /// If this is not empty, the list contains only the intents of changes that have a value with
    /// one of these risks.
    pub risks: Vec<Risk>,
    /// The maximum number of entries in the list.
    pub limit: u32,
}

impl History {
    /// Returns whether an entry meets the conditions.
    pub fn has(&self, entry: &Entry) -> bool {
        self.before.is_none_or(|before| entry.seq < before)
            && entry.seq > self.after
            && self.since.is_none_or(|since| entry.at >= since)
            && self.key.as_ref().is_none_or(|key| entry.key == *key)
            && self.kind.is_none_or(|kind| entry.kind == kind)
            && (self.risks.is_empty() || has_risk(entry, &self.risks))
    }
}

fn has_risk(entry: &Entry, risks: &[Risk]) -> bool {
    match &entry.detail {
        Detail::Change(intended) => intended.change.fields.iter().any(|field| risks.contains(&field.risk)),
        _ => false,
    }
}

/// Returns whether the subject of a journal entry has this name. The name can be `owner/name` or
/// only the part after the owner. The function ignores the case of ASCII letters.
pub fn is_called(subject: &str, name: &str) -> bool {
    subject.eq_ignore_ascii_case(name)
        || subject.split_once('/').is_some_and(|(_, bare)| bare.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subject_is_found_with_and_without_its_owner() {
        assert!(is_called("acme/shop", "ACME/shop") && is_called("acme/shop", "shop"));
        assert!(!is_called("acme/shop", "acme") && !is_called("acme/shop", "sho"));
        assert!(is_called("aws/Ops/EU", "ops/eu") && !is_called("aws/Ops/EU", "eu"));
    }

    #[test]
    fn each_condition_excludes_entries() {
        let entry = |kind: EntryKind, detail: Detail| Entry {
            seq: 5,
            at: Time(50),
            kind,
            key: "repository:acme:1".into(),
            subject: "acme/widgets".into(),
            intent: None,
            trace: None,
            detail,
        };
        let field = |risk: &str| json!({ "name": "x", "before": 1, "after": 2, "asked": null, "risk": risk });
        let intended = json!({
            "aspect": "teams", "what": "team a", "fields": [field("adds"), field("removes")],
            "mode": "enforce", "after": [], "write": null, "generation": "g",
        });
        let intent = entry(EntryKind::Intent, intended.into());
        assert!(matches!(intent.detail, Detail::Change(_)));
        let run = entry(EntryKind::Run, json!({ "n": 1 }).into());
        let all = History::default();
        assert!(all.has(&intent) && all.has(&run));
        for (history, expected) in [
            (History { before: Some(5), ..all.clone() }, (false, false)),
            (History { before: Some(6), after: 4, ..all.clone() }, (true, true)),
            (History { after: 5, ..all.clone() }, (false, false)),
            (History { since: Some(Time(51)), ..all.clone() }, (false, false)),
            (History { since: Some(Time(50)), ..all.clone() }, (true, true)),
            (History { key: Some("repository:acme:2".into()), ..all.clone() }, (false, false)),
            (History { kind: Some(EntryKind::Run), ..all.clone() }, (false, true)),
            (History { risks: vec![Risk::Exposes, Risk::Removes], ..all.clone() }, (true, false)),
            (History { risks: vec![Risk::Exposes], ..all.clone() }, (false, false)),
        ] {
            assert_eq!((history.has(&intent), history.has(&run)), expected, "{history:?}");
        }
    }
}
