//! `[traces]`: the export of traces, and its checks.

use serde::Deserialize;

use crate::{Invalid, KeyPath};

/// `[traces]`: the export of traces with OpenTelemetry. If a key is missing, an OpenTelemetry
/// environment variable can set its value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesFile {
    /// The address that receives the spans, in the format OTLP over HTTP.
    pub endpoint: Option<String>,
    /// The share of the traces that Beadle exports, from 0 to 1.
    pub ratio: Option<f64>,
}

impl TracesFile {
    /// Checks the rules that the types cannot express.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let table = KeyPath::new("traces");
        if let Some(endpoint) = &self.endpoint {
            let at = table.key("endpoint");
            let rest = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            let rest = rest.filter(|rest| !rest.is_empty() && !endpoint.contains(char::is_whitespace));
            let Some(rest) = rest else {
                return Err(Invalid::must(at, "be an address such as `http://localhost:4318/v1/traces`"));
            };
            // A password in the file would not stay secret, because commands and pages print the
            // values of the file, and the file is often in Git.
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            if host.contains('@') {
                let hint = "set the header in the variable OTEL_EXPORTER_OTLP_HEADERS";
                return Err(Invalid::must(at, "not contain a password").hint(Some(hint.into())));
            }
        }
        match self.ratio {
            Some(ratio) if !(0.0..=1.0).contains(&ratio) => {
                Err(Invalid::must(table.key("ratio"), &format!("be from 0 to 1, found {ratio}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_without_a_password_and_a_ratio_is_a_share() {
        let error = |lines: &str| toml::from_str::<TracesFile>(lines).unwrap().check().err();
        for valid in [
            "",
            "endpoint = \"http://localhost:4318/v1/traces\"",
            "endpoint = \"https://traces.example.com/a@b\"",
            "ratio = 0.0",
            "ratio = 1.0",
        ] {
            assert_eq!(error(valid), None, "{valid}");
        }
        for (invalid, expected) in [
            ("endpoint = \"localhost:4318\"", "must be an address"),
            ("endpoint = \"https://\"", "must be an address"),
            ("endpoint = \"https://a b\"", "must be an address"),
            ("endpoint = \"https://me:hidden@example.com/v1/traces\"", "must not contain a password"),
            ("ratio = 1.1", "must be from 0 to 1"),
            ("ratio = -0.1", "must be from 0 to 1"),
            ("ratio = nan", "must be from 0 to 1"),
        ] {
            let text = error(invalid).unwrap().to_string();
            assert!(text.contains(expected) && !text.contains("hidden"), "{invalid}: {text}");
        }
    }
}
