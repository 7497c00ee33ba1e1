//! The names of notes, the small values of a store.

/// Returns the name of a note: its kind and its parts, joined by colons. A kind always has the same
/// number of parts.
///
/// No part but the last can hold a colon: there it is written `%3A`, and `%` is written `%25`. So
/// two different lists of parts never make one name. The last part is as it is, and an empty one
/// makes the beginning of all names before it.
pub fn note(kind: &'static str, parts: &[&str]) -> String {
    let mut name = kind.to_owned();
    for (at, part) in parts.iter().enumerate() {
        name.push(':');
        if at + 1 == parts.len() {
            name.push_str(part);
        } else {
            name.push_str(&part.replace('%', "%25").replace(':', "%3A"));
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_lists_of_parts_make_one_name() {
        let parts = ["", "a", ":", "a:", ":a", "a:b", "b", "%", "%3A", "a%3Ab", "%25", "%253A", "a%", "3A"];
        let mut names = BTreeSet::new();
        for one in parts {
            for two in parts {
                for three in parts {
                    names.insert(note("name", &[one, two, three]));
                }
            }
        }
        assert_eq!(names.len(), parts.len().pow(3));
    }

    #[test]
    fn a_name_without_colons_is_what_it_always_was() {
        assert_eq!(note("name", &["acme", "user", "mona"]), "name:acme:user:mona");
        assert_eq!(
            note("rest", &["acme", "repos/acme/x%2Fy/hooks?a=b:c"]),
            "rest:acme:repos/acme/x%2Fy/hooks?a=b:c"
        );
        assert_eq!(note("pair", &["aws", ""]), "pair:aws:");
    }
}
