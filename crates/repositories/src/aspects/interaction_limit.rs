//! Plans and writes the interaction limit of a public repository. Each limit at GitHub ends after
//! at most six months, but the policy declares a permanent limit. So Beadle treats the end of a
//! limit as drift, and sets the limit again in the next run. Beadle does not compare the end times,
//! because each new limit has a different end time. If the policy has the section, Beadle makes one
//! conditional REST call for each public repository.
//!
//! <https://docs.github.com/rest/interactions/repos>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::Method;
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field,
    reads_nothing,
};
use crate::policy::Node;
use crate::policy::shape::{Shape, key};

/// The aspect for a repository's interaction limit.
pub(crate) const INTERACTION_LIMIT: Aspect = Aspect {
    name: "interaction_limit",
    sections: &[key("interaction_limit", SHAPE, "Who may comment and open issues and pull requests.")],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &InteractionLimit,
};

const SHAPE: Shape = Shape::Map(&[
    key("limit", Shape::OneOf(LIMITS), "Who may interact with a public repository."),
    key(
        "expiry",
        Shape::OneOf(&["one_day", "three_days", "one_week", "one_month", "six_months"]),
        "The time after which GitHub ends the limit. Beadle then sets it again. Default: `six_months`.",
    ),
]);

/// The limits, ordered from the limit that allows the most people to the limit that allows the
/// fewest.
const LIMITS: &[&str] = &[NONE, "existing_users", "contributors_only", "collaborators_only"];
/// The value for a repository without a limit.
const NONE: &str = "none";

const PATH: &str = "interaction-limits";

struct InteractionLimit;

enum Write {
    Set(Value),
    Remove,
}

#[async_trait]
impl Step for Write {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        match self {
            Self::Set(body) => to.send(Method::PUT, PATH, Some(body.clone())).await,
            Self::Remove => to.send(Method::DELETE, PATH, None).await,
        }
    }
}

/// Returns how strict a limit is: a larger number allows fewer people. Returns `None` if Beadle
/// does not know the limit.
fn strength(limit: &str) -> Option<usize> {
    LIMITS.iter().position(|known| *known == limit)
}

/// Returns the risk of a new limit. If one of the two limits is unknown, Beadle treats the earlier
/// limit as the stricter one.
fn risk(before: &str, after: &str) -> Risk {
    match (strength(before), strength(after)) {
        (Some(before), Some(after)) if after > before => Risk::Changes,
        _ => Risk::Weakens,
    }
}

#[async_trait]
impl AspectPlanner for InteractionLimit {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("interaction_limit") else { return Ok(()) };
        // Only public repositories have interaction limits.
        let Some(want) = section.node.get("limit").filter(|_| context.stays_public()) else { return Ok(()) };
        let Some(wanted) = want.text() else { return Ok(()) };
        let seen = context.reader.below(context.repository, PATH).await?;
        let Some(seen) = seen.filter(Value::is_object) else {
            plan.cannot_read("GitHub does not show the interaction limit of this repository");
            return Ok(());
        };
        // If a repository has no limit, GitHub shows an empty block.
        let before = seen["limit"].as_str().unwrap_or(NONE);
        if before == wanted {
            return Ok(());
        }
        let asked = &want.asked;
        if seen["origin"].as_str().is_some_and(|origin| origin != "repository") {
            plan.cannot_resolve(format!("the organisation has an interaction limit ({asked})"));
            return Ok(());
        }
        let fields = vec![field("limit", json!(before), json!(wanted), Some(asked), risk(before, wanted))];
        let write = if wanted == NONE {
            Write::Remove
        } else {
            let expiry = section.node.get("expiry").and_then(Node::text).unwrap_or("six_months");
            Write::Set(json!({ "limit": wanted, "expiry": expiry }))
        };
        plan.change("", fields, write);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_for_fewer_people_is_not_a_weakening() {
        for (before, after, expected) in [
            (NONE, "existing_users", Risk::Changes),
            ("contributors_only", "collaborators_only", Risk::Changes),
            ("collaborators_only", "contributors_only", Risk::Weakens),
            ("existing_users", NONE, Risk::Weakens),
            ("of_tomorrow", "collaborators_only", Risk::Weakens),
        ] {
            assert_eq!(risk(before, after), expected, "{before} to {after}");
        }
    }
}
