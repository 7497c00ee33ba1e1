//! Lets a new policy, new mappings, raised limits or a new target pass, or holds them until an
//! operator approves them. Stores the accepted limits and targets.

pub(crate) mod accepted_limits;
pub(crate) mod accepted_target_address;
pub(super) mod approved_holds;
pub(crate) mod command_plans;
pub(crate) mod guard_limits;
pub(crate) mod held_generation;
pub(super) mod hold_records;
pub(super) mod mapping_preview;
pub(crate) mod planning_backoff;
pub(crate) mod raised_limits;
pub(crate) mod target;
