//! The notes of one target's writer, which all processes share. Without a store, Beadle notes
//! nothing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use beadle_engine::Failure;

use crate::links::GroupLinks;
use crate::targets::StopNote;

/// The notes of a target, and the accounts of the plan.
pub(crate) struct Stop<'a> {
    pub(crate) links: &'a GroupLinks,
    pub(crate) target: &'a str,
    /// The accounts that the plan wants in the group.
    pub(crate) wanted: &'a BTreeSet<String>,
    /// The accounts that the plan removes from the group without an approval.
    pub(crate) out: &'a BTreeSet<String>,
}

impl Stop<'_> {
    /// Returns the name of the note of the last write of a group's members.
    fn unread(&self, group: &str) -> String {
        beadle_engine::note("unread", &[self.target, group])
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
        Ok(store.put(&self.unread(group), write).await?)
    }

    async fn unread_write(&self, group: &str) -> Result<Option<String>, Failure> {
        let Some(store) = &self.links.0 else { return Ok(None) };
        Ok(store.get(&self.unread(group)).await?)
    }

    async fn forget_write(&self, group: &str) -> Result<(), Failure> {
        let Some(store) = &self.links.0 else { return Ok(()) };
        Ok(store.forget(&self.unread(group)).await?)
    }

    fn wants(&self, account: &str) -> bool {
        self.wanted.contains(account)
    }

    fn takes_out(&self, account: &str) -> bool {
        self.out.contains(account)
    }
}
