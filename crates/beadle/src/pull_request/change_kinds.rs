//! Groups the changes of a preview by their values, so that one line shows one kind of change.

use std::cmp::Reverse;

use beadle_engine::{Change, GroupedChange, Key, Plan, group_changes, subjects_of};
use serde_json::Value;

use crate::app::gate::held_generation::HeldGroup;
use crate::output::plans_and_results::differences;

/// The text that replaces the old values of a change, if the old values differ between
/// repositories.
pub(super) const DIFFERENT: &str = "different values";

/// Equal changes of several repositories.
#[derive(Debug)]
pub(super) struct ChangeKind {
    pub(super) group: HeldGroup,
    /// The names of all these repositories.
    pub(super) names: Vec<String>,
}

/// Groups equal changes of several repositories. The changes of a group have the same new values,
/// but their old values can differ. The line of a group shows the values in the same form as a line
/// in a plan. The most severe risks come first, and then the largest groups.
pub(super) fn kinds(plans: &[(Key, Plan<()>)]) -> Vec<ChangeKind> {
    let kind = |change: &Change<()>| {
        Some((change.risks().gravest()?, change.aspect.clone(), line(&from_anything(change))))
    };
    let mut groups: Vec<ChangeKind> = Vec::new();
    for ((risk, aspect, values), changes) in group_changes(plans.iter().map(|(key, plan)| (key, plan)), kind)
    {
        let what = sample(&changes).map_or(values, |sample| line(&sample));
        let names = subjects_of(&changes).into_iter().map(str::to_owned).collect();
        groups.push(ChangeKind { group: HeldGroup::new((risk, aspect, what), &changes), names });
    }
    groups.sort_by_key(|kind| Reverse((kind.group.risk, kind.group.repositories)));
    groups
}

/// Returns the first change of a group. If an old value is not the same in all changes,
/// [`DIFFERENT`] replaces it.
fn sample(changes: &[GroupedChange<'_>]) -> Option<Change<()>> {
    let mut sample = changes.first()?.change.clone();
    for one in changes {
        for (known, field) in sample.fields.iter_mut().zip(&one.change.fields) {
            if known.before != field.before {
                known.before = Value::from(DIFFERENT);
            }
        }
    }
    Some(sample)
}

/// Returns the change. [`DIFFERENT`] replaces each old value.
fn from_anything(change: &Change<()>) -> Change<()> {
    let mut change = change.clone();
    for field in change.fields.iter_mut().filter(|field| !field.before.is_null()) {
        field.before = Value::from(DIFFERENT);
    }
    change
}

/// Returns the values of a change, and the reason why the change needs a separate approval.
fn line(change: &Change<()>) -> String {
    let values = differences(change);
    match &change.stop {
        Some(stop) => format!("{values} (held until an approval: {stop})"),
        None => values,
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Risk;
    use serde_json::json;

    use super::super::findings::tests::{change, preview};
    use super::*;

    #[test]
    fn a_kind_of_change_shows_its_values() {
        let names = ["a".to_owned(), "b".to_owned()];
        let changes = [
            change("team contractors", Risk::Adds, &Value::Null, &json!("admin")),
            change("team docs", Risk::Changes, &json!("pull"), &json!("push")),
            change("team core", Risk::Removes, &json!("push"), &Value::Null),
        ];
        let mut shown = preview(&names, &changes);
        // Both repositories lose the same team, but with different permissions.
        shown.plans[1].1.changes[2].fields[0].before = json!("admin");
        // In one repository, the same team gets a different permission.
        shown.plans[1].1.changes[0].fields[0].after = json!("pull");
        let found = kinds(&shown.plans);
        assert_eq!(found[0].names, ["acme/a", "acme/b"]);
        let mut lines: Vec<String> = found.iter().map(|kind| kind.group.line()).collect();
        assert!(lines[0].starts_with("removes"), "{lines:?}");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "adds teams: team contractors: permission: admin in 1 repository, such as acme/a",
                "adds teams: team contractors: permission: pull in 1 repository, such as acme/b",
                "changes teams: team docs: permission: pull → push in 2 repositories, such as acme/a, acme/b",
                "removes teams: team core: permission: different values → none in 2 repositories, such as acme/a, acme/b",
            ]
        );
    }

    #[test]
    fn a_kind_of_change_shows_why_it_needs_an_approval() {
        let mut leave = change("remove", Risk::Removes, &json!("push"), &Value::Null);
        leave.stop = Some("7 of 9 members would leave".to_owned());
        let found = kinds(&preview(&["a".to_owned()], &[leave]).plans);
        let what = &found[0].group.what;
        assert!(what.ends_with("(held until an approval: 7 of 9 members would leave)"), "{what}");
    }
}
