//! The name of a group at the target, and how a plan shows a change of this name.

use beadle_engine::{Field, PolicyLocation, Risk};
use serde_json::{Value, json};

use crate::links::GroupLink;
use crate::mapping::{GroupKey, Mapping};
use crate::sources::SourceGroup;

/// Returns the name of a group at the target.
pub(super) fn name_of(
    group_key: &GroupKey,
    groups: &[(&Mapping, SourceGroup)],
    link: Option<&GroupLink>,
) -> String {
    match (group_key, groups, link) {
        (GroupKey::Union(into), ..) => into.clone(),
        (_, [(mapping, group)], _) => mapping.naming.of(&group.name),
        (_, _, Some(link)) => link.name.clone(),
        (GroupKey::One { source, group }, ..) => format!("{source}/{group}"),
        (GroupKey::TargetAccount { person, .. }, ..) => person.clone(),
    }
}

/// Returns the field of a plan that shows a change of the name.
pub(super) fn named(before: &str, after: &str, asked: Option<&PolicyLocation>, risk: Risk) -> Field {
    let value = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    Field {
        name: "displayName".into(),
        before: value(before),
        after: value(after),
        asked: asked.cloned(),
        risk,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_mapping_has_its_remembered_name_or_its_key() {
        let one: GroupKey = "corp/00g1".parse().unwrap();
        let link = GroupLink {
            group: "t1".into(),
            name: "Ops".into(),
            shown: None,
            from: "AWS_Ops".into(),
            sources: vec!["corp/00g1".into()],
            filled: None,
            waits: None,
        };
        assert_eq!(name_of(&one, &[], Some(&link)), "Ops");
        assert_eq!(name_of(&one, &[], None), "corp/00g1");
        assert_eq!(name_of(&GroupKey::Union("All".into()), &[], Some(&link)), "All");
        let person: GroupKey = "account/corp/00u1".parse().unwrap();
        assert_eq!(name_of(&person, &[], None), "00u1");
    }
}
