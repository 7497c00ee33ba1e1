//! The stored facts about the last sweep of an organisation or a directory.

use std::fmt::Write as _;

use beadle_engine::{Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

use crate::config::OrgConfig;

/// The last sweep of an organisation or a directory. The stored form is `TIME SWEPT`.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub(crate) struct LastSweep {
    pub(crate) at: Time,
    /// The generation that the sweep used. For an organisation, the text also contains the modes.
    pub(crate) swept: String,
}

impl Metadata for LastSweep {
    const KIND: &'static str = "sweep";
    const IS_PLAIN: bool = true;
}

impl LastSweep {
    /// Returns the note about an organisation or a directory.
    pub(crate) fn note(instance: &str) -> Note<Self> {
        Note::of(&[instance])
    }

    /// Returns the modes of the service at the start of the sweep.
    pub(crate) fn modes(&self) -> Option<&str> {
        self.swept.split_once(' ').map(|(_, modes)| modes)
    }

    /// Records that a new generation needs no separate sweep, because all affected keys are due. If
    /// the last sweep did not use the previous generation, a sweep is still needed.
    pub(crate) async fn follow(
        store: &dyn Store,
        file: &OrgConfig,
        before: &str,
        generation: &str,
    ) -> Result<(), StoreError> {
        let note = Self::note(&file.name);
        let Some(last) = note.get(store).await? else { return Ok(()) };
        if last.swept != swept(before, file) {
            return Ok(());
        }
        note.put(store, &Self { swept: swept(generation, file), ..last }).await
    }
}

impl From<LastSweep> for String {
    fn from(last: LastSweep) -> Self {
        format!("{} {}", last.at.0, last.swept)
    }
}

impl From<String> for LastSweep {
    fn from(text: String) -> Self {
        let (at, swept) = text.split_once(' ').unwrap_or_default();
        Self { at: Time(at.parse().unwrap_or(0)), swept: swept.to_owned() }
    }
}

/// Returns the generation and the modes of an organisation as the stored text.
pub(crate) fn swept(generation: &str, file: &OrgConfig) -> String {
    format!("{generation} {}", modes(file))
}

/// Returns the modes of an organisation as text.
pub(crate) fn modes(file: &OrgConfig) -> String {
    let mut modes = file.mode.to_string();
    for (aspect, mode) in &file.modes {
        let _ = write!(modes, " {aspect}={mode}"); // writing to a string does not fail
    }
    modes
}
