//! Checks the types of variables and of mutation inputs, before the simulator reads or changes the
//! state. As at GitHub, the whole request fails if one variable has the wrong type.
//!
//! <https://docs.github.com/graphql/reference/input-objects>

use graphql_parser::query::{Type, VariableDefinition};
use serde_json::{Map, Value};

/// Returns the first error in the variables of a request.
pub(super) fn variables(
    declared: &[VariableDefinition<'_, super::Text>],
    given: &Map<String, Value>,
) -> Option<String> {
    let wrong = declared.iter().find(|variable| match given.get(&variable.name) {
        None if variable.default_value.is_some() => false,
        value => !is_of(&variable.var_type, value.unwrap_or(&Value::Null)),
    })?;
    Some(format!("Variable ${} of type {} was provided invalid value", wrong.name, wrong.var_type))
}

/// Returns whether a value has a declared type. For enums and input objects, this function checks
/// only whether a value is a list.
fn is_of(kind: &Type<'_, super::Text>, value: &Value) -> bool {
    match (kind, value) {
        (Type::NonNullType(_), Value::Null) => false,
        (_, Value::Null) => true,
        (Type::ListType(kind), Value::Array(items)) => items.iter().all(|item| is_of(kind, item)),
        // GraphQL accepts a single value in place of a list.
        (Type::NonNullType(kind) | Type::ListType(kind), value) => is_of(kind, value),
        (Type::NamedType(name), value) => match name.as_str() {
            "String" => value.is_string(),
            "ID" => value.is_string() || value.is_u64(),
            "Int" => fits(Int, value),
            "Boolean" => value.is_boolean(),
            _ => true,
        },
    }
}

/// The type of a field in a mutation's input.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Int,
    Text,
    Texts,
    Checks,
    Block,
}

use Kind::{Block, Bool, Checks, Int, Text, Texts};

/// The fields that the inputs of both mutations of branch protection rules have in common. None of
/// these fields is required.
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

/// A mutation: the name of its input, the required fields, the optional fields, and whether the
/// input also has the fields of a rule.
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
        "createRef" => Some(("CreateRefInput", &["repositoryId", "name", "oid"], &[], false)),
        "updateRef" => Some(("UpdateRefInput", &["refId", "oid"], &["force"], false)),
        "deleteRef" => Some(("DeleteRefInput", &["refId"], &[], false)),
        "createCommitOnBranch" => {
            let needed = &["branch", "expectedHeadOid", "message"];
            Some(("CreateCommitOnBranchInput", needed, &["fileChanges"], false))
        }
        "createPullRequest" => {
            let needed = &["repositoryId", "baseRefName", "headRefName", "title"];
            Some(("CreatePullRequestInput", needed, &["body", "draft", "maintainerCanModify"], false))
        }
        "updatePullRequest" => {
            Some(("UpdatePullRequestInput", &["pullRequestId"], &["title", "body", "state"], false))
        }
        _ => None,
    }
}

/// Returns the type of a field, if the field does not belong to a rule.
fn own_kind(field: &str) -> Kind {
    match field {
        "force" | "draft" | "maintainerCanModify" => Bool,
        "branch" | "message" | "fileChanges" => Block,
        _ => Text,
    }
}

/// Returns the first error in the input of a mutation.
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
            own_kind(field)
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
        // GraphQL accepts a single value in place of a list.
        Texts => value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string)),
        Block => value.is_object(),
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
    fn a_variable_of_the_wrong_type_is_refused() {
        let text = "query ($ids: [ID!]!, $first: Int = 5, $after: String) { nodes(ids: $ids) { id } }";
        let document = graphql_parser::parse_query::<super::super::Text>(text).unwrap();
        let graphql_parser::query::Definition::Operation(graphql_parser::query::OperationDefinition::Query(
            query,
        )) = &document.definitions[0]
        else {
            panic!("it is a query");
        };
        let wrong = |given: Value| variables(&query.variable_definitions, given.as_object().unwrap());
        assert_eq!(wrong(json!({ "ids": ["R_1"], "after": null })), None);
        assert_eq!(wrong(json!({ "ids": "R_1", "first": 3 })), None);
        for given in [
            json!({}),
            json!({ "ids": null }),
            json!({ "ids": [null] }),
            json!({ "ids": [true] }),
            json!({ "ids": [], "first": "3" }),
            json!({ "ids": [], "after": 5 }),
        ] {
            assert!(wrong(given.clone()).is_some(), "{given} was taken");
        }
    }

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
