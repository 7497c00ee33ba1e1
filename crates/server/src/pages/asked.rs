//! The query of a request, and the refusals of requests.

use std::time::Duration;

use beadle_engine::StoreError;
use serde::Deserialize;

/// The maximum time that a page waits for the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// The query of a request. Each page uses only some of these values. The description of the API
/// lists the values of each page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// The name of an organisation, or of a target of groups.
    pub(super) instance: String,
    /// The name of a state.
    pub(super) state: String,
    /// The kind of the journal entries to show.
    pub(super) kind: String,
    /// The text to search for in names and in the reasons for states. The search ignores case.
    pub(super) text: String,
    /// A key.
    pub(super) key: String,
    /// The code of a group of held changes.
    pub(super) group: String,
    /// The code of a problem on the overview.
    pub(super) problem: String,
    /// The place of the last row on the previous page.
    pub(super) after: String,
    /// The number of rows to skip.
    pub(super) skip: String,
    /// A number of a journal entry. The page of the journal shows only entries with smaller
    /// numbers.
    pub(super) before: String,
}

/// The reason why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A value of the request is invalid.
    Invalid(String),
    /// The requested thing does not exist.
    NotFound(String),
    /// The store does not answer.
    Unavailable(String),
}

impl Refused {
    /// Returns the reason.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Invalid(why) | Self::NotFound(why) | Self::Unavailable(why) => why,
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Parses a number in the query. Returns `None` if the value is empty.
pub(super) fn number(name: &'static str, value: &str) -> Result<Option<u64>, Refused> {
    if value.is_empty() {
        return Ok(None);
    }
    let invalid = |_| Refused::Invalid(format!("`{name}` must be a number, found `{value}`"));
    value.parse().map(Some).map_err(invalid)
}

/// Waits for an answer, but not longer than [`PATIENCE`].
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
    let late = |_| Refused::Unavailable(format!("the store did not answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, answer).await.map_err(late)?
}

/// Returns whether a name contains a text. `wanted` is in lower case. The name can be in upper or
/// lower case.
pub(super) fn contains(name: &str, wanted: &str) -> bool {
    wanted.is_empty() || name.to_lowercase().contains(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_no_number_is_refused() {
        assert_eq!(number("skip", ""), Ok(None));
        assert_eq!(number("skip", "12"), Ok(Some(12)));
        for bad in ["-1", "1e3", "x", "99999999999999999999"] {
            let expected = format!("`skip` must be a number, found `{bad}`");
            assert_eq!(number("skip", bad), Err(Refused::Invalid(expected)));
        }
    }

    #[test]
    fn a_text_is_found_in_any_case() {
        assert!(contains("acme/Shop", "shop") && contains("acme/shop", "") && !contains("acme/shop", "x"));
    }
}
