//! Plans the mapped attributes of accounts.

use std::collections::HashMap;

use beadle_engine::{Change, Field, Plan, Risk, Unknown};
use beadle_scim::Attribute;
use serde_json::Value;

use super::compare::Difference;
use super::{Desired, GroupPlanner, USERS, What, Write};

impl GroupPlanner {
    /// Returns the values of the mapped attributes for each person of the group. If the evaluation
    /// of an expression fails for a person, the person's attribute is unknown, and Beadle does not
    /// change this attribute.
    pub(super) fn mapped(
        &self,
        desired: &Desired<'_>,
        plan: &mut Plan<Write>,
    ) -> HashMap<String, Vec<(Attribute, Value)>> {
        let attributes = self.directory.target.attributes();
        let mut mapped = HashMap::new();
        if attributes.all().next().is_none() {
            return mapped;
        }
        for person in desired.people.values() {
            let mut known = Vec::new();
            for (attribute, value) in attributes.wanted(person) {
                match value {
                    Ok(value) => known.push((attribute, value)),
                    Err(why) => {
                        let (aspect, part) = (USERS.into(), Some(person.login.clone()));
                        plan.unknowns.push(Unknown { aspect, part, why, transient: false });
                    }
                }
            }
            mapped.insert(person.id.clone(), known);
        }
        mapped
    }
}

/// Returns the changes of mapped attributes. The removal of a value is a separate change, so that
/// the guard can hold only the removals. For example, an expression with a wrong name would remove
/// the value from all accounts.
pub(super) fn attribute_changes(desired: &Desired<'_>, difference: &Difference) -> Vec<Change<Write>> {
    let mut changes = Vec::new();
    for (whose, values) in &difference.attributes {
        for risk in [Risk::Changes, Risk::Removes] {
            let of_risk = values.iter().filter(|(.., after)| after.is_null() == (risk == Risk::Removes));
            let of_risk: Vec<&(Attribute, Value, Value)> = of_risk.collect();
            if of_risk.is_empty() {
                continue;
            }
            let field = |(attribute, before, after): &&(Attribute, Value, Value)| Field {
                name: attribute.name().to_owned(),
                before: before.clone(),
                after: after.clone(),
                asked: desired.mapping.asked.clone(),
                risk,
            };
            let written = of_risk.iter().map(|(attribute, _, after)| (attribute.clone(), after.clone()));
            changes.push(Change {
                aspect: USERS.into(),
                what: format!("user {}", whose.login),
                fields: of_risk.iter().map(field).collect(),
                mode: desired.mode,
                after: Vec::new(),
                stop: None,
                undone: false,
                reaches: 1,
                write: Write {
                    facts: desired.facts.clone(),
                    what: What::SetAttributes { account: whose.account.clone(), values: written.collect() },
                },
            });
        }
    }
    changes
}
