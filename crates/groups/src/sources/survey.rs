//! A survey is one read of a whole directory. The runs of a sweep share one survey.

use std::collections::HashMap;

use beadle_engine::Time;
use tokio::sync::OnceCell;

use super::{Person, SourceGroup};

/// People, by their ids at the directory.
pub type People = HashMap<String, Person>;

/// A group in a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The group.
    pub group: SourceGroup,
    /// When the members of the group last changed, in the directory's notation.
    pub changed: Option<String>,
}

/// The result of one read of a whole directory.
pub struct Survey {
    /// The time at which the read began, by this machine's clock.
    pub(crate) began: Time,
    /// The time at which the read began, by the directory's clock. The times of change that the
    /// directory shows come from the same clock.
    pub(crate) theirs: Option<Time>,
    groups: Vec<Surveyed>,
    places: HashMap<String, usize>,
    /// All people of the directory. Beadle reads the people when the first run needs them. The
    /// value is `None` if the read fails, or if the list would cost too many calls.
    pub(super) people: OnceCell<Option<People>>,
}

impl Survey {
    pub(super) fn new(began: Time, theirs: Option<Time>, groups: Vec<Surveyed>) -> Self {
        let places = groups.iter().enumerate().map(|(at, one)| (one.group.id.clone(), at)).collect();
        Self { began, theirs, groups, places, people: OnceCell::new() }
    }

    /// Returns all groups, in the order of the directory's list.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &SourceGroup> {
        self.groups.iter().map(|one| &one.group)
    }

    /// Returns one group, or `None` if the survey lacks the group.
    pub(crate) fn group(&self, id: &str) -> Option<&Surveyed> {
        self.places.get(id).and_then(|at| self.groups.get(*at))
    }
}
