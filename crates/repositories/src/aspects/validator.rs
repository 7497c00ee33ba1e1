//! The pattern for repository names. If a name does not match the pattern, Beadle does not rename
//! the repository. The plan shows the repository, and a person must rename it. safe-settings adds
//! the topic `validation-error` to such a repository. Beadle needs no call to GitHub for this
//! section.
//!
//! <https://github.com/github/safe-settings/blob/main-enterprise/lib/plugins/validator.js>

use async_trait::async_trait;
use beadle_engine::Failure;

use super::aspect::{Aspect, AspectPlan, AspectPlanner, Context, Stage, reads_nothing};
use crate::policy::name_pattern::{LastPattern, SECTION, mismatch};
use crate::policy::shape::{Shape, key};

/// The aspect for the pattern of repository names.
pub(crate) const VALIDATOR: Aspect = Aspect {
    name: SECTION,
    sections: &[key(SECTION, SHAPE, "What the name of a repository must match. Beadle only reports.")],
    repository_keys: &[],
    permissions: &[],
    events: &[],
    reads: reads_nothing,
    stage: Stage::Body,
    is_apart: false,
    planner: &Validator,
};

const SHAPE: Shape = Shape::Map(&[key(
    "pattern",
    Shape::Regex,
    "A regular expression that a part of the name must match. Upper and lower case matter.",
)]);

struct Validator;

#[async_trait]
impl AspectPlanner for Validator {
    async fn plan(&self, context: &Context<'_>, plan: &mut AspectPlan) -> Result<(), Failure> {
        let Some(section) = context.desired.sections.get(SECTION) else { return Ok(()) };
        if let Some(why) = mismatch(&section.node, &context.repository.name, &mut LastPattern::default()) {
            plan.wait(why);
        }
        Ok(())
    }
}
