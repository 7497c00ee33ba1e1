//! Matches desired entries with observed entries. Each entry matches at most one other.

/// Which entries of two lists match. The index of an entry in its list identifies the entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryPairs {
    /// The indexes of the desired and the observed entry of each match.
    pub(crate) both: Vec<(usize, usize)>,
    /// The indexes of the desired entries that have no match.
    pub(crate) only_desired: Vec<usize>,
    /// The indexes of the observed entries that have no match.
    pub(crate) only_observed: Vec<usize>,
}

impl EntryPairs {
    /// Returns the index of the observed entry that matches a desired entry, if there is one.
    pub(crate) fn observed_of(&self, desired: usize) -> Option<usize> {
        self.both.iter().find(|(at, _)| *at == desired).map(|(_, observed)| *observed)
    }
}

/// Matches the entries of two lists. Each entry matches at most one other. `closeness` compares two
/// entries. It returns `None` if they are different, and a lower number for a better match. The
/// best matches are made first. If two matches are equally good, the first in the list wins.
pub(crate) fn pair<D, O>(
    desired: &[D],
    observed: &[O],
    closeness: impl Fn(&D, &O) -> Option<u8>,
) -> EntryPairs {
    let mut candidates = Vec::new();
    for (at, want) in desired.iter().enumerate() {
        for (place, seen) in observed.iter().enumerate() {
            if let Some(closeness) = closeness(want, seen) {
                candidates.push((closeness, at, place));
            }
        }
    }
    candidates.sort_unstable();
    let mut of_desired = vec![None; desired.len()];
    let mut is_taken = vec![false; observed.len()];
    for (_, at, place) in candidates {
        if of_desired[at].is_none() && !is_taken[place] {
            of_desired[at] = Some(place);
            is_taken[place] = true;
        }
    }
    let pairs = of_desired.iter().enumerate().filter_map(|(at, place)| Some((at, (*place)?)));
    EntryPairs {
        both: pairs.collect(),
        only_desired: (0..desired.len()).filter(|at| of_desired[*at].is_none()).collect(),
        only_observed: (0..observed.len()).filter(|place| !is_taken[*place]).collect(),
    }
}
