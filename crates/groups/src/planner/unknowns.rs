//! Reports of what could not be read.

use beadle_engine::{Class, Failure, Plan, Unknown};

use super::write::Write;

/// Returns the report of a failed read.
pub(super) fn unknown(aspect: &str, part: Option<String>, failure: &Failure) -> Unknown {
    let transient = failure.class != Class::Rejected;
    Unknown { aspect: aspect.into(), part, why: failure.text.clone(), transient }
}

/// Returns the value; `None` if it is unknown, with a report. Only a used-up budget ends the run.
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
