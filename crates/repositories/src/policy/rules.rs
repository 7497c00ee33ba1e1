//! Describes the possible rules of a ruleset. For each rule type, the description contains the
//! parameters, their shapes, and the parameters that GitHub requires.
//!
//! <https://docs.github.com/rest/repos/rules#create-a-repository-ruleset>

use super::forms;
use super::shape::{Key, Shape, key};
use super::shapes::layered;

/// The types of rules that GitHub accepts only in the rulesets of repositories.
pub(crate) const OF_REPOSITORIES: &[&str] = &["merge_queue", "license_compliance_scanning"];

/// The description of a rule type. Three parts of Beadle use the types in [`RULES`]: the validation
/// of policies, the JSON Schema and the comparison.
pub(crate) struct Rule {
    pub(crate) kind: &'static str,
    /// True if the rule is valid only in a ruleset with `target: push`.
    pub(crate) is_push: bool,
    pub(crate) parameters: &'static [Key],
    /// The parameters that GitHub requires and the policy must set. Beadle itself adds some
    /// required parameters of reviews and checks. The list does not contain these added parameters.
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

const TEXT_LIST: Shape = layered!(Shape::Text);
const TEXTS: Shape = Shape::OrNull(&TEXT_LIST);
const NUMBER: Shape = Shape::Int(0, i64::MAX);
const LENGTH: Shape = Shape::Int(1, 32_767);
const MEGABYTES: Shape = Shape::Int(1, 100);
const ENTRIES: Shape = Shape::Int(0, 100);
const MINIMUM: Shape = Shape::Count(0, 100);
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

const DISMISSAL: Shape = Shape::Map(&[
    key("enabled", Shape::Bool, ""),
    key(
        "allowed_actors",
        Shape::OrNull(&Shape::List(&Shape::Map(&[
            key("id", NUMBER, ""),
            key("type", Shape::OneOf(&["User", "Team", "IntegrationInstallation", "RepositoryRole"]), ""),
        ]))),
        "",
    ),
]);
const REVIEWER: Shape = Shape::Map(&[
    key("reviewer", Shape::Map(&[key("id", NUMBER, ""), key("type", Shape::OneOf(&["Team"]), "")]), ""),
    key("file_patterns", Shape::List(&Shape::Text), ""),
    key("minimum_approvals", NUMBER, ""),
]);

const CHECKS: Shape = layered!(CHECK);
const WORKFLOWS: Shape = layered!(WORKFLOW);
const TOOLS: Shape = layered!(TOOL);
const REVIEWERS: Shape = layered!(REVIEWER);
const METHOD: Shape = Shape::OneOf(&["merge", "squash", "rebase"]);
const METHODS: Shape = layered!(METHOD);
const ENVIRONMENT: Shape = Shape::Form(&forms::ENVIRONMENT);
const ENVIRONMENTS: Shape = layered!(ENVIRONMENT);

const REF: Shape = Shape::Form(&forms::REFS);
const REF_LIST: Shape = layered!(REF);
const REFS: Shape = Shape::OrNull(&REF_LIST);
const ID_LIST: Shape = layered!(NUMBER);
const PROPERTY: Shape = Shape::Map(&[
    key("name", Shape::Form(&forms::NAME), "The name of the property."),
    key("property_values", Shape::List(&Shape::Text), "The values, of which one must match."),
    key("source", Shape::OrNull(&Shape::OneOf(&["custom", "system"])), "Who defines the property."),
]);
const PROPERTY_LIST: Shape = layered!(PROPERTY);
const PROPERTIES: Shape = Shape::OrNull(&PROPERTY_LIST);

/// The conditions that only an organisation ruleset can have. An organisation ruleset must have one
/// of these conditions.
pub(crate) const CONDITIONS_OF_ORGANISATIONS: &[&str] =
    &["repository_name", "repository_id", "repository_property"];

/// The conditions that a ruleset can have.
pub(crate) const CONDITIONS: Shape = Shape::Map(&[
    key(
        "ref_name",
        Shape::OrNull(&Shape::Map(&[
            key("include", REFS, "Refs such as `refs/heads/main`, `~DEFAULT_BRANCH` or `~ALL`."),
            key("exclude", REFS, "Refs that the ruleset does not protect."),
        ])),
        "The branches or tags that the ruleset protects.",
    ),
    key(
        "repository_name",
        Shape::OrNull(&Shape::Map(&[
            key("include", TEXTS, "Patterns of repositories, or `~ALL`."),
            key("exclude", TEXTS, "Patterns of repositories that the ruleset does not reach."),
            on("protected"),
        ])),
        "The repositories that a ruleset of the organisation reaches, by their names.",
    ),
    key(
        "repository_id",
        Shape::OrNull(&Shape::Map(&[key(
            "repository_ids",
            Shape::OrNull(&ID_LIST),
            "The ids of the repositories.",
        )])),
        "The repositories that a ruleset of the organisation reaches, by their ids.",
    ),
    key(
        "repository_property",
        Shape::OrNull(&Shape::Map(&[
            key("include", PROPERTIES, "Properties of the repositories."),
            key("exclude", PROPERTIES, "Properties of repositories that the ruleset does not reach."),
        ])),
        "The repositories that a ruleset of the organisation reaches, by their custom properties.",
    ),
]);

/// All types of rules.
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
            count("min_entries_to_merge", &MINIMUM),
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
        &[key("required_deployment_environments", ENVIRONMENTS, "")],
        &["required_deployment_environments"],
    ),
    rule("required_signatures", &[], &[]),
    rule(
        "pull_request",
        &[
            key("allowed_merge_methods", Shape::OrNull(&METHODS), ""),
            on("dismiss_stale_reviews_on_push"),
            key("dismissal_restriction", Shape::OrNull(&DISMISSAL), ""),
            on("require_code_owner_review"),
            on("require_last_push_approval"),
            count("required_approving_review_count", &Shape::Count(0, 10)),
            on("required_review_thread_resolution"),
            key("required_reviewers", Shape::OrNull(&REVIEWERS), ""),
        ],
        &[],
    ),
    rule(
        "required_status_checks",
        &[
            on("do_not_enforce_on_create"),
            key("required_status_checks", Shape::OrNull(&CHECKS), ""),
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
    rule("workflows", &[on("do_not_enforce_on_create"), key("workflows", WORKFLOWS, "")], &["workflows"]),
    rule("code_scanning", &[key("code_scanning_tools", TOOLS, "")], &["code_scanning_tools"]),
    rule("copilot_code_review", &[on("review_draft_pull_requests"), on("review_on_push")], &[]),
    rule("license_compliance_scanning", &[], &[]),
    push("file_path_restriction", &[key("restricted_file_paths", TEXTS, "")], &["restricted_file_paths"]),
    push("max_file_path_length", &[count("max_file_path_length", &LENGTH)], &["max_file_path_length"]),
    push(
        "file_extension_restriction",
        &[key("restricted_file_extensions", TEXTS, "")],
        &["restricted_file_extensions"],
    ),
    push("max_file_size", &[count("max_file_size", &MEGABYTES)], &["max_file_size"]),
];

/// The types of rules that exist at GitHub but are not in GitHub's description. Beadle does not
/// support these types. Beadle keeps such rules at GitHub.
pub(crate) const UNDESCRIBED: &[&str] = &[
    "code_quality",
    "code_coverage",
    // These types occur in rulesets with `target: repository`.
    "repository_create",
    "repository_delete",
    "repository_transfer",
    "repository_name",
    "repository_visibility",
];

/// The parameters of the rule `pull_request` that are not in GitHub's description.
pub(crate) const UNDESCRIBED_OF_REVIEWS: &[&str] = &["require_extra_approval_for_unattributed_changes"];

/// Returns the description of a rule type if Beadle knows the type.
pub(crate) fn find(kind: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.kind == kind)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn table() -> Value {
        serde_json::from_str(include_str!("../../../../tools/sim/src/github/described.json")).unwrap()
    }

    fn resolved<'a>(table: &'a Value, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => resolved(table, &table["schemas"][name]),
            None => schema,
        }
    }

    /// Returns the rule types in GitHub's published description. Each type comes with the schema of
    /// its parameters.
    fn described<'a>(table: &'a Value, list: &str) -> Vec<(&'a str, &'a Value)> {
        let all = table["schemas"][list]["oneOf"].as_array().unwrap().iter();
        all.map(|rule| {
            let properties = &resolved(table, rule)["properties"];
            (properties["type"]["enum"][0].as_str().unwrap(), resolved(table, &properties["parameters"]))
        })
        .collect()
    }

    #[test]
    fn what_beadle_leaves_out_is_not_in_the_published_description() {
        let table = table();
        for (kind, parameters) in described(&table, "repository-rule") {
            assert!(!UNDESCRIBED.contains(&kind), "{kind}: move it to `RULES`");
            for key in UNDESCRIBED_OF_REVIEWS {
                assert!(parameters["properties"][*key].is_null(), "{kind}: {key}: move it to `RULES`");
            }
        }
    }

    #[test]
    fn the_check_knows_the_rules_of_the_published_description_and_no_others() {
        let table = table();
        let of = |list: &str, rules: &mut dyn Iterator<Item = &'static str>| {
            let mut known: Vec<&str> = rules.collect();
            let mut listed: Vec<&str> = described(&table, list).into_iter().map(|(kind, _)| kind).collect();
            known.sort_unstable();
            listed.sort_unstable();
            assert_eq!(known, listed, "{list}");
        };
        let all = || RULES.iter().map(|rule| rule.kind);
        of("repository-rule", &mut all());
        of("org-rules", &mut all().filter(|kind| !OF_REPOSITORIES.contains(kind)));
    }

    /// Returns whether Beadle's validation and GitHub's published description accept the same
    /// values.
    fn is_described(table: &Value, shape: &Shape, schema: &Value) -> bool {
        let schema = resolved(table, schema);
        match shape {
            Shape::OrNull(inner) => is_described(table, inner, schema),
            Shape::Bool => schema["type"] == "boolean",
            Shape::Int(least, most) | Shape::Count(least, most) => {
                schema["type"] == "integer"
                    && schema["minimum"].as_i64().is_none_or(|minimum| *least == minimum)
                    && schema["maximum"].as_i64().is_none_or(|maximum| *most == maximum)
            }
            Shape::OneOf(texts) => schema["enum"] == json!(texts),
            Shape::Text | Shape::Form(_) => schema["type"] == "string",
            Shape::Layered(list, _) => is_described(table, list, schema),
            Shape::List(item) => schema["type"] == "array" && is_described(table, item, &schema["items"]),
            Shape::Map(keys) => {
                let described = schema["properties"].as_object().unwrap();
                keys.len() == described.len()
                    && keys.iter().all(|key| is_described(table, &key.shape, &described[key.name]))
            }
            Shape::Free => schema["type"] == "object",
            _ => false,
        }
    }

    #[test]
    fn conditions_have_the_keys_of_the_published_description() {
        let table = table();
        let Shape::Map(keys) = CONDITIONS else { panic!("{CONDITIONS:?}") };
        let schemas = [
            ("ref_name", "repository-ruleset-conditions"),
            ("repository_name", "repository-ruleset-conditions-repository-name-target"),
            ("repository_id", "repository-ruleset-conditions-repository-id-target"),
            ("repository_property", "repository-ruleset-conditions-repository-property-target"),
        ];
        assert_eq!(keys.iter().map(|key| key.name).collect::<Vec<_>>(), schemas.map(|(name, _)| name));
        for (key, (name, schema)) in keys.iter().zip(schemas) {
            let described = &table["schemas"][schema]["properties"][name];
            assert!(is_described(&table, &key.shape, described), "{name}: {described}");
        }
        assert_eq!(
            schemas[1..].iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            CONDITIONS_OF_ORGANISATIONS
        );
    }

    #[test]
    fn parameters_have_the_bounds_and_words_of_the_published_description() {
        let table = table();
        for (kind, schema) in described(&table, "repository-rule") {
            let rule = find(kind).unwrap();
            let none = serde_json::Map::new();
            let parameters = schema["properties"].as_object().unwrap_or(&none);
            assert_eq!(rule.parameters.len(), parameters.len(), "{kind}");
            for key in rule.parameters {
                let described = parameters.get(key.name).unwrap_or(&Value::Null);
                assert!(is_described(&table, &key.shape, described), "{kind}: {}: {described}", key.name);
            }
            // Beadle itself adds some required parameters. These parameters belong to the rules for
            // reviews, checks and updates.
            if !["pull_request", "required_status_checks", "update"].contains(&kind) {
                assert_eq!(
                    json!(rule.demanded),
                    schema.get("required").cloned().unwrap_or(json!([])),
                    "{kind}"
                );
            }
        }
    }
}
