//! The paths by which waivers name keys of a policy, such as `branches[main].protection` or
//! `teams[core]`. They are the paths that `beadle explain` shows. `*` stands for every entry of a
//! list. In a path without brackets, such as `branches.main.enforce_admins`, the name of an entry
//! and the word `protection` need no more than a dot.

use super::keys::SECTIONS;
use super::problem::nearest;
use super::shape::Shape;

/// The part of a path that stands for every entry of a list.
pub(super) const EVERY: &str = "*";
/// The section of branch protection.
pub(super) const BRANCHES: &str = "branches";
/// The name of an entry of `branches` for the default branch.
pub(super) const DEFAULT: &str = "default";
/// The block in an entry of `branches` that a path can leave out.
pub(super) const PROTECTION: &str = "protection";

/// Returns the parts of a path, or `None` if it is not a path.
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

/// Returns where the name of an entry ends. The name itself can contain brackets, because a branch
/// can be a pattern.
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

/// Checks that a waiver can name a key by this path. The error says what the path must be.
pub fn check_waived_key(path: &str) -> Result<(), String> {
    let Some(parts) = parts(path) else {
        return Err("be a path such as `teams[core].permission`".to_owned());
    };
    let Some((section, rest)) = parts.split_first() else { return Ok(()) };
    match SECTIONS.iter().find(|key| key.name == *section) {
        Some(key) => below(&key.shape, rest),
        None => Err(unknown(section, SECTIONS.iter().map(|key| key.name))),
    }
}

fn unknown<'a>(part: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = nearest(part, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    format!("name a key of the sections of repositories; `{part}` is unknown{near}")
}

/// Checks the parts of a path that are inside a value of this shape.
fn below(shape: &Shape, parts: &[&str]) -> Result<(), String> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    match shape {
        Shape::Map(keys) => match keys.iter().find(|key| key.name == *part) {
            Some(key) => below(&key.shape, rest),
            None => match keys.iter().find(|key| key.name == PROTECTION) {
                Some(key) => below(&key.shape, parts),
                None => Err(unknown(part, keys.iter().map(|key| key.name))),
            },
        },
        Shape::List(entry) => below(entry, rest),
        Shape::Layered(inner, _) | Shape::Named(inner) | Shape::OrNull(inner) => below(inner, parts),
        Shape::Either(one, other) => below(one, parts).or_else(|_| below(other, parts)),
        Shape::Free | Shape::Any => Ok(()),
        _ => Err(format!("end before `{part}`, because the value has no keys")),
    }
}

/// Returns whether one of two paths names a part of the other one, or the same key. If one of them
/// is not a path, the result is `true`.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (canonical(one), canonical(other)) else { return true };
    is_equal_so_far(&one, &other)
}

/// Returns whether a path names the key `other` or a block or list that contains it. If one of them
/// is not a path, only equal texts match.
pub(crate) fn contains(path: &str, other: &str) -> bool {
    match (canonical(path), canonical(other)) {
        (Some(path), Some(other)) => path.len() <= other.len() && is_equal_so_far(&path, &other),
        _ => path == other,
    }
}

/// Returns whether two paths have the same parts up to the end of the shorter one.
fn is_equal_so_far(one: &[&str], other: &[&str]) -> bool {
    let is_branch = one.first() == Some(&BRANCHES);
    // The default branch of a repository can have any name.
    let is_any = |part: &&str, at: usize| *part == EVERY || (is_branch && at == 1 && *part == DEFAULT);
    let mut pairs = one.iter().zip(other).enumerate();
    pairs.all(|(at, (one, other))| one.eq_ignore_ascii_case(other) || is_any(one, at) || is_any(other, at))
}

/// Returns the parts of a path without the part that a path can leave out.
fn canonical(path: &str) -> Option<Vec<&str>> {
    let mut parts = parts(path)?;
    if parts.first() == Some(&BRANCHES) && parts.get(2) == Some(&PROTECTION) {
        parts.remove(2);
    }
    Some(parts)
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
            ("teams[core].permision", "did you mean `permission`?"),
            ("repository.has_wiki.on", "end before `on`"),
            ("teams[core", "be a path such as"),
        ] {
            let found = check_waived_key(path).unwrap_err();
            assert!(found.contains(expected), "{path}: {found}");
        }
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
    fn paths_overlap_if_one_contains_the_other() {
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
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }
}
