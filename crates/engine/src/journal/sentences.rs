//! Sentences for journal entries. The pages and the commands show the same sentences.

use std::fmt;

use super::detail::{ContestedAspect, RecoveryEnd, RefusedWebhook, SweepEnd};

/// The text is the second part of a sentence that begins with `sweep` or `sweep 12`.
impl fmt::Display for SweepEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        write!(
            f,
            "ended after {} s: {} checked, {} drifted, {} repaired, {} held, {} failed, {} unknown",
            self.took_s,
            summary.checked,
            summary.drifted,
            summary.repaired,
            summary.held,
            summary.failed,
            summary.unknown
        )
    }
}

impl fmt::Display for RecoveryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.recovered;
        write!(
            f,
            "looked for missed webhooks since {}: {} marked, {} sent again, {} known, {} given up",
            self.since, found.marked, found.redelivered, found.known, found.given_up
        )?;
        if found.beyond {
            f.write_str("; GitHub's log does not reach back to this time")?;
        }
        Ok(())
    }
}

impl fmt::Display for ContestedAspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = format!("{} {}", self.aspect, self.what);
        let times = if self.times == 1 { "time" } else { "times" };
        let now = if self.held { "the change is held" } else { "Beadle writes it at growing intervals" };
        let (what, count) = (what.trim_end(), self.times);
        write!(f, "{what} is contested: Beadle wrote it {count} {times} within an hour; {now}")
    }
}

impl fmt::Display for RefusedWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused a webhook whose sender is not configured, with status {}", self.status)
    }
}
