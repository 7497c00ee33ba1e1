//! The names of keys for people, as the last runs found them. A log line with an id alone is not
//! useful to its reader.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key::Key;

/// The maximum number of names. Beyond it, all names are forgotten and come back with the next
/// runs.
const MOST: usize = 10_000;

/// The names of the keys that this process worked on.
#[derive(Debug, Default)]
pub(crate) struct Subjects(Mutex<HashMap<Key, String>>);

impl Subjects {
    fn names(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the name that a run found.
    pub(crate) fn remember(&self, key: &Key, subject: &str) {
        let mut names = self.names();
        // Some runs find no name.
        if subject.is_empty() || names.get(key).is_some_and(|name| name == subject) {
            return;
        }
        if names.len() >= MOST {
            names.clear();
        }
        names.insert(key.clone(), subject.to_owned());
    }

    /// Returns the last name, if a run of this process found one.
    pub(crate) fn of(&self, key: &Key) -> Option<String> {
        self.names().get(key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_name_of_its_last_run() {
        let (subjects, key) = (Subjects::default(), Key::new("repository", "acme", 7));
        assert_eq!(subjects.of(&key), None);
        subjects.remember(&key, "acme/old");
        subjects.remember(&key, "acme/new");
        subjects.remember(&key, "");
        assert_eq!(subjects.of(&key).as_deref(), Some("acme/new"));
        for id in 0..2 * MOST {
            subjects.remember(&Key::new("repository", "many", id), "many/one");
        }
        assert!(subjects.names().len() <= MOST);
    }
}
