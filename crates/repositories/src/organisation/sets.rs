//! Compares lists. Two lists count as equal if they differ only in the order of entries or in
//! repeated entries.

use serde_json::Value;

/// Returns a list in a fixed order and without repeated entries. GitHub stores each entry only
/// once, and chooses the order itself. The function does not change a value that is not a list.
pub(super) fn as_set(value: &Value) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let mut items = items.clone();
    items.sort_by_key(ToString::to_string);
    items.dedup();
    Value::Array(items)
}

/// Returns whether a value of the policy means the same as a missing value at GitHub. Examples are
/// an empty list, and a switch that is off.
pub(super) fn is_same_as_missing(after: &Value) -> bool {
    *after == Value::Bool(false) || after.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_and_repetitions_of_a_list_make_no_difference() {
        assert_eq!(as_set(&json!(["b", "a", "b"])), json!(["a", "b"]));
        assert_eq!(as_set(&json!("b")), json!("b"));
    }

    #[test]
    fn only_an_empty_list_or_a_switch_that_is_off_is_like_a_missing_value() {
        assert!(is_same_as_missing(&json!(false)) && is_same_as_missing(&json!([])));
        for value in [json!(true), json!(["a"]), json!("all"), json!(0), Value::Null] {
            assert!(!is_same_as_missing(&value), "{value}");
        }
    }
}
