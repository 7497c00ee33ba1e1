//! Finds the paths of values in the policy. Waivers use paths of the same form.

use super::{entries, protection};
use crate::policy::{check_waived_key, inside_entry};

/// Returns the path of a value in the policy. The aspect, the part and the name identify the value.
/// Returns `None` if the value has no path.
pub(super) fn path_of(aspect: &str, what: &str, name: &str) -> Option<String> {
    let path = match aspect {
        "settings" => format!("repository.{name}"),
        "topics" => format!("repository.topics[{name}]"),
        "protection" => {
            let (pattern, key) = (what.strip_prefix("rule ")?, protection::key(name)?);
            format!("branches[{pattern}].protection.{key}")
        }
        aspect @ ("actions" | "security" | "pages" | "interaction_limit" | "oidc_subject") => {
            format!("{aspect}.{name}")
        }
        aspect => {
            let thing = entries::thing(aspect, what)?;
            format!("{aspect}[{thing}].{}", inside_entry(aspect, name))
        }
    };
    check_waived_key(&path).is_ok().then_some(path)
}

/// Returns the path of the entry that contains a value: a branch, or an entry of a list. Returns
/// `None` if the aspect has no entries.
pub(super) fn entry_of(aspect: &str, what: &str) -> Option<String> {
    match what.strip_prefix("rule ").filter(|_| aspect == "protection") {
        Some(pattern) => Some(format!("branches[{pattern}]")),
        None => entries::thing(aspect, what).map(|thing| format!("{aspect}[{thing}]")),
    }
}
