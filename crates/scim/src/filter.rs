//! Filters: `attribute eq "value"`, where the value is a JSON string (RFC 7644, 3.4.2.2).

use std::fmt;

use serde_json::Value;

/// A filter, or several joined by `and`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// `attribute eq "value"`.
    pub fn eq(attribute: &str, value: &str) -> Self {
        Self(format!("{attribute} eq {}", Value::from(value)))
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        Self(format!("{} and {other}", self.0))
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
        let filter = Filter::eq("displayName", "a\" or id pr or x eq \"\\");
        assert_eq!(filter.to_string(), r#"displayName eq "a\" or id pr or x eq \"\\""#);
        assert_eq!(
            Filter::eq("id", "g").and(&Filter::eq("member", "u")).to_string(),
            r#"id eq "g" and member eq "u""#
        );
    }
}
