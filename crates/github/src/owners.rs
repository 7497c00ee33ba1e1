//! Remembers GitHub's latest answer about the name of each team and account. For example, a sweep
//! removes one team from many repositories. Beadle then asks GitHub once for the team's name and
//! uses the answer for all of these writes.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use beadle_engine::Time;

use crate::repository::ActorKind;

/// If Beadle remembers at least this number of names, it forgets the names that no task uses at the
/// moment.
const MOST: usize = 1000;

/// The id of a name's owner, and the time at which Beadle asked.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) asked: Time,
}

/// The latest answer about one name. The task that holds the lock asks GitHub. All other tasks wait
/// for the answer.
pub(crate) type Answer = tokio::sync::Mutex<Option<Owner>>;

/// The latest answers about the names of teams and accounts in one organisation.
#[derive(Default)]
pub(crate) struct Owners(Mutex<HashMap<(ActorKind, String), Arc<Answer>>>);

impl Owners {
    /// Returns the entry with the latest answer about a name.
    pub(crate) fn of(&self, kind: ActorKind, name: &str) -> Arc<Answer> {
        let mut all = self.0.lock();
        if all.len() >= MOST {
            all.retain(|_, answer| Arc::strong_count(answer) > 1);
        }
        all.entry((kind, name.to_lowercase())).or_default().clone()
    }
}
