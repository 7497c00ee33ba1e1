//! Names the places of changes: repositories, the organisation itself, and groups.

use serde::{Deserialize, Serialize};

use crate::output::plural::counted;

/// The number of repositories and groups with changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChangedPlaces {
    /// The number of repositories.
    pub(crate) repositories: u64,
    /// True if the organisation itself has a change.
    pub(crate) organisation: bool,
    /// The number of groups.
    pub(crate) groups: u64,
}

impl ChangedPlaces {
    /// Adds the place of a key with this kind.
    pub(crate) fn add(&mut self, kind: &str) {
        match kind {
            "repository" => self.repositories += 1,
            "organisation" => self.organisation = true,
            _ => self.groups += 1,
        }
    }

    /// Returns the places as text, such as `190 repositories and the organisation itself`.
    pub(crate) fn text(self) -> String {
        let mut places = Vec::new();
        if self.repositories > 0 || (self.groups == 0 && !self.organisation) {
            places.push(counted(self.repositories, "repository", "repositories"));
        }
        if self.organisation {
            places.push("the organisation itself".to_owned());
        }
        if self.groups > 0 {
            places.push(counted(self.groups, "group", "groups"));
        }
        let last = places.pop().unwrap_or_default();
        if places.is_empty() { last } else { format!("{} and {last}", places.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_place_has_its_own_number() {
        let of = |kinds: &[&str]| {
            let mut places = ChangedPlaces::default();
            for kind in kinds {
                places.add(kind);
            }
            places.text()
        };
        let cases: [(&[&str], &str); 6] = [
            (&[], "0 repositories"),
            (&["repository"], "1 repository"),
            (&["organisation"], "the organisation itself"),
            (&["repository", "organisation", "repository"], "2 repositories and the organisation itself"),
            (&["target-group", "repository"], "1 repository and 1 group"),
            (
                &["organisation", "repository", "target-group", "target-group"],
                "1 repository, the organisation itself and 2 groups",
            ),
        ];
        for (kinds, expected) in cases {
            assert_eq!(of(kinds), expected);
        }
    }
}
