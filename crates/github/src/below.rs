//! Paths for writes. Each path is below a repository or an organisation, and its names need no
//! check. In other paths, the name of a team or an account needs a check, because another team or
//! account might have this name now: see [`crate::Grantee`].

use beadle_transport::Path;

/// A path below a repository or an organisation. The path consists of literals, ids, and names of
/// labels, environments, variables, secrets and custom properties. Such names need no check,
/// because they belong to the repository or the organisation at the start of the path.
#[derive(Clone, Debug)]
pub struct Below(Path);

impl Below {
    /// Creates a path that begins with a literal.
    pub fn at(literal: &'static str) -> Self {
        Self(Path::at(literal))
    }

    /// Returns the path of a label.
    pub fn label(name: &str) -> Self {
        Self(Path::at("labels").value(name))
    }

    /// Returns the path of a variable of the organisation.
    pub fn variable(name: &str) -> Self {
        Self(Path::at("actions/variables").value(name))
    }

    /// Returns the path of a custom property's definition.
    pub fn property(name: &str) -> Self {
        Self(Path::at("properties/schema").value(name))
    }

    /// Returns the path of an environment.
    pub fn environment(name: &str) -> Self {
        Self(Path::at("environments").value(name))
    }

    /// Appends the name of a variable or a secret to the path.
    #[must_use]
    pub fn own(self, name: &str) -> Self {
        Self(self.0.value(name))
    }

    /// Appends an id to the path.
    #[must_use]
    pub fn id(self, id: u64) -> Self {
        Self(self.0.id(id))
    }

    /// Appends a literal to the path.
    #[must_use]
    pub fn then(self, literal: &'static str) -> Self {
        Self(self.0.then(literal))
    }

    /// Converts the path to the type that requests use.
    pub(crate) fn into_path(self) -> Path {
        self.0
    }
}

impl From<&'static str> for Below {
    fn from(literal: &'static str) -> Self {
        Self::at(literal)
    }
}
