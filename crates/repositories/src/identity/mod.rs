//! Decides which entries of a list are the same at GitHub. The check, the layers, the comparison
//! and the writes all use this decision.
//!
//! An identity has all fields that distinguish two entries. Entries match one to one. If an entry
//! leaves out an optional field, it matches any value of the field, but entries that match in all
//! fields come first.

mod pair;
mod table;

use serde_json::Value;

pub(crate) use self::pair::{EntryPairs, pair};
#[cfg(test)]
pub(crate) use self::table::keys;
pub(crate) use self::table::{Kind, kind};
use self::table::{Part, is_nested, parts};
use crate::policy::Node;

/// An entry of a list in a policy, or in an answer of GitHub.
pub(crate) trait Entry {
    /// Returns the value at a path such as `reviewer.id`.
    fn value(&self, path: &str) -> Option<Value>;
    /// Returns the whole entry.
    fn whole(&self) -> Value;
    /// Returns whether the entry is a block of keys.
    fn is_block(&self) -> bool;
}

impl Entry for Node {
    fn value(&self, path: &str) -> Option<Value> {
        path.split('.').try_fold(self, |node, key| node.get(key)).map(Node::json)
    }
    fn whole(&self) -> Value {
        self.json()
    }
    fn is_block(&self) -> bool {
        matches!(self.kind, crate::policy::Kind::Map(_))
    }
}

impl Entry for Value {
    fn value(&self, path: &str) -> Option<Value> {
        path.split('.').try_fold(self, |value, key| value.get(key)).cloned()
    }
    fn whole(&self) -> Value {
        self.clone()
    }
    fn is_block(&self) -> bool {
        self.is_object()
    }
}

/// The identity of an entry.
#[derive(Clone, Debug, PartialEq)]
enum Identity {
    /// The identifying fields; `None` for an optional field that the entry leaves out.
    Fields(Vec<Option<Part>>),
    /// The entry has no identity: only an equal entry is the same.
    Whole(Value),
}

/// Distances of two matching entries: the nearest match comes first.
const CASE: u8 = 1;
const OPEN: u8 = 4;
/// From this distance on, it is unknown whether the entries are the same at GitHub.
const UNCERTAIN: u8 = 64;

impl Identity {
    fn of(kind: Option<&Kind>, entry: &impl Entry) -> Self {
        let fields = if entry.is_block() { parts(kind, entry) } else { None };
        fields.map_or_else(|| Self::Whole(entry.whole()), Self::Fields)
    }

    fn closeness(&self, other: &Self) -> Option<u8> {
        match (self, other) {
            (Self::Fields(one), Self::Fields(other)) if one.len() == other.len() => {
                one.iter().zip(other).try_fold(0, |far: u8, pair| {
                    let step = match pair {
                        (None, None) => 0,
                        // Most entries differ here already, so that one comparison is enough.
                        (Some(one), Some(other)) if one.perhaps != other.perhaps => return None,
                        (Some(one), Some(other)) if one.written == other.written => 0,
                        (Some(one), Some(other)) if one.sure == other.sure => CASE,
                        (Some(_), Some(_)) => UNCERTAIN,
                        _ => OPEN,
                    };
                    Some(far.saturating_add(step))
                })
            }
            (Self::Whole(one), Self::Whole(other)) => (one == other).then_some(0),
            _ => None,
        }
    }
}

fn identities(kind: Option<&Kind>, entries: &[impl Entry]) -> Vec<Identity> {
    entries.iter().map(|entry| Identity::of(kind, entry)).collect()
}

/// Matches the entries of a policy with the entries at GitHub. Names that differ only in a case
/// that GitHub may ignore match last, so that Beadle does not delete such an entry and create it
/// again.
pub(crate) fn pair_entries(
    kind: Option<&Kind>,
    desired: &[impl Entry],
    observed: &[impl Entry],
) -> EntryPairs {
    pair(&identities(kind, desired), &identities(kind, observed), Identity::closeness)
}

/// Returns whether every entry has an identity. Beadle cannot compare a list with other entries.
pub(crate) fn all_named(kind: Option<&Kind>, entries: &[impl Entry]) -> bool {
    entries.iter().all(|entry| matches!(Identity::of(kind, entry), Identity::Fields(_)))
}

/// Matches the entries of a narrower layer with the entries of a wider layer. Only entries that are
/// certainly the same match.
pub(crate) fn pair_layers(list: &str, over: &[Node], under: &[Node]) -> EntryPairs {
    let kind = kind(list);
    let certain = |one: &Identity, other: &Identity| one.closeness(other).filter(|far| *far < UNCERTAIN);
    pair(&identities(kind, over), &identities(kind, under), certain)
}

/// Returns whether two entries of a list are certainly the same.
pub(crate) fn same(list: &str, one: &Node, other: &Node) -> bool {
    let kind = kind(list);
    let far = Identity::of(kind, one).closeness(&Identity::of(kind, other));
    far.is_some_and(|far| far < UNCERTAIN)
}

/// The name of an entry in a path.
pub(crate) struct Name {
    /// The name as the file has it.
    pub(crate) written: String,
    /// The name in the form for comparisons.
    pub(crate) key: String,
    /// The key without the optional fields.
    pub(crate) open: String,
}

/// Returns the name of an entry; `None` if it has no identity.
pub(crate) fn name(list: &str, entry: &Node) -> Option<Name> {
    let kind = kind(list);
    let Identity::Fields(fields) = Identity::of(kind, entry) else { return None };
    let join = |form: fn(&Part) -> &str, fields: &[Option<Part>]| {
        fields.iter().flatten().map(form).collect::<Vec<_>>().join(" ")
    };
    let needed = kind.map_or(fields.len(), Kind::needed);
    Some(Name {
        written: join(|part| part.written.as_str(), &fields),
        key: join(|part| part.sure.as_str(), &fields),
        open: join(|part| part.sure.as_str(), &fields[..needed]),
    })
}

/// Finds entries of nested lists that repeat an earlier entry with other values. Returns each entry
/// with the key of its list.
pub(crate) fn contradictions<'a>(list: &'a str, node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    for (key, value) in node.entries() {
        contradictions(key.text().unwrap_or_default(), value, found);
    }
    let items = node.items();
    for (at, item) in items.iter().enumerate() {
        contradictions("", item, found);
        // Another check finds two rules of one type.
        if !is_nested(list) || list == "rules" {
            continue;
        }
        // An entry that leaves out a field differs from an entry that sets the field.
        let fields = Identity::of(kind(list), item);
        let is_same = |other: &&Node| Identity::of(kind(list), *other).closeness(&fields) == Some(0);
        if items[..at].iter().find(is_same).is_some_and(|other| other.json() != item.json()) {
            found.push((list, item));
        }
    }
}

#[cfg(test)]
mod tests;
