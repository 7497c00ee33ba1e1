//! The repositories that a policy creates. Each of these repositories has a file in repos/, and its
//! merged layers set `repository.force_create`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use beadle_engine::PolicyLocation;
use beadle_github::{Known, Repository, Visibility};
use serde_json::Map;

use super::desired::is_public;
use super::files::Policy;
use super::layers::{Layer, LayerKind};
use super::node::Node;
use super::targeting::{OverrideStatus, Verdict};

/// A repository that the policy creates if it does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The name of the repository. The repository's file has the same name.
    pub name: String,
    /// The template. The form is `owner/name`, or only the name of a repository in the
    /// organisation. `None` if the repository does not come from a template.
    pub template: Option<String>,
    /// The repository that GitHub forks. The form is `owner/name`. `None` if the new repository is
    /// not a fork.
    pub fork: Option<String>,
    /// True if GitHub copies all branches of the template or of the forked repository. False if
    /// GitHub copies only the default branch.
    pub include_all_branches: bool,
    /// True if GitHub makes a first commit.
    pub auto_init: bool,
    /// The name of the `.gitignore` that GitHub adds.
    pub gitignore_template: Option<String>,
    /// The license that GitHub adds.
    pub license_template: Option<String>,
    /// The policy line that contains `force_create`.
    pub asked: PolicyLocation,
    /// True if the policy declares that the repository is public.
    pub is_public: bool,
    /// The reason why the values of the section `repository` are undecided. `None` if these values
    /// are decided.
    pub doubt: Option<String>,
}

impl Policy {
    /// Returns how the policy declares the creation of a repository. `name` is the name of the
    /// repository. Returns `None` if the policy has no file for the name, or if no layer sets
    /// `force_create` for the repository.
    pub fn creation(&self, name: &str) -> Option<Creation> {
        let LayerKind::Repository(name) = &self.file_of(name)?.kind else { return None };
        if self.disabled.iter().any(|section| section == "repository") {
            return None;
        }
        let verdict = self.resolve(&not_created_yet(name), &OverrideStatus::default());
        let Verdict::Reached(target) = verdict else { return None };
        let repository = target.root.as_ref()?.get("repository")?;
        let create = repository.get("force_create").filter(|value| value.bool() == Some(true))?;
        let text = |key: &str| repository.get(key).and_then(Node::text).map(str::to_owned);
        let is_on = |key: &str| repository.get(key).and_then(Node::bool).unwrap_or(false);
        let undecided = target.undecided.iter().find(|(section, _)| section == "repository");
        let doubt = undecided.map(|(_, unsure)| unsure.why.clone());
        let both = || {
            let (template, fork) = (repository.get("template")?, repository.get("fork")?);
            Some(format!("`template` ({}) and `fork` ({}) must not both be set", template.asked, fork.asked))
        };
        Some(Creation {
            name: name.clone(),
            template: text("template"),
            fork: text("fork"),
            include_all_branches: is_on("include_all_branches"),
            auto_init: is_on("auto_init"),
            gitignore_template: text("gitignore_template"),
            license_template: text("license_template"),
            asked: create.asked.clone(),
            is_public: is_public(repository, |asked| target.rank(asked)),
            doubt: doubt.or_else(both),
        })
    }

    /// Returns the repositories that the policy creates. `names` must contain the names of all
    /// repositories of the organisation. A file can set a new name or a former name for its
    /// repository. If a repository has one of these names, the file belongs to this repository. The
    /// policy then does not create another repository.
    pub fn creations(&self, names: &[&str]) -> Vec<Creation> {
        let sets = |layer: &Layer| {
            let sets =
                |root: &Node| root.get("repository").is_some_and(|all| all.get("force_create").is_some());
            layer.roots().any(sets)
        };
        if !self.layers.iter().any(sets) {
            return Vec::new();
        }
        let there: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        let is_there = |name: &str| there.contains(&name.to_lowercase());
        let missing = self.layers.iter().filter_map(|layer| match &layer.kind {
            LayerKind::Repository(name) => {
                let mut all =
                    [Some(name.as_str()), layer.given_name(), layer.old_name()].into_iter().flatten();
                (!all.any(is_there)).then_some(name)
            }
            _ => None,
        });
        missing.filter_map(|name| self.creation(name)).collect()
    }
}

/// Returns a repository in the state directly after its creation. Beadle compares this state with
/// the selectors of the layers.
fn not_created_yet(name: &str) -> Repository {
    Repository {
        id: 0,
        node_id: String::new(),
        name: name.to_owned(),
        owner: String::new(),
        archived: false,
        fork: false,
        visibility: Visibility::Private,
        settings: Map::new(),
        rest_settings: Known::NotAsked,
        default_branch: None,
        topics: Known::Known(Vec::new()),
        teams: Known::Known(Vec::new()),
        has_age: false,
        last_seen: None,
        missing: Arc::default(),
        collaborators: Known::NotAsked,
        invitations: Known::NotAsked,
        protection: Known::NotAsked,
        created_at: String::new(),
        vulnerability_alerts: None,
        labels: Known::NotAsked,
        milestones: Known::NotAsked,
        deploy_keys: Known::NotAsked,
        rulesets: Known::NotAsked,
        properties: Known::Known(BTreeMap::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn policy(files: &[(&str, &str)]) -> Policy {
        let files = files.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
        Policy::from_sources(files, "admin", Path::new("policy")).unwrap_or_else(|error| panic!("{error}"))
    }

    fn names(policy: &Policy, there: &[&str]) -> Vec<String> {
        policy.creations(there).into_iter().map(|creation| creation.name).collect()
    }

    #[test]
    fn a_file_creates_its_missing_repository_if_a_layer_sets_force_create() {
        const CREATE: &str = "repository: { force_create: true }";
        const PLAIN: &str = "repository: { has_wiki: false }";
        for (files, there, expected) in [
            (vec![("repos/New.yml", CREATE)], vec!["shop"], vec!["New"]),
            (vec![("repos/New.yml", CREATE)], vec!["new"], vec![]),
            (vec![("repos/new.yml", PLAIN)], vec![], vec![]),
            (vec![("settings.yml", CREATE), ("repos/new.yml", PLAIN)], vec![], vec!["new"]),
            (
                vec![("settings.yml", CREATE), ("repos/new.yml", "repository: { force_create: false }")],
                vec![],
                vec![],
            ),
            (
                vec![
                    ("repos/a.yml", PLAIN),
                    ("suborgs/s.yml", "suborgrepos: [a]\nrepository: { force_create: true }"),
                ],
                vec![],
                vec!["a"],
            ),
            // Here, the file renames an existing repository.
            (vec![("repos/a.yml", "repository: { force_create: true, name: b }")], vec!["b"], vec![]),
            (vec![("repos/a.yml", "repository: { force_create: true, oldname: b }")], vec!["B"], vec![]),
            (
                vec![("repos/a.yml", CREATE), ("deployment-settings.yml", "restrictedRepos: [a]")],
                vec![],
                vec![],
            ),
            (
                vec![("settings.yml", "disable_plugins: [repository]"), ("repos/a.yml", CREATE)],
                vec![],
                vec![],
            ),
        ] {
            assert_eq!(names(&policy(&files), &there), expected, "{files:?} {there:?}");
        }
    }

    #[test]
    fn a_fork_needs_no_template_and_its_visibility_is_known() {
        for (text, is_public, is_doubtful) in [
            ("fork: up/base", false, false),
            ("fork: up/base, visibility: public", true, false),
            ("fork: up/base, private: false", true, false),
            ("fork: up/base, private: true", false, false),
            ("fork: up/base, template: base", false, true),
        ] {
            let text = format!("repository: {{ force_create: true, {text} }}");
            let creation = policy(&[("repos/new.yml", text.as_str())]).creation("new").unwrap();
            assert_eq!(creation.fork.as_deref(), Some("up/base"));
            assert_eq!((creation.is_public, creation.doubt.is_some()), (is_public, is_doubtful), "{text}");
        }
    }

    #[test]
    fn the_key_of_higher_rank_decides_whether_a_fork_is_public() {
        for (below, above, is_public) in [
            ("visibility: public", "private: true", false),
            ("private: true", "visibility: public", true),
            ("visibility: private", "private: false", true),
            ("private: false", "visibility: internal", false),
        ] {
            let settings = format!("repository: {{ {below} }}");
            let own = format!("repository: {{ force_create: true, fork: up/base, {above} }}");
            let policy = policy(&[("settings.yml", settings.as_str()), ("repos/new.yml", own.as_str())]);
            assert_eq!(policy.creation("new").unwrap().is_public, is_public, "{below}, {above}");
        }
    }

    #[test]
    fn every_layer_can_set_how_a_repository_is_created() {
        let policy = policy(&[
            ("settings.yml", "repository: { auto_init: true, license_template: mit }"),
            (
                "repos/new.yml",
                "repository: { force_create: true, template: acme/base, license_template: isc }",
            ),
        ]);
        let creation = policy.creation("NEW").unwrap();
        assert_eq!(creation.name, "new");
        assert_eq!(creation.template.as_deref(), Some("acme/base"));
        assert_eq!(creation.license_template.as_deref(), Some("isc"), "the higher rank wins");
        assert!(creation.auto_init && !creation.include_all_branches);
        assert_eq!(&*creation.asked.file, "repos/new.yml");
    }
}
