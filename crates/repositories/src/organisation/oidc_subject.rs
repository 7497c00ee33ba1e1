//! Plans and writes the subject in the OpenID Connect tokens of the organisation's workflows. The
//! subject applies to all repositories, except those with their own claims and those that use
//! GitHub's default form. If the policy has the section, Beadle reads the subject in one call.
//!
//! <https://docs.github.com/rest/actions/oidc>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::{Method, Path};
use serde_json::{Map, Value, json};

use super::aspect::{ADMINISTRATION, Context, OrganisationAspect, OrganisationPlanner, Section};
use crate::aspects::{AspectPlan, Step, WriteTarget, field};
use crate::policy::forms;
use crate::policy::shape::{Shape, key};

/// The aspect for the subject that GitHub writes into the OpenID Connect tokens of workflows.
pub(super) const OIDC_SUBJECT: OrganisationAspect = OrganisationAspect {
    name: "organization_oidc_subject",
    section: "organization.oidc_subject",
    sections: &[],
    keys: &[key("oidc_subject", SHAPE, "The subject of the workflows' OpenID Connect tokens.")],
    permissions: &[ADMINISTRATION],
    events: &[],
    planner: &OidcSubject,
};

const SHAPE: Shape = Shape::Map(&[
    key(CLAIMS, Shape::List(&Shape::Form(&forms::CLAIM)), "The claims in the subject, in their order."),
    key(IMMUTABLE, Shape::Bool, "Whether the subject has the repository's id, not its name."),
]);

const PATH: &str = "actions/oidc/customization/sub";
const CLAIMS: &str = "include_claim_keys";
const IMMUTABLE: &str = "use_immutable_subject";
/// The claims in GitHub's default form.
const DEFAULT: [&str; 2] = ["repo", "context"];

struct OidcSubject;

/// Writes the complete setting for the subject.
struct Put(Map<String, Value>);

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.send(Method::PUT, PATH, Some(Value::Object(self.0.clone()))).await
    }
}

/// Returns the risk of changing the claims. A cloud provider might depend on a claim that the new
/// subject no longer contains.
fn risk(before: &Value, after: &Value) -> Risk {
    let after = after.as_array().map(Vec::as_slice).unwrap_or_default();
    let before = before.as_array().map(Vec::as_slice).unwrap_or_default();
    // A subject without its own claims has GitHub's default form.
    let is_kept = if before.is_empty() {
        DEFAULT.iter().all(|claim| after.iter().any(|other| other == claim))
    } else {
        before.iter().all(|claim| after.contains(claim))
    };
    if is_kept { Risk::Changes } else { Risk::Weakens }
}

#[async_trait]
impl OrganisationPlanner for OidcSubject {
    async fn plan(
        &self,
        context: &Context<'_>,
        section: &Section<'_>,
        plan: &mut AspectPlan,
    ) -> Result<(), Failure> {
        let seen = context.reader.of_organisation(Path::at(PATH)).await?;
        let claims = &seen[CLAIMS];
        if !claims.is_array() {
            plan.cannot_read("GitHub does not show the subject of OpenID Connect tokens of the organisation");
            return Ok(());
        }
        let mut fields = Vec::new();
        let mut body = Map::from_iter([(CLAIMS.to_owned(), claims.clone())]);
        if let Some(node) = section.node.get(CLAIMS) {
            let wanted = node.json();
            if wanted != *claims {
                let risk = risk(claims, &wanted);
                fields.push(field(CLAIMS, claims.clone(), wanted.clone(), Some(&node.asked), risk));
            }
            body.insert(CLAIMS.to_owned(), wanted);
        }
        let was_immutable = seen[IMMUTABLE].as_bool();
        let wanted = section.node.get(IMMUTABLE).and_then(|node| Some((node, node.bool()?)));
        match (wanted, was_immutable) {
            (Some(_), None) => {
                plan.cannot_read_part(IMMUTABLE, format!("GitHub does not show `{IMMUTABLE}`"));
            }
            (Some((node, on)), Some(was)) => {
                if on != was {
                    let risk = if on { Risk::Changes } else { Risk::Weakens };
                    fields.push(field(IMMUTABLE, json!(was), json!(on), Some(&node.asked), risk));
                }
                body.insert(IMMUTABLE.to_owned(), json!(on));
            }
            (None, Some(was)) => {
                body.insert(IMMUTABLE.to_owned(), json!(was));
            }
            (None, None) => {}
        }
        if !fields.is_empty() {
            let from = plan.changes.len();
            plan.change("OpenID Connect subject", fields, Put(body));
            context.reach(plan, from, None).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_that_loses_a_claim_is_weaker() {
        for (before, after, expected) in [
            (json!(["repo", "context"]), json!(["context", "repo"]), Risk::Changes),
            (json!(["repo"]), json!(["repo", "actor"]), Risk::Changes),
            (json!(["repo", "context"]), json!(["repo", "actor"]), Risk::Weakens),
            (json!([]), json!(["repo"]), Risk::Weakens),
            (json!([]), json!(["repo", "context", "actor"]), Risk::Changes),
        ] {
            assert_eq!(risk(&before, &after), expected, "{before} to {after}");
        }
    }
}
