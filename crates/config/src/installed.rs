//! What the store has about the installations of an App. The task of the service writes it, and the
//! commands and the intake on AWS read it.

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

/// An installation of the App of `[installations]` in an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The login of the organisation.
    pub login: String,
    /// The id of the organisation at GitHub.
    pub organisation: u64,
    /// The id of the installation. A new installation in the same organisation has another id.
    pub installation: u64,
    /// What GitHub last reported about the installation.
    pub state: InstallationState,
    /// The time since which the installation has this state.
    pub since: Time,
}

/// What GitHub reports about an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstallationState {
    /// Beadle can work in the organisation.
    Active,
    /// An owner suspended the installation.
    Suspended,
    /// The App is no longer installed.
    Uninstalled,
}

impl InstallationState {
    /// Returns the state as a word for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Uninstalled => "uninstalled",
        }
    }
}

impl Metadata for Installed {
    const KIND: &'static str = "installation";
}

impl Installed {
    /// Returns the note about the installation of an App in an organisation.
    pub fn note(app: u64, organisation: u64) -> Note<Self> {
        Note::of(&[&app.to_string(), &organisation.to_string()])
    }

    /// Lists all known installations of an App, sorted by login.
    pub async fn of(app: u64, store: &dyn Store) -> Result<Vec<Self>, StoreError> {
        let all = Note::<Self>::of(&[&app.to_string(), ""]).list(store).await?;
        let mut all: Vec<Self> = all.into_iter().map(|(_, installed)| installed).collect();
        all.sort_by(|one, other| one.login.cmp(&other.login));
        Ok(all)
    }
}
