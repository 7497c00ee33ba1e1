//! Defines when sweeps begin.

use beadle_engine::Time;

use crate::{Invalid, KeyPath, Span};

/// Defines when the sweeps of an organisation or a directory begin.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    /// The time between two sweeps. If this is `None` and `cron` is not set, `default` applies.
    pub(crate) every: Option<Span>,
    /// The default time between two sweeps.
    pub(crate) default: Span,
    /// A cron expression in UTC.
    pub(crate) cron: Option<&'a str>,
}

impl Schedule<'_> {
    /// Returns when the next sweep begins, if the last sweep began at `last`.
    pub fn next(&self, last: Time) -> Option<Time> {
        let Some(schedule) = self.cron else {
            return Some(last + self.every.unwrap_or(self.default).into());
        };
        // This error does not occur, because the program checks the expression when it starts.
        let schedule: croner::Cron = schedule.parse().ok()?;
        let last = jiff::Timestamp::from_millisecond(last.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        let next = schedule.find_next_occurrence(&last, false).ok()?;
        Some(Time(next.timestamp().as_millisecond()))
    }

    /// Checks the schedule. `table` is the path of the table with the schedule.
    pub(crate) fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        let at = table.key("schedule");
        match (self.cron, self.every) {
            (Some(_), Some(_)) => {
                let what = format!("`{at}` and `{}` exclude each other", table.key("sweep_every"));
                Err(Invalid::new(at, what).hint(Some("set only one of them".into())))
            }
            (Some(cron), None) => match cron.parse::<croner::Cron>() {
                // Such an expression names a day that does not exist, like 31 February.
                Ok(_) if self.next(Time(0)).is_none() => {
                    let rule = format!("match at least one date, found `{}`", cron.escape_debug());
                    Err(Invalid::must(at, &rule).hint(Some("use a value such as `0 3 * * *` (UTC)".into())))
                }
                Ok(_) => Ok(()),
                Err(error) => {
                    let rule = format!("be a cron expression, found `{}`: {error}", cron.escape_debug());
                    Err(Invalid::must(at, &rule).hint(Some("use a value such as `0 3 * * *` (UTC)".into())))
                }
            },
            (None, _) => Ok(()),
        }
    }
}
