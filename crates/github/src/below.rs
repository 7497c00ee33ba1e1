//! Places below a repository or an organisation that a write may name freely. A team or an account
//! is no such place: its name may have another owner by now, see [`crate::Grantee`].

use beadle_transport::Path;

/// A place below a repository or an organisation. It is made of literals and ids; the only names in
/// it are those of labels, which exist in their repository alone.
#[derive(Clone, Debug)]
pub struct Below(Path);

impl Below {
    /// Begins with a literal.
    pub fn at(literal: &'static str) -> Self {
        Self(Path::at(literal))
    }

    /// Returns the place of a label.
    pub fn label(name: &str) -> Self {
        Self(Path::at("labels").value(name))
    }

    /// Appends an id.
    #[must_use]
    pub fn id(self, id: u64) -> Self {
        Self(self.0.id(id))
    }

    /// Appends a literal.
    #[must_use]
    pub fn then(self, literal: &'static str) -> Self {
        Self(self.0.then(literal))
    }

    /// Returns the path.
    pub(crate) fn into_path(self) -> Path {
        self.0
    }
}

impl From<&'static str> for Below {
    fn from(literal: &'static str) -> Self {
        Self::at(literal)
    }
}
