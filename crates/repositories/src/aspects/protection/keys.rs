//! The keys that a policy can set for a branch protection rule. These keys are the fields in the
//! body of the REST `PUT` request.
//!
//! <https://docs.github.com/rest/branches/branch-protection#update-branch-protection>

use crate::policy::forms;
use crate::policy::shape::{Key, Shape, key, required};
use crate::policy::shapes::{LOGIN, NAME, OPTIONAL_BOOL, SLUG, layered};

const ENVIRONMENT: Shape = Shape::Form(&forms::ENVIRONMENT);
const ENVIRONMENTS: Shape = layered!(ENVIRONMENT);
const LOGINS: Shape = layered!(LOGIN);
const SLUGS: Shape = layered!(SLUG);

const ACTORS: &[Key] = &[
    key("users", LOGINS, "Logins of people."),
    key("teams", SLUGS, "Slugs of teams."),
    key("apps", SLUGS, "Slugs of GitHub Apps."),
];

const CHECK: Shape = Shape::Map(&[
    key("context", NAME, "The name of the check."),
    key(
        "app_id",
        Shape::OrNull(&Shape::Int(-1, i64::MAX)),
        "The id of the App that must report the check. -1 or null for any App.",
    ),
]);

const CONTEXTS: Shape = layered!(NAME);
const CHECKS: Shape = layered!(CHECK);

const PROTECTION: Shape = Shape::Map(&[
    key(
        "required_status_checks",
        Shape::OrNull(&Shape::Map(&[
            key("strict", Shape::Bool, "Whether a branch must be up to date before a merge."),
            key("contexts", CONTEXTS, "Names of checks that any App can report."),
            key("checks", CHECKS, "Checks, each with the App that must report it."),
        ])),
        "Checks that must pass. Null for none.",
    ),
    key("enforce_admins", OPTIONAL_BOOL, "Whether the rule applies to administrators."),
    key(
        "required_pull_request_reviews",
        Shape::OrNull(&Shape::Map(&[
            key(
                "dismissal_restrictions",
                Shape::OrNull(&Shape::Map(ACTORS)),
                "Who can dismiss reviews. Null for everybody with write access, empty lists for nobody.",
            ),
            key("dismiss_stale_reviews", Shape::Bool, "Whether new commits dismiss approvals."),
            key("require_code_owner_reviews", Shape::Bool, "Whether code owners must approve."),
            key("required_approving_review_count", Shape::Count(0, 6), "The number of required approvals."),
            key(
                "require_last_push_approval",
                Shape::Bool,
                "Whether somebody other than the last pusher must approve.",
            ),
            key(
                "bypass_pull_request_allowances",
                Shape::OrNull(&Shape::Map(ACTORS)),
                "Who can merge without a review. Null for nobody.",
            ),
        ])),
        "Required reviews. Null for none.",
    ),
    key(
        "restrictions",
        Shape::OrNull(&Shape::Map(ACTORS)),
        "Who can push. Null for everybody with write access, empty lists for nobody.",
    ),
    key("required_linear_history", OPTIONAL_BOOL, "Forbids merge commits."),
    key("allow_force_pushes", OPTIONAL_BOOL, "Allows force pushes."),
    key(
        "force_push_allowances",
        Shape::OrNull(&Shape::Map(ACTORS)),
        "Who can force-push although force pushes are off.",
    ),
    key("allow_deletions", OPTIONAL_BOOL, "Allows the deletion of the branch."),
    key("block_creations", OPTIONAL_BOOL, "Forbids new branches that match."),
    key("required_conversation_resolution", OPTIONAL_BOOL, "Whether all conversations must be resolved."),
    key("required_signatures", OPTIONAL_BOOL, "Whether commits must be signed."),
    key("lock_branch", OPTIONAL_BOOL, "Makes the branch read-only."),
    key("allow_fork_syncing", OPTIONAL_BOOL, "Whether a locked branch of a fork can pull from its upstream."),
    key(
        "required_deployment_environments",
        Shape::OrNull(&ENVIRONMENTS),
        "Environments that need a deployment before a merge.",
    ),
]);

/// The keys of one entry of the section `branches`.
pub(super) const ENTRY: Shape = Shape::Map(&[
    required(key(
        "name",
        Shape::Form(&forms::BRANCHES),
        "A branch or a pattern. `default` stands for the default branch.",
    )),
    key("protection", Shape::OrNull(&PROTECTION), "The rule. Null or {} removes it."),
]);
