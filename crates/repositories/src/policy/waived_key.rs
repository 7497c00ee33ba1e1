//! The paths in waivers. A path leads to a key of a policy, such as `branches[main].protection` or
//! `teams[core]`. `beadle explain` shows the same paths. In a path, `*` means every entry of a
//! list. There is also a form without brackets, such as `branches.main.enforce_admins`. In this
//! form, a dot comes before the name of an entry, and the path does not contain the word
//! `protection`.

use super::keys::SECTIONS;
use super::pattern::META;
use super::problem::nearest_key;
use super::security_keys::share_a_feature;
use super::shape::{Key, Shape, Status};

/// The path part that means every entry of a list.
pub(super) const EVERY: &str = "*";
/// The section of branch protection.
pub(super) const BRANCHES: &str = "branches";
/// The name in `branches` that means the default branch.
pub(super) const DEFAULT: &str = "default";
/// The list of topics in the section `repository`. Like a section, this list has entries.
const TOPICS: &str = "topics";
/// The block in an entry of `branches`. A path can omit the name of this block.
pub(super) const PROTECTION: &str = "protection";

/// The aspects whose keys are in a section with another name. Plans and pages show the aspects.
pub(super) const SECTIONS_OF_ASPECTS: &[(&str, &str)] =
    &[("settings", "repository"), ("protection", BRANCHES)];

/// The maximum number of corrections that Beadle tries for an unknown part of a path.
const MOST_TRIED: usize = 8;

/// The keys for lists of actors in branch protection.
const ACTORS: &[&str] = &["users", "teams", "apps"];

/// The keys that a waiver cannot exempt separately. The first text of each element is the name of
/// the list or the block. If the policy omitted only such a key, Beadle would write a default,
/// clear a list, or confuse the entry with another entry. A waiver of such a key therefore exempts
/// the whole entry or block.
const INSEPARABLE: &[(&str, &[&str])] = &[
    ("autolinks", &["is_alphanumeric"]),
    ("bypass_pull_request_allowances", ACTORS),
    ("code_scanning_default_setup", &["state"]),
    ("collaborators", &["permission"]),
    ("custom_properties", &["name", "property_name", "value"]),
    ("deploy_keys", &["read_only"]),
    ("deployment_branch_policy", &["protected_branches", "custom_branch_policies"]),
    ("dismissal_restrictions", ACTORS),
    ("files", &["content", "template", "template_file", "when_exists", "push"]),
    ("force_push_allowances", ACTORS),
    ("labels", &["oldname"]),
    ("oidc_subject", &["use_default", "include_claim_keys"]),
    ("pages", &["enabled"]),
    ("restrictions", ACTORS),
    // If this key is missing, Beadle does not compare the ruleset.
    ("rulesets", &["enforcement"]),
    ("source", &["path"]),
    ("webhooks", &["events", "active", "content_type", "insecure_ssl", "secret"]),
];

/// Returns `true` if a waiver of a key must also exempt the whole entry or block of the key.
pub(super) fn is_needed(place: &str, key: &str) -> bool {
    INSEPARABLE.iter().any(|(name, keys)| *name == place && keys.contains(&key))
}

/// Returns whether every entry of a section must have the key `name`. An entry without this key
/// would not be valid.
pub(super) fn is_required(section: &str, name: &str) -> bool {
    let section = SECTIONS.iter().find(|key| key.name == section);
    let keys = section.map(|key| key.shape.entry_keys()).unwrap_or_default();
    keys.iter().any(|key| key.name == name && key.is_required)
}

/// Returns the parts of a path, or `None` if the text is not a path.
pub(crate) fn parts(path: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let mut rest = path;
    loop {
        let (part, after) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (part, after) = inner.split_at(end_of_name(inner)?);
                (part, after.strip_prefix(']')?)
            }
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = match after.strip_prefix('.') {
            Some(next) if next.starts_with('[') => return None,
            Some(next) => next,
            None if after.is_empty() => return Some(parts),
            None if after.starts_with('[') => after,
            None => return None,
        };
    }
}

/// Returns the end of an entry's name. The name itself can contain brackets, because a branch can
/// be a pattern.
fn end_of_name(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, char) in text.char_indices() {
        match char {
            '[' => open += 1,
            ']' if open == 0 => return Some(at),
            ']' => open -= 1,
            _ => {}
        }
    }
    None
}

/// The reason why a path does not lead to a key.
enum Wrong<'a> {
    /// The text is not a path.
    Form,
    /// No section or block has a key with this name. The second text is the most similar name, or
    /// the path of the most similar section.
    Unknown(&'a str, Option<String>),
    /// The value before this part is not a block, so it has no keys.
    TooLong(&'a str),
}

/// Checks that a waiver can use this path for a key. The error describes a valid path.
pub fn check_waived_key(path: &str) -> Result<(), String> {
    look_up(path).map_err(|wrong| match wrong {
        Wrong::Unknown("*", _) => "name a key; to exempt the whole repository, pause it".to_owned(),
        Wrong::Form => "be a path such as `teams[core].permission`".to_owned(),
        Wrong::Unknown(part, near) => {
            let near = near.map(|near| corrected(path, part, &near).unwrap_or(near));
            let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("name a key of the sections of repositories; `{part}` is unknown{near}")
        }
        Wrong::TooLong(part) => format!("end before `{part}`, because the value has no keys"),
    })
}

/// Returns the paths of all sections. For a section with the form of a block, also returns the
/// paths of its keys.
pub(super) fn key_paths() -> Vec<String> {
    let carried = |keys: &'static [Key]| keys.iter().filter(|key| key.status == Status::Carried);
    let mut paths = Vec::new();
    for section in carried(SECTIONS) {
        paths.push(section.name.to_owned());
        paths.extend(carried(own_keys(&section.shape)).map(|key| format!("{}.{}", section.name, key.name)));
    }
    paths
}

/// Returns the keys of a block. Only blocks have keys.
fn own_keys(shape: &Shape) -> &'static [Key] {
    match *shape {
        Shape::Map(keys) => keys,
        Shape::OrNull(inner) => own_keys(inner),
        _ => &[],
    }
}

fn look_up(path: &str) -> Result<(), Wrong<'_>> {
    let parts = parts(path).ok_or(Wrong::Form)?;
    let Some((section, rest)) = parts.split_first() else { return Ok(()) };
    match SECTIONS.iter().find(|key| key.name == *section) {
        Some(key) => below(&key.shape, rest),
        None => Err(Wrong::Unknown(section, similar_path(section))),
    }
}

/// Returns the path that is most similar to the name of an unknown section. The author might have
/// omitted the section of a key. An example is `topics`, where `repository.topics` is correct.
fn similar_path(name: &str) -> Option<String> {
    if let Some((_, section)) = SECTIONS_OF_ASPECTS.iter().find(|(aspect, _)| *aspect == name) {
        return Some((*section).to_owned());
    }
    let mut paths = key_paths();
    // If a section and a key of a block have the same name, the section comes first.
    paths.sort_by_key(|path| path.contains('.'));
    let last = |path: &String| path.rsplit('.').next().unwrap_or_default().to_owned();
    let names: Vec<String> = paths.iter().map(last).collect();
    let near = nearest_key(name, names.iter().map(String::as_str))?;
    let at = names.iter().position(|name| name == near)?;
    paths.into_iter().nth(at)
}

/// Replaces the unknown part of the path with `near`. Returns the new path if a waiver can use it.
fn corrected(path: &str, part: &str, near: &str) -> Option<String> {
    let replaced = |(at, _): (usize, &str)| format!("{}{near}{}", &path[..at], &path[at + part.len()..]);
    path.match_indices(part).take(MOST_TRIED).map(replaced).find(|path| look_up(path).is_ok())
}

/// Describes a part that is not one of the keys of this block.
fn unknown<'a>(part: &'a str, keys: &[Key]) -> Wrong<'a> {
    let near = nearest_key(part, keys.iter().map(|key| key.name));
    Wrong::Unknown(part, near.map(str::to_owned))
}

/// Checks the remaining parts of a path, inside a value of this shape.
fn below<'a>(shape: &Shape, parts: &[&'a str]) -> Result<(), Wrong<'a>> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    match shape {
        Shape::Map(keys) => match keys.iter().find(|key| key.name == *part) {
            Some(key) => below(&key.shape, rest),
            None => match keys.iter().find(|key| key.name == PROTECTION) {
                Some(key) => below(&key.shape, parts),
                None => Err(unknown(part, keys)),
            },
        },
        Shape::List(entry) => below(entry, rest),
        Shape::Layered(inner, _) | Shape::Named(inner) | Shape::OrNull(inner) => below(inner, parts),
        Shape::Either(one, other) => below(one, parts).or_else(|_| below(other, parts)),
        Shape::Free | Shape::Any => Ok(()),
        _ => Err(Wrong::TooLong(part)),
    }
}

/// Returns whether a path leads to the key `other`, or to a block or list that contains this key.
/// If one of the two texts is not a path, only equal texts match.
pub(crate) fn contains(path: &str, other: &str) -> bool {
    match (parts(path).map(canonical), parts(other).map(canonical)) {
        (Some(path), Some(other)) => path.len() <= other.len() && is_equal_so_far(&path, &other),
        _ => path == other,
    }
}

/// Returns whether a waiver of the key `waived` exempts the key `other`, a part of `other`, or a
/// block that contains `other`. If one of the two keys is not a path, the result is `true`.
pub(crate) fn exempts(waived: &str, other: &str) -> bool {
    let (Some(mut waived), Some(other)) = (parts(waived), parts(other)) else { return true };
    if let Some((section, rest)) = waived.split_first()
        && let Some(key) = SECTIONS.iter().find(|key| key.name == *section)
    {
        let whole = 1 + exempt_parts(&key.shape, (key.name, true), rest);
        waived.truncate(whole);
    }
    let (waived, other) = (canonical(waived), canonical(other));
    is_equal_so_far(&waived, &other) || share_a_feature(&waived, &other)
}

/// Returns whether two paths have the same parts up to the end of the shorter path.
fn is_equal_so_far(one: &[&str], other: &[&str]) -> bool {
    let is_branch = one.first() == Some(&BRANCHES);
    // The default branch of a repository can have any name, and a pattern can match any branch.
    let is_any = |part: &&str, at: usize| {
        *part == EVERY || (is_branch && at == 1 && (*part == DEFAULT || part.contains(META)))
    };
    let is_same: fn(&str, &str) -> bool =
        if one.first() == Some(&"deploy_keys") { is_same_key } else { is_same_name };
    let mut pairs = one.iter().zip(other).enumerate();
    pairs.all(|(at, (one, other))| is_same(one, other) || is_any(one, at) || is_any(other, at))
}

/// Returns the number of path parts that lead to the exempt value. A waiver can exempt more than
/// the value at the end of the path. `name` is the name of the list or the block with this shape.
fn exempt_parts(shape: &Shape, (name, is_section): (&str, bool), parts: &[&str]) -> usize {
    let Some((part, rest)) = parts.split_first() else { return 0 };
    match shape {
        Shape::Layered(inner, _) | Shape::Named(inner) | Shape::OrNull(inner) => {
            exempt_parts(inner, (name, is_section), parts)
        }
        Shape::Either(one, other) => {
            let possible = [one, other].into_iter().filter(|shape| below(shape, parts).is_ok());
            possible.map(|shape| exempt_parts(shape, (name, is_section), parts)).min().unwrap_or(0)
        }
        Shape::List(_) if is_section && rest.first().is_some_and(|key| is_required(name, key)) => 1,
        Shape::List(entry) if is_section => 1 + exempt_parts(entry, (name, false), rest),
        // A waiver can exempt single parameters only in a rule of a ruleset.
        Shape::List(entry) if name == "rules" && !rest.is_empty() && rest != ["type"] => {
            1 + exempt_parts(entry, (name, false), rest)
        }
        Shape::Map(_) if is_needed(name, part) => 0,
        Shape::Map(keys) => {
            if let Some(key) = keys.iter().find(|key| key.name == *part) {
                1 + exempt_parts(&key.shape, (key.name, key.name == TOPICS), rest)
            } else {
                let inner = keys.iter().find(|key| key.name == PROTECTION);
                inner.map_or(0, |key| exempt_parts(&key.shape, (PROTECTION, false), parts))
            }
        }
        // Beadle does not know which content such a value has.
        Shape::Free | Shape::Any => 1,
        _ => 0,
    }
}

/// Returns whether two parts mean the same key or entry. The function ignores the case of letters.
pub(super) fn is_same_name(one: &str, other: &str) -> bool {
    let fold = |text: &str| text.to_uppercase().to_lowercase();
    fold(one) == fold(other)
}

/// Returns whether two parts mean the same deploy key. The function ignores the comments of the
/// keys.
pub(super) fn is_same_key(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with(' '));
    is_same_name(one, other) || begins(one, other) || begins(other, one)
}

/// Returns the parts of a path in its shortest form. If two keys set the same value, both have the
/// same name in this form.
pub(super) fn canonical(mut parts: Vec<&str>) -> Vec<&str> {
    if let [section, key, ..] = parts.as_mut_slice()
        && (*section, *key) == ("repository", "private")
    {
        *key = "visibility";
    }
    if parts.first() != Some(&BRANCHES) {
        return parts;
    }
    if parts.get(2) == Some(&PROTECTION) {
        parts.remove(2);
    }
    for part in parts.iter_mut().skip(2).filter(|part| **part == "contexts") {
        *part = "checks";
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_keys_and_names_of_entries() {
        for (path, expected) in [
            ("teams", Some(vec!["teams"])),
            ("repository.has_wiki", Some(vec!["repository", "has_wiki"])),
            ("teams[Core Team].permission", Some(vec!["teams", "Core Team", "permission"])),
            ("branches[release/[0-9]*].protection", Some(vec!["branches", "release/[0-9]*", "protection"])),
            ("branches.main.enforce_admins", Some(vec!["branches", "main", "enforce_admins"])),
            ("rulesets[a.b].rules[deletion]", Some(vec!["rulesets", "a.b", "rules", "deletion"])),
            ("", None),
            (".", None),
            ("teams.", None),
            ("teams[]", None),
            ("teams[core", None),
            ("teams[core]x", None),
            ("teams.[core]", None),
        ] {
            assert_eq!(parts(path), expected, "{path}");
        }
    }

    #[test]
    fn a_waiver_names_only_keys_that_the_policy_can_have() {
        for path in [
            "repository",
            "repository.topics[web]",
            "teams[core].permission",
            "labels[bug].color",
            "branches[main].protection.enforce_admins",
            "branches.main.enforce_admins",
            "branches[*].protection.required_status_checks.contexts[ci]",
            "rulesets[main].enforcement",
        ] {
            assert_eq!(check_waived_key(path), Ok(()), "{path}");
        }
        for (path, expected) in [
            ("team", "did you mean `teams`?"),
            ("organization.settings", "`organization` is unknown"),
            ("topics", "did you mean `repository.topics`?"),
            ("topics[web]", "did you mean `repository.topics[web]`?"),
            ("has_wikis", "did you mean `repository.has_wiki`?"),
            ("settings", "did you mean `repository`?"),
            ("settings.delete_branch_on_merge", "did you mean `repository.delete_branch_on_merge`?"),
            ("protection[main].enforce_admins", "did you mean `branches[main].enforce_admins`?"),
            ("repository.topic", "did you mean `repository.topics`?"),
            ("teams[permision].permision", "did you mean `teams[permision].permission`?"),
            ("temas[core].permision", "did you mean `teams`?"),
            ("repository.has_wiki.on", "end before `on`"),
            ("teams[core", "be a path such as"),
        ] {
            let found = check_waived_key(path).unwrap_err();
            assert!(found.contains(expected), "{path}: {found}");
        }
    }

    #[test]
    fn a_waiver_can_use_each_suggested_path() {
        let paths = key_paths();
        for path in &paths {
            assert_eq!(check_waived_key(path), Ok(()), "{path}");
        }
        for path in ["repository.topics", "repository.has_wiki", "teams", "branches"] {
            assert!(paths.iter().any(|known| known == path), "{path} is not in {paths:?}");
        }
        assert!(!paths.iter().any(|path| path == "topics"), "{paths:?}");
    }

    #[test]
    fn a_path_contains_what_is_below_it() {
        for (path, other, expected) in [
            ("branches.main.enforce_admins", "branches[main].protection.enforce_admins", true),
            ("branches.main.enforce_admins", "branches[default].protection.enforce_admins", true),
            ("branches.main.enforce_admins", "branches[main]", false),
            ("branches", "branches[main].protection", true),
            ("repository.has", "repository.has_wiki", false),
            ("teams[*].permission", "teams[core].permission", true),
            ("teams[", "teams[", true),
            ("teams[", "teams", false),
        ] {
            assert_eq!(contains(path, other), expected, "{path} {other}");
        }
    }

    #[test]
    fn a_waiver_exempts_a_key_if_one_path_contains_the_other() {
        for (one, other, expected) in [
            ("branches", "branches[main].protection.enforce_admins", true),
            ("branches[main]", "branches[*].protection.enforce_admins", true),
            ("branches.main.enforce_admins", "branches[main].protection.enforce_admins", true),
            ("branches[main].protection.enforce_admins", "branches[release]", false),
            ("teams[core]", "teams[Core].permission", true),
            ("teams[core]", "teams[web]", false),
            ("repository.has_wiki", "repository.has_issues", false),
            ("repository", "teams", false),
            ("branches[main].protection", "branches[default].protection.enforce_admins", true),
            ("teams[main]", "teams[default]", false),
            ("teams[", "repository", true),
        ] {
            assert_eq!(exempts(one, other), expected, "{one} {other}");
            assert_eq!(exempts(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_waiver_exempts_everything_that_beadle_then_does_not_compare() {
        let checks = "branches[main].protection.required_status_checks";
        for (waived, other, expected) in [
            (format!("{checks}.contexts[ci]"), format!("{checks}.contexts[scan]"), true),
            (format!("{checks}.contexts"), format!("{checks}.checks"), true),
            (format!("{checks}.checks[ci]"), format!("{checks}.contexts[scan]"), true),
            (format!("{checks}.strict"), format!("{checks}.contexts"), false),
            ("teams[core].name".into(), "teams[core].permission".into(), true),
            ("teams[core].name".into(), "teams[web].permission".into(), false),
            ("teams[\u{e9}quipe]".into(), "teams[\u{c9}quipe]".into(), true),
            (
                "webhooks[https://x.example/a].active".into(),
                "webhooks[https://x.example/a].events".into(),
                true,
            ),
            ("branches[main].restrictions.users".into(), "branches[main].restrictions.teams".into(), true),
            ("branches[main].restrictions.users".into(), "branches[main].enforce_admins".into(), false),
            ("branches[rel*].protection".into(), "branches[release].protection.enforce_admins".into(), true),
            ("rulesets[main].rules[deletion]".into(), "rulesets[main].rules[update]".into(), true),
            ("rulesets[main].rules[deletion]".into(), "rulesets[main].conditions".into(), false),
            ("rulesets[main].enforcement".into(), "rulesets[main].rules".into(), true),
            ("repository.topics[web]".into(), "repository.topics[shop]".into(), false),
            ("repository.private".into(), "repository.visibility".into(), true),
            ("repository.visibility".into(), "repository.private".into(), true),
            ("repository.private".into(), "repository.has_wiki".into(), false),
            ("rulesets[main]".into(), "rulesets[main branch]".into(), false),
            ("deploy_keys[ssh-ed25519 AAAA]".into(), "deploy_keys[ssh-ed25519 AAAA ci]".into(), true),
            ("pages.enabled".into(), "pages.https_enforced".into(), true),
            ("pages.source.path".into(), "pages.source.branch".into(), true),
        ] {
            assert_eq!(check_waived_key(&waived), Ok(()), "{waived}");
            assert_eq!(exempts(&waived, &other), expected, "{waived} {other}");
        }
    }

    #[test]
    fn the_inseparable_keys_are_keys_of_a_policy() {
        for (place, path) in [
            (
                "bypass_pull_request_allowances",
                "branches[m].required_pull_request_reviews.bypass_pull_request_allowances",
            ),
            ("code_scanning_default_setup", "security.code_scanning_default_setup"),
            ("deployment_branch_policy", "environments[e].deployment_branch_policy"),
            ("dismissal_restrictions", "branches[m].required_pull_request_reviews.dismissal_restrictions"),
            ("force_push_allowances", "branches[m].force_push_allowances"),
            ("oidc_subject", "oidc_subject"),
            ("pages", "pages"),
            ("restrictions", "branches[m].restrictions"),
            ("source", "pages.source"),
        ] {
            let (_, keys) = INSEPARABLE.iter().find(|(name, _)| *name == place).unwrap();
            for key in *keys {
                assert_eq!(check_waived_key(&format!("{path}.{key}")), Ok(()), "{path}.{key}");
            }
        }
        let sections = [
            "autolinks",
            "collaborators",
            "custom_properties",
            "deploy_keys",
            "files",
            "labels",
            "rulesets",
            "webhooks",
        ];
        for section in sections {
            let (_, keys) = INSEPARABLE.iter().find(|(name, _)| *name == section).unwrap();
            for key in *keys {
                assert_eq!(check_waived_key(&format!("{section}[x].{key}")), Ok(()), "{section}[x].{key}");
            }
        }
        assert_eq!(INSEPARABLE.len(), 9 + sections.len());
    }
}
