//! The keys of a branch protection rule: the body of the REST PUT.
//!
//! <https://docs.github.com/rest/branches/branch-protection#update-branch-protection>

use crate::policy::forms;
use crate::policy::shape::{Key, Shape, key, required};
use crate::policy::shapes::{LOGIN, NAME, OPTIONAL_BOOL, SLUGS};

const ENVIRONMENTS: Shape = Shape::List(&Shape::Form(&forms::ENVIRONMENT));

const ACTORS: &[Key] = &[
    key("users", Shape::List(&LOGIN), "Logins."),
    key("teams", SLUGS, "Slugs of teams."),
    key("apps", SLUGS, "Slugs of GitHub Apps."),
];

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

/// An entry of the section `branches`.
pub(super) const ENTRY: Shape = Shape::Map(&[
    required(key(
        "name",
        Shape::Form(&forms::BRANCHES),
        "A branch or a pattern; `default` is the default branch.",
    )),
    required(key("protection", Shape::OrNull(&PROTECTION), "The rule; null or {} takes it away.")),
]);
