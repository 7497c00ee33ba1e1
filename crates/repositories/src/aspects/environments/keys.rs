//! The shape of an environment in a policy.

use crate::aspects::{secrets, variables};
use crate::policy::forms;
use crate::policy::shape::{Shape, key, never, required};
use crate::policy::shapes::{LOGIN, SLUG, layered};

/// The longest wait timer that GitHub allows: 30 days, as a number of minutes.
const LONGEST_WAIT: i64 = 43_200;

const ID: Shape = Shape::Int(1, i64::MAX);

const REVIEWER: Shape = Shape::Map(&[
    required(key("type", Shape::OneOf(&["Team", "User"]), "Whether the reviewer is a team or a user.")),
    key("slug", SLUG, "The slug of the team."),
    key("login", LOGIN, "The login of the user."),
    key("id", ID, "The id of the team or the user, instead of the slug or the login."),
]);
const REVIEWERS: Shape = layered!(REVIEWER);

const PATTERN: Shape = Shape::Form(&forms::DEPLOYABLE);
const BRANCH: Shape = Shape::Either(
    &PATTERN,
    &Shape::Map(&[
        key("name", PATTERN, "The pattern."),
        key("names", Shape::List(&PATTERN), "Several patterns of one type, as in safe-settings."),
        key("type", Shape::OneOf(&["branch", "tag"]), "Default: `branch`."),
    ]),
);
const BRANCHES: Shape = layered!(BRANCH);

const RULE: Shape = Shape::Map(&[
    key("app", SLUG, "The slug of the App that decides."),
    key("app_id", ID, "The id of the App, instead of its slug."),
    never("id", "Beadle finds the rule by its App"),
]);
const RULES: Shape = layered!(RULE);

const VARIABLES: Shape = layered!(variables::ENTRY);
const SECRETS: Shape = layered!(secrets::ENTRY);

/// The shape of an environment.
pub(super) const ENTRY: Shape = Shape::Map(&[
    required(key("name", Shape::Form(&forms::ENVIRONMENT), "The name of the environment.")),
    key("wait_timer", Shape::Int(0, LONGEST_WAIT), "How many minutes a deployment waits."),
    key("reviewers", REVIEWERS, "Who can approve a deployment: at most six teams and users."),
    key("prevent_self_review", Shape::Bool, "Whether people cannot approve their own deployments."),
    key(
        "deployment_branch_policy",
        Shape::OrNull(&Shape::Map(&[
            key("protected_branches", Shape::Bool, "Only protected branches can deploy."),
            key(
                "custom_branch_policies",
                Shape::Either(&Shape::Bool, &BRANCHES),
                "Only branches and tags that match one of these patterns can deploy.",
            ),
        ])),
        "The branches and tags that can deploy. Null: all.",
    ),
    key("deployment_protection_rules", RULES, "The Apps that must allow a deployment."),
    key("variables", VARIABLES, "The variables of the environment. Beadle removes others."),
    key("secrets", SECRETS, "The secrets of the environment. Beadle keeps others."),
    never("can_admins_bypass", "GitHub's published API neither shows nor accepts it"),
]);
