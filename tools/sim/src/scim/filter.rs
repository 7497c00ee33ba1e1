//! SCIM filters. The simulator supports only `eq`, and only the attributes that AWS documents.

use serde_json::Value;

/// Returns the attributes and values in a filter. The filter has one or more comparisons `attribute
/// eq "value"`, joined by `and`.
pub(super) fn parse(filter: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = filter.trim();
    loop {
        let (attribute, after) = rest.split_once(char::is_whitespace)?;
        let (operator, after) = after.trim_start().split_once(char::is_whitespace)?;
        if !operator.eq_ignore_ascii_case("eq") {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(after.trim_start()).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let end = values.byte_offset();
        pairs.push((attribute.to_owned(), value.as_str()?.to_owned()));
        rest = after.trim_start()[end..].trim_start();
        if rest.is_empty() {
            return Some(pairs);
        }
        let (word, after) = rest.split_once(char::is_whitespace)?;
        if !word.eq_ignore_ascii_case("and") {
            return None;
        }
        rest = after.trim_start();
    }
}
