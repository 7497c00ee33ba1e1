//! Matches desired entries with observed entries. Each entry matches at most one entry of the other
//! list.

/// The matches between the entries of two lists. The index of an entry in its list identifies the
/// entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryPairs {
    /// For each match, the index of the desired entry and the index of the observed entry.
    pub(crate) both: Vec<(usize, usize)>,
    /// The indexes of the desired entries that have no match.
    pub(crate) only_desired: Vec<usize>,
    /// The indexes of the observed entries that have no match.
    pub(crate) only_observed: Vec<usize>,
}

impl EntryPairs {
    /// Returns the index of the observed entry that matches a desired entry, or `None` if no entry
    /// matches.
    pub(crate) fn observed_of(&self, desired: usize) -> Option<usize> {
        self.both.iter().find(|(at, _)| *at == desired).map(|(_, observed)| *observed)
    }
}

/// Matches the entries of two lists. Each entry matches at most one entry of the other list.
/// `closeness` compares two entries. If the entries are different, `closeness` returns `None`.
/// Otherwise, it returns a number, and a lower number means a better match. The function makes the
/// best matches first. If two matches are equally good, the function uses the match that comes
/// first in the lists.
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
