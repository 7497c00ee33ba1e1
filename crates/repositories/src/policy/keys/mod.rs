//! Every key of the incumbent's files.
//!
//! <https://github.com/github/safe-settings> (docs/sample-settings), and for the bodies
//! <https://docs.github.com/rest/repos/repos#update-a-repository> and
//! <https://docs.github.com/rest/branches/branch-protection#update-branch-protection>

/// A list that may say whether it is exclusive.
macro_rules! listed {
    ($item:expr) => {
        Shape::Either(
            &Shape::List(&$item),
            &Shape::Map(&[
                key("exclusive", Shape::List(&$item), "These and no others."),
                key("additive", Shape::List(&$item), "These at least; others stay."),
            ]),
        )
    };
    // The incumbent keeps some by pattern.
    ($item:expr, $exclude:expr) => {
        Shape::Either(
            &Shape::List(&$item),
            &Shape::Map(&[
                key("include", Shape::List(&$item), "These."),
                key("exclude", Shape::List(&$exclude), "Others that match stay."),
                key("exclusive", Shape::List(&$item), "These and no others."),
                key("additive", Shape::List(&$item), "These at least; others stay."),
            ]),
        )
    };
}

mod sections;

use super::forms;
use super::shape::{Key, Shape, key, later, never};
use sections::{
    ACTIONS, AUTOLINKS, CHOICE, COLLABORATORS, CONFIGURATION, LABELS, PROPERTIES, RANK, RULESETS, SECURITY,
    TEAMS, VISIBILITY, WEBHOOKS,
};

const TEXTS: Shape = Shape::List(&Shape::Text);
const OPTIONAL_BOOL: Shape = Shape::OrNull(&Shape::Bool);
const OPTIONAL_TEXT: Shape = Shape::OrNull(&Shape::Text);
const NAME: Shape = Shape::Form(&forms::NAME);
const SLUG: Shape = Shape::Form(&forms::SLUG);
const SLUGS: Shape = Shape::List(&SLUG);
const LOGIN: Shape = Shape::Form(&forms::LOGIN);
const TOPICS: Shape = Shape::List(&Shape::Form(&forms::TOPIC));
const ENVIRONMENTS: Shape = Shape::List(&Shape::Form(&forms::ENVIRONMENT));
const STATUS: Shape = Shape::Map(&[key("status", Shape::OneOf(&["enabled", "disabled"]), "On or off.")]);

/// The body of `PATCH /repos/{owner}/{repo}`, and what the incumbent puts beside it.
pub(crate) const REPOSITORY: &[Key] = &[
    key(
        "name",
        Shape::Form(&forms::REPOSITORY),
        "The repository's name. Only in the file of one repository.",
    ),
    key(
        "description",
        Shape::OrNull(&Shape::Form(&forms::DESCRIPTION)),
        "A short description of at most 350 characters; null for none.",
    ),
    key(
        "homepage",
        Shape::OrNull(&Shape::Form(&forms::HOMEPAGE)),
        "An address with more about it; null for none.",
    ),
    key("private", Shape::Bool, "Whether it is private; `visibility` says it better."),
    key("visibility", Shape::OneOf(&["private", "internal", "public"]), "Who can see it."),
    key("has_issues", Shape::Bool, "Issues."),
    key("has_projects", Shape::Bool, "Projects."),
    key("has_wiki", Shape::Bool, "The wiki."),
    key("has_discussions", Shape::Bool, "Discussions."),
    key("has_pull_requests", Shape::Bool, "Pull requests."),
    key(
        "pull_request_creation_policy",
        Shape::OneOf(&["all", "collaborators_only"]),
        "Who may open pull requests.",
    ),
    key("is_template", Shape::Bool, "Whether others can be made from it."),
    key("default_branch", Shape::Form(&forms::BRANCH), "The default branch; it has to exist."),
    key("allow_squash_merge", Shape::Bool, "Squash merges."),
    key("allow_merge_commit", Shape::Bool, "Merge commits."),
    key("allow_rebase_merge", Shape::Bool, "Rebase merges."),
    key("allow_auto_merge", Shape::Bool, "Merging by itself when everything passed."),
    key("delete_branch_on_merge", Shape::Bool, "Deleting a branch once it is merged."),
    key("allow_update_branch", Shape::Bool, "Offering to update a pull request's branch."),
    key("use_squash_pr_title_as_default", Shape::Bool, "Superseded by `squash_merge_commit_title`."),
    key(
        "squash_merge_commit_title",
        Shape::OneOf(&["PR_TITLE", "COMMIT_OR_PR_TITLE"]),
        "Title of squash merges.",
    ),
    key(
        "squash_merge_commit_message",
        Shape::OneOf(&["PR_BODY", "COMMIT_MESSAGES", "BLANK"]),
        "Message of squash merges.",
    ),
    key("merge_commit_title", Shape::OneOf(&["PR_TITLE", "MERGE_MESSAGE"]), "Title of merge commits."),
    key("merge_commit_message", Shape::OneOf(&["PR_BODY", "PR_TITLE", "BLANK"]), "Message of merge commits."),
    key("archived", Shape::Bool, "Whether it is read-only. `false` only in the file of one repository."),
    key("allow_forking", Shape::Bool, "Whether a private one may be forked."),
    key("web_commit_signoff_required", Shape::Bool, "Signing off commits made on the web."),
    key(
        "security_and_analysis",
        Shape::Map(&[
            key("advanced_security", STATUS, "GitHub Advanced Security."),
            key("code_security", STATUS, "Code security."),
            key("secret_scanning", STATUS, "Secret scanning."),
            key("secret_scanning_push_protection", STATUS, "Push protection."),
            key("secret_scanning_ai_detection", STATUS, "Finding generic secrets."),
            key("secret_scanning_non_provider_patterns", STATUS, "Patterns of no provider."),
        ]),
        "Security features.",
    ),
    key(
        "topics",
        Shape::Either(
            &TOPICS,
            &Shape::Map(&[
                key("exclusive", TOPICS, "These and no others."),
                key("additive", TOPICS, "These at least."),
            ]),
        ),
        "All its topics.",
    ),
    never("has_downloads", "GitHub no longer has it"),
    key(
        "security",
        Shape::Map(&[
            key("enableVulnerabilityAlerts", Shape::Bool, "Dependabot alerts."),
            key("enableAutomatedSecurityFixes", Shape::Bool, "Dependabot security updates."),
        ]),
        "Dependabot; the section `security` says it, and more.",
    ),
    later("force_create", "Making a repository that does not exist."),
    later("template", "What a repository is made from."),
    later("oldname", "The name before a rename."),
    later("auto_init", "A first commit for a new repository."),
    later("gitignore_template", "For a new repository."),
    later("license_template", "For a new repository."),
];

const ACTORS: &[Key] = &[
    key("users", Shape::List(&LOGIN), "Logins."),
    key("teams", SLUGS, "Slugs of teams."),
    key("apps", SLUGS, "Slugs of GitHub Apps."),
];

const PERMISSION: Key =
    key("permission", NAME, "pull, triage, push, maintain, admin, or a custom role's name.");
const INCLUDE: Key = key("include", TEXTS, "Only in repositories whose names match one of these globs.");
const EXCLUDE: Key = key("exclude", TEXTS, "Not in repositories whose names match one of these globs.");

const CHECK: Shape = Shape::Map(&[
    key("context", NAME, "The check's name."),
    key(
        "app_id",
        Shape::OrNull(&Shape::Int(-1, i64::MAX)),
        "The App that has to report it; -1 or null for any.",
    ),
]);

const PROTECTION: Shape = Shape::Map(&[
    key(
        "required_status_checks",
        Shape::OrNull(&Shape::Map(&[
            key("strict", Shape::Bool, "Whether a branch has to be up to date."),
            key("contexts", Shape::List(&NAME), "Names of checks, reported by anybody."),
            key("checks", Shape::List(&CHECK), "Checks, with who has to report them."),
        ])),
        "Checks that have to pass; null for none.",
    ),
    key("enforce_admins", OPTIONAL_BOOL, "Whether it binds administrators."),
    key(
        "required_pull_request_reviews",
        Shape::OrNull(&Shape::Map(&[
            key(
                "dismissal_restrictions",
                Shape::OrNull(&Shape::Map(ACTORS)),
                "Who may dismiss reviews; null for anybody with write access, empty lists for nobody.",
            ),
            key("dismiss_stale_reviews", Shape::Bool, "Whether new commits dismiss approvals."),
            key("require_code_owner_reviews", Shape::Bool, "Whether code owners have to approve."),
            key("required_approving_review_count", Shape::Int(0, 6), "How many have to approve."),
            key(
                "require_last_push_approval",
                Shape::Bool,
                "Whether somebody else than the last pusher has to approve.",
            ),
            key(
                "bypass_pull_request_allowances",
                Shape::OrNull(&Shape::Map(ACTORS)),
                "Who may merge without; null for nobody.",
            ),
        ])),
        "Reviews; null for none.",
    ),
    key(
        "restrictions",
        Shape::OrNull(&Shape::Map(ACTORS)),
        "Who may push; null for everybody with write access, empty lists for nobody.",
    ),
    key("required_linear_history", OPTIONAL_BOOL, "No merge commits."),
    key("allow_force_pushes", OPTIONAL_BOOL, "Force pushes."),
    key("force_push_allowances", Shape::OrNull(&Shape::Map(ACTORS)), "Who may force-push all the same."),
    key("allow_deletions", OPTIONAL_BOOL, "Deleting the branch."),
    key("block_creations", OPTIONAL_BOOL, "No new branches that match."),
    key("required_conversation_resolution", OPTIONAL_BOOL, "Whether conversations have to be resolved."),
    key("required_signatures", OPTIONAL_BOOL, "Whether commits have to be signed."),
    key("lock_branch", OPTIONAL_BOOL, "Read-only."),
    key("allow_fork_syncing", OPTIONAL_BOOL, "Whether a locked branch may follow its upstream."),
    key(
        "required_deployment_environments",
        Shape::OrNull(&ENVIRONMENTS),
        "Environments that have to be deployed to first.",
    ),
]);

const BRANCH: Shape = Shape::Map(&[
    key("name", Shape::Form(&forms::BRANCHES), "A branch or a pattern; `default` is the default branch."),
    key("protection", Shape::OrNull(&PROTECTION), "The rule; null or {} takes it away."),
]);

/// The incumbent's names of sections, and `topics`, which it has not.
const PLUGIN: Shape = Shape::OneOf(&[
    "repository",
    "topics",
    "teams",
    "collaborators",
    "branches",
    "labels",
    "milestones",
    "custom_properties",
    "autolinks",
    "validator",
    "rulesets",
    "environments",
    "variables",
    "archive",
    "actions",
    "security",
    "webhooks",
    "code_security_configurations",
]);
const PLUGINS: Shape = Shape::List(&Shape::Either(
    &PLUGIN,
    &Shape::Map(&[
        key("plugin", PLUGIN, "The section."),
        key(
            "target",
            Shape::OneOf(&["self", "children", "all"]),
            "Which layers it is for; here it holds for all.",
        ),
    ]),
));

macro_rules! layer {
    ($($own:expr),* $(,)?) => {
        &[
            key("repository", Shape::Map(REPOSITORY), "Settings."),
            key("teams", TEAMS, "Teams with access; others lose it, unless it is `additive`."),
            key("collaborators", COLLABORATORS, "People with direct access; others lose it, unless it is `additive`."),
            key("branches", Shape::List(&BRANCH), "Branch protection rules. Rules that are not listed stay."),
            key("labels", LABELS, "Labels; others go, unless it is `additive`."),
            key("autolinks", AUTOLINKS, "Autolinks; others go, unless it is `additive`."),
            key("custom_properties", PROPERTIES, "Values of custom properties; others are unset, unless it is `additive`."),
            key("actions", ACTIONS, "Whether Actions run, which may, and what their token may do."),
            key("security", SECURITY, "Security features."),
            key("webhooks", WEBHOOKS, "Webhooks; others go, unless it is `additive`."),
            key("rulesets", RULESETS, "Rulesets (in settings.yml the organisation's); others go, unless it is `additive`."),
            later("milestones", "Milestones."),
            later("validator", "Patterns that names have to match."),
            later("environments", "Deployment environments."),
            later("variables", "Actions variables."),
            $($own),*
        ]
    };
}

/// `settings.yml`.
pub(crate) const SETTINGS: &[Key] = layer![
    key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay.",),
    key("disable_plugins", PLUGINS, "Sections that are left alone.",),
    key(
        "code_security_configurations",
        Shape::List(&CONFIGURATION),
        "Code security configurations of the organisation; others stay.",
    ),
    later("ruleset_scope", "Where rulesets apply."),
    later("centralized_ruleset_bypass_actors", "Who may bypass rulesets."),
    later("app_installations", "Apps and their repositories."),
    later("custom_repository_roles", "Roles of the organisation."),
];

/// `suborgs/*.yml`.
pub(crate) const SUBORG: &[Key] = layer![
    key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay."),
    later("disable_plugins", "Sections that are left alone; carried out in settings.yml."),
    later("ruleset_scope", "Where rulesets apply."),
    RANK,
    key("suborgrepos", TEXTS, "Repositories of this group, by glob."),
    key("suborgteams", SLUGS, "Repositories of this group, by a team that has access."),
    key("suborgproperties", Shape::List(&Shape::Free), "Repositories of this group, by custom property."),
];

/// `layers/*.yml`.
pub(crate) const LAYER: &[Key] = layer![
    RANK,
    key("select", CHOICE, "Whom it is for; everybody if not said."),
    key("except", CHOICE, "Whom it is not for all the same."),
    key("first_match", Shape::List(&Shape::Map(CASE)), "Of these the first that matches holds too."),
];

/// One of a layer's `first_match`.
const CASE: &[Key] = layer![
    key("select", CHOICE, "Whom it is for; everybody if not said."),
    key("except", CHOICE, "Whom it is not for all the same."),
];

/// `repos/*.yml`.
pub(crate) const REPO: &[Key] = layer![
    key("additive_plugins", PLUGINS, "Lists whose unlisted entries stay."),
    later("disable_plugins", "Sections that are left alone; carried out in settings.yml."),
];

/// One of `tests/*.yml`.
pub(crate) const TEST: Shape = Shape::Map(&[
    key("name", Shape::Text, "What it is about."),
    key(
        "repository",
        Shape::Map(&[
            key("name", Shape::Text, "Its name."),
            key("topics", TEXTS, "Its topics."),
            key("teams", TEXTS, "Teams that have access."),
            key("properties", Shape::Free, "Its custom properties."),
            key("visibility", VISIBILITY, "Who can see it; `private` if not said."),
            key("fork", Shape::Bool, "Whether it is a fork."),
            key("archived", Shape::Bool, "Whether it is archived."),
            key("created_at", Shape::Text, "The day on which it was made."),
            key("default_branch", Shape::Text, "Its default branch; `main` if not said."),
        ]),
        "A repository like this",
    ),
    key("expect", Shape::Map(EXPECT), "has to resolve to (at least) this."),
    key("absent", TEXTS, "Paths of which nothing may be asked, such as `teams[contractors]`."),
    key("skipped", Shape::Bool, "Whether it has to be left alone."),
]);
const EXPECT: &[Key] = layer![];

const RESTRICTED: Shape = Shape::Either(
    &TEXTS,
    &Shape::Map(&[key("include", TEXTS, "Only these."), key("exclude", TEXTS, "All but these.")]),
);

/// The remark on validators.
const VALIDATORS: &str =
    "Beadle runs no JavaScript of a policy: this rule is not checked; write it as a test in tests/*.yml";

/// `deployment-settings.yml`.
pub(crate) const DEPLOYMENT: &[Key] = &[
    key(
        "restrictedRepos",
        Shape::OrNull(&RESTRICTED),
        "Repositories that are left alone: a list, or include and exclude.",
    ),
    never("configvalidators", VALIDATORS),
    never("overridevalidators", VALIDATORS),
];
