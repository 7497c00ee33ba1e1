//! The failures that a run itself causes, and the effect of a failed write.

use crate::change_name::change_name;
use crate::clock::Time;
use crate::failure::{Class, Failure};
use crate::guard::window::Begun;
use crate::plan::Change;
use crate::revive::paused;

/// The reason that is logged for a run that only waits for its turn. No operator has to act.
pub(crate) const TURN: &str = "the run waits until other runs have ended";

/// Returns the failure of a run that waits for its turn. If `spares_events` is true, the wait
/// applies only to sweeps.
pub fn waits_for_turn(until: Time, spares_events: bool) -> Failure {
    Failure::new(Class::RateLimited { until, spares_events }, TURN)
}

/// Returns the failure for a plan that is too old. Beadle immediately makes a new plan, and does
/// not count this run as a failed attempt.
pub(super) fn outdated(now: Time) -> Failure {
    let text = "the plan is too old, and another writer may have changed the repository or group; Beadle plans again";
    Failure::new(Class::RateLimited { until: now, spares_events: true }, text)
}

/// Returns the failure for a write that the store allowed too late. Another worker might have the
/// key by now. Beadle immediately makes a new plan, and does not count this run as a failed
/// attempt.
pub(super) fn allowed_late(now: Time) -> Failure {
    let text = "the store answered too late, and another worker may have the key; Beadle plans again";
    Failure::new(Class::RateLimited { until: now, spares_events: true }, text)
}

/// Returns the failure that explains why the store did not allow a write to begin.
pub(super) fn why_not_begun(begun: &Begun) -> Failure {
    match begun {
        Begun::Paused { scope, until } => {
            Failure::new(Class::Conflict, format!("{} {until}; this run writes nothing more", paused(scope)))
        }
        Begun::Lapsed => {
            let text = "the guard's reservation or the approval for this change is no longer valid; Beadle plans the change again";
            Failure::new(Class::Conflict, text)
        }
        Begun::LeaseLost | Begun::Yes(_) => lease_lost(),
    }
}

pub(super) fn lease_lost() -> Failure {
    Failure::new(Class::Conflict, "another worker took over this key; this run writes nothing more")
}

/// Returns the failure that the run reports for a failed change. If the vendor refused the change,
/// a person must act. The text then names the change, and the policy lines that ask for the change.
/// Other failures, such as an outage, have the same text for all changes.
pub(super) fn refused_change<W>(change: &Change<W>, failure: Failure) -> Failure {
    if failure.class == Class::Rejected { failure.during(change_name(change)) } else { failure }
}

/// Returns whether it is certain that a failed change had no effect at the vendor. A change with
/// several guarded fields might need several requests. The vendor might have accepted the first
/// request and refused the last one.
pub(super) fn is_certain<W>(change: &Change<W>, failure: &Failure) -> bool {
    let guarded = change.fields.iter().filter(|field| field.risk.is_guarded()).count();
    failure.changed_nothing() && guarded <= 1
}
