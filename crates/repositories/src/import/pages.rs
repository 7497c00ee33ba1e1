//! Reads the GitHub Pages site of a repository.

use beadle_engine::Failure;
use beadle_github::{Reader, Repository};
use serde_json::{Map, Value, json};

use super::noted::known;
use super::observed::Observed;

/// Adds the site of a repository to `observed`.
pub(super) async fn read(reader: &Reader, seen: &Repository, observed: &mut Observed) -> Result<(), Failure> {
    let read = reader.below(seen, "pages").await;
    let Some(shown) = known(read, &["pages"], observed)? else { return Ok(()) };
    observed.values.insert("pages", site(shown.as_ref()));
    Ok(())
}

/// Returns a site in the form of a policy. `None` means that the repository has no site.
fn site(shown: Option<&Value>) -> Map<String, Value> {
    let mut site = Map::from_iter([("enabled".to_owned(), json!(shown.is_some()))]);
    let Some(shown) = shown else { return site };
    let kind = shown["build_type"].as_str().unwrap_or("legacy");
    site.insert("build_type".to_owned(), json!(kind));
    if kind == "legacy" && shown["source"]["branch"].is_string() {
        site.insert("source".to_owned(), shown["source"].clone());
    }
    if shown["cname"].as_str().is_some_and(|name| !name.is_empty()) {
        site.insert("cname".to_owned(), shown["cname"].clone());
    }
    for key in ["https_enforced", "public"] {
        if shown[key].is_boolean() {
            site.insert(key.to_owned(), shown[key].clone());
        }
    }
    site
}
