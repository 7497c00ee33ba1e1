//! Filters: `attribute eq "value"`, where the value is a JSON string (RFC 7644, 3.4.2.2).

use std::fmt;

use serde_json::Value;

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// `attribute eq "value"`.
    pub fn eq(attribute: &str, value: &str) -> Self {
        Self(format!("{attribute} eq {}", Value::from(value)))
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
    }
}
