//! The gate. It checks new policies, new mappings, raised limits and new targets. The gate lets
//! each of these things pass, or holds the thing until an operator approves it. This folder also
//! stores the accepted limits and targets.

pub(crate) mod accepted_limits;
pub(crate) mod accepted_target_place;
pub(crate) mod command_plans;
pub(super) mod generation_decision;
pub(super) mod generation_group_changes;
pub(super) mod generation_holds;
pub(super) mod guard_holds_of_approved_plan;
pub(crate) mod guard_limits;
pub(crate) mod held_generation;
pub(crate) mod new_or_moved_target;
pub(crate) mod planning_backoff;
pub(crate) mod raised_limits;
