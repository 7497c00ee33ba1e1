//! Decides which entries of a list are the same thing at GitHub, in one place for the check, the
//! layers, the comparison and the writes.
//!
//! An identity is complete: it has all fields that distinguish two things. Entries are matched one
//! to one. A field that an entry leaves out matches any value, after the entries that match in all
//! fields.

mod pair;
mod table;

use serde_json::Value;

pub(crate) use self::pair::{EntryPairs, pair};
#[cfg(test)]
pub(crate) use self::table::keys;
pub(crate) use self::table::{Kind, kind};
use self::table::{Part, is_nested, parts};
use crate::policy::Node;

/// An entry of a list: of a policy, or of an answer.
pub(crate) trait Entry {
    /// The value at a path such as `reviewer.id`.
    fn value(&self, path: &str) -> Option<Value>;
    /// Returns the whole value.
    fn whole(&self) -> Value;
    /// Returns whether it is a block of keys.
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
    /// The fields of its kind; `None` for one that it leaves out.
    Fields(Vec<Option<Part>>),
    /// The entry has no identity: only an equal entry is the same.
    Whole(Value),
}

/// Distances of two matching entries: the nearest match comes first.
const CASE: u8 = 1;
const OPEN: u8 = 4;
/// From this distance on it is unknown whether GitHub takes the entries for the same.
const DOUBTFUL: u8 = 64;

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
                        // Most entries differ in every form, so one comparison is enough.
                        (Some(one), Some(other)) if one.perhaps != other.perhaps => return None,
                        (Some(one), Some(other)) if one.said == other.said => 0,
                        (Some(one), Some(other)) if one.sure == other.sure => CASE,
                        (Some(_), Some(_)) => DOUBTFUL,
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

/// Matches the entries of a policy with the live entries. If it is unknown whether GitHub
/// distinguishes two names, they match last. So Beadle never deletes and creates an entry again
/// because of its case.
pub(crate) fn pair_entries(
    kind: Option<&Kind>,
    desired: &[impl Entry],
    observed: &[impl Entry],
) -> EntryPairs {
    pair(&identities(kind, desired), &identities(kind, observed), Identity::closeness)
}

/// Returns whether every entry has its identity. Otherwise the list cannot be compared.
pub(crate) fn all_named(kind: Option<&Kind>, entries: &[impl Entry]) -> bool {
    entries.iter().all(|entry| matches!(Identity::of(kind, entry), Identity::Fields(_)))
}

/// Matches the entries of a narrower layer with those of a wider one, only if they are certainly
/// the same.
pub(crate) fn pair_layers(list: &str, over: &[Node], under: &[Node]) -> EntryPairs {
    let kind = kind(list);
    let certain = |one: &Identity, other: &Identity| one.closeness(other).filter(|far| *far < DOUBTFUL);
    pair(&identities(kind, over), &identities(kind, under), certain)
}

/// Returns whether two entries of the list `list` are certainly the same thing.
pub(crate) fn same(list: &str, one: &Node, other: &Node) -> bool {
    let kind = kind(list);
    let far = Identity::of(kind, one).closeness(&Identity::of(kind, other));
    far.is_some_and(|far| far < DOUBTFUL)
}

/// The name of an entry in a path.
pub(crate) struct Name {
    /// The name as it is written.
    pub(crate) said: String,
    /// The name in the form for comparisons.
    pub(crate) key: String,
    /// The same without the fields that an entry can leave out.
    pub(crate) open: String,
}

/// Returns the name of an entry. Returns `None` if the entry has no identity.
pub(crate) fn name(list: &str, entry: &Node) -> Option<Name> {
    let kind = kind(list);
    let Identity::Fields(fields) = Identity::of(kind, entry) else { return None };
    let join = |form: fn(&Part) -> &str, fields: &[Option<Part>]| {
        fields.iter().flatten().map(form).collect::<Vec<_>>().join(" ")
    };
    let needed = kind.map_or(fields.len(), Kind::needed);
    Some(Name {
        said: join(|part| part.said.as_str(), &fields),
        key: join(|part| part.sure.as_str(), &fields),
        open: join(|part| part.sure.as_str(), &fields[..needed]),
    })
}

/// Finds entries of nested lists that are the same thing as an earlier entry and have other values.
/// Each comes with the key of its list.
pub(crate) fn contradictions<'a>(list: &'a str, node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    for (key, value) in node.entries() {
        contradictions(key.text().unwrap_or_default(), value, found);
    }
    let items = node.items();
    for (at, item) in items.iter().enumerate() {
        contradictions("", item, found);
        // Another check ensures one rule of each type.
        if !is_nested(list) || list == "rules" {
            continue;
        }
        // An entry that leaves out a field of another entry is a different entry.
        let fields = Identity::of(kind(list), item);
        let is_same = |other: &&Node| Identity::of(kind(list), *other).closeness(&fields) == Some(0);
        if items[..at].iter().find(is_same).is_some_and(|other| other.json() != item.json()) {
            found.push((list, item));
        }
    }
}

#[cfg(test)]
mod tests;
