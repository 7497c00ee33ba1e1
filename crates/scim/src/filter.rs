//! Creates filters. No other code puts a value into a filter. (`beadle_transport::Path` puts values
//! into addresses.)
//!
//! If a filter cannot express a value, the result is an error. Beadle never changes the value.

use std::fmt;

use beadle_engine::{Class, Failure};
use serde_json::Value;

/// The error for a value that a filter cannot express.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid filter value `{}`: {why}", .value.escape_debug())]
pub(crate) struct Inexpressible {
    value: String,
    why: &'static str,
}

impl From<Inexpressible> for Failure {
    fn from(wrong: Inexpressible) -> Self {
        Self::new(Class::Rejected, wrong)
    }
}

/// A filter `attribute eq "value"`. The value is written as a JSON string (RFC 7644, 3.4.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(String);

impl Filter {
    /// Creates the filter `attribute eq "value"`.
    pub(crate) fn eq(attribute: &str, value: &str) -> Result<Self, Inexpressible> {
        let wrong = |why| Err(Inexpressible { value: value.to_owned(), why });
        if value.is_empty() {
            return wrong("the value is empty");
        }
        if value.chars().any(char::is_control) {
            return wrong("the value has control characters");
        }
        Ok(Self(format!("{attribute} eq {}", Value::from(value))))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let filter = Filter::eq("displayName", "a\" or id pr or x eq \"\\").unwrap();
        assert_eq!(filter.to_string(), r#"displayName eq "a\" or id pr or x eq \"\\""#);
    }

    #[test]
    fn a_filter_takes_no_empty_value_and_no_control_characters() {
        for wrong in ["", "a\0", "a\r\nb"] {
            assert!(Filter::eq("userName", wrong).is_err(), "{wrong:?}");
        }
    }
}
