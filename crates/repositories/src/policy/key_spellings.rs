//! The paths of a key whose fact has two spellings in a policy.

use super::security_keys::SECURITY;
use super::selected_key::of_branch;
use super::waived_key::{BRANCHES, DEFAULT, parts};

/// Returns the path of a key, followed by the other paths of the same facts, if there are any. The name
/// `default` and the name of the default branch mean the same branch.
pub(super) fn spellings_of_key(path: &str, default_branch: Option<&str>) -> Vec<String> {
    let own = path.to_owned();
    let Some(parts) = parts(path) else { return vec![own] };
    let other = match (parts.as_slice(), default_branch) {
        ([BRANCHES, DEFAULT, rest @ ..], Some(branch)) => Some(of_branch(branch, rest)),
        ([BRANCHES, name, rest @ ..], Some(branch)) if *name == branch => Some(of_branch(DEFAULT, rest)),
        (["repository", "security"], _) => {
            // The section `security` has further features, and the waiver does not exempt them.
            let own = SECURITY.iter().map(|(_, own)| format!("security.{own}"));
            return std::iter::once(path.to_owned()).chain(own).collect();
        }
        (["security"], _) => Some("repository.security".to_owned()),
        (["repository", "security", key], _) => {
            let pair = SECURITY.iter().find(|(incumbent, _)| incumbent == key);
            pair.map(|(_, own)| format!("security.{own}"))
        }
        (["security", key], _) => {
            let pair = SECURITY.iter().find(|(_, own)| own == key);
            pair.map(|(incumbent, _)| format!("repository.security.{incumbent}"))
        }
        _ => None,
    };
    std::iter::once(own).chain(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::exempts;

    #[test]
    fn a_waiver_exempts_a_security_feature_in_both_spellings() {
        for (waived, expected) in [
            ("security.dependabot_alerts", true),
            ("security", true),
            ("repository", true),
            ("repository.security", true),
            ("security.private_vulnerability_reporting", false),
        ] {
            for other in ["repository.security.enableVulnerabilityAlerts", "security.dependabot_alerts"] {
                assert_eq!(exempts(waived, other), expected, "{waived}");
                assert_eq!(exempts(other, waived), expected, "{waived}");
            }
        }
        assert!(!exempts("repository.security", "security.private_vulnerability_reporting"));
    }

    #[test]
    fn a_key_has_the_other_path_of_its_fact() {
        for (path, branch, other) in [
            ("repository.has_wiki", Some("main"), None),
            ("branches[main].protection", Some("main"), Some("branches[default].protection")),
            ("branches.default.enforce_admins", Some("main"), Some("branches[main].enforce_admins")),
            (
                "branches[main].restrictions.users[a.b]",
                Some("main"),
                Some("branches[default].restrictions.users[a.b]"),
            ),
            ("teams[main]", Some("main"), None),
            ("branches[main]", None, None),
            ("branches[dev]", Some("main"), None),
            ("security", None, Some("repository.security")),
            ("security.dependabot_alerts", None, Some("repository.security.enableVulnerabilityAlerts")),
            (
                "repository.security.enableAutomatedSecurityFixes",
                None,
                Some("security.dependabot_security_updates"),
            ),
            ("security.secret_scanning", None, None),
        ] {
            let expected: Vec<String> =
                [Some(path), other].into_iter().flatten().map(str::to_owned).collect();
            assert_eq!(spellings_of_key(path, branch), expected);
        }
    }
}
