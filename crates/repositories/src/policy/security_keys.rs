//! The security features that a policy can set by two keys.

/// The keys of safe-settings that have the same meaning as a key in the section `security`.
pub(super) const SECURITY: &[(&str, &str)] = &[
    ("enableVulnerabilityAlerts", "dependabot_alerts"),
    ("enableAutomatedSecurityFixes", "dependabot_security_updates"),
];

/// Returns a path into the block `repository.security` as the path into the section `security`.
/// Returns any other path unchanged.
pub(super) fn of_security<'a>(parts: Vec<&'a str>) -> Vec<&'a str> {
    let ["repository", "security", rest @ ..] = parts.as_slice() else { return parts };
    let own = |part: &&'a str| {
        SECURITY.iter().find(|(incumbent, _)| incumbent == part).map_or(*part, |(_, own)| own)
    };
    std::iter::once("security").chain(rest.iter().map(own)).collect()
}
