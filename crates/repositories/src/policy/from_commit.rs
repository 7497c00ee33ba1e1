//! Makes a policy from the files of a commit. The policy can have a base.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::PolicyError;
use super::files::{Policy, is_rule_file};
use super::folder::is_policy_file;
use super::group_files::{is_mapping_file, is_people_file};
use super::origin::{BASE, PolicyOrigin};
use super::template_files::is_template_file;
use super::waivers_file::is_waiver_file;

impl Policy {
    /// Creates a policy from files of a repository. The paths of the files are relative to the
    /// folder of the policy. The function ignores files that are not part of a policy. The name of
    /// the generation comes from the commit.
    pub fn from_files(
        files: BTreeMap<String, String>,
        home: &str,
        origin: PolicyOrigin,
    ) -> Result<Self, PolicyError> {
        Self::on_base(files, home, origin, None)
    }

    /// Does the same as [`Self::from_files`], but the policy has a base from another repository.
    /// The paths of the base's files begin with [`BASE`].
    pub fn on_base(
        files: BTreeMap<String, String>,
        home: &str,
        origin: PolicyOrigin,
        base: Option<PolicyOrigin>,
    ) -> Result<Self, PolicyError> {
        let mut sources = BTreeMap::new();
        for (file, text) in files {
            let part = file.strip_prefix(BASE).filter(|_| base.is_some()).unwrap_or(&file);
            if is_policy_file(part)? {
                sources.insert(file, text);
            }
        }
        let folder = PathBuf::from(origin.shown());
        // Without this check, `from_sources` would search the disk for another policy, and suggest
        // it in the error.
        let is_no_layer = |file: &String| {
            let is_about_groups = is_mapping_file(file) || is_people_file(file);
            let is_other = is_rule_file(file) || is_waiver_file(file) || is_template_file(file);
            is_deployment(file) || is_about_groups || is_other
        };
        if sources.keys().all(is_no_layer) {
            return Err(PolicyError::Empty(folder));
        }
        let read = || Self::from_sources(sources, home, &folder);
        let read = std::panic::catch_unwind(read);
        let mut policy = read.unwrap_or_else(|_| Err(PolicyError::Panicked(folder.clone())))?;
        policy.generation = match &base {
            Some(base) => format!("{}+{}", origin.generation(), base.generation()),
            None => origin.generation(),
        };
        (policy.origin, policy.base) = (Some(origin), base);
        Ok(policy)
    }
}

/// Returns whether a file is `deployment-settings.yml` of a policy or of its base. Such a file
/// alone is not a policy.
fn is_deployment(file: &str) -> bool {
    let file = file.strip_prefix(BASE).unwrap_or(file);
    ["deployment-settings.yml", "deployment-settings.yaml"].contains(&file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_base(own: &[(&str, &str)], base: &[(&str, &str)]) -> Result<Policy, PolicyError> {
        let origin = |id: &str| PolicyOrigin {
            repository: "acme/admin".into(),
            path: String::new(),
            commit: beadle_github::Commit {
                id: id.repeat(40),
                author: String::new(),
                logins: Vec::new(),
                subject: String::new(),
            },
        };
        let own = own.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
        let base = base.iter().map(|(file, text)| (format!("{BASE}{file}"), (*text).to_owned()));
        Policy::on_base(own.chain(base).collect(), "admin", origin("1"), Some(origin("2")))
    }

    #[test]
    fn a_file_of_the_organisation_wins_over_its_base_unless_the_base_has_a_higher_rank() {
        let (own, shared) = ("repository: { has_wiki: false }", "repository: { has_wiki: true }");
        let layer = "select: { name: ['*'] }\nrepository: { has_issues: true }\n";
        let ranked = format!("rank: 500\n{layer}");
        let files = [("settings.yml", shared), ("layers/a.yml", layer), ("layers/b.yml", ranked.as_str())];
        let policy = on_base(&[("settings.yml", own), ("README.md", "x")], &files).unwrap();
        let ranks: Vec<_> = policy.layers.iter().map(|layer| (layer.file.as_str(), layer.rank)).collect();
        let settings = [("base/settings.yml", -200), ("base/layers/a.yml", -100)];
        assert_eq!(ranks, [settings[0], settings[1], ("settings.yml", 0), ("base/layers/b.yml", 500)]);
        assert_eq!(policy.generation, "111111111111+222222222222");
    }

    #[test]
    fn a_base_has_no_file_for_one_repository() {
        let base = [("repos/shop.yml", "repository: { has_wiki: true }")];
        let error = on_base(&[("settings.yml", "repository: { has_wiki: false }")], &base).unwrap_err();
        assert!(error.to_string().contains("base/repos/shop.yml:1"), "{error}");
    }

    #[test]
    fn a_base_has_no_mappings() {
        let own = [("settings.yml", "repository: { has_wiki: false }"), ("groups.toml", "")];
        assert_eq!(on_base(&own, &[]).unwrap().mappings(), Some(""));
        let error = on_base(&own, &[("groups.toml", "")]).unwrap_err().to_string();
        assert!(error.contains("a base must not have mappings"), "{error}");
    }

    #[test]
    fn what_a_policy_restricts_replaces_what_its_base_restricts() {
        let base = [("deployment-settings.yml", "restrictedRepos: { include: [shop] }")];
        let settings = ("settings.yml", "repository: { has_wiki: false }");
        let own = [settings, ("deployment-settings.yml", "restrictedRepos: [blog]")];
        let policy = on_base(&own, &base).unwrap();
        assert_eq!(policy.restricted.reason("web"), None);
        assert!(policy.restricted.reason("blog").is_some());
        assert!(on_base(&[settings], &base).unwrap().restricted.reason("web").is_some());
    }

    #[test]
    fn the_files_of_a_commit_must_have_a_policy() {
        let base = [("deployment-settings.yml", "restrictedRepos: [x]")];
        let owns: [&[(&str, &str)]; 4] = [&[], &[("README.md", "x")], &[("groups.toml", "")], &base];
        for own in owns {
            let error = on_base(own, &base).unwrap_err().to_string();
            assert!(error.starts_with("acme/admin: no policy found"), "{error}");
        }
    }
}
