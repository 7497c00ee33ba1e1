//! Reads the interaction limit of a public repository.

use beadle_engine::Failure;
use beadle_github::{Reader, Repository, Visibility};
use serde_json::json;

use super::noted::{known, set};
use super::observed::Observed;

/// Adds the interaction limit of a repository to `observed`.
pub(super) async fn read(reader: &Reader, seen: &Repository, observed: &mut Observed) -> Result<(), Failure> {
    if seen.visibility != Visibility::Public {
        return Ok(());
    }
    let read = reader.below(seen, "interaction-limits").await;
    let Some(shown) = known(read, &["interaction_limit"], observed)? else { return Ok(()) };
    let shown = shown.unwrap_or_default();
    if shown["origin"].as_str().is_some_and(|origin| origin != "repository") {
        // A limit that the organisation sets is not imported, because the policy of a repository
        // cannot change it.
        observed.unknown.insert("interaction_limit", String::new());
        return Ok(());
    }
    let limit = shown["limit"].as_str().unwrap_or("none");
    set(observed, "interaction_limit", "limit", &json!(limit));
    if let Some(end) = shown["expires_at"].as_str() {
        observed.notes.push(format!(
            "interaction_limit: the limit `{limit}` ends at {end}; with this file, Beadle sets it again"
        ));
    }
    Ok(())
}
