//! Places below a repository or an organisation that a write may name without a check. A team or an
//! account needs a check, because its name may have another owner by now: see [`crate::Grantee`].

use beadle_transport::Path;

/// A place below a repository or an organisation. It consists of literals and ids. The only names
/// in it are names of labels, which exist only in their repository.
#[derive(Clone, Debug)]
pub struct Below(Path);

impl Below {
    /// Creates a place that begins with a literal.
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
