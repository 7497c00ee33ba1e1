//! Creates links to the lines of a policy at GitHub.

use beadle_engine::PolicyLocation;
use beadle_repositories::policy::{BASE, PolicyOrigin};

/// The place of a policy at GitHub. Beadle computes the address of each line from this place.
#[derive(Clone, Debug)]
pub(crate) struct PolicyLinks {
    /// The address of GitHub's pages, such as `https://github.com`.
    pub(crate) web: String,
    pub(crate) origin: PolicyOrigin,
    /// For the base of the policy, the address of GitHub's pages and the origin.
    pub(crate) base: Option<(String, PolicyOrigin)>,
}

impl PolicyLinks {
    /// Returns the address of a line at the commit of the policy.
    pub(crate) fn link(&self, at: &PolicyLocation) -> String {
        match (at.file.strip_prefix(BASE), &self.base) {
            (Some(file), Some((web, base))) => {
                base.link(web, &PolicyLocation { file: file.into(), line: at.line })
            }
            _ => self.origin.link(&self.web, at),
        }
    }

    /// Returns the address of a line. The line is given as a text such as `repos/shop.yml:7`.
    pub(crate) fn link_of(&self, shown: &str) -> Option<String> {
        let (file, line) = shown.rsplit_once(':')?;
        Some(self.link(&PolicyLocation { file: file.into(), line: line.parse().ok()? }))
    }

    /// Returns one line for each repository of the policy. The line shows the repository's commit.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |what: &str, origin: &PolicyOrigin| {
            format!("{what} {} at commit {}", origin.shown(), origin.generation())
        };
        let base = self.base.iter().map(|(_, base)| line("base", base));
        std::iter::once(line("policy", &self.origin)).chain(base).collect()
    }
}

#[cfg(test)]
mod tests {
    use beadle_github::Commit;

    use super::*;

    fn origin(repository: &str, id: &str) -> PolicyOrigin {
        let commit =
            Commit { id: id.repeat(40), author: String::new(), logins: Vec::new(), subject: String::new() };
        PolicyOrigin { repository: repository.into(), path: String::new(), commit }
    }

    #[test]
    fn a_line_of_the_base_leads_to_the_repository_of_the_base() {
        let base = Some(("https://ghe.example.com".to_owned(), origin("shared/rules", "2")));
        let web = "https://github.com".to_owned();
        let links = PolicyLinks { web, origin: origin("acme/admin", "1"), base };
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let own = format!("https://github.com/acme/admin/blob/{one}/settings.yml#L3");
        assert_eq!(links.link_of("settings.yml:3"), Some(own));
        let shared = format!("https://ghe.example.com/shared/rules/blob/{two}/layers/a.yml#L7");
        assert_eq!(links.link_of("base/layers/a.yml:7"), Some(shared));
        assert_eq!(links.lines()[1], "base shared/rules at commit 222222222222");
        assert_eq!(links.link_of("no line"), None);
    }
}
