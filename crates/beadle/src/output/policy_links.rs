//! The addresses of policy lines at GitHub.

use beadle_engine::PolicyLocation;
use beadle_repositories::policy::PolicyOrigin;

/// The place of a policy at GitHub, from which the address of each line is made.
#[derive(Clone, Debug)]
pub(crate) struct PolicyLinks {
    /// The address of GitHub's pages, such as `https://github.com`.
    pub(crate) web: String,
    pub(crate) origin: PolicyOrigin,
}

impl PolicyLinks {
    /// Returns the address of a line at the commit of the policy.
    pub(crate) fn link(&self, at: &PolicyLocation) -> String {
        self.origin.link(&self.web, at)
    }

    /// Returns the address of a line that is given as text, such as `repos/shop.yml:7`.
    pub(crate) fn link_of(&self, shown: &str) -> Option<String> {
        let (file, line) = shown.rsplit_once(':')?;
        Some(self.link(&PolicyLocation { file: file.into(), line: line.parse().ok()? }))
    }
}
