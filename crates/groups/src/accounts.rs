//! Remembers the accounts that Beadle created, so that Beadle also checks an account whose person
//! is in no group any more.

use std::sync::Arc;

use beadle_engine::{Failure, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A person's account at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonAccount {
    /// The directory.
    pub(crate) source: String,
    /// The directory's id for the person.
    pub(crate) person: String,
    /// The target's id for the account.
    pub(crate) account: String,
    /// The sign-in name of the person, for people who read the note.
    pub(crate) login: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    account: String,
    login: String,
}

/// The remembered accounts. Without a store, Beadle remembers none.
#[derive(Clone, Default)]
pub(crate) struct Accounts(pub(crate) Option<Arc<dyn Store>>);

fn note(target: &str, source: &str, person: &str) -> String {
    beadle_engine::note("account", &[target, &format!("{source}/{person}")])
}

impl Accounts {
    pub(crate) async fn of(
        &self,
        target: &str,
        source: &str,
        person: &str,
    ) -> Result<Option<PersonAccount>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        let text = store.get(&note(target, source, person)).await?;
        Ok(text.and_then(|text| read(source, person, &text)))
    }

    pub(crate) async fn keep(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let kept = Kept { account: whose.account.clone(), login: whose.login.clone() };
        let name = note(target, &whose.source, &whose.person);
        Ok(store.put(&name, &json!(kept).to_string()).await?)
    }

    pub(crate) async fn forget(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(store.forget(&note(target, &whose.source, &whose.person)).await?)
    }

    /// Returns the remembered accounts of a target for people of a directory.
    pub(crate) async fn all(&self, target: &str, source: &str) -> Result<Vec<PersonAccount>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let prefix = note(target, source, "");
        let notes = store.notes(&prefix).await?;
        Ok(notes.iter().filter_map(|(name, text)| read(source, name.strip_prefix(&prefix)?, text)).collect())
    }
}

fn read(source: &str, person: &str, text: &str) -> Option<PersonAccount> {
    let Kept { account, login } = serde_json::from_str(text).ok()?;
    Some(PersonAccount { source: source.to_owned(), person: person.to_owned(), account, login })
}
