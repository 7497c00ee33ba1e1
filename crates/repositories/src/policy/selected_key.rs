//! Decides which values a key of a policy selects. An operator specifies the keys in the form that
//! waivers use, such as `branches.main` or `teams[core]`.

use super::waived_key::{BRANCHES, DEFAULT, EVERY, canonical, is_same_key, is_same_name, parts};

/// Returns whether a key leads to the value with this path, or to a block or list that contains the
/// value. The name of an entry must be the same in the key and in the path. So the name of a branch
/// does not match a pattern for branches. The name of a deploy key is its title. `*` in the key
/// matches every entry.
pub(crate) fn selects(key: &str, path: &str) -> bool {
    is_selected(key, path, is_same_name)
}

/// Returns whether a key leads to the value with this path. The path contains the public key of a
/// deploy key instead of the title. The function ignores the comments of public keys.
pub(crate) fn selects_public_key(key: &str, path: &str) -> bool {
    // The kind of a public key is not enough, because many keys have the same kind.
    is_selected(key, path, |one, other| {
        is_same_name(one, other) || (one.contains(' ') && is_same_key(one, other))
    })
}

fn is_selected(key: &str, path: &str, is_same: impl Fn(&str, &str) -> bool) -> bool {
    let (Some(key), Some(path)) = (parts(key).map(canonical), parts(path).map(canonical)) else {
        return false;
    };
    key.len() <= path.len() && key.iter().zip(&path).all(|(key, part)| *key == EVERY || is_same(key, part))
}

/// Returns the path of a key. In the result, the name of the default branch replaces `default`.
/// Returns any other path as it is.
pub(crate) fn with_default_branch(path: &str, branch: &str) -> String {
    match parts(path).as_deref() {
        Some([section, name, rest @ ..]) if *section == BRANCHES && *name == DEFAULT => {
            of_branch(branch, rest)
        }
        _ => path.to_owned(),
    }
}

/// Returns the path of a key in the entry of a branch. `rest` contains the parts of the path after
/// the branch.
pub(super) fn of_branch(branch: &str, rest: &[&str]) -> String {
    let mut path = format!("{BRANCHES}[{branch}]");
    for part in rest {
        let (open, close) = if part.contains(['.', '[']) { ("[", "]") } else { (".", "") };
        path.extend([open, *part, close]);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_selects_its_value_and_everything_below_it() {
        let admins = "branches[main].protection.enforce_admins";
        for (key, path, expected) in [
            ("branches", admins, true),
            ("branches.main", admins, true),
            ("branches[main].protection", "branches[main]", true),
            ("branches[*].protection.enforce_admins", admins, true),
            ("branches[Main].enforce_admins", admins, true),
            ("branches[release]", admins, false),
            ("branches[main].allow_deletions", admins, false),
            // The value is the whole rule, and the key is only a part of the rule.
            ("branches[main].enforce_admins", "branches[main]", false),
            // The pattern is a rule of its own, although the pattern matches `main`.
            ("branches.main", "branches[m*].protection.enforce_admins", false),
            ("branches[m*]", "branches[m*].protection.enforce_admins", true),
            ("branches[default]", admins, false),
            ("repository.private", "repository.visibility", true),
            ("repository.has", "repository.has_wiki", false),
            ("teams[core]", "teams[core].permission", true),
            ("teams", "labels[bug].color", false),
            ("deploy_keys[CI]", "deploy_keys[ci].read_only", true),
            ("deploy_keys[CI]", "deploy_keys[CI staging].read_only", false),
            ("deploy_keys[CI staging]", "deploy_keys[CI].read_only", false),
            ("teams[", "teams[", false),
        ] {
            assert_eq!(selects(key, path), expected, "{key} {path}");
        }
    }

    #[test]
    fn a_public_key_selects_its_deploy_key_without_the_comment() {
        let path = "deploy_keys[ssh-ed25519 AAAA ci].read_only";
        for (key, expected) in [
            ("deploy_keys[ssh-ed25519 AAAA]", true),
            ("deploy_keys[ssh-ed25519 AAAA laptop]", false),
            ("deploy_keys[ssh-ed25519 BBBB]", false),
            ("deploy_keys[ssh-ed25519]", false),
            ("deploy_keys[*]", true),
        ] {
            assert_eq!(selects_public_key(key, path), expected, "{key}");
        }
    }

    #[test]
    fn the_default_branch_has_its_own_name() {
        for (path, expected) in [
            ("branches.default.enforce_admins", "branches[trunk].enforce_admins"),
            (
                "branches[default].required_status_checks.checks[a.b]",
                "branches[trunk].required_status_checks.checks[a.b]",
            ),
            ("branches[main]", "branches[main]"),
            ("teams[default]", "teams[default]"),
            ("branches[", "branches["),
        ] {
            assert_eq!(with_default_branch(path, "trunk"), expected);
        }
    }
}
