//! Deliveries, which are authenticated webhook requests, and the keys that they make due.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::key::{Key, Lane};
use crate::trace::TraceContext;

/// One delivery, as the inbox stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sender and the kind of its hook, such as `github` or `okta`.
    pub source: String,
    /// The id that the sender gave to the delivery. The id is unique together with `source`.
    pub id: String,
    /// The sender's name for the event, such as `repository.created`.
    pub event: String,
    /// The sender's name for the person or program that caused the event. Beadle only writes it to
    /// the journal.
    pub actor: Option<String>,
    /// The configured organisation or directory of the delivery; `-` if the delivery names none.
    pub instance: String,
    /// The time when Beadle received the delivery.
    pub received: Time,
    /// The body, exactly as received. Beadle never stores the headers of the request.
    pub body: Vec<u8>,
}

/// A request to make a key due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The key that becomes due.
    pub key: Key,
    /// The lane that the mark gives to the key.
    pub lane: Lane,
    /// The vendor's name for the thing, such as GitHub's node id. The hint makes the lookup faster.
    /// Beadle never trusts the hint, and checks that each answer belongs to the key.
    pub hint: Option<String>,
    /// The span that made the key due, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl Mark {
    /// Creates a mark that has no hint.
    pub fn new(key: Key, lane: Lane) -> Self {
        Self { key, lane, hint: None, trace: None }
    }
}

/// What the inbox did with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The delivery is stored durably, and its keys are due.
    Stored,
    /// The inbox already knew the id of the delivery. No key became due.
    Duplicate,
}

/// Decides whether a store must refuse a delivery. A store skips the unreadable rows, so that one
/// of them does not block the other keys of a delivery. But if the rows of all keys are unreadable,
/// no key becomes due, and an accepted delivery would have no effect. Returns the reason for the
/// refusal, or `None` if the store accepts the delivery. `unreadable` contains the keys of the
/// unreadable rows, each with the reason.
pub fn refused_delivery<'a>(marks: &[Mark], unreadable: &'a [(String, String)]) -> Option<&'a str> {
    let (_, why) = unreadable.first()?;
    let skipped: HashSet<&str> = unreadable.iter().map(|(key, _)| key.as_str()).collect();
    marks.iter().all(|mark| skipped.contains(mark.key.as_str())).then_some(why.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_refused_only_if_the_rows_of_all_its_keys_are_unreadable() {
        let key = |n: u64| Key::new("repository", "acme", n);
        for (marked, unreadable, expected) in [
            (vec![1], vec![1], true),
            (vec![1, 2], vec![1, 2], true),
            (vec![1, 2], vec![1], false),
            (vec![1], vec![], false),
            (vec![], vec![], false),
            // A key can have several marks, and a store can report the row of a key once or several
            // times.
            (vec![1, 1], vec![1], true),
            (vec![1, 1, 2], vec![1, 1], false),
        ] {
            let marks: Vec<Mark> = marked.iter().map(|n| Mark::new(key(*n), Lane::Event)).collect();
            let reasons: Vec<(String, String)> =
                unreadable.iter().map(|n| (key(*n).to_string(), format!("row {n}"))).collect();
            let refused = refused_delivery(&marks, &reasons);
            assert_eq!(refused, expected.then_some("row 1"), "{marked:?} {unreadable:?}");
        }
    }
}
