//! Decides which entries of two lists are the same entry at GitHub. Four parts of Beadle use these
//! decisions: the validation of policies, the merge of layers, the comparison with GitHub, and the
//! writes.
//!
//! The identity of an entry consists of all fields that distinguish the entry from other entries.
//! An entry matches at most one entry of the other list. An entry that omits an optional field
//! matches any value of this field. Beadle first matches entries that have equal values in all
//! identifying fields.

mod pair;
mod table;

use serde_json::Value;

pub(crate) use self::pair::{EntryPairs, pair};
#[cfg(test)]
pub(crate) use self::table::keys;
pub(crate) use self::table::{Kind, kind, public_key};
use self::table::{Part, is_nested, parts};
use crate::policy::Node;

/// An entry of a list, either from a policy or from an answer of GitHub.
pub(crate) trait Entry {
    /// Returns the value at a path such as `reviewer.id`.
    fn value(&self, path: &str) -> Option<Value>;
    /// Returns the entry as JSON.
    fn whole(&self) -> Value;
    /// Returns whether the entry is a block of keys. If not, it is a single value such as a text.
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

/// The part of an entry that decides whether two entries are the same at GitHub.
#[derive(Clone, Debug, PartialEq)]
enum Identity {
    /// The identifying fields. A field is `None` if it is optional and the entry omits it.
    Fields(Vec<Option<Part>>),
    /// The whole entry, if the entry has no identifying fields. Such an entry matches only an equal
    /// entry.
    Whole(Value),
}

/// Each kind of difference between two entries adds one of these numbers to their distance. Beadle
/// first matches the entries with the smallest distance.
const CASE: u8 = 1;
const OPEN: u8 = 4;
/// If the distance of two entries is at least this number, Beadle does not know whether they are
/// the same entry at GitHub.
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
                        // Different entries usually already differ in this form, so one comparison
                        // is usually enough.
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

/// Matches the entries of a policy with the entries at GitHub. GitHub might ignore the case of a
/// name. So once the function has made all better matches, it also matches entries whose names
/// differ only in upper and lower case. Otherwise, Beadle would delete the entry and create it
/// again.
pub(crate) fn pair_entries(
    kind: Option<&Kind>,
    desired: &[impl Entry],
    observed: &[impl Entry],
) -> EntryPairs {
    pair(&identities(kind, desired), &identities(kind, observed), Identity::closeness)
}

/// Returns whether every entry has identifying fields. Beadle cannot compare a list if one of its
/// entries has no identifying fields.
pub(crate) fn all_named(kind: Option<&Kind>, entries: &[impl Entry]) -> bool {
    entries.iter().all(|entry| matches!(Identity::of(kind, entry), Identity::Fields(_)))
}

/// Matches the entries of a layer of higher rank (`over`) with the entries of a layer of lower rank
/// (`under`). Two entries match only if they are certainly the same at GitHub.
pub(crate) fn pair_layers(list: &str, over: &[Node], under: &[Node]) -> EntryPairs {
    let kind = kind(list);
    let certain = |one: &Identity, other: &Identity| one.closeness(other).filter(|far| *far < UNCERTAIN);
    pair(&identities(kind, over), &identities(kind, under), certain)
}

/// Returns whether two entries of a list are certainly the same at GitHub.
pub(crate) fn same(list: &str, one: &Node, other: &Node) -> bool {
    let kind = kind(list);
    let far = Identity::of(kind, one).closeness(&Identity::of(kind, other));
    far.is_some_and(|far| far < UNCERTAIN)
}

/// Returns the repeated entries of a list. An entry is repeated if it is certainly the same at
/// GitHub as an earlier entry.
pub(crate) fn repeated<'a>(list: &str, items: impl IntoIterator<Item = &'a Node>) -> Vec<&'a Node> {
    let kind = kind(list);
    let (mut earlier, mut repeated): (Vec<Identity>, Vec<&Node>) = (Vec::new(), Vec::new());
    for item in items {
        // A list can have tens of thousands of entries, so the function computes each identity only
        // once.
        let own = Identity::of(kind, item);
        let is_same = |other: &Identity| other.closeness(&own).is_some_and(|far| far < UNCERTAIN);
        if earlier.iter().any(is_same) {
            repeated.push(item);
        }
        earlier.push(own);
    }
    repeated
}

/// The lists that contain names. GitHub ignores the case of these names.
const FOLDED: &[&str] = &["topics", "users", "teams", "apps"];

/// Returns whether `named`, an entry of `without`, means the given entry of a list. If `named`
/// omits an optional field, the entry can have any value in this field.
pub(crate) fn names(list: &str, named: &Node, entry: &Node) -> bool {
    let kind = kind(list);
    match (Identity::of(kind, named), Identity::of(kind, entry)) {
        (Identity::Fields(named), Identity::Fields(entry)) if named.len() == entry.len() => {
            named.iter().zip(&entry).all(|pair| match pair {
                (None, _) => true,
                (Some(named), Some(entry)) => named.sure == entry.sure,
                (Some(_), None) => false,
            })
        }
        (Identity::Whole(Value::String(named)), Identity::Whole(Value::String(entry)))
            if FOLDED.contains(&list) =>
        {
            named.eq_ignore_ascii_case(&entry)
        }
        (Identity::Whole(named), Identity::Whole(entry)) => named == entry,
        _ => false,
    }
}

/// The name of a list's entry in a path.
pub(crate) struct Name {
    /// The name in the spelling of the file.
    pub(crate) written: String,
    /// The name in a form for comparisons.
    pub(crate) key: String,
    /// The name in a form for comparisons. This form contains only the required fields.
    pub(crate) open: String,
}

/// Returns the name of an entry, or `None` if the entry has no identifying fields.
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

/// Finds contradictions in nested lists. A contradiction is an entry that has the same identity as
/// an earlier entry, but other values. Returns each such entry with the key of its list.
pub(crate) fn contradictions<'a>(list: &'a str, node: &'a Node, found: &mut Vec<(&'a str, &'a Node)>) {
    for (key, value) in node.entries() {
        let key = key.text().unwrap_or_default();
        // The keys that contain the entries if the list has the form of a block.
        let is_form = ["add", "replace"].contains(&key) && is_nested(list);
        contradictions(if is_form { list } else { key }, value, found);
    }
    let items = node.items();
    // This check ignores rules, because another check already reports two rules of the same type.
    let is_checked = is_nested(list) && list != "rules";
    let of_items = if is_checked { identities(kind(list), items) } else { Vec::new() };
    for (at, item) in items.iter().enumerate() {
        contradictions("", item, found);
        let Some(fields) = of_items.get(at) else { continue };
        // In this check, two entries differ if only one of them sets a field.
        let is_same = |other: &Identity| other.closeness(fields) == Some(0);
        let first = of_items.iter().take(at).position(is_same).and_then(|first| items.get(first));
        if first.is_some_and(|other| other.json() != item.json()) {
            found.push((list, item));
        }
    }
}

#[cfg(test)]
mod tests;
