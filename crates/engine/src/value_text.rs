//! Formats the old or the new value of a change as text.

use serde_json::Value;

/// Returns a value as JSON. The text of an absent value is `none`. Every page and every command
/// uses this text for an absent value.
pub fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_value_is_none_and_not_the_text_none() {
        for (value, shown) in
            [(Value::Null, "none"), (json!("none"), "\"none\""), (json!([null, 1]), "[null,1]")]
        {
            assert_eq!(value_text(&value), shown);
        }
    }
}
