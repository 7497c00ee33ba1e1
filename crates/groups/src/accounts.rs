//! Remembers the accounts that Beadle created. With this record, Beadle can also check the account
//! of a person who is no longer in any group.

use std::sync::Arc;

use beadle_engine::{Failure, Metadata, Note, Store};
use serde::{Deserialize, Serialize};

/// A person, and this person's account at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonAccount {
    /// The name of the person's directory.
    pub(crate) source: String,
    /// The id of the person at the directory.
    pub(crate) person: String,
    /// The id of the account at the target.
    pub(crate) account: String,
    /// The sign-in name of the person. Beadle does not use the name. The name helps an operator who
    /// reads the stored note.
    pub(crate) login: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    account: String,
    login: String,
    /// True if Beadle created the account. A note from an earlier version of Beadle does not have
    /// this value.
    #[serde(default)]
    made: bool,
    /// True if the person left a group after the last activation of the account.
    #[serde(default)]
    left: bool,
}

/// The accounts that the store remembers. Without a store, Beadle remembers no accounts.
#[derive(Clone, Default)]
pub(crate) struct Accounts(pub(crate) Option<Arc<dyn Store>>);

impl Metadata for Kept {
    const KIND: &'static str = "account";
    // No other record shows that Beadle created the account.
    const IS_NEEDED: bool = true;
}

impl Kept {
    fn of(self, source: &str, person: &str) -> PersonAccount {
        let Self { account, login, .. } = self;
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

    /// Remembers an account that Beadle created.
    pub(crate) async fn made(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        self.keep(target, whose, Some(true), false).await
    }

    /// Remembers an account that Beadle activated.
    pub(crate) async fn activated(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        self.keep(target, whose, None, false).await
    }

    /// Remembers an account whose owner leaves a group, or an account that Beadle deactivated. Each
    /// sweep checks the accounts that this function remembers.
    pub(crate) async fn left(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        self.keep(target, whose, None, true).await
    }

    async fn keep(
        &self,
        target: &str,
        whose: &PersonAccount,
        made: Option<bool>,
        left: bool,
    ) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        let made = match made {
            Some(made) => made,
            None => self.is_made(target, whose).await?,
        };
        let kept = Kept { account: whose.account.clone(), login: whose.login.clone(), made, left };
        Ok(note(target, &whose.source, &whose.person).put(store.as_ref(), &kept).await?)
    }

    /// Returns whether Beadle created this account, according to the store.
    pub(crate) async fn is_made(&self, target: &str, whose: &PersonAccount) -> Result<bool, Failure> {
        let Some(store) = &self.0 else { return Ok(false) };
        let kept = note(target, &whose.source, &whose.person).get(store.as_ref()).await?;
        Ok(kept.is_some_and(|kept| kept.made && kept.account == whose.account))
    }

    pub(crate) async fn forget(&self, target: &str, whose: &PersonAccount) -> Result<(), Failure> {
        let Some(store) = &self.0 else { return Ok(()) };
        Ok(note(target, &whose.source, &whose.person).forget(store.as_ref()).await?)
    }

    /// Returns the remembered accounts at a target that belong to people of this directory. The
    /// flag is true if both of these facts are true: Beadle created the account, and the person
    /// left a group after the last activation of the account.
    pub(crate) async fn all(
        &self,
        target: &str,
        source: &str,
    ) -> Result<Vec<(PersonAccount, bool)>, Failure> {
        let Some(store) = &self.0 else { return Ok(Vec::new()) };
        let all = note(target, source, "").list(store.as_ref()).await?;
        let known = all.into_iter().map(|(person, kept)| {
            let left = kept.made && kept.left;
            (kept.of(source, &person), left)
        });
        Ok(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn an_account_that_beadle_created_is_known_as_such_until_the_person_has_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open_inline(&path, SqliteSettings::default()).unwrap());
        let accounts = Accounts(Some(store.clone()));
        let whose = |account: &str| PersonAccount {
            source: "corp".into(),
            person: "00u1".into(),
            account: account.into(),
            login: "ada@acme.example".into(),
        };
        accounts.made("aws", &whose("a1")).await.unwrap();
        accounts.left("aws", &whose("a1")).await.unwrap();
        assert!(accounts.is_made("aws", &whose("a1")).await.unwrap());
        assert_eq!(accounts.all("aws", "corp").await.unwrap(), [(whose("a1"), true)]);
        accounts.activated("aws", &whose("a1")).await.unwrap();
        assert_eq!(accounts.all("aws", "corp").await.unwrap(), [(whose("a1"), false)]);
        assert!(!accounts.is_made("aws", &whose("a2")).await.unwrap(), "it is another account");
        accounts.activated("aws", &whose("a2")).await.unwrap();
        assert!(!accounts.is_made("aws", &whose("a2")).await.unwrap());
        // An earlier version of Beadle stored only the account and the name.
        let before = r#"{"account":"a1","login":"ada@acme.example"}"#;
        store.put("account:aws:corp/00u1", before).await.unwrap();
        assert_eq!(accounts.all("aws", "corp").await.unwrap(), [(whose("a1"), false)]);
        assert!(!accounts.is_made("aws", &whose("a1")).await.unwrap());
        // A newer version of Beadle wrote the note, and this version cannot read the note. Beadle
        // must not forget who created the account.
        let newer = r#"{"account":{"id":"a1"},"made":true}"#;
        store.put("account:aws:corp/00u1", newer).await.unwrap();
        assert!(accounts.left("aws", &whose("a1")).await.is_err());
        assert!(accounts.all("aws", "corp").await.is_err());
        assert_eq!(store.get("account:aws:corp/00u1").await.unwrap().as_deref(), Some(newer));
    }
}
