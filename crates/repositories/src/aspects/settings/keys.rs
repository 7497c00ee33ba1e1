//! The keys of the section `repository` that are settings: the body of `PATCH /repos/{owner}/{repo}`.
//!
//! <https://docs.github.com/rest/repos/repos#update-a-repository>

use crate::policy::forms;
use crate::policy::shape::{Key, Shape, key};

const STATUS: Shape = Shape::Map(&[key("status", Shape::OneOf(&["enabled", "disabled"]), "On or off.")]);

/// The settings.
pub(super) const KEYS: &[Key] = &[
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
];
