//! Parses the time of a report, such as `2026-12-01`.

use std::time::Duration;

use beadle_engine::Time;
use beadle_repositories::policy::parse_until;

/// The length of a date, such as `2026-12-01`.
const DATE: usize = 10;

/// Parses the moment of a report. A date means the last moment of this day in UTC. If this day has
/// not ended, the date means the present time. A time contains its time zone. The error explains
/// the valid forms.
pub(super) fn moment(text: &str, now: Time) -> Result<Time, String> {
    let time = parse_until(text).map_err(|must| format!("it must {must}"))?;
    if text.len() != DATE {
        return if time <= now { Ok(time) } else { Err("it is in the future".to_owned()) };
    }
    let last = time - Duration::from_millis(1);
    // `parse_until` returns the first moment of the next day.
    let first = time - Duration::from_secs(24 * 3600);
    if first <= now { Ok(last.min(now)) } else { Err("it is in the future".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_end_of_a_day_in_utc_and_a_time_is_itself() {
        let day = 24 * 3600 * 1000;
        let now = Time(10 * day + 5000);
        for (text, expected) in [
            ("1970-01-01", Some(day - 1)),
            ("1970-01-10", Some(10 * day - 1)),
            ("1970-01-11", Some(10 * day + 5000)),
            ("1970-01-12", None),
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T02:00:00+02:00", Some(0)),
            ("1970-01-11T00:00:05Z", Some(10 * day + 5000)),
            ("1970-01-11T00:00:06Z", None),
            ("1970-01-11T01:00:06+01:00", None),
            ("1970-01-01T00:00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(moment(text, now).ok(), expected.map(Time), "{text}");
        }
    }
}
