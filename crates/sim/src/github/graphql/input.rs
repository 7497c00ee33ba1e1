//! The inputs of the mutations, held to their types before anything is changed. A variable of the wrong type fails the
//! whole request, as at GitHub.
//!
//! <https://docs.github.com/graphql/reference/input-objects>

use serde_json::Value;

/// A type of an input's field.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Text,
    Texts,
    Checks,
}

use Kind::{Bool, Checks, Int, Text, Texts};

/// What both inputs of branch protection rules have; no field of it is required.
const RULE: &[(&str, Kind)] = &[
    ("allowsDeletions", Bool),
    ("allowsForcePushes", Bool),
    ("blocksCreations", Bool),
    ("bypassForcePushActorIds", Texts),
    ("bypassPullRequestActorIds", Texts),
    ("dismissesStaleReviews", Bool),
    ("isAdminEnforced", Bool),
    ("lockAllowsFetchAndMerge", Bool),
    ("lockBranch", Bool),
    ("pushActorIds", Texts),
    ("requireLastPushApproval", Bool),
    ("requiredApprovingReviewCount", Int),
    ("requiredDeploymentEnvironments", Texts),
    ("requiredStatusCheckContexts", Texts),
    ("requiredStatusChecks", Checks),
    ("requiresApprovingReviews", Bool),
    ("requiresCodeOwnerReviews", Bool),
    ("requiresCommitSignatures", Bool),
    ("requiresConversationResolution", Bool),
    ("requiresDeployments", Bool),
    ("requiresLinearHistory", Bool),
    ("requiresStatusChecks", Bool),
    ("requiresStrictStatusChecks", Bool),
    ("restrictsPushes", Bool),
    ("restrictsReviewDismissals", Bool),
    ("reviewDismissalActorIds", Texts),
];

/// A mutation: the name of its input, the fields that it needs, the fields that it may have, and whether it has a rule's.
type Shape = (&'static str, &'static [&'static str], &'static [&'static str], bool);

fn shape(mutation: &str) -> Option<Shape> {
    match mutation {
        "createBranchProtectionRule" => {
            Some(("CreateBranchProtectionRuleInput", &["repositoryId", "pattern"], &[], true))
        }
        "updateBranchProtectionRule" => {
            Some(("UpdateBranchProtectionRuleInput", &["branchProtectionRuleId"], &["pattern"], true))
        }
        "deleteBranchProtectionRule" => {
            Some(("DeleteBranchProtectionRuleInput", &["branchProtectionRuleId"], &[], false))
        }
        _ => None,
    }
}

/// What is wrong with the input of a mutation.
pub(super) fn wrong(mutation: &str, input: &Value) -> Option<String> {
    let (name, needed, optional, has_rule) = shape(mutation)?;
    let invalid =
        |why: String| Some(format!("Variable $input of type {name}! was provided invalid value {why}"));
    let Some(fields) = input.as_object() else { return invalid("(Expected value to not be null)".into()) };
    if let Some(missing) = needed.iter().find(|field| input[**field].is_null()) {
        return invalid(format!("for {missing} (Expected value to not be null)"));
    }
    for (field, value) in fields {
        let is_own = needed.contains(&field.as_str()) || optional.contains(&field.as_str());
        let kind = if is_own || field == "clientMutationId" {
            Text
        } else {
            match RULE.iter().find(|(name, _)| has_rule && name == field) {
                Some((_, kind)) => *kind,
                None => return invalid(format!("for {field} (Field is not defined on {name})")),
            }
        };
        if !value.is_null() && !fits(kind, value) {
            return invalid(format!("for {field} (Could not coerce value {value})"));
        }
    }
    None
}

fn fits(kind: Kind, value: &Value) -> bool {
    match kind {
        Bool => value.is_boolean(),
        Int => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Text => value.is_string(),
        // A single value stands for a list of one.
        Texts => value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        Checks => value.as_array().is_some_and(|all| all.iter().all(is_check)),
    }
}

fn is_check(check: &Value) -> bool {
    let Some(fields) = check.as_object() else { return false };
    let known = |(field, value): (&String, &Value)| match field.as_str() {
        "context" => value.is_string(),
        "appId" => value.is_string() || value.is_null(),
        _ => false,
    };
    fields.contains_key("context") && fields.iter().all(known)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_of_the_wrong_type_is_refused() {
        let update = |input: Value| wrong("updateBranchProtectionRule", &input);
        assert_eq!(update(json!({ "branchProtectionRuleId": "BPR_1", "lockBranch": true })), None);
        assert_eq!(update(json!({ "branchProtectionRuleId": "BPR_1", "pattern": null })), None);
        let refused = [
            json!(null),
            json!({ "lockBranch": true }),
            json!({ "branchProtectionRuleId": 5 }),
            json!({ "branchProtectionRuleId": "BPR_1", "lockBranch": "yes" }),
            json!({ "branchProtectionRuleId": "BPR_1", "requiredApprovingReviewCount": "2" }),
            json!({ "branchProtectionRuleId": "BPR_1", "requiredApprovingReviewCount": 1.5 }),
            json!({ "branchProtectionRuleId": "BPR_1", "pushActorIds": [5] }),
            json!({ "branchProtectionRuleId": "BPR_1", "requiredStatusChecks": [{ "appId": "any" }] }),
            json!({ "branchProtectionRuleId": "BPR_1", "requiredStatusChecks": [{ "context": "a", "app": 1 }] }),
            json!({ "branchProtectionRuleId": "BPR_1", "lock_branch": true }),
        ];
        for input in refused {
            assert!(update(input.clone()).is_some(), "{input} was taken");
        }
        assert!(wrong("createBranchProtectionRule", &json!({ "repositoryId": "R_1" })).is_some());
        assert!(
            wrong("deleteBranchProtectionRule", &json!({ "branchProtectionRuleId": "B", "pattern": "x" }))
                .is_some()
        );
    }
}
