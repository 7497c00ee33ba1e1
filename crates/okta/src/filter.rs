//! Creates filters. Only this code puts a value into a filter, so that no value can change what the
//! filter compares. (`beadle_transport::Path` puts ids and logins into addresses.)

use beadle_engine::{Class, Failure};

/// Returns a filter that compares an attribute with a value, such as `id eq "00g1"`.
pub(crate) fn comparison(attribute: &str, operator: &str, value: &str) -> Result<String, Failure> {
    if value.is_empty() || value.contains(['"', '\\']) || value.chars().any(char::is_control) {
        let shown = value.escape_debug();
        let text = format!("invalid value `{shown}` for a filter of Okta");
        return Err(Failure::new(Class::Rejected, text));
    }
    Ok(format!("{attribute} {operator} \"{value}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_ends_a_filter() {
        assert_eq!(comparison("id", "eq", "00g1").ok().as_deref(), Some("id eq \"00g1\""));
        for bad in ["", "a\" or id pr", "a\\", "a\nb"] {
            assert!(comparison("id", "eq", bad).is_err(), "{bad:?} was taken");
        }
    }
}
