//! The place of a policy in Git.

use beadle_engine::PolicyLocation;
use beadle_github::Commit;

use super::schema::FileKind;

/// The name of a generation contains this number of digits of the commit.
const DIGITS: usize = 12;

/// The first part of the path of each file that belongs to a base.
pub const BASE: &str = "base/";

/// Returns the default rank of a base's file. This rank is lower than the ranks of the
/// organisation's own files.
pub(super) fn base_rank(kind: FileKind) -> i64 {
    if kind == FileKind::Settings { -200 } else { -100 }
}

/// The commit that contains the files of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyOrigin {
    /// The repository, in the form `owner/name`.
    pub repository: String,
    /// The folder of the policy in the repository. The path is empty for the root of the
    /// repository.
    pub path: String,
    /// The commit.
    pub commit: Commit,
}

impl PolicyOrigin {
    /// Returns the name of the generation: the first digits of the commit.
    pub fn generation(&self) -> String {
        self.commit.id.chars().take(DIGITS).collect()
    }

    /// Returns the place of the folder for messages, such as `acme/admin/.github`.
    pub fn shown(&self) -> String {
        let folder = self.path.trim_matches('/');
        if folder.is_empty() { self.repository.clone() } else { format!("{}/{folder}", self.repository) }
    }

    /// Returns the address of a line at the commit. `web` is the address of GitHub's pages, such as
    /// `https://github.com`.
    pub fn link(&self, web: &str, at: &PolicyLocation) -> String {
        let folder = self.path.trim_matches('/');
        let path = if folder.is_empty() { at.file.to_string() } else { format!("{folder}/{}", at.file) };
        format!("{web}/{}/blob/{}/{}#L{}", encoded(&self.repository), self.commit.id, encoded(&path), at.line)
    }
}

/// Returns the address of a pull request. `web` is the address of GitHub's pages. `repository` has
/// the form `owner/name`.
pub fn pull_request_link(web: &str, repository: &str, number: u64) -> String {
    format!("{web}/{}/pull/{number}", encoded(repository))
}

/// Encodes each part of a path so that it can be in an address.
fn encoded(path: &str) -> String {
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Encodes a name so that it can be part of an address (RFC 3986, section 2.3).
fn segment(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.extend([byte >> 4, byte & 15].map(|digit| {
                char::from_digit(u32::from(digit), 16).unwrap_or_default().to_ascii_uppercase()
            }));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(path: &str) -> PolicyOrigin {
        let commit = Commit {
            id: "0123456789abcdef".repeat(2),
            author: "ann".into(),
            logins: Vec::new(),
            subject: "x".into(),
        };
        PolicyOrigin { repository: "acme/admin".into(), path: path.into(), commit }
    }

    #[test]
    fn a_link_names_the_line_at_the_commit() {
        let at = PolicyLocation { file: "repos/a b#c.yml".into(), line: 7 };
        let end = "blob/0123456789abcdef0123456789abcdef/";
        assert_eq!(
            origin("/.github/").link("https://github.com", &at),
            format!("https://github.com/acme/admin/{end}.github/repos/a%20b%23c.yml#L7")
        );
        assert_eq!(
            origin("").link("https://ghe.example.com", &at),
            format!("https://ghe.example.com/acme/admin/{end}repos/a%20b%23c.yml#L7")
        );
        assert_eq!(
            pull_request_link("https://github.com", "acme/a b", 7),
            "https://github.com/acme/a%20b/pull/7"
        );
        assert_eq!(origin("").generation(), "0123456789ab");
        assert_eq!(
            (origin(".github").shown(), origin("").shown()),
            ("acme/admin/.github".into(), "acme/admin".into())
        );
    }
}
