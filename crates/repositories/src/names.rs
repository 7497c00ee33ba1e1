//! Remembers the id that each name of a policy meant. Beadle follows a renamed login or slug by its
//! id. A new owner of the name gets nothing until an operator confirms it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::{Asked, Store, StoreError, note};

/// The kind of thing that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named {
    /// A team, by its slug.
    Team,
    /// An account, by its login.
    User,
}

impl Named {
    /// As stored and printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User => "user",
        }
    }
}

/// Remembers the ids behind the names of one organisation's policy. Without a store nothing is
/// remembered.
pub struct Names {
    store: Option<Arc<dyn Store>>,
    organisation: String,
    /// Only looks at what is remembered.
    looks_only: bool,
    known: Mutex<HashMap<String, u64>>,
}

impl Names {
    /// For one organisation.
    pub fn new(store: Option<Arc<dyn Store>>, organisation: &str) -> Self {
        let organisation = organisation.to_lowercase();
        Self { store, organisation, looks_only: false, known: Mutex::default() }
    }

    /// From now on remembers no name that is new.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    fn note(&self, named: Named, name: &str) -> String {
        note("name", &[&self.organisation, named.as_str(), &name.to_lowercase()])
    }

    /// The id that a name had, if it is remembered.
    pub async fn remembered(&self, named: Named, name: &str) -> Result<Option<u64>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        let id = store.get(&self.note(named, name)).await?;
        Ok(id.and_then(|id| id.parse().ok()))
    }

    /// Whether a name that resolves to `id` now still means the same; remembers it where it is new.
    /// Gives the id that it meant before where it is another one.
    pub async fn meant_before(&self, named: Named, name: &str, id: u64) -> Result<Option<u64>, StoreError> {
        let note = self.note(named, name);
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&note) == Some(&id) {
            return Ok(None);
        }
        match self.remembered(named, name).await? {
            Some(before) if before != id => return Ok(Some(before)),
            Some(_) => {}
            None if self.looks_only => {}
            None => self.confirm(named, name, id).await?,
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(note, id);
        Ok(None)
    }

    /// From now on the name means `id`.
    pub async fn confirm(&self, named: Named, name: &str, id: u64) -> Result<(), StoreError> {
        match &self.store {
            Some(store) => store.put(&self.note(named, name), &id.to_string()).await,
            None => Ok(()),
        }
    }

    /// The report of a name that has another owner now, with the line of the policy; `None` if it
    /// has the same one.
    pub async fn another_owner(
        &self,
        named: Named,
        name: &str,
        id: u64,
        asked: Option<&Asked>,
    ) -> Result<Option<String>, StoreError> {
        let Some(before) = self.meant_before(named, name, id).await? else { return Ok(None) };
        let text = self.taken(named, name, before, id);
        Ok(Some(match asked {
            Some(asked) => format!("{text} ({asked})"),
            None => text,
        }))
    }

    fn taken(&self, named: Named, name: &str, before: u64, now: u64) -> String {
        let what = named.as_str();
        format!(
            "{what} `{name}` had the id {before} and is another {what} now, with the id {now}; if this one is meant, run `beadle \
             adopt {} --{what} {name}`",
            self.organisation
        )
    }
}
