//! Stores two lists of repository names. The first list has the repositories that the merge of a
//! pull request would change, sorted by kind of change. The second list has the repositories that
//! drifted before the merge. The lists of pull requests do not need these names, so the names are
//! in a separate note.

use beadle_engine::{Key, Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

/// The maximum size of all names of one pull request, in bytes. An item of DynamoDB has at most
/// 400 KB.
const MOST: usize = 200_000;
/// The size of the characters around a name, in bytes.
const AROUND: usize = 3;

/// The names of the repositories with one kind of change, or with drift.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamesOfKind {
    /// The names, sorted.
    pub(crate) names: Vec<String>,
    /// The number of names that are left out.
    #[serde(default)]
    pub(crate) more: usize,
}

/// The names of the repositories in one result of a check: the names for each kind of change, and
/// the names for the drift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RepositoryNames {
    /// The checked commit.
    head: String,
    /// The time when the check ended.
    checked: Time,
    /// The names, in the order of the kinds of changes in the result.
    pub(crate) kinds: Vec<NamesOfKind>,
    /// The names of the repositories that drifted before the merge. Empty if an older version stored
    /// the result.
    #[serde(default)]
    pub(crate) drifted: NamesOfKind,
}

impl Metadata for RepositoryNames {
    const KIND: &'static str = "checked-pull-names";
}

impl RepositoryNames {
    fn note(key: &Key) -> Note<Self> {
        Note::of(&[key.instance(), key.id()])
    }

    /// Creates the names of a result. `kinds` has the names for each kind of change, and `drifted` has
    /// the names of the repositories that drifted before the merge. If the names are too large for the
    /// store, leaves out the last ones.
    pub(super) fn new((head, checked): (&str, Time), kinds: Vec<Vec<String>>, drifted: Vec<String>) -> Self {
        let mut room = MOST;
        let mut limit = |mut names: Vec<String>| {
            names.sort_unstable();
            names.dedup();
            let all = names.len();
            let fits = |name: &String| {
                let size = name.len() + AROUND;
                let fits = size <= room;
                room = if fits { room - size } else { 0 };
                fits
            };
            let names: Vec<String> = names.into_iter().take_while(fits).collect();
            NamesOfKind { more: all - names.len(), names }
        };
        let kinds = kinds.into_iter().map(&mut limit).collect();
        Self { head: head.to_owned(), checked, kinds, drifted: limit(drifted) }
    }

    /// Stores the names of the pull request with this key.
    pub(super) async fn put(&self, key: &Key, store: &dyn Store) -> Result<(), StoreError> {
        Self::note(key).put(store, self).await
    }

    /// Deletes the names of a pull request.
    pub(super) async fn forget(key: &Key, store: &dyn Store) -> Result<(), StoreError> {
        Self::note(key).forget(store).await
    }

    /// Returns the names in the result of this commit and this time. Returns `None` if the store has
    /// no names of this result, for example because an older version stored the result.
    pub(crate) async fn of_result(
        key: &str,
        (head, checked): (&str, Time),
        store: &dyn Store,
    ) -> Result<Option<Self>, StoreError> {
        let Ok(key) = key.parse::<Key>() else { return Ok(None) };
        let stored = Self::note(&key).get(store).await?;
        let is_its = |stored: &Self| stored.head == head && stored.checked == checked;
        Ok(stored.filter(is_its))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::store;

    #[tokio::test]
    async fn the_names_belong_to_one_result() {
        let (_folder, store) = store::temporary().unwrap();
        let (store, key) = (store.as_ref(), Key::new("check", "acme", "9/7"));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
        let kinds = vec![names(&["acme/b", "acme/a", "acme/b"]), names(&[])];
        let result = RepositoryNames::new(("abc", Time(5)), kinds, names(&["acme/d", "acme/c"]));
        result.put(&key, store).await.unwrap();
        let of = |all: &[&str]| NamesOfKind { names: names(all), more: 0 };
        assert_eq!(result.kinds, [of(&["acme/a", "acme/b"]), NamesOfKind::default()]);
        assert_eq!(result.drifted, of(&["acme/c", "acme/d"]));
        for (head, checked, found) in
            [("abc", Time(5), Some(result.clone())), ("abc", Time(6), None), ("abd", Time(5), None)]
        {
            let stored = RepositoryNames::of_result(key.as_str(), (head, checked), store).await.unwrap();
            assert_eq!(stored, found, "{head} {checked}");
        }
        RepositoryNames::forget(&key, store).await.unwrap();
        assert_eq!(RepositoryNames::of_result(key.as_str(), ("abc", Time(5)), store).await.unwrap(), None);
    }

    #[test]
    fn the_names_fit_into_one_item_of_the_store_and_none_is_lost_from_the_sum() {
        let kind = |n: usize| (0..10_000).map(|at| format!("acme/{n}-{at:05}")).collect::<Vec<String>>();
        let names = RepositoryNames::new(("abc", Time(5)), vec![kind(1), kind(2)], kind(3));
        assert!(serde_json::to_string(&names).unwrap().len() < MOST + 1_000);
        let all = names.kinds.iter().chain([&names.drifted]);
        let sums: Vec<usize> = all.map(|kind| kind.names.len() + kind.more).collect();
        assert_eq!(sums, [10_000, 10_000, 10_000]);
        assert!(names.kinds[0].more == 0 && names.kinds[1].more > 0, "the gravest kind comes first");
    }
}
