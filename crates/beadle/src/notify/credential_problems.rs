//! Finds the credentials that end soon or that a vendor denies.

use beadle_engine::Time;
use beadle_engine::notify::{Problem, ProblemKind, Topic};

use crate::app::groups::target::TOKEN_DAYS;
use crate::app::service::Service;
use crate::notify::problem::{FAILING, problem};

/// Numbers of days before a credential ends. Beadle reports a new problem when the remaining time
/// reaches one of these numbers.
const DAYS: [i64; 4] = [0, 1, 7, TOKEN_DAYS];

/// Returns the problems of all credentials.
pub(super) fn find(service: &Service, now: Time) -> Vec<Problem> {
    let mut found: Vec<Problem> = Vec::new();
    found.extend(service.directories.targets.values().filter_map(|target| {
        let days = target.token_days(service.clock())?;
        ending(&target.file.name, days)
    }));
    let credentials = service.credentials();
    found.extend(credentials.iter().filter_map(|(instance, of)| denied(instance, of.denied_since(), now)));
    found
}

/// Returns the problem of a credential that ends in this number of days. There is a new problem for
/// each number in [`DAYS`].
fn ending(target: &str, days: i64) -> Option<Problem> {
    let reached = DAYS.into_iter().find(|reached| days <= *reached)?;
    let what = match days {
        ..0 => "the token has expired".to_owned(),
        0 => "the token expires today".to_owned(),
        1 => "the token expires in 1 day".to_owned(),
        _ => format!("the token expires in {days} days"),
    };
    Some(problem(Topic::new(ProblemKind::CredentialEnds, target), &reached.to_string(), target, what, ""))
}

/// Returns the problem of a credential that the vendor has denied for a minute. All keys of the
/// instance then wait. No key is parked and no background task fails, so no other problem reports
/// the denial.
fn denied(instance: &str, since: Option<Time>, now: Time) -> Option<Problem> {
    let since = since.filter(|since| *since > now || now.since(*since) >= FAILING)?;
    let what = format!("the vendor has denied the credential since {since}, so all keys wait");
    Some(problem(Topic::new(ProblemKind::CredentialEnds, instance), "denied", instance, what, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_becomes_a_new_problem_when_its_end_comes_nearer() {
        let id = |days| ending("aws", days).map(|problem| problem.id);
        assert_eq!(id(31), None);
        for (days, reached) in [(30, "30"), (8, "30"), (7, "7"), (1, "1"), (0, "0"), (-3, "0")] {
            assert_eq!(id(days).as_deref(), Some(reached), "{days}");
        }
        assert_eq!(ending("aws", 1).unwrap().what, "the token expires in 1 day");
    }

    #[test]
    fn a_credential_that_is_denied_for_a_minute_is_a_problem() {
        let now = Time::from_seconds(1000);
        for (since, is_problem) in [(None, false), (Some(950), false), (Some(940), true), (Some(2000), true)]
        {
            let found = denied("corp", since.map(Time::from_seconds), now);
            assert_eq!(found.is_some(), is_problem, "{since:?}");
        }
        let found = denied("corp", Some(Time(0)), now).unwrap();
        assert_eq!(found.topic, Topic::new(ProblemKind::CredentialEnds, "corp"));
        assert!(found.what.starts_with("the vendor has denied the credential since 1970"), "{}", found.what);
        assert_ne!(found.id, ending("corp", 0).unwrap().id, "a denied token and its end are two problems");
    }
}
