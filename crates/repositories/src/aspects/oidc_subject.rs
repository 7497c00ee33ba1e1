//! Plans and writes the subject that GitHub puts into the OpenID Connect tokens of a repository's
//! workflows. Cloud providers use this subject to decide what a workflow is allowed to do. If the
//! policy has the section, Beadle makes one conditional REST call for each repository.
//!
//! <https://docs.github.com/rest/actions/oidc>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::Method;
use serde_json::{Map, Value, json};

use super::aspect::{
    AppPermission, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field, reads_nothing,
};
use crate::policy::shape::{Shape, key};
use crate::policy::shapes::layered;
use crate::policy::{Node, forms};

/// The aspect for the subject of OpenID Connect tokens.
pub(crate) const OIDC_SUBJECT: Aspect = Aspect {
    name: "oidc_subject",
    sections: &[key("oidc_subject", SHAPE, "The subject of the workflows' OpenID Connect tokens.")],
    repository_keys: &[],
    permissions: &[AppPermission::write("actions", "actions (repository)")],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &OidcSubject,
};

const CLAIMS: Shape = layered!(Shape::Form(&forms::CLAIM));
const SHAPE: Shape = Shape::Map(&[
    key(
        "use_default",
        Shape::Bool,
        "Whether the subject has GitHub's default form. Default: false if `include_claim_keys` is set.",
    ),
    key("include_claim_keys", CLAIMS, "The claims in the subject, in their order. Not for the default form."),
    key("use_immutable_subject", Shape::Bool, "Whether the subject has the repository's id, not its name."),
]);

const PATH: &str = "actions/oidc/customization/sub";
/// The claims that the default subject contains.
const DEFAULT: [&str; 2] = ["repo", "context"];

struct OidcSubject;

/// Writes the complete setting for the subject.
struct Put {
    body: Value,
}

#[async_trait]
impl Step for Put {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        to.named()?.send(Method::PUT, PATH, Some(self.body.clone())).await
    }
}

/// Returns the claims that a subject contains.
fn claims(is_default: bool, keys: &Value) -> Vec<String> {
    if is_default {
        return DEFAULT.map(str::to_owned).to_vec();
    }
    keys.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[async_trait]
impl AspectPlanner for OidcSubject {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("oidc_subject") else { return Ok(()) };
        let want = &section.node;
        let seen = context.reader.below(context.repository, PATH).await?.unwrap_or_default();
        let Some(was_default) = seen["use_default"].as_bool() else {
            plan.cannot_read("GitHub does not show the subject of OpenID Connect tokens of this repository");
            return Ok(());
        };
        let wanted_keys = want.get("include_claim_keys");
        let wanted_default = want.get("use_default").and_then(Node::bool);
        let is_default = wanted_default.unwrap_or(wanted_keys.is_none() && was_default);
        let shown = if was_default { Value::Null } else { seen["include_claim_keys"].clone() };
        let keys = wanted_keys.map_or_else(|| shown.clone(), Node::json);
        if !is_default && keys.as_array().is_none_or(Vec::is_empty) {
            plan.cannot_resolve_part(
                "include_claim_keys",
                format!("`use_default: false` needs `include_claim_keys` ({})", want.asked),
            );
            return Ok(());
        }
        let (before, after) = (claims(was_default, &shown), claims(is_default, &keys));
        // A cloud provider might depend on a claim that the new subject no longer contains.
        let loses = before.iter().any(|claim| !after.contains(claim));
        let risk = if loses { Risk::Weakens } else { Risk::Changes };
        let mut fields = Vec::new();
        if is_default != was_default {
            let asked = want.get("use_default").or(wanted_keys).map_or(&want.asked, |node| &node.asked);
            fields.push(field("use_default", json!(was_default), json!(is_default), Some(asked), risk));
        }
        if let Some(node) = wanted_keys.filter(|_| !is_default && shown != keys) {
            fields.push(field("include_claim_keys", shown.clone(), keys.clone(), Some(&node.asked), risk));
        }
        let immutable = want.get("use_immutable_subject").and_then(|node| Some((node, node.bool()?)));
        if let Some((node, on)) = immutable.filter(|(_, on)| seen["use_immutable_subject"] != json!(on)) {
            let before = seen["use_immutable_subject"].clone();
            let risk = if on { Risk::Changes } else { Risk::Weakens };
            fields.push(field("use_immutable_subject", before, json!(on), Some(&node.asked), risk));
        }
        if fields.is_empty() {
            return Ok(());
        }
        let mut body = Map::from_iter([("use_default".to_owned(), json!(is_default))]);
        if !is_default {
            body.insert("include_claim_keys".to_owned(), keys);
        }
        let kept = seen["use_immutable_subject"].as_bool();
        if let Some(on) = immutable.map(|(_, on)| on).or(kept) {
            body.insert("use_immutable_subject".to_owned(), json!(on));
        }
        plan.change("", fields, Put { body: Value::Object(body) });
        Ok(())
    }
}
