//! The mappings in the file `groups.toml` of an organisation's policy.

use std::path::Path;
use std::sync::Arc;

use beadle_config::{ConfigError, Invalid, KeyPath, Source, TargetFile};
use beadle_engine::PolicyLocation;
use beadle_groups::{Mapping, Mappings};
use beadle_repositories::policy::{MAPPINGS, Problem};
use beadle_repositories::{Policy, PolicyError};

use super::mappings::mappings_alone;
use super::{Config, OrgConfig, waiver_check};

impl Config {
    /// Returns the mappings of an organisation's policy. A mapping of the policy must not select
    /// the same groups as a mapping in `beadle.toml` or in a file of `groups_from`. The policy must
    /// not waive a key of `never_waive`.
    pub(crate) fn mappings_of_policy(
        &self,
        org: &OrgConfig,
        policy: &Policy,
    ) -> Result<Vec<Mapping>, PolicyError> {
        waiver_check::refuse(org, policy)?;
        let Some(text) = policy.mappings() else { return Ok(Vec::new()) };
        self.mappings_in(org, text).map_err(|error| PolicyError::Invalid {
            problems: vec![problem(&error)],
            sources: policy.sources.clone(),
        })
    }

    fn mappings_in(&self, org: &OrgConfig, text: &str) -> Result<Vec<Mapping>, ConfigError> {
        let path = Path::new(MAPPINGS);
        let mut found = mappings_alone(&self.file, path, text)?;
        for (entry, mapping) in found.iter().enumerate() {
            let at = KeyPath::new("groups").entry(entry);
            let other = self.mappings.all.iter().find(|other| overlaps(mapping, other));
            let invalid = self.of_other_organisation(org, mapping, &at);
            if let Some(invalid) = invalid.or_else(|| Some(twice(mapping, other?, &at))) {
                return Err(Source::new(path, text).error(invalid));
            }
        }
        for mapping in &mut found {
            // The gate does not check the policy of an organisation in mode `observe`. So the
            // mappings of such a policy must not cause writes.
            mapping.mode = mapping.mode.min(org.mode);
        }
        Ok(found)
    }

    /// Returns the error for a mapping to the teams of another organisation. The people who can
    /// change a policy must decide only about their own organisation.
    fn of_other_organisation(&self, org: &OrgConfig, mapping: &Mapping, at: &KeyPath) -> Option<Invalid> {
        let is_its = |target: &&Arc<TargetFile>| target.name == mapping.target;
        let teams = self.file.target.iter().find(is_its)?.github.as_ref()?;
        let rule = || {
            format!(
                "name a target of the organisation `{}`, found `{}`, which has the teams of `{}`",
                org.name, mapping.target, teams.org
            )
        };
        (teams.org != org.name).then(|| Invalid::must(at.key("target"), &rule()))
    }
}

/// Returns whether two mappings of different files exclude each other. Two mappings exclude each
/// other if they select groups with the same patterns, or if they belong to one union. If the
/// mappings of a union were in two files and Beadle knew only one of them, the union would lose
/// members.
fn overlaps(one: &Mapping, other: &Mapping) -> bool {
    let patterns = |mapping: &Mapping| {
        let mut texts: Vec<String> = mapping.include.iter().map(ToString::to_string).collect();
        texts.sort_unstable();
        texts
    };
    one.target == other.target
        && one.into == other.into
        && (one.into.is_some() || (one.source == other.source && patterns(one) == patterns(other)))
}

/// Returns an error if a new mapping of the configuration and a mapping of a policy in force
/// exclude each other.
pub(crate) fn check_policies(of_policies: &[Mapping], configured: &Mappings) -> anyhow::Result<()> {
    for mapping in of_policies {
        if let Some(other) = configured.all.iter().find(|other| overlaps(mapping, other)) {
            let place =
                |mapping: &Mapping| mapping.asked.as_ref().map(ToString::to_string).unwrap_or_default();
            let (new, old) = (place(other), place(mapping));
            anyhow::bail!(
                "{new}: a policy in force has a mapping of the same groups at {old}; remove one of the two"
            );
        }
    }
    Ok(())
}

fn twice(mapping: &Mapping, other: &Mapping, at: &KeyPath) -> Invalid {
    let place = other.asked.as_ref().map(ToString::to_string).unwrap_or_default();
    let (key, what) = match &mapping.into {
        Some(into) => ("into", format!("the group `{}` has a mapping at {place} too", into.escape_debug())),
        None => ("include", format!("the same groups have a mapping at {place} too")),
    };
    let at = at.key(key);
    let what = format!("`{at}`: {what}");
    Invalid::new(at, what).hint(Some("keep all mappings of a group in one of the two files".into()))
}

/// Converts an error in the file to a finding in the policy.
fn problem(error: &ConfigError) -> Problem {
    let at =
        |line: usize| PolicyLocation { file: MAPPINGS.into(), line: u32::try_from(line).unwrap_or(u32::MAX) };
    match error {
        ConfigError::Invalid { line, invalid, .. } => {
            let text = invalid.to_string();
            match text.split_once("\nhint: ") {
                Some((what, hint)) => Problem::error(at(*line), 1, what).hint(hint),
                None => Problem::error(at(*line), 1, text),
            }
        }
        ConfigError::Unreadable { .. } => Problem::error(at(1), 1, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::Mode;

    use super::*;

    const CONFIG: &str = r#"
[[org]]
name = "acme"
policy = "p"
token = "env:T"
mode = "add-only"

[[org]]
name = "other"
policy = "p"
app = { id = 1, key = "env:K" }

[[okta]]
name = "corp"
url = "https://corp.example"
token = "env:T"

[[target]]
name = "aws"
scim = { url = "https://x", token = "env:T", dialect = "aws-identity-center" }

[[target]]
name = "teams"
github = { org = "other", match = ["saml"] }

[[groups]]
source = "corp"
target = "aws"
include = ["AWS_*", "id:00g1"]

[[groups]]
source = "corp"
target = "aws"
include = ["Eng_*"]
into = "Engineers"
"#;

    fn found(text: &str) -> Result<Vec<Mapping>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.toml");
        std::fs::write(&path, CONFIG).unwrap();
        let config = Config::load(&path).unwrap();
        let files = [("settings.yml", "repository: { has_wiki: false }"), (MAPPINGS, text)];
        let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
        let policy = Policy::from_sources(files.into(), "admin", Path::new("p")).unwrap();
        config.mappings_of_policy(&config.file.org[0], &policy).map_err(|error| error.to_string())
    }

    fn mapping(more: &str) -> String {
        format!("[[groups]]\nsource = \"corp\"\ntarget = \"aws\"\n{more}\n")
    }

    #[test]
    fn a_mapping_of_a_policy_has_its_line_and_at_most_the_mode_of_the_organisation() {
        let all = found(&mapping("include = [\"Dev_*\"]\nmode = \"enforce\"")).unwrap();
        let places: Vec<String> =
            all.iter().filter_map(|mapping| Some(mapping.asked.as_ref()?.to_string())).collect();
        assert_eq!(places, ["groups.toml:2"]);
        assert_eq!(all[0].mode, Mode::AddOnly);
        assert!(found("").unwrap().is_empty());
    }

    #[test]
    fn an_invalid_mapping_of_a_policy_is_refused_with_its_line() {
        for (text, said) in [
            (mapping("include = [\"x\"]\nmod = \"enforce\""), ("groups.toml:5", "unknown key `groups.mod`")),
            ("[[org]]\nname = \"acme\"".into(), ("groups.toml:1", "unknown key `org`")),
            (mapping("include = [\"/(/\"]"), ("groups.toml:4", "invalid pattern `/(/`")),
            (
                mapping("include = [\"x\"]").replace("aws", "teams"),
                ("groups.toml:3", "which has the teams of `other`"),
            ),
            (
                mapping("include = [\"id:00g1\", \"AWS_*\"]"),
                ("groups.toml:4", "the same groups have a mapping at beadle.toml:27 too"),
            ),
            (
                mapping("include = [\"y\"]\ninto = \"Engineers\""),
                ("groups.toml:5", "`Engineers` has a mapping at beadle.toml:32 too"),
            ),
        ] {
            let error = found(&text).unwrap_err();
            assert!(error.contains(said.0) && error.contains(said.1), "{text}: {error}");
        }
    }
}
