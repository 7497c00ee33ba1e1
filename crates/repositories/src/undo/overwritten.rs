//! Finds the values that Beadle wrote and later wrote again. An undo of the first write must not
//! restore such a value, because the later write replaced it.

use beadle_engine::Change;
use serde_json::Value;

use super::reversal::{is_same, parts, renamed, written};

/// For each field of a change, returns the position of the newest later change that set the value
/// of the field again. `later` contains the later changes of the same key in the order of their
/// writes. The flag of a later change is true if an undo wrote it. If a later change is an undo
/// that reverts the value, the function ignores this change. The function also ignores an undo of
/// this undo. So an operator can repeat an undo.
pub fn overwritten(change: &Change<()>, later: &[(&Change<()>, bool)]) -> Vec<Option<usize>> {
    let beside = beside(change, later);
    let mut found: Vec<Option<usize>> =
        written(change).iter().map(|(name, _, after)| newest(name, after, &beside)).collect();
    if is_indivisible(change)
        && let Some(at) = found.iter().flatten().max().copied()
    {
        found.fill(Some(at));
    }
    found.truncate(change.fields.len());
    found
}

/// Returns the position of the newest later change in which an undo reverted a value of `change`.
/// The function ignores the undo if a change after the undo set the value again. `later` is the
/// same list as for [`overwritten`].
pub fn reverted(change: &Change<()>, later: &[(&Change<()>, bool)]) -> Option<usize> {
    let beside = beside(change, later);
    let position = |(name, before, _): &(String, Value, Value)| {
        let newest = beside.iter().rev().find_map(|&(at, other, by_undo)| {
            let (.., after) = written(other).into_iter().find(|(its, ..)| its == name)?;
            Some((at, by_undo && is_same(name, before, &after)))
        });
        newest.filter(|(_, is_reverted)| *is_reverted).map(|(at, _)| at)
    };
    written(change).iter().filter_map(position).max()
}

/// Returns the later changes of the same part, each with its position and its flag.
fn beside<'a>(change: &Change<()>, later: &[(&'a Change<()>, bool)]) -> Vec<(usize, &'a Change<()>, bool)> {
    let own = parts(change);
    let is_own = |part: &String| own.iter().any(|own| own.eq_ignore_ascii_case(part));
    later
        .iter()
        .enumerate()
        .filter(|&(_, &(other, _))| other.aspect == change.aspect && parts(other).iter().any(is_own))
        .map(|(at, &(other, by_undo))| (at, other, by_undo))
        .collect()
}

/// Returns the position of the newest change that set a value again. `after` is the value after the
/// first write.
fn newest(name: &str, after: &Value, later: &[(usize, &Change<()>, bool)]) -> Option<usize> {
    let (mut found, mut last) = (None, after.clone());
    for &(at, other, by_undo) in later {
        let Some((_, before, after)) = written(other).into_iter().find(|(its, ..)| its == name) else {
            continue;
        };
        // The later change is an undo of the first write, or an undo of that undo.
        let continues = by_undo && found.is_none() && is_same(name, &last, &before);
        if !continues {
            found = Some(at);
        }
        last = after;
    }
    found
}

/// Returns whether an undo must restore either all values of a change or none of them. This is true
/// if the change creates, deletes or renames a thing.
fn is_indivisible(change: &Change<()>) -> bool {
    let is_branch = change.fields.iter().any(|field| field.name == "default_branch");
    let creates = change.fields.iter().all(|field| field.before.is_null());
    let deletes = change.fields.iter().all(|field| field.after.is_null());
    is_branch || renamed(change).is_some() || (!change.what.is_empty() && (creates || deletes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(aspect: &str, what: &str, fields: &[(&str, Value, Value)]) -> Change<()> {
        let fields = fields.iter().map(|(name, before, after)| {
            json!({ "name": name, "before": before, "after": after, "asked": null, "risk": "changes" })
        });
        let change = json!({
            "aspect": aspect, "what": what, "fields": fields.collect::<Vec<_>>(), "mode": "enforce",
            "after": [], "write": null,
        });
        serde_json::from_value(change).unwrap()
    }

    fn team(before: Value, after: Value) -> Change<()> {
        change("teams", "team contractors", &[("permission", before, after)])
    }

    #[test]
    fn a_value_that_a_later_policy_set_again_is_overwritten() {
        let (removed, given) = (team(json!("push"), json!(null)), team(json!(null), json!("push")));
        let other = change("teams", "team core", &[("permission", json!("push"), json!(null))]);
        for (later, expected) in [
            (vec![], None),
            (vec![(&other, false)], None),
            // The permission has its first value again, so the state at GitHub does not show the
            // later writes.
            (vec![(&given, false), (&removed, false)], Some(1)),
            (vec![(&given, false)], Some(0)),
            // Between the two writes, a person gave the permission back to the team.
            (vec![(&other, false), (&removed, false)], Some(1)),
        ] {
            assert_eq!(overwritten(&removed, &later), [expected], "{later:?}");
        }
    }

    #[test]
    fn an_undo_of_the_same_write_can_be_repeated() {
        let (removed, given) = (team(json!("push"), json!(null)), team(json!(null), json!("push")));
        for (later, expected) in [
            (vec![(&given, true)], None),
            (vec![(&given, true), (&removed, true)], None),
            (vec![(&given, true), (&removed, false)], Some(1)),
            // This undo reverts a write of a different policy.
            (vec![(&removed, true)], Some(0)),
        ] {
            assert_eq!(overwritten(&removed, &later), [expected], "{later:?}");
        }
    }

    #[test]
    fn a_write_is_reverted_until_somebody_undoes_the_undo() {
        let (removed, given) = (team(json!("push"), json!(null)), team(json!(null), json!("push")));
        let other = change("teams", "team core", &[("permission", json!(null), json!("push"))]);
        for (later, expected) in [
            (vec![], None),
            (vec![(&other, true)], None),
            (vec![(&given, true)], Some(0)),
            (vec![(&given, true), (&other, false)], Some(0)),
            (vec![(&given, false)], None),
            (vec![(&given, true), (&removed, true)], None),
            (vec![(&given, true), (&removed, false)], None),
            (vec![(&given, true), (&removed, true), (&given, true)], Some(2)),
        ] {
            assert_eq!(reverted(&removed, &later), expected, "{later:?}");
        }
    }

    #[test]
    fn only_the_overwritten_values_of_a_change_are_left() {
        let both = [("has_wiki", json!(true), json!(false)), ("has_issues", json!(true), json!(false))];
        let wiki = change("settings", "", &[("has_wiki", json!(false), json!(true))]);
        assert_eq!(overwritten(&change("settings", "", &both), &[(&wiki, false)]), [Some(0), None]);
        let rule = [("new rule", json!(null), json!(true)), ("enforce_admins", json!(null), json!(true))];
        let weaker = change("protection", "rule main", &[("enforce_admins", json!(true), json!(false))]);
        let created = change("protection", "rule main", &rule);
        assert_eq!(overwritten(&created, &[(&weaker, false)]), [Some(0), Some(0)]);
    }
}
