//! Compares what the conditions of a ruleset select.

use serde_json::{Value, json};

use super::overlay::list;

/// Returns whether a condition selects repositories. A ruleset can select repositories in only one
/// way.
pub(super) fn is_of_repositories(name: &str) -> bool {
    name.starts_with("repository_")
}

/// Returns whether a condition certainly selects all repositories.
pub(super) fn selects_all(name: &str, condition: &Value) -> bool {
    name == "repository_name"
        && list(&condition["include"]).contains(&json!("~ALL"))
        && list(&condition["exclude"]).is_empty()
}

/// Returns whether each entry of the list `few` is also in the list `many`.
pub(super) fn is_within(few: &Value, many: &Value) -> bool {
    list(few).iter().all(|item| list(many).contains(item))
}

/// Returns whether the new list `include` of a condition certainly selects everything that the old
/// list selects. A name or a ref has to match one entry of its list. A repository has to match
/// every property of its list, so a further property selects fewer repositories.
///
/// <https://docs.github.com/rest/orgs/rules#create-an-organization-repository-ruleset>
pub(super) fn includes_as_much(condition: &str, before: &Value, after: &Value) -> bool {
    if condition != "repository_property" {
        return is_within(before, after);
    }
    let source = |property: &Value| property["source"].as_str().unwrap_or("custom").to_owned();
    let permits = |wide: &Value, narrow: &Value| {
        wide["name"] == narrow["name"]
            && source(wide) == source(narrow)
            && is_within(&narrow["property_values"], &wide["property_values"])
    };
    // Beadle does not know what a list without an entry selects.
    let (old, new) = (list(before), list(after));
    let is_wider = || new.iter().all(|new| old.iter().any(|old| permits(new, old)));
    old == new || (!old.is_empty() && !new.is_empty() && is_wider())
}
