//! Remembers the accounts that Beadle created, so that Beadle also checks an account whose person
//! is in no group any more.

use std::sync::Arc;

use beadle_engine::{Failure, Metadata, Note, Store};
use serde::{Deserialize, Serialize};

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

    /// Returns the remembered accounts of a target for people of a directory.
    pub(crate) async fn all(&self, target: &str, source: &str) -> Result<Vec<PersonAccount>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let all = note(target, source, "").list(store.as_ref()).await?;
        Ok(all.into_iter().map(|(person, kept)| kept.of(source, &person)).collect())
    }
}
