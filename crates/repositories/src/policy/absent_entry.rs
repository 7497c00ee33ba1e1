//! Finds the policy list that makes Beadle remove an entry at GitHub. Beadle removes the entry
//! because the list does not contain the entry. No line of the policy contains the removed entry,
//! so Beadle shows people the name of the list.

use std::fmt;

use beadle_engine::Field;
use serde_json::Value;

/// An entry that a change removes, because a list of the policy does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsentEntry {
    /// The path of the list, such as `teams`.
    pub list: String,
    /// The name of the entry.
    pub name: String,
    /// True if two conditions are met. First, the list can contain the entry without a value.
    /// Second, the change looks the same in two cases: the list does not contain the entry, or the
    /// list contains the entry without a value.
    is_value: bool,
}

impl AbsentEntry {
    /// Returns the path of the entry, such as `teams[core]`.
    pub fn path(&self) -> String {
        format!("{}[{}]", self.list, self.name)
    }

    /// Returns the words that follow the name of the list in a sentence, such as `does not have
    /// core`.
    pub fn lacks(&self) -> String {
        if self.is_value {
            format!("has no value for {}", self.name)
        } else {
            format!("does not have {}", self.name)
        }
    }
}

impl fmt::Display for AbsentEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the list `{}` {}", self.list, self.lacks())
    }
}

/// The form of one list's entries in the changes of an aspect.
struct Removal {
    aspect: &'static str,
    /// The path of the list in the policy.
    list: &'static str,
    /// The text that comes before the entry's name in the title of a change.
    before: &'static str,
    /// The value that a change removes together with the entry.
    value: &'static str,
}

const fn removal(
    aspect: &'static str,
    list: &'static str,
    before: &'static str,
    value: &'static str,
) -> Removal {
    Removal { aspect, list, before, value }
}

/// All lists whose entries have a name in the title of a change.
const REMOVALS: &[Removal] = &[
    removal("autolinks", "autolinks", "autolink ", "url_template"),
    removal("blocked_users", "organization.blocked_users", "blocked user ", "blocked"),
    removal("codespaces_secrets", "codespaces_secrets", "secret ", "value"),
    removal("collaborators", "collaborators", "collaborator ", "permission"),
    removal("collaborators", "collaborators", "invitation of ", "permission"),
    removal("custom_repository_roles", "custom_repository_roles", "repository role ", "permissions"),
    removal("dependabot_secrets", "dependabot_secrets", "secret ", "value"),
    removal("deploy_keys", "deploy_keys", "deploy key ", "key"),
    removal("environments", "environments", "environment ", "environment"),
    removal("labels", "labels", "label ", "color"),
    removal("milestones", "milestones", "milestone ", "title"),
    removal("organisation_rulesets", "rulesets", "ruleset ", "ruleset"),
    removal("organization_codespaces_secrets", "organization.codespaces_secrets", "secret ", "value"),
    removal("organization_custom_properties", "organization.custom_properties", "property ", "value_type"),
    removal("organization_dependabot_secrets", "organization.dependabot_secrets", "secret ", "value"),
    removal("organization_roles", "organization.organization_roles", ROLE, "permissions"),
    removal("organization_secrets", "organization.secrets", "secret ", "value"),
    removal("organization_variables", "organization.variables", "variable ", "value"),
    removal("organization_webhooks", "organization.webhooks", "webhook ", "events"),
    removal("rulesets", "rulesets", "ruleset ", "ruleset"),
    removal("runner_groups", "organization.runner_groups", "runner group ", "visibility"),
    removal("secrets", "secrets", "secret ", "value"),
    removal("teams", "teams", "team ", "permission"),
    removal("variables", "variables", "variable ", "value"),
    removal("webhooks", "webhooks", "webhook ", "events"),
];

/// The text that comes before an organisation role's name in the title of a change.
const ROLE: &str = "organization role ";
/// The lists of an organisation role. In a change, a value from one of these lists has the name
/// `teams` or `users`.
const HOLDERS: [&str; 2] = ["teams", "users"];

/// Returns the entry that a value of a change removes. `what` is the part of the aspect, such as
/// `team core`. Returns `None` if the value does not remove an entry of a list.
pub fn absent_entry(aspect: &str, what: &str, field: &Field) -> Option<AbsentEntry> {
    // After its removal, an entry has no value. The only exception is an unblocked person, who has
    // the value `false`.
    let is_gone = field.after.is_null() || (aspect == "blocked_users" && field.after == Value::Bool(false));
    if !is_gone || field.before.is_null() {
        return None;
    }
    let entry = |list: String, name: &str| {
        let name = name.to_owned();
        (!name.is_empty()).then_some(AbsentEntry { list, name, is_value: false })
    };
    match (aspect, what) {
        ("topics", "") => entry("repository.topics".to_owned(), &field.name),
        ("custom_properties", "") => {
            let found = entry("custom_properties".to_owned(), &field.name)?;
            Some(AbsentEntry { is_value: true, ..found })
        }
        ("organization_roles", role) if HOLDERS.contains(&field.name.as_str()) => {
            let role = role.strip_prefix(ROLE)?;
            let list = format!("organization.organization_roles[{role}].{}", field.name);
            entry(list, field.before.as_str()?)
        }
        // The variables of an environment are a list inside the environment's entry.
        ("environments", what) if field.name == "value" => {
            let (environment, variable) = what.strip_prefix("environment ")?.split_once(": variable ")?;
            entry(format!("environments[{environment}].variables"), variable)
        }
        _ => {
            let is_it = |one: &&Removal| one.aspect == aspect && one.value == field.name;
            let mut found = REMOVALS.iter().filter(is_it);
            found.find_map(|one| entry(one.list.to_owned(), what.strip_prefix(one.before)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Risk;
    use serde_json::json;

    use super::*;
    use crate::organisation;
    use crate::policy::keys::lists;

    fn field(name: &str, before: Value, after: Value) -> Field {
        Field { name: name.to_owned(), before, after, asked: None, risk: Risk::Removes }
    }

    fn sentence(aspect: &str, what: &str, field: &Field) -> Option<String> {
        absent_entry(aspect, what, field).map(|entry| entry.to_string())
    }

    #[test]
    fn a_removed_entry_is_missing_in_its_list() {
        for (aspect, what, name, before, expected) in [
            ("teams", "team core", "permission", json!("push"), "the list `teams` does not have core"),
            (
                "collaborators",
                "invitation of ann",
                "permission",
                json!("push"),
                "the list `collaborators` does not have ann",
            ),
            ("topics", "", "web", json!(true), "the list `repository.topics` does not have web"),
            (
                "custom_properties",
                "",
                "tier",
                json!("gold"),
                "the list `custom_properties` has no value for tier",
            ),
            (
                "environments",
                "environment prod: variable A",
                "value",
                json!("1"),
                "the list `environments[prod].variables` does not have A",
            ),
            (
                "organization_roles",
                "organization role auditor",
                "teams",
                json!("core"),
                "the list `organization.organization_roles[auditor].teams` does not have core",
            ),
        ] {
            let field = field(name, before, Value::Null);
            assert_eq!(sentence(aspect, what, &field).as_deref(), Some(expected), "{aspect} {what}");
        }
        let unblocked = field("blocked", json!(true), json!(false));
        let expected = "the list `organization.blocked_users` does not have eve";
        assert_eq!(sentence("blocked_users", "blocked user eve", &unblocked).as_deref(), Some(expected));
        let path = absent_entry("labels", "label bug", &field("color", json!("ff0000"), Value::Null));
        assert_eq!(path.map(|entry| entry.path()).as_deref(), Some("labels[bug]"));
    }

    #[test]
    fn a_change_of_a_value_removes_no_entry() {
        for (aspect, what, field) in [
            ("teams", "team core", field("permission", json!("admin"), json!("pull"))),
            ("teams", "team core", field("permission", Value::Null, json!("pull"))),
            ("labels", "label bug", field("description", json!("x"), Value::Null)),
            ("rulesets", "ruleset main", field("bypass_actors", json!([1]), Value::Null)),
            ("settings", "", field("homepage", json!("x"), Value::Null)),
            ("protection", "rule main", field("rule", json!(true), Value::Null)),
            ("blocked_users", "blocked user eve", field("blocked", json!(false), json!(true))),
            ("variables", "variable ", field("value", json!("x"), Value::Null)),
        ] {
            assert_eq!(absent_entry(aspect, what, &field), None, "{aspect} {what} {}", field.name);
        }
    }

    #[test]
    fn each_list_from_which_beadle_removes_entries_is_known() {
        let is_known = |aspect: &str| REMOVALS.iter().any(|one| one.aspect == aspect);
        for list in lists() {
            assert!(is_known(list) || list == "custom_properties", "{list}");
        }
        // Beadle removes no entries from these parts of the organisation.
        let others = [
            "organization",
            "code_security_configurations",
            "organization_actions",
            "organization_oidc_subject",
        ];
        for aspect in organisation::ALL {
            assert_eq!(is_known(aspect.name), !others.contains(&aspect.name), "{}", aspect.name);
        }
    }
}
