//! `[[notify]]`: the channels that get notifications.

use beadle_engine::Time;
use beadle_engine::notify::{ProblemKind, Rules};
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::{NotifyEmailFile, Span};

/// The default time zone of quiet hours.
const UTC: &str = "UTC";

/// `[[notify]]`: one channel. It has exactly one of `slack`, `teams`, `webhook`, `email` and
/// `github`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyFile {
    /// The name of the channel in the store, in logs and in metrics.
    pub name: String,
    /// A reference to the address of a Slack incoming webhook.
    pub slack: Option<String>,
    /// A reference to the webhook address of a Teams workflow.
    pub teams: Option<String>,
    /// Any other receiver of webhooks.
    pub webhook: Option<NotifyWebhookFile>,
    /// E-mail.
    pub email: Option<NotifyEmailFile>,
    /// The repository where Beadle opens one issue for each topic.
    pub github: Option<NotifyIssuesFile>,
    /// The template for the title of each topic. The default is Beadle's own title.
    pub title: Option<String>,
    /// The template of the text below the title. The default is Beadle's own text.
    pub body: Option<String>,
    /// The kinds of problems that Beadle reports to the channel. The default is all kinds.
    pub only: Option<Vec<ProblemKind>>,
    /// The time of the day when the channel gets no message, such as `22:00-07:00`.
    pub quiet_hours: Option<QuietHours>,
    /// The time zone of `quiet_hours`, such as `Europe/London`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// How long the problems must stay the same before Beadle makes a message.
    #[serde(default = "half_a_minute")]
    pub settle: Span,
    /// The maximum number of messages in an hour.
    #[serde(default = "twenty")]
    pub most_per_hour: usize,
}

/// `webhook` of a channel: a receiver that checks signatures.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyWebhookFile {
    /// A reference to the address of the receiver.
    pub url: String,
    /// References to the secrets that Beadle uses to sign each message.
    pub secrets: Vec<String>,
}

/// `github` of a channel: a repository for issues.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyIssuesFile {
    /// The name of the `[[org]]` that owns the repository. Beadle uses the App of this
    /// organisation.
    pub org: String,
    /// The name of the repository.
    pub repository: String,
}

/// A daily period, from one minute of the day to another minute of the day. It can contain
/// midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct QuietHours {
    from: u16,
    to: u16,
}

impl QuietHours {
    /// Returns whether a minute of the day is in the period.
    fn contains(self, minute: u16) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl TryFrom<String> for QuietHours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let period = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
        match period {
            Some((from, to)) if from != to => Ok(Self { from, to }),
            _ => Err(format!("invalid period `{}`: use a value such as `22:00-07:00`", text.escape_debug())),
        }
    }
}

/// Returns the minute of the day for a time such as `22:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str, below: u16| {
        let is_number = text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| is_number && *number < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

impl NotifyFile {
    /// Returns the rules for making messages.
    pub fn rules(&self) -> Rules {
        let kinds = match &self.only {
            Some(only) => only.iter().copied().collect(),
            None => ProblemKind::ALL.into(),
        };
        Rules { kinds, settle: self.settle.into(), most_per_hour: self.most_per_hour }
    }

    /// Returns whether a time is in the quiet hours.
    pub fn is_quiet(&self, now: Time) -> bool {
        let Some(quiet) = self.quiet_hours else { return false };
        // These errors do not occur, because the program checks the time zone when it starts.
        let Some(zone) = self.zone() else { return false };
        let Ok(timestamp) = jiff::Timestamp::from_millisecond(now.0) else { return false };
        let local = timestamp.to_zoned(zone);
        let number = |part: i8| u16::try_from(part).unwrap_or(0);
        quiet.contains(number(local.hour()) * 60 + number(local.minute()))
    }

    /// Returns the time zone of the quiet hours; `None` if the machine does not know the time zone.
    /// UTC needs no time zone database.
    pub(crate) fn zone(&self) -> Option<TimeZone> {
        if self.time_zone == UTC { Some(TimeZone::UTC) } else { TimeZone::get(&self.time_zone).ok() }
    }

    /// Returns the references to all secrets of the channel.
    pub fn references(&self) -> impl Iterator<Item = &String> {
        let webhook =
            self.webhook.iter().flat_map(|webhook| [&webhook.url].into_iter().chain(&webhook.secrets));
        let email = self.email.iter().flat_map(NotifyEmailFile::references);
        self.slack.iter().chain(&self.teams).chain(webhook).chain(email)
    }
}

fn utc() -> String {
    UTC.into()
}

fn half_a_minute() -> Span {
    Span::from_seconds(30)
}

fn twenty() -> usize {
    20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_digits_make_an_hour_or_a_minute() {
        for (text, minutes) in [("00:00", Some(0)), ("23:59", Some(1439)), (" 07:30 ", Some(450))] {
            assert_eq!(minute(text), minutes, "{text}");
        }
        for text in ["24:00", "12:60", "7:30", "+7:30", "0730", "", "12:3a"] {
            assert_eq!(minute(text), None, "{text}");
        }
    }
}
