//! Finds the values that an undo must not restore. The configuration lists the keys of these values
//! in `never_waive`. After an undo, Beadle only observes a restored value. So if an undo restored
//! such a value, Beadle would stop enforcing the key of this value.

use super::past::section;
use super::paths::{entry_of, path_of};
use super::reversal::Reversal;
use crate::policy::exempts;

/// The reason why an undo does not restore a value whose key is in `never_waive`.
pub(crate) const KEPT: &str = "`never_waive` in [org.waivers] has its key, so change the policy";

/// Returns whether `never_waive` contains a key that leads to a value. The undo of one value
/// sometimes also removes other values, so the function also checks these other values.
pub(crate) fn is_kept(one: &Reversal, never: &[String]) -> bool {
    // If a list entry had no value before the write, the entry might be new. If the entry is new,
    // the undo removes the whole entry.
    let is_whole = one.before.is_null() && one.aspect != "protection";
    is_never_exempt(never, (&one.aspect, &one.what, &one.name), is_whole)
}

/// Returns whether a key of `never_waive` leads to a value, or to a part of the entry that contains
/// the value. `value` contains the aspect, the part and the name of the value.
pub(super) fn is_never_exempt(never: &[String], value: (&str, &str, &str), is_whole: bool) -> bool {
    let path = path(value, is_whole);
    never.iter().any(|never| exempts(&path, never))
}

fn path((aspect, what, name): (&str, &str, &str), is_whole: bool) -> String {
    let section = || section(aspect).to_owned();
    // This part is inside another part, for example a variable inside an environment.
    if what.contains(": ") {
        return section();
    }
    match (entry_of(aspect, what), path_of(aspect, what, name)) {
        (Some(entry), _) if is_whole => entry,
        (_, Some(path)) | (Some(path), None) => path,
        (None, None) => section(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_of_never_waive_keeps_its_value_its_parts_and_the_block_that_has_it() {
        let admins = "branches[*].protection.enforce_admins";
        for (never, aspect, what, name, before, expected) in [
            (admins, "protection", "rule main", "enforce_admins", json!(false), true),
            (admins, "protection", "rule main", "rule", json!(null), true),
            (admins, "protection", "rule main", "allow_deletions", json!(true), false),
            (admins, "protection", "rule main", "restrictions list", json!(null), false),
            (admins, "settings", "", "has_wiki", json!(true), false),
            ("repository.visibility", "settings", "", "visibility", json!("public"), true),
            ("repository", "settings", "", "has_wiki", json!(true), true),
            ("repository", "topics", "", "web", json!(null), true),
            ("repository.topics[web]", "topics", "", "cli", json!(null), false),
            ("teams[core]", "teams", "team Core", "permission", json!("pull"), true),
            ("teams[core]", "teams", "team guards", "permission", json!("pull"), false),
            ("teams", "teams", "team guards", "permission", json!(null), true),
            ("labels[bug].description", "labels", "label bug", "color", json!(null), true),
            ("labels[bug].description", "labels", "label bug", "color", json!("aa0000"), false),
            ("environments[prod]", "environments", "environment prod: variable A", "value", json!("a"), true),
            ("security", "security", "", "dependabot_alerts", json!(false), true),
            ("files", "files", "README.md", "content", json!("a"), true),
        ] {
            let (aspect, what, name) = (aspect.to_owned(), what.to_owned(), name.to_owned());
            let one = Reversal { aspect, what, name, before, after: Value::from("written") };
            assert_eq!(is_kept(&one, &[never.to_owned()]), expected, "{never} and {}", one.called());
            assert!(!is_kept(&one, &[]));
        }
    }
}
