//! Checks the keys of a file. If a key is unknown at its level but valid at another level of the
//! file, the hint describes the other level.

use super::keys::{REPOSITORY, SECTIONS};
use super::node::Node;
use super::problem::Problem;
use super::schema::FileKind;
use super::shape::{Key, Shape, Status, UNKNOWN_KEY};

/// Checks the shape of all values of a file.
pub(super) fn check_keys(kind: FileKind, root: &Node, problems: &mut Vec<Problem>) {
    let before = problems.len();
    Shape::Map(kind.keys()).check("", root, problems);
    for problem in problems.iter_mut().skip(before) {
        let path = problem.message.strip_prefix(UNKNOWN_KEY).map(|path| path.trim().trim_matches('`'));
        if let Some(hint) = path.and_then(|path| right_level(kind, path)) {
            problem.hint = Some(hint);
        }
    }
}

/// The common prefix of the paths of keys in `repository.security_and_analysis`.
const ANALYSIS: &str = "security_and_analysis.";

/// Returns whether the key `name` of the section `security` turns a feature on or off.
fn is_feature(name: &str) -> bool {
    let security = SECTIONS.iter().find(|section| section.name == "security");
    let Some(Shape::Map(keys)) = security.map(|section| section.shape) else { return false };
    keys.iter().any(|key| key.name == name && matches!(key.shape, Shape::Bool))
}

/// If a key is unknown at its level of a policy file, returns the level at which it is valid.
fn right_level(kind: FileKind, path: &str) -> Option<String> {
    let has =
        |keys: &[Key], name: &str| keys.iter().any(|key| key.name == name && key.status == Status::Carried);
    match path.split_once('.') {
        // This section comes from another tool. Its keys are the keys of `repository`.
        None if path == "settings" && has(kind.keys(), "repository") => {
            Some("write the section `repository`".to_owned())
        }
        None if has(kind.keys(), "repository") && has(REPOSITORY, path) => {
            Some(format!("`{path}` belongs under `repository`"))
        }
        None if FileKind::Deployment.keys().iter().any(|key| key.name == path) => {
            Some(format!("`{path}` belongs in `deployment-settings.yml`"))
        }
        // GitHub shows these features in this block, but Beadle changes them with separate calls.
        Some(("repository", key)) if key.strip_prefix(ANALYSIS).is_some_and(is_feature) => {
            let name = key.strip_prefix(ANALYSIS).unwrap_or(key);
            Some(format!("write `security: {{ {name}: true }}` or `false`, at the top level"))
        }
        Some(("repository", name)) if has(kind.keys(), name) => {
            Some(format!("`{name}` belongs at the top level"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_gets_the_hint_that_helps() {
        for (kind, text, expected) in [
            (FileKind::Settings, "repository: { rulesets: [] }", "`rulesets` belongs at the top level"),
            (FileKind::Repo, "repository: { teams: [] }", "`teams` belongs at the top level"),
            (
                FileKind::Settings,
                "allow_squash_merge: true",
                "`allow_squash_merge` belongs under `repository`",
            ),
            (
                FileKind::Settings,
                "configvalidators: []",
                "`configvalidators` belongs in `deployment-settings.yml`",
            ),
            (FileKind::Settings, "settings: { has_wiki: true }", "write the section `repository`"),
            (
                FileKind::Settings,
                "repository: { security_and_analysis: { dependabot_security_updates: { status: enabled } } }",
                "write `security: { dependabot_security_updates: true }` or `false`, at the top level",
            ),
            (
                FileKind::Settings,
                "repository: { security_and_analysis: { dependabot: { status: enabled } } }",
                "known keys: advanced_security",
            ),
            (FileKind::Settings, "repositry: {}", "did you mean `repository`?"),
            (FileKind::Settings, "repository: { wiki: true }", "did you mean `has_wiki`?"),
            (
                FileKind::Settings,
                "labels: [{ name: a, zzzzzzzz: 1 }]",
                "known keys: name, color, description, oldname",
            ),
            (
                FileKind::Repo,
                "repository: { vulnerability_alerts: true }",
                "write `repository: { security: { enableVulnerabilityAlerts: ... } }`",
            ),
            // The message does not list all keys, because such a list would not help.
            (FileKind::Settings, "zzzzzzzzzzzzzzzz: 1", ""),
            (FileKind::Deployment, "allow_squash_merge: true", "known keys: "),
        ] {
            let mut problems = Vec::new();
            check_keys(kind, &Node::parse("a.yml", text).unwrap(), &mut problems);
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            let hint = problems[0].hint.clone().unwrap_or_default();
            assert!(hint.starts_with(expected) && hint.is_empty() == expected.is_empty(), "{text}: {hint}");
        }
    }
}
