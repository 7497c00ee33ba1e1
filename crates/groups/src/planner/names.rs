//! Names of groups at the target.

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

/// Returns the field of a change of the name.
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
