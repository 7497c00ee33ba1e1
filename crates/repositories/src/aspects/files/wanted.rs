//! The files that the policy declares for a repository.

use beadle_engine::PolicyLocation;
use beadle_github::{AtPath, blob_id};

use crate::policy::Node;
use crate::policy::file_template::{TemplateFacts, render};

/// A declared file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) path: String,
    pub(super) content: String,
    /// The id that git gives to the content.
    pub(super) id: String,
    /// True if Beadle never changes an existing file.
    pub(super) keeps: bool,
    /// True if Beadle commits the file to the default branch, without a pull request.
    pub(super) is_pushed: bool,
    pub(super) asked: PolicyLocation,
}

impl Wanted {
    /// Reads an entry of the policy for a repository. Returns an error if the entry has no content.
    /// Also returns an error if two layers set different contents.
    pub(super) fn of(entry: &Node, repository: TemplateFacts<'_>) -> Result<Self, String> {
        let text = |key: &str| entry.get(key).and_then(Node::text);
        let path = text("path").unwrap_or_default().to_owned();
        let content = match (text("content"), text("template")) {
            (Some(content), None) => content.to_owned(),
            (None, Some(template)) => render(template, repository)?,
            (None, None) => return Err(format!("the file `{path}` must have `content` or `template`")),
            (Some(_), Some(_)) => {
                return Err(format!(
                    "the file `{path}` must not have both `content` and `template`: the layers together set both"
                ));
            }
        };
        Ok(Self {
            id: blob_id(&content),
            path,
            content,
            keeps: text("when_exists") == Some("keep"),
            is_pushed: entry.get("push").and_then(Node::bool) == Some(true),
            asked: entry.asked.clone(),
        })
    }

    /// Returns whether Beadle must add the file to a branch.
    pub(super) fn differs(&self, found: &AtPath) -> bool {
        match found {
            AtPath::Nothing => true,
            AtPath::File(id) => *id != self.id && !self.keeps,
            AtPath::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: TemplateFacts<'_> = TemplateFacts {
        name: "shop",
        owner: "acme",
        visibility: "private",
        default_branch: "main",
        topics: None,
        properties: None,
    };

    #[test]
    fn a_file_differs_by_its_content_unless_the_policy_keeps_it() {
        let wanted = |more: &str| {
            let entry = Node::parse("settings.yml", &format!("{{ path: a, content: x{more} }}")).unwrap();
            Wanted::of(&entry, FACTS).unwrap()
        };
        let (replaced, kept) = (wanted(""), wanted(", when_exists: keep"));
        let (same, other) = (AtPath::File(blob_id("x")), AtPath::File(blob_id("y")));
        assert!(replaced.differs(&AtPath::Nothing) && kept.differs(&AtPath::Nothing));
        assert!(!replaced.differs(&same) && !kept.differs(&same));
        assert!(replaced.differs(&other) && !kept.differs(&other));
        assert!(!replaced.differs(&AtPath::Other));
    }

    #[test]
    fn a_file_has_exactly_one_source_of_its_content() {
        let content = |entry: &str| {
            let entry = Node::parse("settings.yml", entry).unwrap();
            Wanted::of(&entry, FACTS).map(|file| file.content)
        };
        assert_eq!(content("{ path: a, template: 'of {{ repository.name }}' }"), Ok("of shop".to_owned()));
        for entry in ["{ path: a, push: true }", "{ path: a, content: x, template: y }"] {
            assert!(content(entry).is_err(), "{entry}");
        }
    }
}
