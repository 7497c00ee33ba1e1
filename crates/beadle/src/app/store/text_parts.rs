//! Splits long texts into parts, and joins the parts again. Each part is small enough for a note in
//! any kind of store.

use std::collections::BTreeMap;

/// The maximum size of a part, in bytes. A DynamoDB item can contain at most 400 KB. Older versions
/// stored parts of up to 250,000 bytes. Beadle still joins these parts.
pub(in crate::app) const PART: usize = 200_000;

/// Splits a text into its parts. An empty text has no part.
pub(in crate::app) fn split(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(PART));
        parts.push(part);
        text = rest;
    }
    parts
}

/// Splits a text into named parts. The name of a part is `ID/NUMBER/COUNT`. An empty text has one
/// part.
pub(in crate::app) fn split_named(id: &str, text: &str) -> Vec<(String, String)> {
    let mut parts = split(text);
    if parts.is_empty() {
        parts.push("");
    }
    let of = parts.len();
    let named = parts.into_iter().enumerate();
    named.map(|(at, part)| (format!("{id}/{at}/{of}"), part.to_owned())).collect()
}

/// Joins named parts to texts. Returns the texts by their ids. Leaves out a text if a part of it is
/// missing.
pub(in crate::app) fn join_named(
    parts: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    // If an older version was killed while it stored a text, the store might contain parts of two
    // different sizes.
    let mut found: BTreeMap<(String, usize), BTreeMap<usize, String>> = BTreeMap::new();
    for (name, part) in parts {
        let mut pieces = name.split('/');
        let (id, at, of) = (pieces.next(), pieces.next(), pieces.next());
        let number = |piece: Option<&str>| piece.and_then(|piece| piece.parse::<usize>().ok());
        if let (Some(id), Some(at), Some(of)) = (id, number(at), number(of)) {
            found.entry((id.to_owned(), of)).or_default().insert(at, part);
        }
    }
    let whole = found.into_iter().filter(|((_, of), parts)| parts.len() == *of);
    whole.map(|((id, _), parts)| (id, parts.into_values().collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_equals_its_joined_parts() {
        for text in [String::new(), "a".repeat(PART), "ä".repeat(PART), format!("a{}", "€".repeat(PART))] {
            assert_eq!(split(&text).concat(), text);
            let parts = split_named("id", &text);
            assert!(parts.iter().all(|(_, part)| part.len() <= PART));
            assert_eq!(join_named(parts), BTreeMap::from([("id".to_owned(), text)]));
        }
        let mut parts = split_named("id", &"a".repeat(2 * PART));
        parts.pop();
        assert!(join_named(parts).is_empty(), "a part is missing");
    }

    #[test]
    fn the_parts_of_older_versions_are_joined() {
        let part = |at: usize, length: usize| (format!("id/{at}/2"), "a".repeat(length));
        let joined = join_named([part(1, 7), part(0, 250_000)]);
        assert_eq!(joined["id"].len(), 250_007);
        let text = "ab".repeat(PART);
        let of_older = ("id/0/3".to_owned(), "a left part".to_owned());
        let parts = split_named("id", &text).into_iter().chain([of_older]);
        assert_eq!(join_named(parts)["id"], text, "parts of two sizes are not mixed");
    }
}
