//! The stored installations of an App. A task of the service writes the list. The commands and the
//! intake on AWS read the list.

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

/// An installation of an App in an organisation. The App is the one in `[installations]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The login of the organisation.
    pub login: String,
    /// The id of the organisation at GitHub.
    pub organisation: u64,
    /// The id of the installation. A new installation in the same organisation has another id.
    pub installation: u64,
    /// The last state that GitHub reported.
    pub state: InstallationState,
    /// The time when the installation got this state.
    pub since: Time,
}

/// The state of an installation, as GitHub reports it.
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

/// All known installations of an App. The store keeps the installations in one note, because the
/// intake on AWS may read single items of the table, but may not list items.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AllInstalled(Vec<Installed>);

impl Metadata for AllInstalled {
    const KIND: &'static str = "installations";
}

impl AllInstalled {
    fn note(app: u64) -> Note<Self> {
        Note::of(&[&app.to_string()])
    }
}

impl Installed {
    /// Returns all known installations of an App, sorted by login.
    pub async fn all(app: u64, store: &dyn Store) -> Result<Vec<Self>, StoreError> {
        let stored = AllInstalled::note(app).get(store).await?;
        Ok(stored.map(|AllInstalled(all)| all).unwrap_or_default())
    }

    /// Stores all known installations of an App.
    pub async fn put_all(app: u64, mut all: Vec<Self>, store: &dyn Store) -> Result<(), StoreError> {
        all.sort_by(|one, other| one.login.cmp(&other.login));
        AllInstalled::note(app).put(store, &AllInstalled(all)).await
    }
}
