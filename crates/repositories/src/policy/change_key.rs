//! Finds the key of a policy that a value of a change belongs to. So a person who sees the change
//! on a page can exempt exactly this key.

use super::waived_key::{check_waived_key, parts};

/// The aspects whose changes are about one entry of a list. Each element contains the aspect, the
/// section of the policy, and the text before the name of the entry in the title of a change.
const ENTRIES: &[(&str, &str, &str)] = &[
    ("autolinks", "autolinks", "autolink "),
    ("collaborators", "collaborators", "collaborator "),
    ("labels", "labels", "label "),
    ("milestones", "milestones", "milestone "),
    ("protection", "branches", "rule "),
    ("rulesets", "rulesets", "ruleset "),
    ("teams", "teams", "team "),
    ("variables", "variables", "variable "),
];

/// The number of parts in the path of a key: the section, and the key or the entry.
const PARTS: usize = 2;

/// Returns the path of the key or of the entry that a value of a change belongs to. `what` is the
/// part of the aspect, such as `label bug`. Returns `None` if the title of the change does not
/// identify one key. A waiver of the whole section would then exempt too much.
pub fn key_of_value(aspect: &str, what: &str, value: &str) -> Option<String> {
    let path = match (aspect, what) {
        ("settings", "") => format!("repository.{value}"),
        ("topics", "") => "repository.topics".to_owned(),
        ("custom_properties", "") => format!("custom_properties[{value}]"),
        _ => {
            let (_, section, before) = ENTRIES.iter().find(|(of, _, _)| *of == aspect)?;
            format!("{section}[{}]", what.strip_prefix(*before)?)
        }
    };
    // A name can contain characters that have another meaning in a path.
    let is_one_key = parts(&path).is_some_and(|parts| parts.len() == PARTS);
    (is_one_key && check_waived_key(&path).is_ok()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_change_belongs_to_one_key() {
        for (aspect, what, value, expected) in [
            ("settings", "", "delete_branch_on_merge", Some("repository.delete_branch_on_merge")),
            ("settings", "", "has_wiki.on", None),
            ("settings", "", "nothing_known", None),
            ("topics", "", "web", Some("repository.topics")),
            ("labels", "label triage", "color", Some("labels[triage]")),
            ("labels", "label a/b: c", "name", Some("labels[a/b: c]")),
            ("labels", "label a].color", "name", None),
            ("labels", "label ", "name", None),
            ("teams", "team core", "permission", Some("teams[core]")),
            ("protection", "rule release/*", "isAdminEnforced", Some("branches[release/*]")),
            ("rulesets", "ruleset main", "rules", Some("rulesets[main]")),
            ("collaborators", "invitation of ann", "permission", None),
            ("custom_properties", "", "tier", Some("custom_properties[tier]")),
            ("webhooks", "webhook https://ci.example/", "active", None),
            ("groups", "member ann", "member", None),
        ] {
            let found = key_of_value(aspect, what, value);
            assert_eq!(found.as_deref(), expected, "{aspect} {what} {value}");
        }
    }

    #[test]
    fn every_listed_aspect_has_a_section_with_entries() {
        for (aspect, section, before) in ENTRIES {
            let found = key_of_value(aspect, &format!("{before}x"), "");
            assert_eq!(found, Some(format!("{section}[x]")), "{aspect}");
        }
    }
}
