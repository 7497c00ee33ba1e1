//! Compares the failures of the steps of one run.

use crate::failure::{Class, Failure};

/// Returns whether a run begins no further write after this failure.
pub(super) fn ends_run(failure: &Failure) -> bool {
    let is_for_all =
        !failure.spares_others && matches!(failure.class, Class::RateLimited { .. } | Class::Conflict);
    is_for_all || failure.stops_every_request()
}

/// Returns the more severe of two failures. The handling of the more severe failure also covers the
/// less severe failure. A defect is the most severe failure. Of all other failures, a failure that
/// ends the run is more severe than one that lets the run continue.
pub(super) fn more_severe(first: Option<Failure>, second: Failure) -> Failure {
    let weight = |failure: &Failure| match failure.class {
        Class::Rejected => 0,
        Class::Retry if !failure.stops_every_request() => 1,
        Class::RateLimited { .. } if failure.spares_others => 2,
        Class::Retry => 3,
        Class::Conflict => 4,
        Class::RateLimited { .. } => 5,
        Class::Fatal => 6,
    };
    match first {
        Some(first) if weight(&first) >= weight(&second) => first,
        _ => second,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;

    #[test]
    fn a_limit_that_spares_other_requests_does_not_end_a_run_and_hides_no_failure_that_does() {
        let until = Time(1);
        let limited = Failure::new(Class::RateLimited { until, spares_events: false }, "all requests");
        let sparing = Failure { spares_others: true, ..Failure::new(limited.class, "creations") };
        let conflict = Failure::new(Class::Conflict, "somebody else wrote");
        let lost = Failure::new(Class::Retry, "no answer");
        let unsent = Failure { not_sent: true, ..Failure::new(Class::Retry, "no token") };
        assert!(ends_run(&limited) && ends_run(&conflict) && !ends_run(&sparing));
        assert!(ends_run(&unsent) && !ends_run(&lost));
        let unaddressable = Failure { not_sent: true, ..Failure::new(Class::Rejected, "invalid name") };
        assert!(!ends_run(&unaddressable), "other requests have other names");
        for (first, second, expected) in [
            (&sparing, &limited, &limited),
            (&limited, &sparing, &limited),
            (&sparing, &conflict, &conflict),
            (&lost, &sparing, &sparing),
            (&lost, &unsent, &unsent),
            (&unsent, &sparing, &unsent),
            (&unsent, &limited, &limited),
        ] {
            assert_eq!(more_severe(Some(first.clone()), second.clone()), *expected);
        }
    }
}
