//! The notes that a writer makes, in the forms that the tests need.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

use beadle_engine::Failure;
use beadle_groups::targets::StopNote;
use beadle_sim::scim::ScimSim;

/// The notes of a writer without a store. The writer makes no notes.
pub(crate) struct Unnoted;

#[async_trait::async_trait]
impl StopNote for Unnoted {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }
}

/// Records the number of members at the server at the time of each note.
pub(crate) struct Noted {
    pub(crate) sim: Arc<ScimSim>,
    /// The number of members of `g1` at the time of each note, and whether the writer made or
    /// deleted the note.
    pub(crate) notes: Mutex<Vec<(usize, bool)>>,
}

impl Noted {
    fn note(&self, is_put: bool) {
        let members = self.sim.state()["groups"]["g1"]["members"].as_object().unwrap().len();
        self.notes.lock().push((members, is_put));
    }
}

#[async_trait::async_trait]
impl StopNote for Noted {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        self.note(true);
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        self.note(false);
        Ok(())
    }
}

/// The notes of writes in a store, and the accounts in a plan. The test chooses these accounts.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) writes: Mutex<BTreeMap<String, String>>,
    /// Accounts that the plan does not want.
    pub(crate) unwanted: Vec<String>,
    /// The unwanted accounts that the plan removes without an approval.
    pub(crate) out: Vec<String>,
}

#[async_trait::async_trait]
impl StopNote for Kept {
    async fn put(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn withdraw(&self, _: &str) -> Result<(), Failure> {
        Ok(())
    }

    async fn note_write(&self, group: &str, write: &str) -> Result<(), Failure> {
        self.writes.lock().insert(group.to_owned(), write.to_owned());
        Ok(())
    }

    async fn unread_write(&self, group: &str) -> Result<Option<String>, Failure> {
        Ok(self.writes.lock().get(group).cloned())
    }

    async fn forget_write(&self, group: &str) -> Result<(), Failure> {
        self.writes.lock().remove(group);
        Ok(())
    }

    fn wants(&self, account: &str) -> bool {
        !self.unwanted.iter().any(|id| id == account)
    }

    fn takes_out(&self, account: &str) -> bool {
        self.out.iter().any(|id| id == account)
    }
}
