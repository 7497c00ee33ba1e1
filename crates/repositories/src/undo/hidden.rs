//! Finds the changes that a waiver can hide.

use super::paths::entry_of;
use crate::aspects;
use crate::policy::exempts;

/// The aspect of deploy keys. A waiver identifies a deploy key by its public key, and a change
/// identifies the deploy key by its title.
const DEPLOY_KEYS: &str = "deploy_keys";

/// Returns whether the path of a waived key leads into a section of an aspect.
pub(crate) fn is_in_aspect(path: &str, aspect: &str) -> bool {
    let section = path.split(['.', '[']).next().unwrap_or_default();
    aspects::ALL.iter().any(|known| known.name == aspect && known.owns(section))
}

/// Returns whether a waiver of a key can hide a change. `what` is the part of the aspect, such as
/// `team core`. If the part does not name an entry of a list, a waiver of any key of the aspect can
/// hide the change.
pub(crate) fn can_hide(waived: &str, aspect: &str, what: &str) -> bool {
    if aspect == DEPLOY_KEYS {
        return is_in_aspect(waived, aspect);
    }
    // A variable inside an environment has a part such as `environment prod: variable A`.
    let outer = what.split_once(": ").map_or(what, |(outer, _)| outer);
    let entries: Vec<String> = [what, outer].into_iter().filter_map(|what| entry_of(aspect, what)).collect();
    is_in_aspect(waived, aspect) && (entries.is_empty() || entries.iter().any(|entry| exempts(waived, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_can_hide_the_changes_of_its_entry_and_of_its_section() {
        for (waived, aspect, what, expected) in [
            ("teams", "teams", "team core", true),
            ("teams[core]", "teams", "team Core", true),
            ("teams[core].permission", "teams", "team core", true),
            ("teams[core]", "teams", "team web", false),
            ("teams[core]", "labels", "label core", false),
            // An older version of Beadle did not store the part.
            ("teams[core]", "teams", "", true),
            ("repository.has_wiki", "settings", "", true),
            ("repository.topics[web]", "topics", "", true),
            ("repository.has_wiki", "teams", "team core", false),
            ("branches.default.enforce_admins", "protection", "rule main", true),
            ("branches[rel*].protection", "protection", "rule release", true),
            ("branches[release]", "protection", "rule main", false),
            ("rulesets[main].enforcement", "rulesets", "ruleset main", true),
            ("environments[prod]", "environments", "environment prod: variable A", true),
            ("environments[prod].variables[A]", "environments", "environment prod", true),
            ("environments[test]", "environments", "environment prod: variable A", false),
            ("labels[a: b]", "labels", "label a: b", true),
            ("deploy_keys[ssh-ed25519 AAAA]", "deploy_keys", "deploy key CI", true),
            ("collaborators[ann]", "collaborators", "invitation of ann", true),
        ] {
            assert_eq!(can_hide(waived, aspect, what), expected, "{waived} {aspect} {what}");
        }
    }
}
