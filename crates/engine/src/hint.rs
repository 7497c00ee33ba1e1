//! The hint of a mark: the vendor's name for the thing. The hint also states whether the run may
//! use answers of earlier reads. Only a sweep makes a hint that allows answers of earlier reads.
//! The lane cannot replace the hint, because events that Beadle itself caused also have the lane
//! `sweep`.

/// If a hint ends with this text, the run may use earlier answers. No node id ends with this text.
const SWEPT: &str = "#swept";

/// Returns the hint for a thing that a sweep marks. `name` is the vendor's name for the thing. A
/// run with this hint may use answers of earlier reads.
pub fn swept_hint(name: &str) -> String {
    format!("{name}{SWEPT}")
}

/// Returns the vendor's name in a hint, and whether the run may use answers of earlier reads.
pub fn read_hint(hint: &str) -> (&str, bool) {
    match hint.strip_suffix(SWEPT) {
        Some(name) => (name, true),
        None => (hint, false),
    }
}

/// Returns the hint that a key has after a mark. `before` is the hint of the key, and `mark` is the
/// hint of the mark. `is_covered` is true if completed runs cover all earlier marks of the key.
///
/// A run that covers several marks may use earlier answers only if each of the marks allows it.
pub(crate) fn merged_hint(before: Option<&str>, mark: Option<&str>, is_covered: bool) -> Option<String> {
    let allows = |hint: Option<&str>| hint.is_some_and(|hint| read_hint(hint).1);
    let (name, _) = read_hint(mark.or(before)?);
    let is_swept = allows(mark) && (is_covered || allows(before));
    Some(if is_swept { swept_hint(name) } else { name.to_owned() })
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

    #[test]
    fn two_marks_allow_earlier_answers_only_if_both_allow_them() {
        let (plain, swept) = (Some("R"), Some("R#swept"));
        for (before, mark, is_covered, expected) in [
            (None, None, true, None),
            (None, swept, true, swept),
            (None, swept, false, plain),
            (plain, swept, true, swept),
            (plain, swept, false, plain),
            (swept, swept, false, swept),
            (swept, plain, false, plain),
            // After a mark without a hint, the run must not use earlier answers. The name from an
            // earlier mark still makes the lookup faster.
            (swept, None, false, plain),
            (swept, None, true, plain),
            (Some("old"), plain, false, plain),
            (Some("old#swept"), swept, false, swept),
        ] {
            let merged = merged_hint(before, mark, is_covered);
            assert_eq!(merged.as_deref(), expected, "{before:?} {mark:?} {is_covered}");
        }
    }
}
