//! Remembers the accounts that Beadle created. With this record, Beadle can also check the account
//! of a person who is not in any group any more.

use std::sync::Arc;

use beadle_engine::{Failure, Metadata, Note, Store};
use serde::{Deserialize, Serialize};

/// A person, and the account that the person has at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonAccount {
    /// The name of the person's directory.
    pub(crate) source: String,
    /// The id of the person at the directory.
    pub(crate) person: String,
    /// The id of the account at the target.
    pub(crate) account: String,
    /// The sign-in name of the person. Beadle does not use it; it helps an operator who reads the
    /// stored note.
    pub(crate) login: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    account: String,
    login: String,
}

/// The accounts that the store remembers. Without a store, Beadle remembers no accounts.
#[derive(Clone, Default)]
pub(crate) struct Accounts(pub(crate) Option<Arc<dyn Store>>);

impl Metadata for Kept {
    const KIND: &'static str = "account";
}

impl Kept {
    fn of(self, source: &str, person: &str) -> PersonAccount {
        let Self { account, login } = self;
        PersonAccount { source: source.to_owned(), person: person.to_owned(), account, login }
    }
}

fn note(target: &str, source: &str, person: &str) -> Note<Kept> {
    Note::of(&[target, &format!("{source}/{person}")])
}

impl Accounts {
    pub(crate) async fn of(
        &self,
        target: &str,
        source: &str,
        person: &str,
    ) -> Result<Option<PersonAccount>, Failure> {
        let Some(store) = &self.0 else { return Ok(None) };
        let kept = note(target, source, person).get(store.as_ref()).await?;
        Ok(kept.map(|kept| kept.of(source, person)))
    }

    pub(crate) async fn keep(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let kept = Kept { account: whose.account.clone(), login: whose.login.clone() };
        Ok(note(target, &whose.source, &whose.person).put(store.as_ref(), &kept).await?)
    }

    pub(crate) async fn forget(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &whose.source, &whose.person).forget(store.as_ref()).await?)
    }

    /// Returns the remembered accounts at a target whose people belong to this directory.
    pub(crate) async fn all(&self, target: &str, source: &str) -> Result<Vec<PersonAccount>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let all = note(target, source, "").list(store.as_ref()).await?;
        Ok(all.into_iter().map(|(person, kept)| kept.of(source, &person)).collect())
    }
}
