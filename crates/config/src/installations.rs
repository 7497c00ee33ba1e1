//! `[installations]`: the organisations that installed the App and have no `[[org]]`.

use serde::Deserialize;

use crate::org::github;
use crate::{AppFile, PolicySource};

/// `[installations]`: the rules for the organisations that Beadle adds after somebody installs the
/// App.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallationsFile {
    /// The address of GitHub's REST API.
    #[serde(default = "github")]
    pub api: String,
    /// The GitHub App. Beadle adds organisations that install this App.
    pub app: AppFile,
    /// References to all valid webhook secrets of the App.
    #[serde(default)]
    pub webhook_secrets: Vec<String>,
    /// Patterns of logins. Beadle adds an organisation only if the login matches a pattern, because
    /// anybody can install a public App.
    pub organisations: Vec<String>,
    /// The folder or the repository of the policy. All organisations that Beadle adds have the same
    /// policy.
    pub policy: PolicySource,
}

impl InstallationsFile {
    /// Returns whether Beadle may add an organisation with this login.
    pub fn allows(&self, login: &str) -> bool {
        self.organisations.iter().any(|pattern| matches(pattern, login))
    }
}

/// Returns whether a login matches a pattern. In a pattern, `*` means any characters. The function
/// ignores the case of letters.
fn matches(pattern: &str, login: &str) -> bool {
    let (pattern, login) = (pattern.to_ascii_lowercase(), login.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = login.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some(at) = rest.find(middle) else { return false };
            rest = rest.get(at + middle.len()..).unwrap_or_default();
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

/// Returns whether the text has at least one character, and only characters that a login can
/// contain.
pub(crate) fn is_login(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_logins_in_any_case() {
        for (pattern, login, fits) in [
            ("acme", "Acme", true),
            ("acme", "acme2", false),
            ("acme", "my-acme", false),
            ("acme-*", "acme-labs", true),
            ("acme-*", "acme", false),
            ("*-acme", "labs-ACME", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("a*a", "a", false),
            ("*", "anybody", true),
            ("**", "anybody", true),
            ("*e*", "acme", true),
            ("*x*", "acme", false),
        ] {
            assert_eq!(matches(pattern, login), fits, "{pattern} {login}");
        }
    }
}
