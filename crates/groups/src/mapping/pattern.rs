//! Patterns that select groups: a glob (`AWS_*`), a regular expression (`/^AWS_/`), or an id
//! (`id:00g...`).

use std::fmt;
use std::str::FromStr;

use beadle_engine::check_glob;
use globset::{Glob, GlobMatcher};
use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::MappingError;

#[derive(Clone, Debug)]
enum Kind {
    Glob(GlobMatcher),
    Regex(Regex),
    Id(String),
}

/// A pattern that selects groups.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    kind: Kind,
}

impl Pattern {
    /// Returns whether the pattern selects a group.
    pub fn is_for(&self, id: &str, name: &str) -> bool {
        match &self.kind {
            Kind::Glob(glob) => glob.is_match(name),
            Kind::Regex(regex) => regex.is_match(name),
            Kind::Id(wanted) => wanted == id,
        }
    }
}

impl FromStr for Pattern {
    type Err = MappingError;
    fn from_str(text: &str) -> Result<Self, MappingError> {
        let wrong = |why: String| MappingError::Pattern { text: text.to_owned(), why };
        let kind = if let Some(id) = text.strip_prefix("id:") {
            Kind::Id(id.to_owned())
        } else if let Some(inner) = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
            Kind::Regex(Regex::new(inner).map_err(|error| wrong(error.to_string()))?)
        } else if text.is_empty() {
            return Err(wrong("the pattern is empty".into()));
        } else {
            check_glob(text).map_err(wrong)?;
            Kind::Glob(Glob::new(text).map_err(|error| wrong(error.to_string()))?.compile_matcher())
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_meant_by_glob_by_expression_or_by_id() {
        let is = |pattern: &str, name: &str| pattern.parse::<Pattern>().unwrap().is_for("00g1", name);
        assert!(is("AWS_*", "AWS_Ops") && !is("AWS_*", "My AWS_Ops") && is("*", "any/thing"));
        assert!(is("/Ops$/", "AWS_Ops") && !is("/^Ops$/", "AWS_Ops"));
        assert!(is("id:00g1", "x") && !is("id:00g2", "x"));
        let nested = format!("{}a{}", "{".repeat(250), "}".repeat(250));
        assert!(nested.parse::<Pattern>().is_err(), "the library panics on it");
        assert!("/(/".parse::<Pattern>().is_err() && "[".parse::<Pattern>().is_err());
    }
}
