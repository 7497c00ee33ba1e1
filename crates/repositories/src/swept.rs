//! The hint of a mark that a sweep made. A run needs the hint to tell whether only a sweep made its
//! key due. The lane is not enough, because an event that Beadle's own login caused also has the
//! lane of a sweep. If a sweep marks the key after such an event and before its run, the run reads as
//! in a sweep, and a later sweep finds the drift.

/// The end of the hint of a sweep. No node id ends like this.
const SWEPT: &str = "#swept";

/// Returns the hint with which a sweep marks the repository that has this node id.
pub(crate) fn swept_hint(node_id: &str) -> String {
    format!("{node_id}{SWEPT}")
}

/// Returns the node id in a hint, and whether a sweep made the mark.
pub(crate) fn read_hint(hint: &str) -> (&str, bool) {
    match hint.strip_suffix(SWEPT) {
        Some(node_id) => (node_id, true),
        None => (hint, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hint_of_a_sweep_says_so() {
        assert_eq!(read_hint(&swept_hint("R_kgDOAbc=")), ("R_kgDOAbc=", true));
        assert_eq!(read_hint("R_kgDOAbc="), ("R_kgDOAbc=", false));
        assert_eq!(read_hint(""), ("", false));
    }
}
