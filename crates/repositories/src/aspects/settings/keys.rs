//! The keys of the section `repository` that belong to the aspect `settings`. These keys are the
//! body fields of `PATCH /repos/{owner}/{repo}`.
//!
//! <https://docs.github.com/rest/repos/repos#update-a-repository>

use crate::policy::forms;
use crate::policy::shape::{Key, Shape, key};
use crate::policy::shapes::SLUG;

const STATUS: Shape = Shape::Map(&[key("status", Shape::OneOf(&["enabled", "disabled"]), "On or off.")]);

const REVIEWERS: Shape = Shape::List(&Shape::Map(&[
    key("team", SLUG, "The slug of a team."),
    key("reviewer_id", Shape::Int(1, i64::MAX), "The id of a team or of a role."),
    key("reviewer_type", Shape::OneOf(&["TEAM", "ROLE"]), "What the id names. Default: `TEAM`."),
    key("mode", Shape::OneOf(&["ALWAYS", "EXEMPT"]), "How the reviewer can bypass. Default: `ALWAYS`."),
]));

/// The keys that a policy can set.
pub(super) const KEYS: &[Key] = &[
    key(
        "name",
        Shape::Form(&forms::REPOSITORY),
        "The name of the repository. Only in the file of one repository.",
    ),
    key(
        "description",
        Shape::OrNull(&Shape::Form(&forms::DESCRIPTION)),
        "A short description of at most 350 characters. Null for none.",
    ),
    key(
        "homepage",
        Shape::OrNull(&Shape::Form(&forms::HOMEPAGE)),
        "An address with more information. Null for none.",
    ),
    key("private", Shape::Bool, "Whether the repository is private. Prefer `visibility`."),
    key("visibility", Shape::OneOf(&["private", "internal", "public"]), "Who can see the repository."),
    key("has_issues", Shape::Bool, "Turns on issues."),
    key("has_projects", Shape::Bool, "Turns on projects."),
    key("has_wiki", Shape::Bool, "Turns on the wiki."),
    key("has_discussions", Shape::Bool, "Turns on discussions."),
    key("has_pull_requests", Shape::Bool, "Turns on pull requests."),
    key(
        "pull_request_creation_policy",
        Shape::OneOf(&["all", "collaborators_only"]),
        "Who can open pull requests.",
    ),
    key("is_template", Shape::Bool, "Whether the repository is a template for others."),
    key(
        "default_branch",
        Shape::Form(&forms::BRANCH),
        "The default branch. It must exist, unless `default_branch_when_missing` says otherwise.",
    ),
    key("allow_squash_merge", Shape::Bool, "Allows squash merges."),
    key("allow_merge_commit", Shape::Bool, "Allows merge commits."),
    key("allow_rebase_merge", Shape::Bool, "Allows rebase merges."),
    key("allow_auto_merge", Shape::Bool, "Allows auto-merge: GitHub merges when all requirements are met."),
    key("delete_branch_on_merge", Shape::Bool, "Deletes a branch after its merge."),
    key("allow_update_branch", Shape::Bool, "Offers to update the branch of a pull request."),
    key("use_squash_pr_title_as_default", Shape::Bool, "Replaced by `squash_merge_commit_title`."),
    key(
        "squash_merge_commit_title",
        Shape::OneOf(&["PR_TITLE", "COMMIT_OR_PR_TITLE"]),
        "The title of squash merges.",
    ),
    key(
        "squash_merge_commit_message",
        Shape::OneOf(&["PR_BODY", "COMMIT_MESSAGES", "BLANK"]),
        "The message of squash merges.",
    ),
    key("merge_commit_title", Shape::OneOf(&["PR_TITLE", "MERGE_MESSAGE"]), "The title of merge commits."),
    key(
        "merge_commit_message",
        Shape::OneOf(&["PR_BODY", "PR_TITLE", "BLANK"]),
        "The message of merge commits.",
    ),
    key(
        "archived",
        Shape::Bool,
        "Whether the repository is read-only. `false` only in the file of one repository.",
    ),
    key("allow_forking", Shape::Bool, "Allows forks of a private or internal repository."),
    key("web_commit_signoff_required", Shape::Bool, "Requires a sign-off for commits on the web."),
    key(
        "security_and_analysis",
        Shape::Map(&[
            key("advanced_security", STATUS, "GitHub Advanced Security."),
            key("code_security", STATUS, "Code security."),
            key("secret_scanning", STATUS, "Secret scanning."),
            key("secret_scanning_push_protection", STATUS, "Push protection."),
            key("secret_scanning_ai_detection", STATUS, "Finds generic secrets."),
            key("secret_scanning_non_provider_patterns", STATUS, "Finds secrets of no provider."),
            key("secret_scanning_validity_checks", STATUS, "Checks whether found secrets are valid."),
            key("secret_scanning_delegated_alert_dismissal", STATUS, "Dismissals of alerts need a review."),
            key("secret_scanning_delegated_bypass", STATUS, "Bypasses of push protection need a review."),
            key(
                "secret_scanning_delegated_bypass_options",
                Shape::Map(&[key("reviewers", REVIEWERS, "The only reviewers.")]),
                "Who reviews bypasses of push protection.",
            ),
        ]),
        "Security features.",
    ),
];
