//! The rules of rulesets: which parameters each type has, of what kind they are, and which GitHub
//! demands of a new one.
//!
//! <https://docs.github.com/rest/repos/rules#create-a-repository-ruleset>

use super::forms;
use super::shape::{Key, Shape, key};

/// Rules that an organisation's rulesets cannot have.
pub(crate) const OF_REPOSITORIES: &[&str] = &["merge_queue", "license_compliance_scanning"];

/// A type of rule.
pub(crate) struct Rule {
    pub(crate) kind: &'static str,
    /// Whether it is for rulesets with `target: push`, and for no others.
    pub(crate) is_push: bool,
    pub(crate) parameters: &'static [Key],
    /// Parameters without which GitHub refuses the rule. Beadle adds those of reviews and checks
    /// itself.
    pub(crate) demanded: &'static [&'static str],
}

const fn rule(kind: &'static str, parameters: &'static [Key], demanded: &'static [&'static str]) -> Rule {
    Rule { kind, is_push: false, parameters, demanded }
}

const fn push(kind: &'static str, parameters: &'static [Key], demanded: &'static [&'static str]) -> Rule {
    Rule { kind, is_push: true, parameters, demanded }
}

const fn on(name: &'static str) -> Key {
    key(name, Shape::OrNull(&Shape::Bool), "")
}

const fn count(name: &'static str, shape: &'static Shape) -> Key {
    key(name, Shape::OrNull(shape), "")
}

const TEXTS: Shape = Shape::OrNull(&Shape::List(&Shape::Text));
const NUMBER: Shape = Shape::Int(0, i64::MAX);
const SOME: Shape = Shape::Int(1, i64::MAX);
const ENTRIES: Shape = Shape::Int(0, 100);
const WAIT: Shape = Shape::Int(0, 360);

const PATTERN: &[Key] = &[
    key("name", Shape::OrNull(&Shape::Text), ""),
    on("negate"),
    key("operator", Shape::OneOf(&["starts_with", "ends_with", "contains", "regex"]), ""),
    key("pattern", Shape::Text, ""),
];
const PATTERN_DEMANDS: &[&str] = &["operator", "pattern"];

const CHECK: Shape = Shape::Map(&[
    key("context", Shape::Form(&forms::NAME), ""),
    key("integration_id", Shape::OrNull(&NUMBER), ""),
]);
const WORKFLOW: Shape = Shape::Map(&[
    key("path", Shape::Text, ""),
    key("repository_id", NUMBER, ""),
    key("ref", Shape::OrNull(&Shape::Text), ""),
    key("sha", Shape::OrNull(&Shape::Text), ""),
]);
const TOOL: Shape = Shape::Map(&[
    key("tool", Shape::Form(&forms::NAME), ""),
    key("alerts_threshold", Shape::OneOf(&["none", "errors", "errors_and_warnings", "all"]), ""),
    key(
        "security_alerts_threshold",
        Shape::OneOf(&["none", "critical", "high_or_higher", "medium_or_higher", "all"]),
        "",
    ),
]);

/// Every type of rule.
pub(crate) const RULES: &[Rule] = &[
    rule("creation", &[], &[]),
    rule("update", &[on("update_allows_fetch_and_merge")], &[]),
    rule("deletion", &[], &[]),
    rule("required_linear_history", &[], &[]),
    rule(
        "merge_queue",
        &[
            count("check_response_timeout_minutes", &Shape::Int(1, 360)),
            key("grouping_strategy", Shape::OneOf(&["ALLGREEN", "HEADGREEN"]), ""),
            count("max_entries_to_build", &ENTRIES),
            count("max_entries_to_merge", &ENTRIES),
            key("merge_method", Shape::OneOf(&["MERGE", "SQUASH", "REBASE"]), ""),
            count("min_entries_to_merge", &ENTRIES),
            count("min_entries_to_merge_wait_minutes", &WAIT),
        ],
        &[
            "check_response_timeout_minutes",
            "grouping_strategy",
            "max_entries_to_build",
            "max_entries_to_merge",
            "merge_method",
            "min_entries_to_merge",
            "min_entries_to_merge_wait_minutes",
        ],
    ),
    rule(
        "required_deployments",
        &[key("required_deployment_environments", Shape::List(&Shape::Form(&forms::ENVIRONMENT)), "")],
        &["required_deployment_environments"],
    ),
    rule("required_signatures", &[], &[]),
    rule(
        "pull_request",
        &[
            key(
                "allowed_merge_methods",
                Shape::OrNull(&Shape::List(&Shape::OneOf(&["merge", "squash", "rebase"]))),
                "",
            ),
            on("dismiss_stale_reviews_on_push"),
            key("dismissal_restriction", Shape::OrNull(&Shape::Free), ""),
            on("require_code_owner_review"),
            on("require_last_push_approval"),
            count("required_approving_review_count", &Shape::Int(0, 10)),
            on("required_review_thread_resolution"),
            key("required_reviewers", Shape::OrNull(&Shape::List(&Shape::Free)), ""),
        ],
        &[],
    ),
    rule(
        "required_status_checks",
        &[
            on("do_not_enforce_on_create"),
            key("required_status_checks", Shape::OrNull(&Shape::List(&CHECK)), ""),
            on("strict_required_status_checks_policy"),
        ],
        &[],
    ),
    rule("non_fast_forward", &[], &[]),
    rule("commit_message_pattern", PATTERN, PATTERN_DEMANDS),
    rule("commit_author_email_pattern", PATTERN, PATTERN_DEMANDS),
    rule("committer_email_pattern", PATTERN, PATTERN_DEMANDS),
    rule("branch_name_pattern", PATTERN, PATTERN_DEMANDS),
    rule("tag_name_pattern", PATTERN, PATTERN_DEMANDS),
    rule(
        "workflows",
        &[on("do_not_enforce_on_create"), key("workflows", Shape::List(&WORKFLOW), "")],
        &["workflows"],
    ),
    rule("code_scanning", &[key("code_scanning_tools", Shape::List(&TOOL), "")], &["code_scanning_tools"]),
    rule("copilot_code_review", &[on("review_draft_pull_requests"), on("review_on_push")], &[]),
    rule("license_compliance_scanning", &[], &[]),
    push("file_path_restriction", &[key("restricted_file_paths", TEXTS, "")], &["restricted_file_paths"]),
    push("max_file_path_length", &[count("max_file_path_length", &SOME)], &["max_file_path_length"]),
    push(
        "file_extension_restriction",
        &[key("restricted_file_extensions", TEXTS, "")],
        &["restricted_file_extensions"],
    ),
    push("max_file_size", &[count("max_file_size", &SOME)], &["max_file_size"]),
];

/// The description of a type of rule.
pub(crate) fn find(kind: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aspects::rulesets::KINDS;

    #[test]
    fn the_check_and_the_aspect_know_the_same_rules() {
        assert_eq!(RULES.len(), KINDS.len());
        for (kind, parameters) in KINDS {
            let rule = find(kind).unwrap();
            let known: Vec<&str> = rule.parameters.iter().map(|key| key.name).collect();
            assert_eq!(known, *parameters, "{kind}");
            assert!(rule.demanded.iter().all(|name| known.contains(name)), "{kind}");
        }
    }
}
