//! The sections of a policy, one after the other.

use super::super::shape::{Key, Shape, key};
use super::{EXCLUDE, INCLUDE, LOGIN, NAME, OPTIONAL_TEXT, PERMISSION, SLUG, SLUGS, TEXTS, forms};
use crate::policy::rules::RULES;

pub(super) const TEAM: Shape =
    Shape::Map(&[key("name", SLUG, "The team's slug."), PERMISSION, INCLUDE, EXCLUDE]);
pub(super) const TEAMS: Shape = listed!(TEAM);
pub(super) const COLLABORATOR: Shape =
    Shape::Map(&[key("username", LOGIN, "The login."), PERMISSION, INCLUDE, EXCLUDE]);
pub(super) const COLLABORATORS: Shape = listed!(COLLABORATOR);

pub(super) const LABEL: Shape = Shape::Map(&[
    key("name", Shape::Form(&forms::LABEL), "The label's name, of at most 50 characters."),
    key("color", Shape::Color, "Six hexadecimal digits, in quotes."),
    key(
        "description",
        Shape::OrNull(&Shape::Form(&forms::LABEL_DESCRIPTION)),
        "What it is for, in at most 100 characters; null for nothing.",
    ),
    key(
        "oldname",
        Shape::Form(&forms::LABEL),
        "What it was called before: it is renamed, and stays on its issues.",
    ),
]);
pub(super) const BY_REGEX: Shape = Shape::Either(
    &Shape::Regex,
    &Shape::Map(&[key("name", Shape::Regex, "A regular expression on the name.")]),
);
pub(super) const LABELS: Shape = listed!(LABEL, BY_REGEX);

pub(super) const AUTOLINK: Shape = Shape::Map(&[
    key(
        "key_prefix",
        Shape::Form(&forms::AUTOLINK_PREFIX),
        "What a reference begins with, such as `TICKET-`.",
    ),
    key(
        "url_template",
        Shape::Form(&forms::URL),
        "Where it leads; `<num>` stands for the rest of the reference.",
    ),
    key("is_alphanumeric", Shape::Bool, "Whether the rest may have letters; true if not said."),
]);
pub(super) const AUTOLINKS: Shape = listed!(AUTOLINK);

pub(super) const PROPERTY_VALUE: Shape =
    Shape::OrNull(&Shape::Either(&Shape::Scalar, &Shape::List(&Shape::Scalar)));
pub(super) const PROPERTY: Shape = Shape::Map(&[
    key("name", Shape::Form(&forms::PROPERTY), "The property."),
    key("property_name", Shape::Form(&forms::PROPERTY), "The same."),
    key("value", PROPERTY_VALUE, "A text, a list of texts, or null for none."),
]);
pub(super) const PROPERTIES: Shape = listed!(PROPERTY);

pub(super) const ENABLED: Shape = Shape::OneOf(&["enabled", "disabled", "not_set"]);

pub(super) const RULE_KINDS: [&str; RULES.len()] = {
    let mut names = [""; RULES.len()];
    let mut at = 0;
    while at < RULES.len() {
        names[at] = RULES[at].kind;
        at += 1;
    }
    names
};
pub(super) const RULESET: Shape = Shape::Map(&[
    key("name", NAME, "The ruleset's name."),
    key("target", Shape::OneOf(&["branch", "tag", "push", "repository"]), "What it is about."),
    key("enforcement", Shape::OneOf(&["active", "evaluate", "disabled"]), "Whether it binds."),
    key(
        "bypass_actors",
        Shape::List(&Shape::Map(&[
            key("actor_id", Shape::OrNull(&Shape::Int(0, i64::MAX)), "The team's, App's or role's id."),
            key(
                "actor_type",
                Shape::OneOf(&[
                    "Integration",
                    "OrganizationAdmin",
                    "RepositoryRole",
                    "Team",
                    "DeployKey",
                    "EnterpriseOwner",
                    "EnterpriseRole",
                    "User",
                ]),
                "What it is.",
            ),
            key("bypass_mode", Shape::OneOf(&["always", "pull_request", "exempt"]), "When it may."),
        ])),
        "Who may bypass it; nobody else may.",
    ),
    key(
        "conditions",
        Shape::OrNull(&Shape::Free),
        "Which refs (and for an organisation which repositories).",
    ),
    key(
        "rules",
        Shape::List(&Shape::Map(&[
            key("type", Shape::OneOf(&RULE_KINDS), "The rule."),
            key("parameters", Shape::OrNull(&Shape::Free), "Its parameters, as in REST."),
        ])),
        "Its rules; rules of types that are not known here stay.",
    ),
]);
pub(super) const RULESETS: Shape = listed!(RULESET);

pub(super) const ACTIONS: Shape = Shape::Map(&[
    key("enabled", Shape::Bool, "Whether Actions run."),
    key("allowed_actions", Shape::OneOf(&["all", "local_only", "selected"]), "Which may."),
    key("github_owned_allowed", Shape::Bool, "With `selected`: GitHub's own."),
    key("verified_allowed", Shape::Bool, "With `selected`: those of verified creators."),
    key("patterns_allowed", TEXTS, "With `selected`: the list of others, such as `acme/*`."),
    key("sha_pinning_required", Shape::Bool, "Whether Actions have to be pinned to a commit."),
    key("default_workflow_permissions", Shape::OneOf(&["read", "write"]), "What the workflow token may do."),
    key("can_approve_pull_request_reviews", Shape::Bool, "Whether workflows may approve pull requests."),
]);

pub(super) const SECURITY: Shape = Shape::Map(&[
    key("dependabot_alerts", Shape::Bool, "Alerts for vulnerable dependencies."),
    key("dependabot_security_updates", Shape::Bool, "Pull requests that mend them; needs the alerts."),
    key("private_vulnerability_reporting", Shape::Bool, "Private reports; public repositories only."),
    key(
        "code_scanning_default_setup",
        Shape::Map(&[
            key("state", Shape::OneOf(&["configured", "not-configured"]), "`configured` if not said."),
            key("query_suite", Shape::OneOf(&["default", "extended"]), "Which queries."),
            key("languages", TEXTS, "Which languages; GitHub chooses where it is not said."),
            key(
                "threat_model",
                Shape::OneOf(&["remote", "remote_and_local"]),
                "Which sources are not trusted.",
            ),
            key("runner_type", Shape::OneOf(&["standard", "labeled"]), "Where it runs."),
            key("runner_label", OPTIONAL_TEXT, "The label of the runner."),
        ]),
        "Code scanning by GitHub's default setup.",
    ),
]);

pub(super) const WEBHOOK: Shape = Shape::Map(&[
    key("url", Shape::Form(&forms::URL), "Where it goes."),
    key("events", TEXTS, "Which events; `push` if not said."),
    key("active", Shape::Bool, "Whether it is sent; true if not said."),
    key("content_type", Shape::OneOf(&["json", "form"]), "`json` if not said."),
    key("insecure_ssl", Shape::Bool, "Without checking the certificate; false if not said."),
    key("secret", Shape::Text, "A secret's name in the configuration (`[org.secrets]`), never the secret."),
]);
pub(super) const WEBHOOKS: Shape = listed!(WEBHOOK);

pub(super) const CONFIGURATION: Shape = Shape::Map(&[
    key("name", NAME, "The configuration's name."),
    key("description", Shape::Text, "What it is for."),
    key(
        "advanced_security",
        Shape::OneOf(&["enabled", "disabled", "code_security", "secret_protection"]),
        "GitHub Advanced Security.",
    ),
    key("dependency_graph", ENABLED, "The dependency graph."),
    key("dependency_graph_autosubmit_action", ENABLED, "Submitting dependencies automatically."),
    key("dependabot_alerts", ENABLED, "Dependabot alerts."),
    key("dependabot_security_updates", ENABLED, "Dependabot security updates."),
    key("code_scanning_default_setup", ENABLED, "Code scanning by default setup."),
    key("code_scanning_delegated_alert_dismissal", ENABLED, "Dismissing alerts needs approval."),
    key("secret_scanning", ENABLED, "Secret scanning."),
    key("secret_scanning_push_protection", ENABLED, "Push protection."),
    key("secret_scanning_delegated_bypass", ENABLED, "Bypassing push protection needs approval."),
    key("secret_scanning_validity_checks", ENABLED, "Asking providers whether secrets are valid."),
    key("secret_scanning_non_provider_patterns", ENABLED, "Patterns of no provider."),
    key("secret_scanning_generic_secrets", ENABLED, "Finding generic secrets."),
    key("secret_scanning_delegated_alert_dismissal", ENABLED, "Dismissing alerts needs approval."),
    key("private_vulnerability_reporting", ENABLED, "Private vulnerability reporting."),
    key("enforcement", Shape::OneOf(&["enforced", "unenforced"]), "Whether repositories may differ."),
    key(
        "default_for_new_repos",
        Shape::OneOf(&["all", "none", "private_and_internal", "public"]),
        "Which new repositories get it.",
    ),
    key(
        "attach_to",
        Shape::OneOf(&["all", "public", "private_or_internal"]),
        "Which repositories have it; those that are attached stay so.",
    ),
]);

/// The selector of a layer: every key has to hold; of a list, one entry.
pub(super) const CHOICE: Shape = Shape::Map(&[
    key("name", ONE_OR_MORE, "Globs on the name."),
    key("topic", ONE_OR_MORE, "Topics."),
    key("team", Shape::Either(&SLUG, &SLUGS), "Slugs of teams with access."),
    key("property", Shape::Free, "Custom properties: a name, and the value or values that do."),
    key("visibility", VISIBILITIES, "Who can see it."),
    key("fork", Shape::Bool, "Whether it is a fork."),
    key("created_after", Shape::Text, "A date: made after that day."),
    key("created_before", Shape::Text, "A date: made before that day."),
]);
pub(super) const ONE_OR_MORE: Shape = Shape::Either(&Shape::Text, &TEXTS);
pub(super) const VISIBILITY: Shape = Shape::OneOf(&["private", "internal", "public"]);
pub(super) const VISIBILITIES: Shape = Shape::Either(&VISIBILITY, &Shape::List(&VISIBILITY));
pub(super) const RANK: Key = key(
    "rank",
    Shape::Int(1, 999),
    "A higher one wins: 100 if not said, settings.yml is 0, repos/ are 1000.",
);
