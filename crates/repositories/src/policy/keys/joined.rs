//! Joins lists of keys while the program is compiled, so that the keys of a file derive from the
//! aspects.

use super::super::shape::{Key, Shape, key};

/// Counts the keys of lists.
pub(super) const fn count(lists: &[&[Key]]) -> usize {
    let (mut sum, mut list) = (0, 0);
    while list < lists.len() {
        sum += lists[list].len();
        list += 1;
    }
    sum
}

/// Joins lists of keys. `N` must be their [`count`].
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

/// Joins the names of keys, and further names. `N` must be the number of all.
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

/// A constant list of the keys of several lists.
macro_rules! joined {
    ($($list:expr),+ $(,)?) => {{
        const LISTS: &[&[Key]] = &[$($list),+];
        const JOINED: [Key; count(LISTS)] = join(LISTS);
        &JOINED
    }};
}
pub(super) use joined;
