//! Checks the channels of notifications, and lists their secrets.

use std::time::Duration;

use beadle_secrets::Reference;

use crate::{File, Invalid, KeyPath, NotifyFile, NotifyIssuesFile, did_you_mean};

/// The limits of the key `settle`, which sets how long problems must stay the same before Beadle
/// makes a message. If this time could be zero, a problem that comes and goes would cause a message
/// each time.
const SHORTEST_SETTLE: Duration = Duration::from_secs(1);
const LONGEST_SETTLE: Duration = Duration::from_secs(3600);

impl File {
    /// Checks the channels of notifications.
    pub(crate) fn check_notify(&self) -> Result<(), Invalid> {
        for (entry, channel) in self.notify.iter().enumerate() {
            let table = KeyPath::new("notify").entry(entry);
            channel.check(&table)?;
            if let Some(issues) = &channel.github {
                self.check_issues(issues, table.key("github").key("org"))?;
            }
            if self.notify[..entry].iter().any(|other| other.name.eq_ignore_ascii_case(&channel.name)) {
                let found = channel.name.escape_debug();
                let rule = format!("differ from the names of all other channels, found `{found}` twice");
                return Err(Invalid::must(table.key("name"), &rule));
            }
        }
        Ok(())
    }

    fn check_issues(&self, issues: &NotifyIssuesFile, at: KeyPath) -> Result<(), Invalid> {
        let found = issues.org.escape_debug();
        match self.org.iter().find(|org| org.name == issues.org) {
            None => {
                let what = format!("`{at}`: there is no [[org]] `{found}`");
                let names = self.org.iter().map(|org| org.name.as_str());
                Err(Invalid::new(at, what).hint(did_you_mean(&issues.org, names)))
            }
            Some(org) if org.app.is_none() => {
                let rule = format!("name an [[org]] with an App, found `{found}`, which has a token");
                let hint = "Beadle recognises its own issues by the App";
                Err(Invalid::must(at, &rule).hint(Some(hint.into())))
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns the references to the secrets of all channels of notifications.
    pub fn notify_references(&self) -> Vec<Reference> {
        let all = self.notify.iter().flat_map(|channel| channel.references());
        all.filter_map(|reference| reference.parse().ok()).collect()
    }
}

impl NotifyFile {
    fn check(&self, table: &KeyPath) -> Result<(), Invalid> {
        let name = table.key("name");
        let shown = self.name.escape_debug();
        if self.name.is_empty()
            || self.name.contains([':', '/', ' '])
            || self.name.chars().any(char::is_control)
        {
            let rule =
                format!("not be empty and not have `:`, `/`, a blank or control characters, found `{shown}`");
            return Err(Invalid::must(name, &rule));
        }
        let kinds = [
            ("slack", self.slack.is_some()),
            ("teams", self.teams.is_some()),
            ("webhook", self.webhook.is_some()),
            ("email", self.email.is_some()),
            ("github", self.github.is_some()),
        ];
        let mut set = kinds.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key);
        match (set.next(), set.next()) {
            (None, _) => {
                let what = format!(
                    "channel `{shown}` has no receiver: set `slack`, `teams`, `webhook`, `email` or `github`"
                );
                return Err(Invalid::new(table.clone(), what));
            }
            (Some(one), Some(other)) => {
                let what = format!("channel `{shown}` has both `{one}` and `{other}`: set only one of them");
                return Err(Invalid::new(table.key(other), what));
            }
            (Some(_), None) => {}
        }
        self.check_references(table)?;
        if self.only.as_ref().is_some_and(Vec::is_empty) {
            let hint = "leave the key out to get notifications of all kinds";
            return Err(Invalid::must(table.key("only"), "not be empty").hint(Some(hint.into())));
        }
        if self.quiet_hours.is_some() && self.zone().is_none() {
            let found = self.time_zone.escape_debug();
            let rule = format!("be a time zone that this machine knows, found `{found}`");
            let hint = "use a name such as `Europe/London`, and install the time zone database (tzdata)";
            return Err(Invalid::must(table.key("time_zone"), &rule).hint(Some(hint.into())));
        }
        if Duration::from(self.settle) < SHORTEST_SETTLE {
            return Err(Invalid::must(table.key("settle"), "be at least `1s`"));
        }
        if Duration::from(self.settle) > LONGEST_SETTLE {
            return Err(Invalid::must(table.key("settle"), "be at most `1h`"));
        }
        if self.most_per_hour == 0 {
            return Err(Invalid::must(table.key("most_per_hour"), "be at least 1, found 0"));
        }
        Ok(())
    }

    fn check_references(&self, table: &KeyPath) -> Result<(), Invalid> {
        let check = |at: KeyPath, reference: &str| match reference.parse::<Reference>() {
            Ok(_) => Ok(()),
            Err(error) => {
                let what = format!("`{at}`: {error}");
                Err(Invalid::new(at, what))
            }
        };
        for (key, reference) in [("slack", &self.slack), ("teams", &self.teams)] {
            if let Some(reference) = reference {
                check(table.key(key), reference)?;
            }
        }
        if let Some(email) = &self.email {
            email.check(&table.key("email"))?;
        }
        let Some(webhook) = &self.webhook else { return Ok(()) };
        let (table, at) = (table.key("webhook"), table.key("webhook").key("secrets"));
        check(table.key("url"), &webhook.url)?;
        if webhook.secrets.is_empty() || webhook.secrets.len() > 2 {
            let rule = format!("have 1 or 2 secrets, found {}", webhook.secrets.len());
            let hint = "Beadle signs with two secrets while one replaces the other";
            return Err(Invalid::must(at, &rule).hint(Some(hint.into())));
        }
        for (entry, reference) in webhook.secrets.iter().enumerate() {
            check(at.entry(entry), reference)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::Time;

    use super::*;
    use crate::{ConfigError, Source};

    fn parse(channel: &str) -> Result<File, ConfigError> {
        let org = "[[org]]\nname = \"acme\"\npolicy = \"p\"\ntoken = \"env:T\"\n";
        let text = format!("{org}[[notify]]\n{channel}\n");
        File::parse(&Source::new(Path::new("beadle.toml"), text))
    }

    #[test]
    fn a_channel_has_one_receiver_and_references_in_place_of_secrets() {
        for fine in [
            "name = \"ops\"\nslack = \"env:S\"",
            "name = \"ops\"\nteams = \"env:S\"\nonly = [\"held\", \"policy-rejected\"]",
            "name = \"ops\"\nwebhook = { url = \"env:U\", secrets = [\"env:A\", \"env:B\"] }",
            "name = \"ops\"\nslack = \"env:S\"\nquiet_hours = \"22:00-07:00\"\nsettle = \"2m\"",
        ] {
            let parsed = parse(fine);
            assert!(parsed.is_ok(), "{fine}: {}", parsed.unwrap_err());
        }
        for (wrong, said) in [
            ("name = \"ops\"", "beadle.toml:5: channel `ops` has no receiver"),
            (
                "name = \"ops\"\nslack = \"env:S\"\nteams = \"env:S\"",
                ":8: channel `ops` has both `slack` and `teams`",
            ),
            ("name = \"o p\"\nslack = \"env:S\"", ":6: `notify.name` must not be empty and not have"),
            (
                "name = \"ops\"\nslack = \"https://hunter2\"",
                ":7: `notify.slack`: a secret must be a reference",
            ),
            (
                "name = \"ops\"\nwebhook = { url = \"env:U\", secrets = [] }",
                "`notify.webhook.secrets` must have 1 or 2 secrets, found 0",
            ),
            (
                "name = \"ops\"\nwebhook = { url = \"env:U\", secrets = [\"hunter2\"] }",
                "`notify.webhook.secrets`: a secret must be a reference",
            ),
            ("name = \"ops\"\nslack = \"env:S\"\nonly = []", "`notify.only` must not be empty"),
            ("name = \"ops\"\nslack = \"env:S\"\nonly = [\"holds\"]", "found `holds`"),
            ("name = \"ops\"\nslack = \"env:S\"\nquiet_hours = \"22-7\"", "invalid period `22-7`"),
            (
                "name = \"ops\"\nslack = \"env:S\"\nquiet_hours = \"22:00-07:00\"\ntime_zone = \"Mars/Base\"",
                "`notify.time_zone` must be a time zone that this machine knows",
            ),
            ("name = \"ops\"\nslack = \"env:S\"\nsettle = \"2h\"", "`notify.settle` must be at most `1h`"),
            ("name = \"ops\"\nslack = \"env:S\"\nsettle = \"0s\"", "`notify.settle` must be at least `1s`"),
            (
                "name = \"ops\"\nslack = \"env:S\"\nmost_per_hour = 0",
                "`notify.most_per_hour` must be at least 1",
            ),
            (
                "name = \"ops\"\ngithub = { org = \"acne\", repository = \"ops\" }",
                ":7: `notify.github.org`: there is no [[org]] `acne`\nhint: did you mean `acme`?",
            ),
            (
                "name = \"ops\"\ngithub = { org = \"acme\", repository = \"ops\" }",
                "`notify.github.org` must name an [[org]] with an App, found `acme`, which has a token",
            ),
            (
                "name = \"ops\"\nslack = \"env:S\"\n[[notify]]\nname = \"OPS\"\nslack = \"env:S\"",
                ":9: `notify.name` must differ from the names of all other channels",
            ),
        ] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("hunter2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn quiet_hours_can_contain_midnight_and_follow_their_time_zone() {
        let quiet = |hours: &str, zone: &str, at: &str| {
            let channel =
                format!("name = \"o\"\nslack = \"env:S\"\nquiet_hours = \"{hours}\"\ntime_zone = \"{zone}\"");
            let timestamp: jiff::Timestamp = at.parse().unwrap();
            parse(&channel).unwrap().notify[0].is_quiet(Time(timestamp.as_millisecond()))
        };
        for (hours, at, is_quiet) in [
            ("22:00-07:00", "2026-01-10T21:59:59Z", false),
            ("22:00-07:00", "2026-01-10T22:00:00Z", true),
            ("22:00-07:00", "2026-01-11T06:59:00Z", true),
            ("22:00-07:00", "2026-01-11T07:00:00Z", false),
            ("12:30-13:15", "2026-01-11T13:14:59Z", true),
            ("12:30-13:15", "2026-01-11T13:15:00Z", false),
        ] {
            assert_eq!(quiet(hours, "UTC", at), is_quiet, "{hours}, {at}");
        }
        assert!(parse("name = \"o\"\nslack = \"env:S\"").unwrap().notify[0].quiet_hours.is_none());
    }
}
