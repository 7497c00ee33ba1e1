//! A survey: one read of a whole directory, which the runs of a sweep share.

use std::collections::HashMap;

use beadle_engine::Time;
use tokio::sync::OnceCell;

use super::{Person, SourceGroup};

/// People by their id at the directory.
pub type People = HashMap<String, Person>;

/// A group in a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The group.
    pub group: SourceGroup,
    /// The time of the last change of its members, as the directory writes it.
    pub changed: Option<String>,
}

/// One read of a whole directory.
pub struct Survey {
    /// The earliest time of the read.
    pub(crate) began: Time,
    /// The same time by the directory's own clock, which dates the changes of members.
    pub(crate) theirs: Option<Time>,
    groups: Vec<Surveyed>,
    places: HashMap<String, usize>,
    /// All people, read for the first run that needs them; `None` if they cannot be read, or cost
    /// too many calls.
    pub(super) people: OnceCell<Option<People>>,
}

impl Survey {
    pub(super) fn new(began: Time, theirs: Option<Time>, groups: Vec<Surveyed>) -> Self {
        let places = groups.iter().enumerate().map(|(at, one)| (one.group.id.clone(), at)).collect();
        Self { began, theirs, groups, places, people: OnceCell::new() }
    }

    /// Returns all groups, in the directory's order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &SourceGroup> {
        self.groups.iter().map(|one| &one.group)
    }

    /// Returns one group.
    pub(crate) fn group(&self, id: &str) -> Option<&Surveyed> {
        self.places.get(id).and_then(|at| self.groups.get(*at))
    }
}
