//! Removes from an undo the values that a later write of Beadle set again.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::Change;
use beadle_engine::guard::is_undo;
use beadle_repositories::undo::{overwritten, reverted};

use crate::app::operations::not_undone::NotUndone;
use crate::app::operations::written_changes::Written;

/// Two lists. The first list contains the writes of an undo. The second list contains the writes
/// that the undo leaves out, each with the reason.
pub(crate) type Split = (Vec<Written>, Vec<NotUndone>);

/// Splits the selected writes into two lists. The first list has the values that no later write set
/// again. The second list has all other values, each with the reason. `others` contains the writes
/// that are not selected, from the oldest to the newest. A selected write does not count as a later
/// write. Without this split, an undo could wrongly give back access. For example, one policy
/// removed the access, and a later policy removed it again. GitHub then has the value that the
/// first policy wrote, so an undo of the first policy could give back the access.
pub(crate) fn without_overwritten(selected: Vec<Written>, others: &[Written]) -> Split {
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for one in selected {
        let (its, later) = later(&one, others);
        let found = overwritten(&one.change, &later);
        let mut newest: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (field, at) in found.iter().enumerate() {
            if let Some(at) = at {
                newest.entry(*at).or_default().insert(field);
            }
        }
        if newest.is_empty() {
            kept.push(one);
            continue;
        }
        let rest: BTreeSet<usize> = (0..found.len()).filter(|field| found[*field].is_none()).collect();
        if !rest.is_empty() {
            kept.push(with_fields(&one, &rest));
        }
        for (at, fields) in newest {
            if let Some(other) = its.get(at) {
                left.push(NotUndone::because_of(with_fields(&one, &fields), reason(other), other.number()));
            }
        }
    }
    (kept, left)
}

/// Returns the write that an undo made to revert a selected write. Returns `None` if there is no
/// such write, or if a later write set the value again. `others` contains the writes that are not
/// selected, from the oldest to the newest.
pub(crate) fn reverting<'a>(one: &Written, others: &'a [Written]) -> Option<&'a Written> {
    let (its, later) = later(one, others);
    its.get(reverted(&one.change, &later)?).copied()
}

/// Returns the writes in `others` that are later than the write `one` and have the same key. Also
/// returns the changes of these later writes. The flag of a change is true if an undo wrote the
/// change.
fn later<'a>(one: &Written, others: &'a [Written]) -> (Vec<&'a Written>, Vec<(&'a Change<()>, bool)>) {
    let its: Vec<&Written> = others.iter().filter(|other| other.is_after(one)).collect();
    let is_of_undo = |other: &Written| other.generation.as_deref().is_some_and(is_undo);
    let changes = its.iter().map(|&other| (&other.change, is_of_undo(other))).collect();
    (its, changes)
}

/// Returns a write with only some of its values. `fields` contains the positions of these values.
fn with_fields(one: &Written, fields: &BTreeSet<usize>) -> Written {
    let mut part = one.clone();
    let all = std::mem::take(&mut part.change.fields).into_iter().enumerate();
    part.change.fields = all.filter(|(at, _)| fields.contains(at)).map(|(_, field)| field).collect();
    part
}

fn reason(other: &Written) -> String {
    match other.asked() {
        Some(undo) if is_undo(undo) => format!("the {undo} changed it again"),
        Some(policy) if !policy.is_empty() => format!("policy {policy} changed it again"),
        _ => "a later write changed it again".to_owned(),
    }
}
