//! Checks the page about the keys of other tools. All keys on this page must be keys of a policy,
//! and Beadle must support them.

use std::path::Path;

use super::ALL_SECTIONS;
use crate::policy::shape::{Key, Shape, Status};

const PAGE: &str = "docs/coverage.md";

/// If a table cell begins with one of these texts, the cell contains no policy key.
const WITHOUT_KEY: &[&str] =
    &["no: ", "the same key", "[`teams.yml`]", "[`members.yml`]", "a file in `repos/`"];

/// Returns whether Beadle supports the key at this path.
fn is_carried(keys: &[Key], path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    keys.iter().any(|key| key.name == *first && key.status == Status::Carried && has(&key.shape, rest))
}

fn has(shape: &Shape, path: &[&str]) -> bool {
    match shape {
        _ if path.is_empty() => true,
        Shape::Map(keys) => is_carried(keys, path),
        Shape::List(inner) | Shape::OrNull(inner) | Shape::Named(inner) => has(inner, path),
        Shape::Layered(inner, keys) => has(inner, path) || is_carried(keys, path),
        Shape::Either(one, other) => has(one, path) || has(other, path),
        _ => false,
    }
}

#[test]
fn the_page_of_other_tools_names_only_keys_that_beadle_carries_out() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = std::fs::read_to_string(page).unwrap();
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once(" | "));
    let mut count = 0;
    for (key, cell) in rows {
        count += 1;
        let quoted = cell.split('`').skip(1).step_by(2).map(|path| path.split('.').collect::<Vec<_>>());
        // `teams.yml` is a file and not a key of the section `teams`.
        let is_key = |path: &Vec<&str>| {
            path.last() != Some(&"yml") && ALL_SECTIONS.iter().any(|section| section.name == path[0])
        };
        let paths: Vec<Vec<&str>> = quoted.filter(is_key).collect();
        for path in &paths {
            assert!(is_carried(ALL_SECTIONS, path), "{PAGE}: `{key}: {cell}");
        }
        let needs_key = !WITHOUT_KEY.iter().any(|start| cell.starts_with(start));
        assert!(!needs_key || !paths.is_empty(), "{PAGE}: `{key}: {cell}");
    }
    assert!(count > 250, "{PAGE} has only {count} rows");
}
