//! Lets a new policy, new mappings, raised limits or a new target pass, or holds them until an
//! operator approves them. Stores the accepted limits and targets.

pub(crate) mod accepted_limits;
pub(crate) mod accepted_target;
pub(crate) mod adoption_wait;
pub(super) mod approved_holds;
pub(crate) mod command;
pub(crate) mod guard_limits;
pub(crate) mod held_generation;
pub(super) mod hold_records;
pub(crate) mod limits;
pub(super) mod mappings;
pub(crate) mod target;
