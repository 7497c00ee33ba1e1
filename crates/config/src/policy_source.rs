//! `policy` of an organisation: a folder on the disk, or a folder of a repository.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::{Invalid, KeyPath, did_you_mean};

/// Where the policy of an organisation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// A folder on the disk. A relative path starts at the folder of the configuration file.
    Folder(PathBuf),
    /// A folder of a repository, at a branch, a tag or a commit.
    Repository(RepositorySource),
}

/// A policy in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySource {
    /// The name of the `[[org]]` that owns the repository. If it is not set, the organisation of
    /// the policy owns the repository.
    pub organisation: Option<String>,
    /// The name of the repository.
    pub repository: String,
    /// The folder of the policy in the repository. It is empty for the root.
    #[serde(default)]
    pub path: String,
    /// The branch, the tag or the commit.
    #[serde(default = "main_branch", rename = "ref")]
    pub reference: String,
    /// True if Beadle refuses a policy from a branch that accepts changes without a review.
    #[serde(default)]
    pub require_review: bool,
}

fn main_branch() -> String {
    "main".into()
}

impl PolicySource {
    /// Returns the repository of the policy, or `None` if the policy is a folder on the disk.
    pub fn repository(&self) -> Option<&RepositorySource> {
        match self {
            Self::Folder(_) => None,
            Self::Repository(source) => Some(source),
        }
    }
}

impl RepositorySource {
    /// Returns the name of the `[[org]]` that owns the repository. `own` is the organisation of the
    /// policy.
    pub fn owner<'a>(&'a self, own: &'a str) -> &'a str {
        self.organisation.as_deref().unwrap_or(own)
    }

    /// Formats the place of the policy for messages, such as `acme/admin/.github at main`.
    pub fn shown(&self, own: &str) -> String {
        let folder = self.path.trim_matches('/');
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{}/{}{slash}{folder} at {}", self.owner(own), self.repository, self.reference)
    }

    /// Checks the values of the policy's source. `organisations` are the names of all `[[org]]`.
    pub(crate) fn check<'a>(
        &self,
        table: &KeyPath,
        organisations: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Invalid> {
        if let Some(name) = &self.organisation {
            let known = organisations;
            if !known.clone().any(|other| other == name) {
                let at = table.key("organisation");
                let what = format!("`{at}`: there is no [[org]] `{}`", name.escape_debug());
                return Err(Invalid::new(at, what).hint(did_you_mean(name, known)));
            }
        }
        let is_inside = |part: &str| !matches!(part, "." | "..") && !part.chars().any(char::is_control);
        if self.path.starts_with('/') || !self.path.split('/').all(is_inside) {
            let rule = format!("be a folder inside the repository, found `{}`", self.path.escape_debug());
            let hint = "write it as `.github`, or leave it out for the root";
            return Err(Invalid::must(table.key("path"), &rule).hint(Some(hint.into())));
        }
        let is_odd = |c: char| c.is_control() || c.is_whitespace();
        if self.reference.is_empty() || self.reference.contains(is_odd) {
            let rule = format!("be a branch, a tag or a commit, found `{}`", self.reference.escape_debug());
            return Err(Invalid::must(table.key("ref"), &rule));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PolicySource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Source)
    }
}

struct Source;

impl<'de> Visitor<'de> for Source {
    type Value = PolicySource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, or a table with `repository`")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<PolicySource, E> {
        Ok(PolicySource::Folder(Path::new(path).to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PolicySource, A::Error> {
        RepositorySource::deserialize(MapAccessDeserializer::new(map)).map(PolicySource::Repository)
    }
}

#[cfg(test)]
mod tests {
    use beadle_hooks::github::OrgFacts;

    use super::*;
    use crate::{File, Source as Text};

    fn file(policy: &str) -> Result<File, String> {
        let text = format!(
            "[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = {policy}\n\
             [[org]]\nname = \"shared\"\ntoken = \"env:T\"\npolicy = \"policy\"\n"
        );
        File::parse(&Text::new(Path::new("beadle.toml"), text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_policy_is_a_folder_or_a_repository() {
        let file = |policy: &str| super::tests::file(policy).unwrap();
        assert_eq!(file("\"policy\"").org[0].policy, PolicySource::Folder("policy".into()));
        assert_eq!(file("\"policy\"").org[0].policy_home(), "admin");
        let own = file("{ repository = \"rules\" }");
        let source = own.org[0].policy.repository().unwrap();
        assert_eq!((source.path.as_str(), source.reference.as_str()), ("", "main"));
        assert_eq!((source.shown("acme"), own.org[0].policy_home()), ("acme/rules at main".into(), "rules"));
        let other =
            file("{ organisation = \"shared\", repository = \"rules\", path = \".github\", ref = \"v1\" }");
        let source = other.org[0].policy.repository().unwrap();
        assert_eq!(source.shown("acme"), "shared/rules/.github at v1");
        assert_eq!(other.org[0].policy_home(), "admin");
    }

    #[test]
    fn a_base_needs_a_policy_in_a_repository() {
        let base = "base = { organisation = \"shared\", repository = \"rules\" }";
        let found = file(&format!("{{ repository = \"admin\" }}\n{base}")).unwrap();
        assert_eq!(found.org[0].base.as_ref().unwrap().shown("acme"), "shared/rules at main");
        let watched = |org: usize| {
            let sender = found.github_sender(&found.org[org], Vec::new(), OrgFacts::default());
            sender.policies.into_iter().map(|policy| policy.repository).collect::<Vec<_>>()
        };
        assert_eq!((watched(0), watched(1)), (vec!["admin".to_owned()], vec!["rules".to_owned()]));
        let error = file(&format!("\"policy\"\n{base}")).unwrap_err();
        assert!(error.contains("`org.base` needs a policy in a repository"), "{error}");
    }

    #[test]
    fn the_pages_of_github_are_beside_its_api() {
        for (api, web) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.acme.ghe.com/", "https://acme.ghe.com"),
            ("https://ghe.example.com/api/v3", "https://ghe.example.com"),
            ("http://127.0.0.1:7070", "http://127.0.0.1:7070"),
        ] {
            let org = file(&format!("\"policy\"\napi = \"{api}\"")).unwrap().org[0].clone();
            assert_eq!(org.web(), web);
        }
    }

    #[test]
    fn a_wrong_source_is_refused_with_its_line() {
        for (policy, said) in [
            ("5", "beadle.toml:4: `org.policy` must be a path, or a table with `repository`"),
            ("{ path = \"x\" }", "`org.policy.repository` is missing"),
            ("{ repository = \"a\", branch = \"main\" }", "unknown key `org.policy.branch`"),
            ("{ repository = \"a\", ref = \"\" }", "beadle.toml:4: `org.policy.ref` must be a branch"),
            ("{ repository = \"a\", ref = \"a b\" }", "`org.policy.ref` must be a branch"),
            ("{ repository = \"a\", path = \"../b\" }", "`org.policy.path` must be a folder inside"),
            ("{ repository = \"a\", path = \"/b\" }", "`org.policy.path` must be a folder inside"),
            (
                "{ repository = \"a\", organisation = \"share\" }",
                "there is no [[org]] `share`\nhint: did you mean `shared`?",
            ),
        ] {
            let error = file(policy).unwrap_err();
            assert!(error.contains(said), "{policy}: {error}");
        }
    }
}
