//! Finds the key of a policy that a value of a change belongs to. So a person who sees the change
//! in a plan or on a page can exempt exactly this key.

use super::waived_key::{SECTIONS_OF_ASPECTS, check_waived_key, key_paths, parts};

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

/// Returns the path of the key that a person means. The text is a path, or the text with which a
/// plan shows a value, such as `has_wiki`, `settings has_wiki` or `team core`. The error describes
/// a valid path.
pub fn meant_key(text: &str) -> Result<String, String> {
    let Err(must) = check_waived_key(text) else { return Ok(text.to_owned()) };
    // A plan has columns, so it can have several spaces after the aspect.
    let words: Vec<&str> = text.split_whitespace().collect();
    in_plan(&words.join(" ")).ok_or(must)
}

/// Returns the path of a value that a plan shows with this text. The words of the text have single
/// spaces between them.
fn in_plan(text: &str) -> Option<String> {
    if let Some(path) = with_section(text) {
        return Some(path);
    }
    let entry = ENTRIES.iter().find_map(|(aspect, section, before)| {
        let own = text.strip_prefix(*aspect).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(text);
        own.strip_prefix(*before).map(|name| (*section, name))
    });
    if let Some((section, name)) = entry {
        // A plan shows the name of the value after the name of the entry. But the name of an entry
        // can contain a colon too.
        let value = name.split_once(": ").map(|(name, value)| format!("{section}[{name}].{value}"));
        return value.into_iter().chain([format!("{section}[{name}]")]).find(|path| is_key(path));
    }
    let (aspect, value) = text.split_once(' ')?;
    key_of_value(aspect, "", value).filter(|_| !value.contains(' '))
}

/// Returns the path if the text has the name of an aspect in place of its section, or if the text
/// leaves out the section and only one section has the key.
fn with_section(text: &str) -> Option<String> {
    let (first, rest) = text.split_at(text.find(['.', '[', ' ']).unwrap_or(text.len()));
    let of_aspect = SECTIONS_OF_ASPECTS.iter().find(|(aspect, _)| *aspect == first);
    let section = of_aspect.map(|(_, section)| (*section).to_owned()).or_else(|| only_path(first))?;
    let path = format!("{section}{rest}");
    is_key(&path).then_some(path)
}

/// Returns the path of the key with this name, if only one section has such a key.
fn only_path(name: &str) -> Option<String> {
    let has_name = |path: &String| path.rsplit_once('.').is_some_and(|(_, key)| key == name);
    let mut found = key_paths().into_iter().filter(has_name);
    found.next().filter(|_| found.next().is_none())
}

fn is_key(path: &str) -> bool {
    check_waived_key(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_can_write_a_key_as_a_plan_shows_it() {
        for (text, expected) in [
            ("repository.has_wiki", "repository.has_wiki"),
            ("has_wiki", "repository.has_wiki"),
            ("settings.has_wiki", "repository.has_wiki"),
            ("settings has_wiki", "repository.has_wiki"),
            ("settings      has_wiki", "repository.has_wiki"),
            ("topics", "repository.topics"),
            ("topics[web]", "repository.topics[web]"),
            ("topics web", "repository.topics"),
            ("custom_properties tier", "custom_properties[tier]"),
            ("teams", "teams"),
            ("teams[core]", "teams[core]"),
            ("team core", "teams[core]"),
            ("teams team core", "teams[core]"),
            ("teams         team core: permission", "teams[core].permission"),
            ("labels label a/b: c", "labels[a/b: c]"),
            ("label bug: color", "labels[bug].color"),
            ("protection rule main", "branches[main]"),
            ("protection rule main: enforce_admins", "branches[main].enforce_admins"),
            ("protection[main].enforce_admins", "branches[main].enforce_admins"),
        ] {
            assert_eq!(meant_key(text).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "has_wikis", "settings has_wikis", "team", "team core]", "files README.md", "enabled"]
        {
            assert!(meant_key(text).is_err(), "{text}: {:?}", meant_key(text));
        }
        assert!(meant_key("has_wikis").unwrap_err().contains("did you mean `repository.has_wiki`?"));
    }

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
