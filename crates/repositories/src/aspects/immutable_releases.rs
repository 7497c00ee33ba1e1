//! Plans and writes the setting that makes the releases of a repository immutable. If the policy
//! has the section, Beadle makes one conditional REST call for each repository.
//!
//! <https://docs.github.com/rest/repos/repos#check-if-immutable-releases-are-enabled-for-a-repository>

use async_trait::async_trait;
use beadle_engine::{Failure, Risk};
use beadle_github::Method;
use serde_json::{Value, json};

use super::aspect::{
    ADMINISTRATION, Aspect, AspectPlan, AspectPlanner, Context, Stage, Step, WriteTarget, field,
    reads_nothing,
};
use crate::policy::shape::{Shape, key};

/// The setting that makes the releases of a repository immutable.
pub(crate) const IMMUTABLE_RELEASES: Aspect = Aspect {
    name: "immutable_releases",
    sections: &[key("immutable_releases", Shape::Bool, "Whether releases are immutable.")],
    repository_keys: &[],
    permissions: &[ADMINISTRATION],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &ImmutableReleases,
};

const PATH: &str = "immutable-releases";

struct ImmutableReleases;

/// Turns the setting on or off.
struct Switch {
    on: bool,
}

#[async_trait]
impl Step for Switch {
    async fn write(&self, to: &WriteTarget) -> Result<(), Failure> {
        let method = if self.on { Method::PUT } else { Method::DELETE };
        to.send(method, PATH, None).await
    }
}

#[async_trait]
impl AspectPlanner for ImmutableReleases {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get("immutable_releases") else { return Ok(()) };
        let Some(wanted) = section.node.bool() else { return Ok(()) };
        // GitHub answers 404 if the setting is off.
        let found = context.reader.below(context.repository, PATH).await?;
        let Some(seen) = found.as_ref().map_or(Some(false), |found| found["enabled"].as_bool()) else {
            plan.cannot_read("GitHub does not show whether releases are immutable");
            return Ok(());
        };
        if seen == wanted {
            return Ok(());
        }
        let asked = &section.node.asked;
        if found.is_some_and(|found| found["enforced_by_owner"] == Value::Bool(true)) {
            plan.cannot_resolve(format!("the organisation makes all releases immutable ({asked})"));
            return Ok(());
        }
        let risk = if wanted { Risk::Changes } else { Risk::Weakens };
        let fields = vec![field("enabled", json!(seen), json!(wanted), Some(asked), risk)];
        plan.change("", fields, Switch { on: wanted });
        Ok(())
    }
}
