//! Reports which parts of a group Beadle could not read.

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::write::Write;

/// Returns the report about a read that failed.
pub(super) fn unknown(aspect: &str, part: Option<String>, failure: &Failure) -> Unknown {
    let transient = failure.class != Class::Rejected;
    Unknown { aspect: aspect.into(), part, why: failure.text.clone(), transient }
}

/// Returns the value that a read returned. If the read failed, adds a report to the plan and
/// returns `None`. If the budget is used up, returns an error instead, because the whole run must
/// then wait.
pub(super) fn known<T>(
    result: Result<T, Failure>,
    aspect: &str,
    plan: &mut Plan<Write>,
) -> Result<Option<T>, Failure> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(failure) if matches!(failure.class, Class::RateLimited { .. }) => Err(failure),
        Err(failure) => {
            plan.unknowns.push(unknown(aspect, None, &failure));
            Ok(None)
        }
    }
}
