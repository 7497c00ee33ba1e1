//! One look at a whole directory, which the runs of a sweep share.

use std::collections::HashMap;

use beadle_engine::Time;
use tokio::sync::OnceCell;

use super::{Person, SourceGroup};

/// People by the directory's id.
pub type People = HashMap<String, Person>;

/// A group as a survey shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The group.
    pub group: SourceGroup,
    /// When its members changed last, as the directory writes it.
    pub changed: Option<String>,
}

/// One look at a whole directory.
pub struct Survey {
    /// It began at this time, or later.
    pub(crate) began: Time,
    /// The same by the directory's own clock, by which it writes when members changed.
    pub(crate) theirs: Option<Time>,
    groups: Vec<Surveyed>,
    places: HashMap<String, usize>,
    /// Everybody, read when a run asks for them. `None`: they cannot be read, or not at a fair cost.
    pub(super) people: OnceCell<Option<People>>,
}

impl Survey {
    pub(super) fn new(began: Time, theirs: Option<Time>, groups: Vec<Surveyed>) -> Self {
        let places = groups.iter().enumerate().map(|(at, one)| (one.group.id.clone(), at)).collect();
        Self { began, theirs, groups, places, people: OnceCell::new() }
    }

    /// Every group, in the directory's order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &SourceGroup> {
        self.groups.iter().map(|one| &one.group)
    }

    /// One group.
    pub(crate) fn group(&self, id: &str) -> Option<&Surveyed> {
        self.places.get(id).and_then(|at| self.groups.get(*at))
    }
}
