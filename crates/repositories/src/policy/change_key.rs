//! Finds the policy key for a value of a change. A person who sees the change in a plan or on a
//! page can then exempt exactly this key.

use super::waived_key::{EVERY, SECTIONS_OF_ASPECTS, check_waived_key, key_paths, parts};

/// The aspects whose changes are about one entry of a list. Each element contains the aspect and
/// the section of the policy. It also contains the text that comes before the entry's name in the
/// title of a change.
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

/// The number of parts in the path of a setting: the section and the key.
const PARTS: usize = 2;

/// In a plan, this text separates the name of an entry, the key and the value.
const END: &str = ": ";

/// In a plan, this text separates the two values of a key.
const ARROW: &str = " → ";

/// Returns the path of the key or entry for a value of a change. `what` is the part of the aspect,
/// such as `label bug`. Returns `None` if the title of the change does not identify one key. A
/// waiver of the whole section would then exempt too much.
pub fn key_of_value(aspect: &str, what: &str, value: &str) -> Option<String> {
    match (aspect, what) {
        ("settings", "") => setting_path(value),
        ("topics", "") => entry_path("repository.topics", value),
        ("custom_properties", "") => entry_path(aspect, value),
        _ => {
            let (_, section, before) = ENTRIES.iter().find(|(of, _, _)| *of == aspect)?;
            entry_path(section, what.strip_prefix(*before)?)
        }
    }
}

/// Returns the path of the key that a person means. The text is a path, or a value as a plan shows
/// it, such as `has_wiki`, `settings has_wiki` or `team core`. The error describes a valid path.
pub fn meant_key(text: &str) -> Result<String, String> {
    let Err(must) = check_waived_key(text) else {
        let bare = bare_name(text).map(|name| format!("have brackets around a name such as `{name}`"));
        return bare.map_or_else(|| Ok(text.to_owned()), Err);
    };
    // A plan has columns, so it can have several spaces after the aspect. A name can also have
    // several spaces.
    let text = text.trim();
    let words = text.split_once(char::is_whitespace);
    let text =
        words.map_or_else(|| text.to_owned(), |(first, rest)| format!("{first} {}", rest.trim_start()));
    in_plan(&text).unwrap_or(Err(must))
}

/// Returns the path of a value that a plan shows with this text. Returns an error if the text
/// contains the name of an entry, but does not have exactly one meaning. Returns `None` if the text
/// is not from a plan.
fn in_plan(text: &str) -> Option<Result<String, String>> {
    if let Some(path) = with_section(text).or_else(|| with_section(of_setting(text)?)) {
        return Some(Ok(path));
    }
    let entry = ENTRIES.iter().find_map(|(aspect, section, before)| {
        let own = text.strip_prefix(*aspect).and_then(|rest| rest.strip_prefix(' ')).unwrap_or(text);
        own.strip_prefix(*before).map(|name| (*section, name.trim_start()))
    });
    if let Some((section, name)) = entry {
        return Some(meant_entry(section, name));
    }
    let (aspect, value) = text.split_once(' ')?;
    let name = without_value(value);
    key_of_value(aspect, "", name).filter(|_| !name.contains(' ')).map(Ok)
}

/// Returns the path for the text that follows `team ` or a similar word.
fn meant_entry(section: &str, text: &str) -> Result<String, String> {
    if text == EVERY {
        return Err(format!("be a path; `{section}[{EVERY}]` means every entry"));
    }
    let mut readings = readings(section, text);
    match (readings.pop(), readings.as_slice()) {
        (Some(path), []) => Ok(path),
        (Some(last), others) => {
            let others: Vec<String> = others.iter().map(|path| format!("`{path}`")).collect();
            Err(format!("be a path, because it can mean {} or `{last}`", others.join(", ")))
        }
        (None, _) => Err(format!(
            "be a path such as `{section}[NAME]`, because Beadle does not find a name and a known key in it"
        )),
    }
}

/// Returns a path for each possible meaning of a text that contains the name of an entry. A plan
/// shows a key after the name and a colon, but the name can also contain a colon. The longest name
/// comes first.
fn readings(section: &str, text: &str) -> Vec<String> {
    let with_key =
        |(at, end): (usize, &str)| value_path(section, &text[..at], without_value(&text[at + end.len()..]));
    let mut found: Vec<String> = text.rmatch_indices(END).filter_map(with_key).collect();
    // The text must contain only the name. If it contained more, Beadle would read the whole text
    // as the name of an unknown entry. A waiver of an unknown entry keeps every undeclared entry of
    // the section.
    let is_name = !text.contains(END) && !text.contains(ARROW) && !text.ends_with(':');
    if is_name {
        found.extend(entry_path(section, text));
        found.extend(text.rsplit_once('.').and_then(|(name, key)| value_path(section, name, key)));
    }
    found
}

/// Returns the text before the value or the values that a plan shows.
fn without_value(text: &str) -> &str {
    let end = [END, ARROW].into_iter().filter_map(|end| text.find(end)).min();
    end.map_or(text, |end| &text[..end])
}

/// If a plan shows a setting with its value, such as `has_wiki: true`, returns the name of the
/// setting.
fn of_setting(text: &str) -> Option<&str> {
    let name = without_value(text);
    (name != text && !name.contains(['.', '[', ' '])).then_some(name)
}

fn setting_path(name: &str) -> Option<String> {
    let path = format!("repository.{name}");
    let is_one_key = parts(&path).is_some_and(|parts| parts.len() == PARTS);
    (is_one_key && is_narrow_key(&path)).then_some(path)
}

/// Returns the path of an entry, unless the name has another meaning in a path.
fn entry_path(list: &str, name: &str) -> Option<String> {
    let path = format!("{list}[{name}]");
    let is_its_name = name != EVERY && parts(&path).is_some_and(|parts| parts.last() == Some(&name));
    (is_its_name && is_narrow_key(&path)).then_some(path)
}

/// Returns the path of a key in an entry of a section, if an entry can have such a key.
fn value_path(section: &str, name: &str, key: &str) -> Option<String> {
    let path = format!("{}.{}", entry_path(section, name)?, inside_entry(section, key));
    (!key.contains(char::is_whitespace) && is_narrow_key(&path)).then_some(path)
}

/// Returns the path of a value inside an entry of a list. `name` is the name of the value in a plan.
pub(crate) fn inside_entry(list: &str, name: &str) -> String {
    let mut parts = name.splitn(3, '.');
    match (list, parts.next(), parts.next(), parts.next()) {
        ("rulesets", Some("rules"), Some(kind), None) => format!("rules[{kind}]"),
        ("rulesets", Some("rules"), Some(kind), Some(key)) => format!("rules[{kind}].parameters.{key}"),
        _ => name.to_owned(),
    }
}

/// Returns the path for a text that does not begin with a section. There are two such cases. First,
/// the text has the name of an aspect in place of the section. Second, the text omits the section,
/// and only one section has the key.
fn with_section(text: &str) -> Option<String> {
    let (first, rest) = text.split_at(text.find(['.', '[', ' ']).unwrap_or(text.len()));
    let of_aspect = SECTIONS_OF_ASPECTS.iter().find(|(aspect, _)| *aspect == first);
    let section = of_aspect.map(|(_, section)| (*section).to_owned()).or_else(|| only_path(first))?;
    let path = format!("{section}{rest}");
    is_narrow_key(&path).then_some(path)
}

/// Returns the path of the key with this name, if only one section has such a key.
fn only_path(name: &str) -> Option<String> {
    let has_name = |path: &String| path.rsplit_once('.').is_some_and(|(_, key)| key == name);
    let mut found = key_paths().into_iter().filter(has_name);
    found.next().filter(|_| found.next().is_none())
}

/// Returns whether a path leads to a key or an entry, and not to a whole section or to the list of
/// topics. A person must write the exact path of a section or of this list.
fn is_narrow_key(path: &str) -> bool {
    let is_part = |parts: Vec<&str>| !matches!(parts.as_slice(), [_] | ["repository", "topics"]);
    check_waived_key(path).is_ok() && bare_name(path).is_none() && parts(path).is_some_and(is_part)
}

/// Returns the part of a path that might be a name and a key from a plan, such as
/// `core: permission` in `teams.core: permission`.
fn bare_name(path: &str) -> Option<&str> {
    let is_bare = |part: &&str| part.contains(END) && !path.contains(&format!("[{part}]"));
    parts(path)?.into_iter().find(is_bare)
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
            ("has_wiki: true → false", "repository.has_wiki"),
            ("settings      has_wiki: true → false", "repository.has_wiki"),
            ("repository.topics", "repository.topics"),
            ("topics[web]", "repository.topics[web]"),
            ("topics web", "repository.topics[web]"),
            ("custom_properties tier", "custom_properties[tier]"),
            ("teams", "teams"),
            ("teams[core]", "teams[core]"),
            ("team core", "teams[core]"),
            ("teams team core", "teams[core]"),
            ("teams         team core: permission", "teams[core].permission"),
            ("teams team core: permission: push", "teams[core].permission"),
            ("team core: permission: admin → none", "teams[core].permission"),
            ("team core: permission → pull", "teams[core].permission"),
            ("labels[a/b: c]", "labels[a/b: c]"),
            ("labels label type: bug: color", "labels[type: bug].color"),
            ("label type: bug: color: cc0000 → ff0000", "labels[type: bug].color"),
            ("label needs: description", "labels[needs].description"),
            ("labels   label two  spaces", "labels[two  spaces]"),
            ("ruleset main: rules.deletion", "rulesets[main].rules[deletion]"),
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
        for text in ["has_wikis", "wiki", "repository.wiki"] {
            let must = meant_key(text).unwrap_err();
            assert!(must.contains("did you mean `repository.has_wiki`?"), "{text}: {must}");
        }
    }

    #[test]
    fn a_text_never_means_more_than_a_person_wrote() {
        for (text, expected) in [
            ("settings", "did you mean `repository`?"),
            ("protection", "did you mean `branches`?"),
            ("topics", "did you mean `repository.topics`?"),
            ("settings topics", ""),
            ("settings.topics", ""),
            ("topics *", ""),
            ("custom_properties *", ""),
            ("teams team", ""),
            ("teams team *", "`teams[*]` means every entry"),
            ("protection rule *", "`branches[*]` means every entry"),
            ("team core:", "be a path such as `teams[NAME]`"),
            ("team core: push", "be a path such as `teams[NAME]`"),
            ("team core: permision: push", "be a path such as `teams[NAME]`"),
            ("team core → none", "be a path such as `teams[NAME]`"),
            ("team a][permission", "be a path such as `teams[NAME]`"),
            ("labels label a/b: c", "be a path such as `labels[NAME]`"),
            ("team core.permission", "it can mean `teams[core.permission]` or `teams[core].permission`"),
            (
                "label x: description: color",
                "it can mean `labels[x: description].color` or `labels[x].description`",
            ),
            ("teams.core: permission: push", "brackets around a name such as `core: permission: push`"),
            ("protection.main: enforce_admins", ""),
        ] {
            let found = meant_key(text).unwrap_err();
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_value_of_a_change_belongs_to_one_key() {
        for (aspect, what, value, expected) in [
            ("settings", "", "delete_branch_on_merge", Some("repository.delete_branch_on_merge")),
            ("settings", "", "has_wiki.on", None),
            ("settings", "", "nothing_known", None),
            ("topics", "", "web", Some("repository.topics[web]")),
            ("topics", "", "*", None),
            ("settings", "", "topics", None),
            ("protection", "rule *", "enforce_admins", None),
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
