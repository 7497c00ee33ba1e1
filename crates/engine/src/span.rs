//! Parses durations that people write, and shows durations to people. The configuration, the
//! command line and the intake on AWS all accept the same forms.

use std::time::Duration;

/// The names of each unit, with the length of the unit in milliseconds.
const UNITS: &[(&[&str], u64)] = &[
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60 * 1_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * 1_000),
    (&["d", "day", "days"], 24 * 3_600 * 1_000),
    (&["w", "week", "weeks"], 7 * 24 * 3_600 * 1_000),
];

/// The longest accepted duration, in milliseconds: 100 years. A longer duration is a mistake, and
/// adding it to a time would overflow.
const LONGEST: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// The units of a shown duration, with the length of each unit in seconds.
const SHOWN_UNITS: [(u64, &str); 3] = [(24 * 3_600, "days"), (3_600, "h"), (60, "min")];

/// Returns a duration as text, such as `90 s`, `60 min`, `24 h` or `7 days`. The unit is the
/// longest one that divides the duration without a remainder and fits into it at least twice.
pub fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let fits = |length: u64| seconds / length >= 2 && seconds.is_multiple_of(length);
    match SHOWN_UNITS.into_iter().find(|(length, _)| fits(*length)) {
        Some((length, unit)) => format!("{} {unit}", seconds / length),
        None => format!("{seconds} s"),
    }
}

/// Parses a duration such as `90s`, `36h 30m`, `192 hours` or `7d`. Each number is a whole number
/// with a unit, and the result is the sum.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        format!("invalid duration `{shown}`: use a value such as `90s`, `30m`, `2h` or `7d`")
    };
    let mut rest = text.trim();
    let mut sum = 0_u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (unit, after) = rest.split_at(letters);
        let known = UNITS.iter().find(|(names, _)| names.contains(&unit));
        let (_, milliseconds) = known.ok_or_else(wrong)?;
        let part = number.checked_mul(*milliseconds).ok_or_else(wrong)?;
        sum = sum.checked_add(part).filter(|sum| *sum <= LONGEST).ok_or_else(wrong)?;
        rest = after.trim_start();
    }
    Ok(Duration::from_millis(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_duration_has_the_longest_unit_that_is_exact() {
        for (seconds, expected) in [
            (0, "0 s"),
            (60, "60 s"),
            (90, "90 s"),
            (3_600, "60 min"),
            (5_400, "90 min"),
            (7_200, "2 h"),
            (86_400, "24 h"),
            (36 * 3_600, "36 h"),
            (7 * 86_400, "7 days"),
        ] {
            let span = Duration::from_secs(seconds);
            assert_eq!(span_text(span), expected);
            assert_eq!(parse_span(expected).unwrap(), span, "{expected}");
        }
    }

    #[test]
    fn a_duration_has_one_grammar() {
        for (text, seconds) in [
            ("90s", 90),
            ("0s", 0),
            ("36h 30m", 36 * 3_600 + 30 * 60),
            ("1h30m", 5_400),
            ("192 hours", 192 * 3_600),
            ("8d", 8 * 86_400),
            ("1 day 2 mins", 86_400 + 120),
            ("2w", 14 * 86_400),
        ] {
            assert_eq!(parse_span(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(parse_span("250ms").unwrap(), Duration::from_millis(250));
        for wrong in ["", " ", "9", "d", "9 moons", "-1s", "1.5h", "9 days ago", "1é", "213503982334602d"] {
            assert!(parse_span(wrong).unwrap_err().contains("invalid duration"), "{wrong}");
        }
    }
}
