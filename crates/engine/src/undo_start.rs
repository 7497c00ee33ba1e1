//! The start of an undo, in the forms that `beadle undo --since` and the pages accept. Beadle
//! undoes its writes from this start until now.

use std::time::Duration;

use crate::clock::Time;
use crate::span::parse_span;

/// The earliest time of the writes that Beadle undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoStart {
    /// The start is this long before now.
    Ago(Duration),
    /// The start is this time.
    At(Time),
}

impl UndoStart {
    /// Parses a duration such as `2h`, or a time in the form of RFC 3339 such as
    /// `2026-12-01T09:00:00Z`.
    ///
    /// # Errors
    ///
    /// Returns a text for people if `text` is neither a duration nor a time.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(span) = parse_span(text) {
            return Ok(Self::Ago(span));
        }
        let time = text.trim().parse::<jiff::Timestamp>().map_err(|_| {
            let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            format!(
                "invalid start `{shown}`: use a duration such as `2h` or `7d`, or a time such as `2026-12-01T09:00:00Z`"
            )
        })?;
        Ok(Self::At(Time(time.as_millisecond())))
    }

    /// Returns the start as a time. `now` is the present time.
    ///
    /// # Errors
    ///
    /// Returns a text for people if the time is in the future. Without this error, an undo with a
    /// wrong year would find no write, and would seem to have nothing to do.
    pub fn time(self, now: Time) -> Result<Time, String> {
        match self {
            Self::Ago(span) => Ok(now - span),
            Self::At(time) if time > now => Err(format!(
                "the start `{time}` of the undone time must not be in the future\nhint: it is {now} now"
            )),
            Self::At(time) => Ok(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undo_begins_at_a_time_or_a_duration_ago() {
        let now = Time(7_200_000);
        let start = |text: &str| UndoStart::parse(text).and_then(|start| start.time(now));
        assert_eq!(start("1h"), Ok(Time(3_600_000)));
        assert_eq!(start("1970-01-01T00:00:05Z"), Ok(Time(5_000)));
        assert_eq!(start("1970-01-01T02:00:05+02:00"), Ok(Time(5_000)), "another time zone");
        assert_eq!(start("1970-01-01T02:00:00Z"), Ok(now));
        // The journal shows times in this form.
        assert_eq!(start(&Time(5_900).to_string()), Ok(Time(5_000)));
        for wrong in ["", "yesterday", "1970-01-01", "1970-01-01T00:00:05"] {
            let why = start(wrong).unwrap_err();
            assert!(why.contains("`2026-12-01T09:00:00Z`"), "{wrong}: {why}");
        }
        for future in ["1970-01-01T02:00:01Z", "1970-01-01T01:30:00-01:00"] {
            let why = start(future).unwrap_err();
            assert!(why.contains("must not be in the future"), "{future}: {why}");
        }
    }
}
