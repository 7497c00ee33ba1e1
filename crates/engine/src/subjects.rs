//! Remembers the names that people use for the keys. A log line that contains only an id does not
//! help its reader.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;

use crate::key::Key;

/// The maximum number of names to remember. If there are more names, all names are forgotten, and
/// the next runs find them again.
const MOST: usize = 10_000;

/// The names of the keys that this process has worked on.
#[derive(Debug, Default)]
pub(crate) struct Subjects(Mutex<HashMap<Key, String>>);

impl Subjects {
    fn names(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.0.lock()
    }

    /// Remembers the name that a run has found for a key.
    pub(crate) fn remember(&self, key: &Key, subject: &str) {
        let mut names = self.names();
        // Some runs find no name. A run without a name must not replace a name that is already
        // known.
        if subject.is_empty() || names.get(key).is_some_and(|name| name == subject) {
            return;
        }
        if names.len() >= MOST {
            names.clear();
        }
        names.insert(key.clone(), subject.to_owned());
    }

    /// Returns the name of a key, if a run of this process has found one.
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
