//! The aspects of the organisation itself. Each aspect has its own file. Examples are the settings,
//! the rulesets and the code security configurations of the organisation.

mod actions;
mod aspect;
mod blocked_users;
mod configurations;
mod features;
mod oidc_subject;
mod organisation_roles;
mod properties;
mod repository_roles;
mod roles;
mod rulesets;
mod runner_groups;
mod secrets;
mod selected;
mod sets;
mod settings;
mod variables;
mod webhooks;

use beadle_engine::{Failure, Plan, Unknown};

pub(crate) use aspect::{Context, DesiredSection, OrganisationAspect, Section};
pub(crate) use settings::READ_ONLY;

use crate::aspects::{AspectPlan, Step};

/// All aspects of an organisation.
pub(crate) const ALL: &[&OrganisationAspect] = &[
    &settings::SETTINGS,
    &rulesets::RULESETS,
    &configurations::CONFIGURATIONS,
    &webhooks::WEBHOOKS,
    &variables::VARIABLES,
    &secrets::OF_ACTIONS,
    &secrets::OF_DEPENDABOT,
    &secrets::OF_CODESPACES,
    &actions::ACTIONS,
    &oidc_subject::OIDC_SUBJECT,
    &properties::PROPERTIES,
    &repository_roles::REPOSITORY_ROLES,
    &organisation_roles::ORGANISATION_ROLES,
    &runner_groups::RUNNER_GROUPS,
    &blocked_users::BLOCKED_USERS,
];

/// The sections of `settings.yml` that belong to the organisation and not to its repositories. Each
/// aspect of the organisation is in one of these sections.
pub(crate) const SECTIONS: [&str; 4] =
    ["rulesets", "code_security_configurations", "custom_repository_roles", "organization"];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aspect_is_in_a_section_of_the_organisation() {
        for aspect in ALL {
            assert!(SECTIONS.contains(&aspect.top()), "{}", aspect.name);
            assert!(aspect.keys.is_empty() || aspect.top() == "organization", "{}", aspect.name);
        }
    }
}
