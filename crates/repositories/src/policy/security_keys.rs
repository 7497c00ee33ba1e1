//! The security features that a policy can set by two keys.

/// The keys of safe-settings that have the same meaning as a key in the section `security`.
pub(super) const SECURITY: &[(&str, &str)] = &[
    ("enableVulnerabilityAlerts", "dependabot_alerts"),
    ("enableAutomatedSecurityFixes", "dependabot_security_updates"),
];

/// Returns whether both paths lead to one of these features, or to a block that contains one.
pub(super) fn share_a_feature(one: &[&str], other: &[&str]) -> bool {
    SECURITY.iter().any(|feature| has(one, feature) && has(other, feature))
}

fn has(path: &[&str], (incumbent, own): &(&str, &str)) -> bool {
    match path {
        ["repository" | "security"] | ["repository", "security"] => true,
        ["repository", "security", key, ..] => key == incumbent,
        ["security", key, ..] => key == own,
        _ => false,
    }
}
