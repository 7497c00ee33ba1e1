//! Plans the settings of a group, such as its privacy.

use std::collections::BTreeMap;

use beadle_engine::{Field, Plan, Risk};
use serde_json::Value;

use super::{Desired, What, Write};
use crate::targets::TargetGroup;

/// Returns the risk of a new value for a setting.
fn risk(name: &str, before: &Value, after: &Value) -> Risk {
    match name {
        // Members of a team also have the access of the team's parent, and of all teams above the
        // parent.
        "parent" if after.is_null() => Risk::Removes,
        "parent" => Risk::Exposes,
        // With this value, more people can see the team and its members.
        "privacy" if before == "secret" => Risk::Exposes,
        _ => Risk::Changes,
    }
}

/// Plans changes of the settings that a source sets. `is` is the present group, or `None` if the
/// change `first` creates the group. The function puts settings that the guard can hold into a
/// separate change.
pub(super) fn configure(
    desired: &Desired<'_>,
    is: Option<&TargetGroup>,
    first: Option<usize>,
    plan: &mut Plan<Write>,
) {
    let mut by_risk: BTreeMap<bool, Vec<Field>> = BTreeMap::new();
    for (name, after) in &desired.facts.settings {
        let before = match is {
            // A setting that the target does not show is unknown.
            Some(is) => match is.settings.get(name) {
                Some(before) => before.clone(),
                None => continue,
            },
            None => Value::Null,
        };
        if before == *after {
            continue;
        }
        let risk = if is.is_some() { risk(name, &before, after) } else { Risk::Adds };
        let field = Field {
            name: (*name).to_owned(),
            before,
            after: after.clone(),
            asked: desired.mapping.asked.clone(),
            risk,
        };
        by_risk.entry(matches!(risk, Risk::Removes | Risk::Exposes)).or_default().push(field);
    }
    for fields in by_risk.into_values() {
        let settings = desired.facts.settings.iter();
        let settings = settings.filter(|(name, _)| fields.iter().any(|field| field.name == **name));
        let settings = settings.map(|(name, value)| (*name, value.clone())).collect();
        let mut change = desired.change("configure", "", Risk::Changes, What::Configure(settings));
        change.fields = fields;
        change.after = first.into_iter().collect();
        plan.changes.push(change);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_risk_of_a_setting_is_who_gains_or_loses_access() {
        let (secret, closed) = (json!("secret"), json!("closed"));
        assert_eq!(risk("privacy", &secret, &closed), Risk::Exposes);
        assert_eq!(risk("privacy", &closed, &secret), Risk::Changes);
        assert_eq!(risk("parent", &Value::Null, &json!("all")), Risk::Exposes);
        assert_eq!(risk("parent", &json!("all"), &Value::Null), Risk::Removes);
        assert_eq!(risk("notification_setting", &json!("a"), &json!("b")), Risk::Changes);
    }
}
