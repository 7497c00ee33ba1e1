//! The texts of errors about stored records that this version cannot read. Notifications contain
//! these texts, so the texts must not quote a stored value.

use serde_json::error::Category;

/// Returns the name in a text that consists of a name, `: ` and a reason. For example, the name in
/// `the hold 5d0c1e2f: ...` is `the hold 5d0c1e2f`.
pub fn name_of(text: &str) -> &str {
    text.split_once(": ").map_or(text, |(name, _)| name)
}

/// Returns the text of an error for a decision that needs an unreadable hold. `text` is an entry of
/// [`super::HoldList::unreadable`]. The result has the name of the hold, but not the reason,
/// because the reason can quote a value of the hold.
pub fn without_reason(text: &str) -> String {
    format!("{} is unreadable, `beadle holds` shows the reason", name_of(text))
}

/// Returns the reason why stored JSON is unreadable. The text of `error` can quote a stored value,
/// so the result has only the place of the error.
pub fn json_reason(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Data => "the JSON has a value that this version does not know",
        Category::Io | Category::Syntax | Category::Eof => "the text is not valid JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_stored_json_has_its_place_and_no_value() {
        let reason = |text: &str| json_reason(&serde_json::from_str::<u64>(text).unwrap_err());
        let reasons = [reason("\"hunter2\""), reason("x")];
        assert!(reasons[0].contains("does not know (line 1, column "), "{reasons:?}");
        assert!(reasons[1].contains("not valid JSON (line 1, column "), "{reasons:?}");
        assert!(!reasons[0].contains("hunter2"), "{reasons:?}");
    }
}
