//! Removes from an undo the values that a later write of Beadle set again.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::guard::is_undo;
use beadle_engine::{Change, Store};
use beadle_repositories::undo::overwritten;

use crate::app::operations::not_undone::NotUndone;
use crate::app::operations::written_changes::{Written, others_after};

/// Two lists: the writes of an undo, and the writes that the undo leaves out. Each left-out write
/// has the reason.
pub(crate) type Split = (Vec<Written>, Vec<NotUndone>);

/// Splits the selected writes into two lists. The first list has the values that no later write set
/// again. The second list has all other values, each with the reason. A selected write does not
/// count as a later write. Without this check, an undo could wrongly give back access. For example,
/// one policy removed the access, and a later policy removed it again. GitHub then has the value
/// that the first policy wrote, so an undo of the first policy could give back the access.
pub(crate) async fn without_overwritten(store: &dyn Store, selected: Vec<Written>) -> anyhow::Result<Split> {
    let others = others_after(store, &selected).await?;
    Ok(split(selected, &others))
}

/// Splits the selected writes. `others` contains the other writes from the oldest to the newest.
fn split(selected: Vec<Written>, others: &[Written]) -> Split {
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for one in selected {
        let its: Vec<&Written> = others.iter().filter(|other| other.is_after(&one)).collect();
        let later: Vec<(&Change<()>, bool)> = its
            .iter()
            .map(|other| (&other.change, other.generation.as_deref().is_some_and(is_undo)))
            .collect();
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

/// Returns a write with only some of its values. `fields` contains the positions of these values.
fn with_fields(one: &Written, fields: &BTreeSet<usize>) -> Written {
    let mut part = one.clone();
    let all = std::mem::take(&mut part.change.fields).into_iter().enumerate();
    part.change.fields = all.filter(|(at, _)| fields.contains(at)).map(|(_, field)| field).collect();
    part
}

fn reason(other: &Written) -> String {
    match other.asked() {
        Some(undo) if is_undo(undo) => format!("{undo} changed it again"),
        Some(policy) if !policy.is_empty() => format!("policy {policy} changed it again"),
        _ => "a later write changed it again".to_owned(),
    }
}
