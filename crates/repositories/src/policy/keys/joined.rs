//! Joins lists of keys at compile time. This code builds the keys of a policy file from the lists
//! of the aspects.

use super::super::shape::{Key, Shape, key};

/// Returns the total number of keys in all lists.
pub(super) const fn count(lists: &[&[Key]]) -> usize {
    let (mut sum, mut list) = (0, 0);
    while list < lists.len() {
        sum += lists[list].len();
        list += 1;
    }
    sum
}

/// Joins lists of keys into one array. `N` must be the number of all keys, see [`count`].
pub(super) const fn join<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut joined = [key("", Shape::Any, ""); N];
    let (mut at, mut list) = (0, 0);
    while list < lists.len() {
        let mut next = 0;
        while next < lists[list].len() {
            joined[at] = lists[list][next];
            at += 1;
            next += 1;
        }
        list += 1;
    }
    assert!(at == N, "`N` is not the number of keys");
    joined
}

/// Joins the names of keys and some additional names into one array. `N` must be the number of all
/// names.
pub(super) const fn names<const N: usize>(keys: &[Key], more: &[&'static str]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut at = 0;
    while at < keys.len() {
        names[at] = keys[at].name;
        at += 1;
    }
    while at < N {
        names[at] = more[at - keys.len()];
        at += 1;
    }
    names
}

/// Creates one constant list from several constant lists of keys.
macro_rules! joined {
    ($($list:expr),+ $(,)?) => {{
        const LISTS: &[&[Key]] = &[$($list),+];
        const JOINED: [Key; count(LISTS)] = join(LISTS);
        &JOINED
    }};
}
pub(super) use joined;
