//! The last answers about names of teams and accounts. If a sweep removes one team from many
//! repositories, Beadle asks for its name once for all of these writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use beadle_engine::Time;

use crate::repository::ActorKind;

/// From this number of names on, Beadle forgets the names that nobody asks for.
const MOST: usize = 1000;

/// The id that a name stood for, and the time of the question.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) id: u64,
    pub(crate) asked: Time,
}

/// The last answer about one name. The holder of the lock asks GitHub.
pub(crate) type Answer = tokio::sync::Mutex<Option<Owner>>;

/// The last answers about all names of one organisation.
#[derive(Default)]
pub(crate) struct Owners(Mutex<HashMap<(ActorKind, String), Arc<Answer>>>);

impl Owners {
    /// Returns the place of the answer about a name.
    pub(crate) fn of(&self, kind: ActorKind, name: &str) -> Arc<Answer> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, answer| Arc::strong_count(answer) > 1);
        }
        all.entry((kind, name.to_lowercase())).or_default().clone()
    }
}
