//! The places of variables and secrets in a repository.

use beadle_github::{Below, Path};

/// A place that has variables or secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A GitHub product: `actions`, `dependabot` or `codespaces`.
    Product(&'static str),
    /// The environment with this name.
    Environment(String),
}

impl Place {
    /// Returns the path from which Beadle reads a list in this place.
    pub(crate) fn path(&self, list: &'static str) -> Path {
        match self {
            Self::Product(product) => Path::at(product).then(list),
            Self::Environment(name) => Path::at("environments").value(name).then(list),
        }
    }

    /// Returns the path to which Beadle writes a list in this place.
    pub(crate) fn below(&self, list: &'static str) -> Below {
        match self {
            Self::Product(product) => Below::at(product).then(list),
            Self::Environment(name) => Below::environment(name).then(list),
        }
    }

    /// Returns the name of the place in the store. Beadle uses this name for digests of secrets.
    pub(crate) fn remembered(&self) -> String {
        match self {
            Self::Product(product) => (*product).to_owned(),
            Self::Environment(name) => format!("environments/{}", name.to_lowercase()),
        }
    }

    /// Returns the name that plans show for a variable or a secret in this place.
    pub(crate) fn what(&self, kind: &str, name: &str) -> String {
        match self {
            Self::Product(_) => format!("{kind} {name}"),
            Self::Environment(environment) => format!("environment {environment}: {kind} {name}"),
        }
    }
}
