//! The types of the whole configuration file. An unknown key is an error, and the error text names
//! the most similar known key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Limits;
use serde::Deserialize;

use crate::{
    ConfigError, GroupsFile, InstallationsFile, NotifyFile, OktaFile, OrgFile, SignInFile, Source, Span,
    TargetFile, TracesFile,
};

/// The whole content of `beadle.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where Beadle keeps its own state.
    #[serde(default)]
    pub store: StoreFile,
    /// The listeners of `beadle serve`.
    #[serde(default)]
    pub server: ServerFile,
    /// The age at which Beadle deletes stored data.
    #[serde(default)]
    pub retention: RetentionFile,
    /// How often Beadle searches for missed webhooks.
    #[serde(default)]
    pub recovery: RecoveryFile,
    /// How many keys Beadle works on at the same time, and how long a claim is valid.
    #[serde(default)]
    pub worker: WorkerFile,
    /// The GitHub organisations.
    #[serde(default)]
    pub org: Vec<Arc<OrgFile>>,
    /// The rules for organisations that install the App and have no `[[org]]`.
    pub installations: Option<InstallationsFile>,
    /// The directories, which are Okta organisations.
    #[serde(default)]
    pub okta: Vec<Arc<OktaFile>>,
    /// The targets. Beadle manages the groups of the targets.
    #[serde(default)]
    pub target: Vec<Arc<TargetFile>>,
    /// The mappings from groups of a directory to groups of a target.
    #[serde(default)]
    pub groups: Vec<GroupsFile>,
    /// Paths of files that contain only further `[[groups]]`. If one of these files changes, the
    /// running service reads the file again.
    #[serde(default)]
    pub groups_from: Vec<PathBuf>,
    /// The channels that get notifications.
    #[serde(default)]
    pub notify: Vec<Arc<NotifyFile>>,
    /// The export of traces. Without this table, Beadle makes no traces.
    pub traces: Option<TracesFile>,
}

impl File {
    /// Parses and checks a configuration file. The function reads no secrets, and none of the files
    /// that `groups_from` names.
    pub fn parse(source: &Source) -> Result<Self, ConfigError> {
        let file: Self = source.parse()?;
        file.check().map_err(|invalid| source.error(invalid))?;
        Ok(file)
    }

    /// Returns the targets whose groups are the teams of this organisation.
    pub fn teams_of(&self, org: &str) -> impl Iterator<Item = &Arc<TargetFile>> {
        let is_its =
            move |target: &&Arc<TargetFile>| target.github.as_ref().is_some_and(|teams| teams.org == org);
        self.target.iter().filter(is_its)
    }

    /// Returns the longest window of all guards in the file.
    pub fn longest_window(&self) -> Duration {
        let orgs = self.org.iter().map(|org| org.limits().window);
        let all = orgs.chain(self.target.iter().map(|target| target.limits().window));
        all.max().unwrap_or_else(|| Limits::default().window)
    }
}

/// `[store]`: where Beadle keeps its own state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreFile {
    /// The path of an SQLite file, `dynamodb://TABLE`, or `postgres://USER@HOST/DATABASE`.
    pub path: String,
    /// The maximum size of the file, in MiB. When the file has reached this size, Beadle answers
    /// webhooks with 503.
    pub max_mib: Option<u64>,
}

impl Default for StoreFile {
    fn default() -> Self {
        Self { path: "beadle.db".into(), max_mib: None }
    }
}

/// `[server]`: the listeners of `beadle serve`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerFile {
    /// The address of the public listener, which receives webhooks.
    pub listen: SocketAddr,
    /// The address of the operator listener.
    pub operator: SocketAddr,
    /// A reference to the token that callers of the operator listener must send.
    pub operator_token: Option<String>,
    /// How people sign in to the pages. Without a sign-in, the pages show the state and change
    /// nothing.
    pub sign_in: Option<SignInFile>,
    /// The maximum total size of the webhook bodies that Beadle receives at the same time, in MiB.
    pub in_flight_mib: u64,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            operator: ([127, 0, 0, 1], 8081).into(),
            operator_token: None,
            sign_in: None,
            in_flight_mib: 128,
        }
    }
}

/// `[retention]`: the age at which Beadle deletes stored data.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionFile {
    /// How long Beadle keeps the bodies of deliveries.
    pub bodies: Span,
    /// How long Beadle keeps the ids of deliveries.
    pub ids: Span,
    /// How long Beadle keeps the journal entries.
    pub journal: Span,
}

impl Default for RetentionFile {
    fn default() -> Self {
        Self { bodies: Span::from_days(8), ids: Span::from_days(30), journal: Span::from_days(400) }
    }
}

/// `[recovery]`: how often Beadle searches for missed webhooks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecoveryFile {
    /// The time between two searches.
    pub every: Span,
}

impl Default for RecoveryFile {
    fn default() -> Self {
        Self { every: Span::from_seconds(900) }
    }
}

/// `[worker]`: how Beadle works on keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerFile {
    /// The maximum number of keys that Beadle runs at the same time.
    pub concurrency: usize,
    /// How long a claim of a key is valid if the worker does not renew it.
    pub lease: Span,
}

impl Default for WorkerFile {
    fn default() -> Self {
        Self { concurrency: 64, lease: Span::from_seconds(60) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use beadle_engine::{Mode, Time};

    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let file = File::parse(&Source::new(Path::new("beadle.toml"), crate::EXAMPLE)).unwrap();
        assert_eq!(file.org.len(), 1);
        assert_eq!(file.org[0].mode, Mode::Observe, "a new organisation observes");
    }

    #[test]
    fn by_default_every_part_is_read_within_a_day() {
        let text = "[[org]]\nname = \"acme\"\ntoken = \"env:T\"\npolicy = \"p\"\n";
        let file = File::parse(&Source::new(Path::new("beadle.toml"), text)).unwrap();
        let next = file.org[0].schedule().next(Time(0)).unwrap();
        assert_eq!(next, Time::from_seconds(2 * 3600));
        assert_eq!(next + file.org[0].reread(), Time::from_seconds(24 * 3600));
    }
}
