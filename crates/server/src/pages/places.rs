//! The places for open pages. Each open page that gets events occupies a place and a connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The maximum number of open pages.
pub(super) const MOST: usize = 64;
/// The maximum number of open pages of one person, so that one person cannot take all places.
pub(super) const MOST_OF_PERSON: usize = 16;

/// The places that are in use.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Maps the id of a person to the number of the person's open pages. Without a sign-in, the id
    /// is empty.
    taken: Mutex<BTreeMap<String, usize>>,
}

/// The place of one open page. The place becomes free when this value is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    person: String,
}

impl Places {
    /// Takes a place for a person. Returns `None` if there is no free place.
    pub(super) fn take(self: &Arc<Self>, person: &str) -> Option<Place> {
        let mut taken = self.taken.lock();
        let all: usize = taken.values().sum();
        let own = taken.get(person).copied().unwrap_or(0);
        let most = if person.is_empty() { MOST } else { MOST_OF_PERSON };
        if all >= MOST || own >= most {
            return None;
        }
        taken.insert(person.to_owned(), own + 1);
        Some(Place { places: self.clone(), person: person.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        match taken.get(&self.person).copied() {
            Some(own) if own > 1 => taken.insert(self.person.clone(), own - 1),
            _ => taken.remove(&self.person),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_does_not_take_the_places_of_all_others() {
        let places = Arc::new(Places::default());
        let take = |person: &str, count: usize| -> Vec<Place> {
            (0..count).map_while(|_| places.take(person)).collect()
        };
        let own = take("7", MOST);
        assert_eq!(own.len(), MOST_OF_PERSON);
        let others = take("", MOST);
        assert_eq!(others.len(), MOST - MOST_OF_PERSON);
        assert!(places.take("8").is_none(), "all places are taken");
        drop(own);
        assert_eq!(take("8", MOST).len(), MOST_OF_PERSON, "the places are free again");
        drop(others);
        assert!(places.taken.lock().is_empty());
    }
}
