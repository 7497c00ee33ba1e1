//! Finds the policy that asked for a repeated write. While a policy is in force, Beadle also
//! repairs drift from values that an earlier policy already wrote. Such a write belongs to the
//! earlier policy. If a policy between the two writes did not declare the value, or declared a
//! different value, the later write belongs to the policy that declares the value again.

use std::collections::BTreeMap;

use beadle_engine::guard::is_undo;
use beadle_engine::{Key, Store, StoreError, Time};
use beadle_repositories::controls::PastPolicies;
use serde_json::Value;

use super::Written;

/// The place of a value. It consists of the key, the aspect, the part and the name of the value.
type Place<'a> = (&'a Key, &'a str, &'a str, &'a str);

/// The last write of a value.
struct LastWrite<'a> {
    value: &'a Value,
    at: Time,
    /// The policy or the undo that asked for the write.
    asked: Option<String>,
}

/// The earlier writes that already wrote all values of a later write.
struct EarlierWrite {
    /// The policy that asked for the values.
    policy: String,
    /// The time of the last write of one of the values.
    at: Time,
}

/// Finds each write that repeats an earlier write, and assigns it to the policy of the earlier
/// write. `all` contains the writes of some keys from the oldest to the newest.
///
/// No policy asked for the drift that such a write repaired, so an undo must not restore this
/// drift. So the function replaces the values before the repeated write with the values after this
/// write. The undo then restores only the values from before the earlier write.
pub(super) async fn assign_repairs(store: &dyn Store, all: &mut [Written]) -> Result<(), StoreError> {
    let asked = policies(store, all).await?;
    for (one, (asked, is_repair)) in all.iter_mut().zip(asked) {
        one.first_asked = asked.filter(|asked| one.generation.as_ref() != Some(asked));
        if is_repair {
            one.change.fields.iter_mut().for_each(|field| field.before.clone_from(&field.after));
        }
    }
    Ok(())
}

/// Returns for each write the policy that asked for it, and whether the write repeats an earlier
/// one.
async fn policies(store: &dyn Store, all: &[Written]) -> Result<Vec<(Option<String>, bool)>, StoreError> {
    let mut past = PastPolicies::new(store);
    let mut last: BTreeMap<Place<'_>, LastWrite<'_>> = BTreeMap::new();
    let mut found = Vec::with_capacity(all.len());
    for one in all {
        let is_known = one.generation.as_deref().is_none_or(is_undo);
        // The policy that first plans a repair can be newer than the policy that asked for the
        // value.
        let mut earlier = if is_known { None } else { repeated(one, &last) };
        if let Some(found) = &earlier
            && is_declared_again(&mut past, one, found).await?
        {
            earlier = None;
        }
        let is_repair = earlier.is_some();
        let asked = earlier.map(|found| found.policy).or_else(|| one.asked().map(str::to_owned));
        for (place, value) in values(one) {
            if one.is_confirmed {
                last.insert(place, LastWrite { value, at: one.at, asked: asked.clone() });
            } else {
                // Beadle does not know whether this write succeeded, so GitHub might have the new
                // value.
                last.remove(&place);
            }
        }
        found.push((asked, is_repair));
    }
    Ok(found)
}

/// Returns whether the values of a write were dropped after the earlier write, and another policy
/// then declared them again. Values are dropped if a policy between the two writes did not declare
/// all of them, or declared other values.
async fn is_declared_again(
    past: &mut PastPolicies<'_>,
    one: &Written,
    earlier: &EarlierWrite,
) -> Result<bool, StoreError> {
    let is_other = one.asked() != Some(earlier.policy.as_str());
    Ok(is_other && past.was_dropped(&one.key, &one.change, (earlier.at, one.at)).await?)
}

fn values(one: &Written) -> impl Iterator<Item = (Place<'_>, &Value)> {
    let (aspect, what) = (one.change.aspect.as_str(), one.change.what.as_str());
    one.change.fields.iter().map(move |field| ((&one.key, aspect, what, field.name.as_str()), &field.after))
}

/// Returns the earlier writes that already wrote all values of a write. Returns `None` if one of
/// the values has no earlier write, if the last write of one of the values set a different value,
/// or if an undo wrote one of the values. Also returns `None` if two policies asked for the values.
fn repeated(one: &Written, last: &BTreeMap<Place<'_>, LastWrite<'_>>) -> Option<EarlierWrite> {
    let mut earlier: Option<(&str, Time)> = None;
    for (place, value) in values(one) {
        let before = last.get(&place)?;
        let asked = before.asked.as_deref().filter(|asked| !is_undo(asked))?;
        if before.value != value || earlier.is_some_and(|(policy, _)| policy != asked) {
            return None;
        }
        earlier = Some((asked, earlier.map_or(before.at, |(_, at)| at.max(before.at))));
    }
    earlier.map(|(policy, at)| EarlierWrite { policy: policy.to_owned(), at })
}
