//! Finds the known name that is most similar to an unknown name, for hints in errors.

/// The maximum length of a name that is compared. Real names are shorter than this, and a
/// comparison of long texts is slow.
const LONGEST: usize = 160;

/// Returns the known name that is most similar to `name`. Returns `None` if no known name is
/// similar enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let scored = known.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other));
    let (distance, other) = scored.min()?;
    (distance <= other.len().max(name.len()) / 3 + 1).then_some(other)
}

/// Returns a hint with the most similar known name, if a known name is similar enough.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|near| format!("did you mean `{near}`?"))
}
