//! The differences between an entry that the policy declares and the same entry at GitHub.

use beadle_engine::{Field, Risk};
use serde_json::{Map, Value, json};

use crate::aspects::field;
use crate::policy::Node;

/// The differences of some fields, and the body that sets them.
pub(super) type Difference = (Vec<Field>, Map<String, Value>);

/// The fields of an entry that can change, and how Beadle compares them.
pub(super) struct Fields {
    /// The names of the fields, which are the same in the policy and at GitHub.
    pub(super) names: &'static [&'static str],
    /// Returns the value of a field in the form in which values are compared.
    pub(super) comparable: fn(&str, &Value) -> Value,
    /// Returns the risk of a change of one field. Both values have the form of `comparable`.
    pub(super) risk: fn(&str, &Value, &Value) -> Risk,
}

impl Fields {
    /// Returns the fields that an entry declares.
    fn declared<'a>(&self, want: &'a Node) -> impl Iterator<Item = (&'static str, &'a Node)> {
        let names = self.names.iter();
        names.filter_map(move |name| Some((*name, want.get(name).filter(|node| !node.is_null())?)))
    }

    /// Returns the differences between a declared entry and the entry at GitHub: those that the
    /// guard does not count, and those that it counts.
    pub(super) fn differences(&self, want: &Node, found: &Value) -> [Difference; 2] {
        let (mut plain, mut guarded) = (Difference::default(), Difference::default());
        for (name, node) in self.declared(want) {
            let before = (self.comparable)(name, &found[name]);
            let after = (self.comparable)(name, &node.json());
            if before == after {
                continue;
            }
            let risk = (self.risk)(name, &before, &after);
            let (fields, body) = if risk.is_guarded() { &mut guarded } else { &mut plain };
            fields.push(field(name, before, after, Some(&node.asked), risk));
            body.insert(name.to_owned(), node.json());
        }
        [plain, guarded]
    }

    /// Returns the fields and the body of a new entry.
    pub(super) fn of_new(&self, want: &Node, name: &str) -> Difference {
        let (mut fields, mut body) = (Vec::new(), Map::from_iter([("name".to_owned(), json!(name))]));
        for (name, node) in self.declared(want) {
            fields.push(field(name, Value::Null, node.json(), Some(&node.asked), Risk::Adds));
            body.insert(name.to_owned(), node.json());
        }
        (fields, body)
    }
}

/// Returns a list in a fixed order, for lists whose order has no meaning. Returns every other value
/// as it is.
pub(super) fn sorted(value: &Value) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let mut items = items.clone();
    items.sort_by_key(ToString::to_string);
    Value::Array(items)
}
