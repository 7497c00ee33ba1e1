//! The parts of a policy that an import writes. A unit is a group of related keys that are always
//! in the same file. The entries of a list can be in different files.

use serde_json::{Map, Value, json};

/// The value of a key in a new repository at GitHub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usual {
    /// The key has no value.
    Null,
    /// The key is true or false.
    Bool(bool),
    /// The key is a number.
    Number(u64),
    /// The key has this text.
    Text(&'static str),
    /// The key is a security feature that is off.
    Off,
    /// The key is the setup of a feature that nobody has configured yet.
    NotConfigured,
    /// The key is a block that allows no workflows from forks.
    NoForks,
}

impl Usual {
    fn value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Number(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Off => json!({ "status": "disabled" }),
            Self::NotConfigured => json!({ "state": "not-configured" }),
            Self::NoForks => json!({ "run_workflows_from_fork_pull_requests": false }),
        }
    }
}

/// The condition under which a file for several repositories can contain a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// If most repositories have the same value, `settings.yml` contains this value, and other
    /// files override it.
    Most,
    /// `settings.yml` contains the value only if all repositories have it.
    All,
    /// `settings.yml` can contain only the value `private`. Every other value is in the
    /// repository's own file. A shared file therefore never exposes a new repository.
    Careful,
}

/// Keys that an import always writes to the same file.
#[derive(Debug)]
pub(crate) struct Unit {
    /// The name of the unit. No other unit and no list has this name.
    pub(crate) name: &'static str,
    /// The path of the block that contains the keys.
    pub(crate) block: &'static [&'static str],
    /// The keys. Each key comes with its value in a new repository.
    pub(crate) usual: &'static [(&'static str, Usual)],
    /// The condition under which a file for several repositories can contain the unit.
    pub(crate) sharing: Sharing,
}

impl Unit {
    /// Returns the unit's values in a new repository.
    pub(super) fn usual(&self) -> Map<String, Value> {
        self.usual.iter().map(|(key, usual)| ((*key).to_owned(), usual.value())).collect()
    }
}

/// A list whose entries can be in different files.
#[derive(Debug)]
pub(crate) struct List {
    /// The name of the list in a policy.
    pub(crate) name: &'static str,
    /// The path of the block that contains the list.
    pub(crate) block: &'static [&'static str],
    /// The key that identifies an entry. If the entries are plain texts, this key is empty.
    pub(crate) id: &'static str,
    /// True if `settings.yml` can contain entries of the list. In `settings.yml`, the section
    /// `rulesets` contains the rulesets of the organisation, so this field is false for the list
    /// `rulesets`.
    pub(crate) is_in_settings: bool,
    /// True if an entry in another file overrides the entry of `settings.yml` with the same
    /// identity.
    pub(crate) can_override: bool,
    /// True if the list is exclusive by default. Beadle then removes unlisted entries, unless the
    /// policy makes the list additive.
    pub(crate) is_exclusive: bool,
}

impl List {
    /// Returns the identity of an entry.
    pub(super) fn id_of(&self, entry: &Value) -> String {
        let id = if self.id.is_empty() { entry } else { &entry[self.id] };
        id.as_str().map_or_else(|| id.to_string(), str::to_owned)
    }
}

const REPOSITORY: &[&str] = &["repository"];
const FEATURES: &[&str] = &["repository", "security_and_analysis"];
const ACTIONS: &[&str] = &["actions"];
const OIDC_SUBJECT: &[&str] = &["oidc_subject"];
const PAGES: &[&str] = &["pages"];
const INTERACTION_LIMIT: &[&str] = &["interaction_limit"];
const SECURITY: &[&str] = &["security"];

type Keys = &'static [(&'static str, Usual)];

const fn unit(name: &'static str, block: &'static [&'static str], sharing: Sharing, usual: Keys) -> Unit {
    Unit { name, block, usual, sharing }
}

const fn setting(name: &'static str, usual: Keys) -> Unit {
    unit(name, REPOSITORY, Sharing::Most, usual)
}

const fn feature(name: &'static str, usual: Keys) -> Unit {
    unit(name, FEATURES, Sharing::Most, usual)
}

/// All units.
pub(crate) const UNITS: &[Unit] = &[
    unit("description", REPOSITORY, Sharing::All, &[("description", Usual::Null)]),
    unit("homepage", REPOSITORY, Sharing::All, &[("homepage", Usual::Null)]),
    unit("visibility", REPOSITORY, Sharing::Careful, &[("visibility", Usual::Text("public"))]),
    setting("has_issues", &[("has_issues", Usual::Bool(true))]),
    setting("has_projects", &[("has_projects", Usual::Bool(true))]),
    setting("has_wiki", &[("has_wiki", Usual::Bool(true))]),
    setting("has_discussions", &[("has_discussions", Usual::Bool(false))]),
    setting("has_pull_requests", &[("has_pull_requests", Usual::Bool(true))]),
    setting("pull_request_creation_policy", &[("pull_request_creation_policy", Usual::Text("all"))]),
    unit("is_template", REPOSITORY, Sharing::All, &[("is_template", Usual::Bool(false))]),
    setting("default_branch", &[("default_branch", Usual::Text("main"))]),
    // GitHub requires that at least one merge method is on.
    setting(
        "merge_methods",
        &[
            ("allow_squash_merge", Usual::Bool(true)),
            ("allow_merge_commit", Usual::Bool(true)),
            ("allow_rebase_merge", Usual::Bool(true)),
        ],
    ),
    setting("allow_auto_merge", &[("allow_auto_merge", Usual::Bool(false))]),
    setting("delete_branch_on_merge", &[("delete_branch_on_merge", Usual::Bool(false))]),
    setting("allow_update_branch", &[("allow_update_branch", Usual::Bool(false))]),
    // GitHub accepts only some combinations of titles and messages.
    setting(
        "squash_merge_commit",
        &[
            ("squash_merge_commit_title", Usual::Text("COMMIT_OR_PR_TITLE")),
            ("squash_merge_commit_message", Usual::Text("COMMIT_MESSAGES")),
        ],
    ),
    setting(
        "merge_commit",
        &[
            ("merge_commit_title", Usual::Text("MERGE_MESSAGE")),
            ("merge_commit_message", Usual::Text("PR_TITLE")),
        ],
    ),
    setting("allow_forking", &[("allow_forking", Usual::Bool(false))]),
    setting("web_commit_signoff_required", &[("web_commit_signoff_required", Usual::Bool(false))]),
    feature("advanced_security", &[("advanced_security", Usual::Off)]),
    feature("code_security", &[("code_security", Usual::Off)]),
    feature("secret_scanning", &[("secret_scanning", Usual::Off)]),
    feature("secret_scanning_push_protection", &[("secret_scanning_push_protection", Usual::Off)]),
    feature("secret_scanning_ai_detection", &[("secret_scanning_ai_detection", Usual::Off)]),
    feature(
        "secret_scanning_non_provider_patterns",
        &[("secret_scanning_non_provider_patterns", Usual::Off)],
    ),
    feature("secret_scanning_validity_checks", &[("secret_scanning_validity_checks", Usual::Off)]),
    feature(
        "secret_scanning_delegated_alert_dismissal",
        &[("secret_scanning_delegated_alert_dismissal", Usual::Off)],
    ),
    feature("secret_scanning_delegated_bypass", &[("secret_scanning_delegated_bypass", Usual::Off)]),
    unit("actions_enabled", ACTIONS, Sharing::Most, &[("enabled", Usual::Bool(true))]),
    // The keys of selected actions are valid only together with `allowed_actions: selected`.
    unit("allowed_actions", ACTIONS, Sharing::All, &[("allowed_actions", Usual::Text("all"))]),
    unit("sha_pinning_required", ACTIONS, Sharing::Most, &[("sha_pinning_required", Usual::Bool(false))]),
    unit(
        "default_workflow_permissions",
        ACTIONS,
        Sharing::Most,
        &[("default_workflow_permissions", Usual::Text("read"))],
    ),
    unit(
        "can_approve_pull_request_reviews",
        ACTIONS,
        Sharing::Most,
        &[("can_approve_pull_request_reviews", Usual::Bool(false))],
    ),
    unit("access_level", ACTIONS, Sharing::Most, &[("access_level", Usual::Text("none"))]),
    unit(
        "artifact_and_log_retention_days",
        ACTIONS,
        Sharing::Most,
        &[("artifact_and_log_retention_days", Usual::Number(90))],
    ),
    unit(
        "fork_pr_contributor_approval",
        ACTIONS,
        Sharing::Most,
        &[("fork_pr_contributor_approval", Usual::Text("first_time_contributors"))],
    ),
    unit(
        "fork_pr_workflows_private_repos",
        ACTIONS,
        Sharing::All,
        &[("fork_pr_workflows_private_repos", Usual::NoForks)],
    ),
    // The claims have an effect only if `use_default` is false.
    unit("oidc_subject", OIDC_SUBJECT, Sharing::All, &[("use_default", Usual::Bool(true))]),
    unit("immutable_releases", &[], Sharing::Most, &[("immutable_releases", Usual::Bool(false))]),
    // The keys of a site work only together.
    unit("pages", PAGES, Sharing::All, &[("enabled", Usual::Bool(false))]),
    unit("interaction_limit", INTERACTION_LIMIT, Sharing::Most, &[("limit", Usual::Text("none"))]),
    // The security updates need the alerts, so both keys are in one unit.
    unit(
        "dependabot",
        SECURITY,
        Sharing::Most,
        &[("dependabot_alerts", Usual::Bool(false)), ("dependabot_security_updates", Usual::Bool(false))],
    ),
    unit(
        "private_vulnerability_reporting",
        SECURITY,
        Sharing::Most,
        &[("private_vulnerability_reporting", Usual::Bool(false))],
    ),
    unit(
        "code_scanning_default_setup",
        SECURITY,
        Sharing::All,
        &[("code_scanning_default_setup", Usual::NotConfigured)],
    ),
];

const fn list(name: &'static str, id: &'static str, can_override: bool) -> List {
    List { name, block: &[], id, is_in_settings: true, can_override, is_exclusive: true }
}

/// All lists.
pub(crate) const LISTS: &[List] = &[
    List { block: REPOSITORY, ..list("topics", "", false) },
    list("teams", "name", true),
    list("collaborators", "username", true),
    // Beadle keeps branch protection rules that the policy does not list.
    List { is_exclusive: false, ..list("branches", "name", false) },
    List { is_in_settings: false, ..list("rulesets", "name", false) },
    list("labels", "name", true),
    list("autolinks", "key_prefix", false),
    list("milestones", "title", true),
    // At GitHub, the same deploy key can be in only one repository.
    List { is_in_settings: false, ..list("deploy_keys", "key", false) },
    list("custom_properties", "name", true),
    list("webhooks", "url", false),
    list("environments", "name", false),
    list("variables", "name", true),
    // GitHub does not show the values of secrets, so an import does not write these lists.
    List { is_exclusive: false, ..list("secrets", "name", true) },
    List { is_exclusive: false, ..list("dependabot_secrets", "name", true) },
    List { is_exclusive: false, ..list("codespaces_secrets", "name", true) },
    // Only people know which of a repository's many files belong in the policy. An import therefore
    // does not write this list.
    List { is_exclusive: false, ..list("files", "path", true) },
];

/// Returns the units of the section `repository` that GitHub shows as settings.
pub(super) fn settings() -> impl Iterator<Item = &'static Unit> {
    UNITS.iter().filter(|unit| unit.block == REPOSITORY)
}

/// Returns the units of the security features in `security_and_analysis`.
pub(super) fn features() -> impl Iterator<Item = &'static Unit> {
    UNITS.iter().filter(|unit| unit.block == FEATURES)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_parts_have_one_name() {
        let names = UNITS.iter().map(|unit| unit.name).chain(LISTS.iter().map(|list| list.name));
        let names: Vec<&str> = names.collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn every_section_of_an_aspect_is_imported() {
        // The section `validator` exists only in the policy, so GitHub has no value for it.
        let sections = crate::aspects::ALL.iter().flat_map(|aspect| aspect.sections);
        for section in sections.filter(|section| section.name != "validator") {
            let is_list = LISTS.iter().any(|list| list.name == section.name);
            // A section can be a block of keys, or a single key of the file.
            let is_block = UNITS.iter().any(|unit| {
                unit.block.first().map_or(unit.name == section.name, |block| *block == section.name)
            });
            assert!(is_list || is_block, "{}", section.name);
        }
    }

    #[test]
    fn every_setting_is_imported_or_left_out_for_a_reason() {
        // An import does not write any of these keys. `private` and
        // `use_squash_pr_title_as_default` have the same meaning as other keys. The name of the
        // file already shows the repository's name. An archived repository gets no file.
        let left_out =
            ["name", "private", "use_squash_pr_title_as_default", "archived", "security_and_analysis"];
        let keys = crate::aspects::settings::SETTINGS.repository_keys.iter().map(|key| key.name);
        let imported: BTreeSet<&str> =
            settings().flat_map(|unit| unit.usual).map(|(key, _)| *key).chain(left_out).collect();
        assert_eq!(keys.collect::<BTreeSet<_>>(), imported);
    }
}
