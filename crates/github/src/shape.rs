//! Reads typed objects from the JSON of an answer. GitHub can omit a field, send null, or send
//! another type than documented. If the field is required, Beadle cannot read the whole object. If
//! the field is optional, only this field is missing, and Beadle reads the other fields.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads an object. Returns `None` if the value is not an object, or if a required field is
/// missing, null or of the wrong type.
pub(crate) fn shape<T: DeserializeOwned>(value: &Value) -> Option<T> {
    // Without this check, serde would also accept a list with the values of the fields, in the
    // order of the fields.
    if value.is_object() { T::deserialize(value).ok() } else { None }
}

/// Reads an optional field that is a text, a number, a boolean, or a list with elements of any
/// type.
pub(crate) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(T::deserialize(Value::deserialize(deserializer)?).ok())
}

/// Reads an optional field that is an object.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    Ok(shape(&Value::deserialize(deserializer)?))
}

/// Reads an optional list of texts. Elements that are not texts are omitted.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Array(rows) => rows.iter().filter_map(|row| Some(row.as_str()?.to_owned())).collect(),
        _ => Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Owner {
        login: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Row {
        id: u64,
        #[serde(default, deserialize_with = "optional")]
        name: Option<String>,
        #[serde(default, deserialize_with = "object")]
        owner: Option<Owner>,
        #[serde(default, deserialize_with = "texts")]
        topics: Vec<String>,
    }

    #[test]
    fn an_object_without_a_required_field_is_unreadable() {
        for row in [
            json!({ "name": "shop" }),
            json!({ "id": null }),
            json!({ "id": "1" }),
            json!({ "id": -1 }),
            json!({ "id": 1.0 }),
            json!([1, "shop"]),
            json!("shop"),
            Value::Null,
        ] {
            assert_eq!(shape::<Row>(&row), None, "{row}");
        }
    }

    #[test]
    fn an_optional_field_of_another_type_is_missing_and_the_others_are_read() {
        let bare = || Row { id: 1, name: None, owner: None, topics: Vec::new() };
        let odd = [json!(null), json!(7), json!([7]), json!({}), json!(true)];
        assert_eq!(shape(&json!({ "id": 1 })), Some(bare()));
        for value in &odd {
            let row = json!({ "id": 1, "name": value, "owner": value, "topics": value });
            assert_eq!(shape(&row), Some(bare()), "{row}");
        }
        let row = json!({ "id": 1, "name": 7, "owner": ["acme"], "topics": ["a", null, 7, "b"], "more": 1 });
        assert_eq!(shape(&row), Some(Row { topics: vec!["a".into(), "b".into()], ..bare() }));
        let row = json!({ "id": 1, "name": "shop", "owner": { "login": "acme" }, "topics": [] });
        let owner = Some(Owner { login: "acme".into() });
        assert_eq!(shape(&row), Some(Row { name: Some("shop".into()), owner, ..bare() }));
    }
}
