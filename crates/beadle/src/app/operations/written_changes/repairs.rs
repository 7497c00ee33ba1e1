//! Finds the policy that asked for a repeated write. While a policy is in force, Beadle also repairs
//! drift from values that an earlier policy already wrote. Such a write belongs to the earlier
//! policy.

use std::collections::BTreeMap;

use beadle_engine::Key;
use beadle_engine::guard::is_undo;
use serde_json::Value;

use super::Written;

/// A value of a key: the key, the aspect, the part and the name.
type Place<'a> = (&'a Key, &'a str, &'a str, &'a str);

/// The last value that Beadle wrote to a place, and the policy or the undo that asked for it.
type Last<'a> = BTreeMap<Place<'a>, (&'a Value, Option<String>)>;

/// Gives each write that repeats an earlier write the policy of the earlier write. `all` contains
/// the writes of some keys from the oldest to the newest.
pub(super) fn assign_repairs(all: &mut [Written]) {
    let asked = policies(all);
    for (one, asked) in all.iter_mut().zip(asked) {
        if asked != one.generation {
            one.first_asked = asked;
        }
    }
}

fn policies(all: &[Written]) -> Vec<Option<String>> {
    let mut last: Last<'_> = BTreeMap::new();
    let mut found = Vec::with_capacity(all.len());
    for one in all {
        let is_known = one.first_asked.is_some() || one.generation.as_deref().is_none_or(is_undo);
        let repeated = if is_known { None } else { repeated(one, &last) };
        let asked = repeated.or_else(|| one.asked().map(str::to_owned));
        if one.is_confirmed {
            for (place, value) in values(one) {
                last.insert(place, (value, asked.clone()));
            }
        }
        found.push(asked);
    }
    found
}

fn values(one: &Written) -> impl Iterator<Item = (Place<'_>, &Value)> {
    let (aspect, what) = (one.change.aspect.as_str(), one.change.what.as_str());
    one.change.fields.iter().map(move |field| ((&one.key, aspect, what, field.name.as_str()), &field.after))
}

/// Returns the policy that asked for all values of a write before. Returns `None` if the last write
/// of one of the values wrote something else, or if an undo did this write.
fn repeated(one: &Written, last: &Last<'_>) -> Option<String> {
    let mut policy: Option<&str> = None;
    for (place, value) in values(one) {
        let (before, asked) = last.get(&place)?;
        let asked = asked.as_deref().filter(|asked| !is_undo(asked))?;
        if *before != value || policy.is_some_and(|policy| policy != asked) {
            return None;
        }
        policy = Some(asked);
    }
    policy.map(str::to_owned)
}
