//! Matches desired and observed entries, one to one.

/// The matched entries of two lists, by their indexes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryPairs {
    /// Things in both lists: the index in the desired list, and the index in the observed list.
    pub(crate) both: Vec<(usize, usize)>,
    /// Desired entries that are missing.
    pub(crate) only_desired: Vec<usize>,
    /// Observed entries that are not desired.
    pub(crate) only_observed: Vec<usize>,
}

impl EntryPairs {
    /// Returns the observed entry of a desired entry.
    pub(crate) fn observed_of(&self, desired: usize) -> Option<usize> {
        self.both.iter().find(|(at, _)| *at == desired).map(|(_, observed)| *observed)
    }
}

/// Matches two lists one to one. `closeness` returns `None` for different things. The lowest value
/// of several candidates wins, and the first of equal ones.
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
