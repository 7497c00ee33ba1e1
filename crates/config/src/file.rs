//! The shape of the whole file. An unknown key is an error, with the most similar known key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::Limits;
use serde::Deserialize;

use crate::{ConfigError, GroupsFile, OktaFile, OrgFile, Source, Span, TargetFile};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The place of the state.
    #[serde(default)]
    pub store: StoreFile,
    /// The listeners of `beadle serve`.
    #[serde(default)]
    pub server: ServerFile,
    /// The age at which Beadle deletes stored data.
    #[serde(default)]
    pub retention: RetentionFile,
    /// The search for missed webhooks.
    #[serde(default)]
    pub recovery: RecoveryFile,
    /// Parallel work and claims.
    #[serde(default)]
    pub worker: WorkerFile,
    /// Organisations of GitHub.
    #[serde(default)]
    pub org: Vec<Arc<OrgFile>>,
    /// Directories.
    #[serde(default)]
    pub okta: Vec<Arc<OktaFile>>,
    /// Targets of groups.
    #[serde(default)]
    pub target: Vec<Arc<TargetFile>>,
    /// Mappings from a directory to a target.
    #[serde(default)]
    pub groups: Vec<GroupsFile>,
    /// Files that have only further `[[groups]]`. The service applies changes of them as it runs.
    #[serde(default)]
    pub groups_from: Vec<PathBuf>,
}

impl File {
    /// Parses and checks a file. It reads no secret and no further file.
    pub fn parse(source: &Source) -> Result<Self, ConfigError> {
        let file: Self = source.parse()?;
        file.check().map_err(|invalid| source.error(invalid))?;
        Ok(file)
    }

    /// Returns the targets that are teams of an organisation.
    pub fn teams_of(&self, org: &str) -> impl Iterator<Item = &Arc<TargetFile>> {
        let is_its =
            move |target: &&Arc<TargetFile>| target.github.as_ref().is_some_and(|teams| teams.org == org);
        self.target.iter().filter(is_its)
    }

    /// Returns the longest window of a guard.
    pub fn longest_window(&self) -> Duration {
        let orgs = self.org.iter().map(|org| org.limits().window);
        let all = orgs.chain(self.target.iter().map(|target| target.limits().window));
        all.max().unwrap_or_else(|| Limits::default().window)
    }
}

/// `[store]`: the place of the state.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreFile {
    /// A file, or `dynamodb://TABLE`.
    pub path: String,
    /// The largest size of the file, in MiB. If the file is full, Beadle answers webhooks with 503.
    pub max_mib: Option<u64>,
}

impl Default for StoreFile {
    fn default() -> Self {
        Self { path: "beadle.db".into(), max_mib: None }
    }
}

/// `[server]`: the listeners of `beadle serve`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerFile {
    /// The listener for webhooks.
    pub listen: SocketAddr,
    /// The operator listener.
    pub operator: SocketAddr,
    /// A reference to the token that a caller of the operator listener must send.
    pub operator_token: Option<String>,
    /// The total size of the webhook bodies that Beadle receives at the same time, in MiB.
    pub in_flight_mib: u64,
}

impl Default for ServerFile {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            operator: ([127, 0, 0, 1], 8081).into(),
            operator_token: None,
            in_flight_mib: 128,
        }
    }
}

/// `[retention]`: the age at which Beadle deletes stored data.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionFile {
    /// The age of the bodies of deliveries.
    pub bodies: Span,
    /// The age of the ids of deliveries.
    pub ids: Span,
    /// The age of entries of the journal.
    pub journal: Span,
}

impl Default for RetentionFile {
    fn default() -> Self {
        Self { bodies: Span::from_days(8), ids: Span::from_days(30), journal: Span::from_days(400) }
    }
}

/// `[recovery]`: the search for missed webhooks.
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

/// `[worker]`: parallel work and claims.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerFile {
    /// The number of keys on which Beadle works at the same time.
    pub concurrency: usize,
    /// How long a claim holds without a renewal.
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

    use beadle_engine::Mode;

    use super::*;

    #[test]
    fn the_example_is_a_configuration() {
        let file = File::parse(&Source::new(Path::new("beadle.toml"), crate::EXAMPLE)).unwrap();
        assert_eq!(file.org.len(), 1);
        assert_eq!(file.org[0].mode, Mode::Observe, "a new organisation observes");
    }
}
