//! The places of a worker, and how instances share them. If a vendor never answers, the runs that
//! wait for this vendor must not occupy all places.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The places of one worker. Each run occupies a place, which becomes free when its [`Place`] is
/// dropped.
pub(crate) struct Places {
    all: usize,
    are_shared: bool,
    /// The number of places that each instance occupies.
    taken: Mutex<BTreeMap<String, usize>>,
}

/// The number of keys that the worker may claim next, and the instances to leave out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// The number of keys. Even if all of these keys belong to one instance that is not in `full`,
    /// this instance stays within its limit.
    pub(crate) keys: usize,
    /// The instances that occupy the maximum number of places.
    pub(crate) full: Vec<String>,
}

/// One place, occupied by a run until this value is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    instance: String,
}

impl Places {
    /// Creates free places. `all` is the number of places. If `are_shared` is true, an instance may
    /// occupy at most half of the places that other instances do not occupy. Each instance may
    /// always occupy one place.
    pub(crate) fn new(all: usize, are_shared: bool) -> Arc<Self> {
        Arc::new(Self { all, are_shared, taken: Mutex::default() })
    }

    /// Returns how many keys the worker may claim next, and the instances that it must leave out.
    pub(crate) fn room(&self) -> Room {
        let taken = self.taken.lock();
        let total: usize = taken.values().sum();
        let free = self.all.saturating_sub(total);
        if !self.are_shared || free == 0 {
            return Room { keys: free, full: Vec::new() };
        }
        let most = |own: usize| (self.all.saturating_sub(total - own) / 2).max(1);
        let (mut keys, mut full) = (most(0).min(free), Vec::new());
        for (instance, own) in taken.iter() {
            match most(*own).saturating_sub(*own) {
                0 => full.push(instance.clone()),
                more => keys = keys.min(more),
            }
        }
        Room { keys, full }
    }

    /// Occupies a place for a run of this instance.
    pub(crate) fn take(self: &Arc<Self>, instance: &str) -> Place {
        let mut taken = self.taken.lock();
        *taken.entry(instance.to_owned()).or_default() += 1;
        Place { places: self.clone(), instance: instance.to_owned() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(own) = taken.get_mut(&self.instance) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.instance);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Occupies places for `instance` until the instance has reached its limit, and returns the
    /// places.
    fn fill(places: &Arc<Places>, instance: &str) -> Vec<Place> {
        let mut taken = Vec::new();
        loop {
            let room = places.room();
            if room.keys == 0 || room.full.iter().any(|full| full == instance) {
                return taken;
            }
            taken.extend((0..room.keys).map(|_| places.take(instance)));
        }
    }

    #[test]
    fn an_instance_takes_half_of_what_the_others_leave() {
        let places = Places::new(64, true);
        let hanging = fill(&places, "absent");
        assert_eq!(hanging.len(), 32);
        let other = fill(&places, "acme");
        assert_eq!(other.len(), 16);
        assert_eq!(fill(&places, "corp").len(), 8, "these are free again at once");
        drop(hanging);
        assert_eq!(other.len() + fill(&places, "acme").len(), 32);
    }

    #[test]
    fn a_single_place_goes_to_any_instance() {
        let places = Places::new(1, true);
        assert_eq!(places.room(), Room { keys: 1, full: Vec::new() });
        let place = places.take("acme");
        assert_eq!(places.room().keys, 0);
        drop(place);
        assert_eq!(places.room().keys, 1);
    }

    #[test]
    fn places_that_are_not_shared_go_to_one_instance() {
        let places = Places::new(4, false);
        let _taken: Vec<Place> = (0..3).map(|_| places.take("acme")).collect();
        assert_eq!(places.room(), Room { keys: 1, full: Vec::new() });
    }
}
