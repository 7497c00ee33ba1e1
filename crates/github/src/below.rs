//! Places in a repository or an organisation that a write may name without a check. The name of a
//! team or an account needs a check, because another team or account may have the name by now: see
//! [`crate::Grantee`].

use beadle_transport::Path;

/// A path below a repository or an organisation. It consists of literals and ids. The only names in
/// it are names of labels, of variables and of custom properties. Each repository has its own
/// labels, and each organisation its own variables and properties.
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

    /// Returns the path of the definition of a custom property.
    pub fn property(name: &str) -> Self {
        Self(Path::at("properties/schema").value(name))
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

    /// Returns the path as the type that requests use.
    pub(crate) fn into_path(self) -> Path {
        self.0
    }
}

impl From<&'static str> for Below {
    fn from(literal: &'static str) -> Self {
        Self::at(literal)
    }
}
