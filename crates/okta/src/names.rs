//! The only way for an id or a login into an address, and for a value into a filter: no text can change which resource a
//! request names.

use beadle_engine::{Class, Failure};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986, 2.3: what needs no encoding.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns one segment of a path. `what` names it in the error, such as `user`.
///
/// Servers resolve `.` and `..`, also when they are encoded, and some decode a path before they split it.
pub(crate) fn segment(what: &str, text: &str) -> Result<String, Failure> {
    let is_structure =
        matches!(text, "" | "." | "..") || text.contains(['/', '\\']) || text.chars().any(char::is_control);
    if is_structure {
        let shown = text.escape_debug();
        let text = format!("`{shown}` cannot name a {what} of Okta: it would change the address");
        return Err(Failure::new(Class::Rejected, text));
    }
    Ok(encoded(text))
}

/// Returns a comparison of a filter, such as `id eq "00g1"`, encoded for a query.
pub(crate) fn comparison(attribute: &str, operator: &str, value: &str) -> Result<String, Failure> {
    if value.is_empty() || value.contains(['"', '\\']) || value.chars().any(char::is_control) {
        let shown = value.escape_debug();
        let text = format!("`{shown}` cannot be the value of a filter of Okta");
        return Err(Failure::new(Class::Rejected, text));
    }
    Ok(encoded(&format!("{attribute} {operator} \"{value}\"")))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_changes_which_resource_is_named() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\nb", "a\0b", "\u{7f}", "\u{85}"] {
            assert!(segment("user", bad).is_err(), "{bad:?} was taken");
        }
        assert_eq!(segment("user", "00u1").ok().as_deref(), Some("00u1"));
        assert_eq!(segment("user", "ann+b@acme.example").ok().as_deref(), Some("ann%2Bb%40acme.example"));
        assert_eq!(segment("user", "%2e%2e?x#y").ok().as_deref(), Some("%252e%252e%3Fx%23y"));
        assert_eq!(segment("user", "...").ok().as_deref(), Some("..."), "three dots are a name");
        // One dot leader, full-width solidus: they stay what they are.
        assert_eq!(segment("user", "\u{2024}\u{ff0f}").ok().as_deref(), Some("%E2%80%A4%EF%BC%8F"));
    }

    #[test]
    fn no_value_ends_a_filter() {
        assert_eq!(comparison("id", "eq", "00g1").ok().as_deref(), Some("id%20eq%20%2200g1%22"));
        for bad in ["", "a\" or id pr", "a\\", "a\nb"] {
            assert!(comparison("id", "eq", bad).is_err(), "{bad:?} was taken");
        }
    }
}
