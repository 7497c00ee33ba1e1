//! The aspects of the organisation itself: its rulesets and its code security configurations, one
//! file for each.

mod aspect;
mod configurations;
mod features;
mod rulesets;

use beadle_engine::{Failure, Plan, Unknown};

pub(crate) use aspect::{Context, DesiredSection, OrganisationAspect, Section};

use crate::aspects::{AspectPlan, Step};

/// All aspects of an organisation.
pub(crate) const ALL: &[&OrganisationAspect] = &[&rulesets::RULESETS, &configurations::CONFIGURATIONS];

/// The sections of `settings.yml` that belong to the organisation and not to its repositories.
pub(crate) const SECTIONS: [&str; ALL.len()] = {
    let mut sections = [""; ALL.len()];
    let mut at = 0;
    while at < ALL.len() {
        sections[at] = ALL[at].section;
        at += 1;
    }
    sections
};

/// Plans all changes of the organisation itself.
pub(crate) async fn plan(
    context: &Context<'_>,
    sections: &[DesiredSection<'_>],
) -> Result<Plan<Box<dyn Step>>, Failure> {
    let mut plan = Plan::new(context.reader.organisation().to_owned());
    for (aspect, section, mode) in sections {
        let mut found = AspectPlan::default();
        if let Err(failure) = aspect.planner.plan(context, section, &mut found).await {
            found = AspectPlan::failed(failure)?;
        }
        found.settle();
        for mut planned in found.changes {
            aspect.name.clone_into(&mut planned.change.aspect);
            planned.change.mode = *mode;
            plan.changes.push(planned.change);
        }
        plan.unknowns.extend(found.unresolved.into_iter().map(|unresolved| Unknown {
            aspect: aspect.name.to_owned(),
            part: unresolved.part,
            why: unresolved.reason,
            transient: unresolved.transient,
        }));
    }
    Ok(plan)
}
