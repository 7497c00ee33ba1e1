//! Stores the notes of a target's writer. All processes read these notes. If there is no store, the
//! writer makes no notes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::{Failure, Metadata, Note};
use serde::{Deserialize, Serialize};

use crate::links::GroupLinks;
use crate::targets::StopNote;

/// The notes of a target, and two sets of accounts: the accounts that the present plan wants in the
/// group, and the accounts that the plan removes.
pub(crate) struct Stop<'a> {
    pub(crate) links: &'a GroupLinks,
    pub(crate) target: &'a str,
    /// The accounts that should be in the group after the whole plan.
    pub(crate) wanted: &'a BTreeSet<String>,
    /// The accounts that the plan removes from the group without an approval.
    pub(crate) out: &'a BTreeSet<String>,
}

/// The last write of a group's members. Beadle has not read the members back yet.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct UnreadWrite(String);

impl Metadata for UnreadWrite {
    const KIND: &'static str = "unread";
    const IS_PLAIN: bool = true;
}

impl Stop<'_> {
    fn unread(&self, group: &str) -> Note<UnreadWrite> {
        Note::of(&[self.target, group])
    }
}

#[async_trait]
impl StopNote for Stop<'_> {
    async fn put(&self, why: &str) -> Result<(), Failure> {
        self.links.stop(self.target, why).await
    }

    async fn withdraw(&self, why: &str) -> Result<(), Failure> {
        self.links.withdraw(self.target, why).await
    }

    async fn note_write(&self, group: &str, write: &str) -> Result<(), Failure> {
        let Some(store) = &self.links.0 else { return Ok(()) };
        Ok(self.unread(group).put(store.as_ref(), &UnreadWrite(write.to_owned())).await?)
    }

    async fn unread_write(&self, group: &str) -> Result<Option<String>, Failure> {
        let Some(store) = &self.links.0 else { return Ok(None) };
        Ok(self.unread(group).get(store.as_ref()).await?.map(|UnreadWrite(write)| write))
    }

    async fn forget_write(&self, group: &str) -> Result<(), Failure> {
        let Some(store) = &self.links.0 else { return Ok(()) };
        Ok(self.unread(group).forget(store.as_ref()).await?)
    }

    fn wants(&self, account: &str) -> bool {
        self.wanted.contains(account)
    }

    fn takes_out(&self, account: &str) -> bool {
        self.out.contains(account)
    }
}
