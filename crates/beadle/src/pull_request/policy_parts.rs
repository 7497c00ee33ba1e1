//! The parts of a policy: the organisation's own files, and the files of its base. Each part is in
//! a repository. A pull request changes only the parts in its own repository.

use std::collections::BTreeMap;

use beadle_engine::{Failure, Lane};
use beadle_github::{Pull, Reader};
use beadle_repositories::policy::BASE;

use super::base_and_head::{self, Side};
use crate::config::RepositorySource;

/// A repository that contains a part of a policy.
pub(crate) struct Part {
    /// Reads the repository.
    pub(crate) reader: Reader,
    /// The folder with the files, and the branch of the repository.
    pub(crate) source: RepositorySource,
    /// True if the part is the base of the policy. False if the part is the organisation's own
    /// part.
    pub(crate) is_base: bool,
}

impl Part {
    /// Returns the beginning of the part's paths in the whole policy.
    pub(super) fn prefix(&self) -> &'static str {
        if self.is_base { BASE } else { "" }
    }
}

/// The folders of those policy parts that are in the repository of a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Folders {
    /// The folder of the organisation's own part; `None` if that part is in another repository.
    pub(super) own: Option<String>,
    /// The folder of the base; `None` if there is no base, or if the base is in another repository.
    pub(super) base: Option<String>,
}

impl Folders {
    /// Returns the path that a policy file has in the pull request's repository. Returns `None` if
    /// the file is in another repository.
    pub(super) fn path(&self, file: &str) -> Option<String> {
        let (folder, file) = match file.strip_prefix(BASE) {
            Some(file) => (self.base.as_ref()?, file),
            None => (self.own.as_ref()?, file),
        };
        let folder = folder.trim_matches('/');
        Some(if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") })
    }
}

/// The files of all parts, before and after a pull request. The lists are in the order of the
/// parts.
pub(super) struct Sides {
    /// The files before the pull request; `None` if these files cannot be a policy.
    pub(super) before: Option<Vec<Side>>,
    /// The files after the pull request.
    pub(super) after: Vec<Side>,
    /// The last commit on the base branch of the pull request.
    pub(super) base: Option<String>,
    /// True if the pull request changes a file of the policy.
    pub(super) is_changed: bool,
}

/// Lists the files of all parts. For each part, `changed` returns `true` if the pull request
/// changes this part. The inner error is the reason why the files cannot be a policy, such as a
/// symbolic link.
pub(super) async fn sides(
    parts: &[Part],
    changed: &[bool],
    lane: Lane,
    pull: &Pull,
) -> Result<Result<Sides, String>, Failure> {
    let mut sides = Sides { before: Some(Vec::new()), after: Vec::new(), base: None, is_changed: false };
    for (part, is_changed) in parts.iter().zip(changed) {
        let (reader, source) = (part.reader.in_lane(lane), &part.source);
        let now = base_and_head::side(&reader, source, &source.reference).await?;
        if !is_changed {
            let now = match now {
                Ok(now) => now,
                Err(why) => return Ok(Err(why)),
            };
            sides.after.push(now.clone());
            sides.before.iter_mut().for_each(|before| before.push(now.clone()));
            continue;
        }
        let mut head = match base_and_head::side(&reader, source, &pull.head).await? {
            Ok(head) => head,
            Err(why) => return Ok(Err(why)),
        };
        if let Ok(now) = now {
            sides.base = Some(now.commit.id.clone());
            let began = reader.merge_base(&source.repository, &now.commit.id, &pull.head).await?;
            if let Some(began) = began.filter(|began| *began != now.commit.id) {
                let began = base_and_head::side(&reader, source, &began).await?;
                // If the folder did not exist at that commit, every file of the head is new.
                head.merge(&now, &began.map(|began| began.blobs).unwrap_or_default());
            }
            sides.is_changed |= now.blobs != head.blobs;
            sides.before.iter_mut().for_each(|before| before.push(now.clone()));
        } else {
            sides.is_changed = true;
            sides.before = None;
        }
        sides.after.push(head);
    }
    Ok(Ok(sides))
}

/// Reads the texts of all files that are not in `known`. `known` contains the texts of the policy
/// in force. In `known` and in the result, each text is stored by its content id.
pub(super) async fn texts(
    parts: &[Part],
    lane: Lane,
    sides: &Sides,
    known: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut texts = known;
    for (at, part) in parts.iter().enumerate() {
        let before = sides.before.as_ref().and_then(|before| before.get(at));
        let both: Vec<&Side> = before.into_iter().chain(sides.after.get(at)).collect();
        texts = base_and_head::texts(&part.reader.in_lane(lane), &part.source, &both, texts).await?;
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_the_repository_that_has_its_part() {
        let folders = |own: Option<&str>, base: Option<&str>| Folders {
            own: own.map(str::to_owned),
            base: base.map(str::to_owned),
        };
        for (folders, file, path) in [
            (folders(Some(""), None), "repos/shop.yml", Some("repos/shop.yml")),
            (folders(Some("/.github/"), None), "settings.yml", Some(".github/settings.yml")),
            (folders(Some(".github"), None), "base/settings.yml", None),
            (folders(None, Some("shared")), "base/settings.yml", Some("shared/settings.yml")),
            (folders(None, Some("shared")), "settings.yml", None),
            (folders(Some("own"), Some("shared")), "base/layers/a.yml", Some("shared/layers/a.yml")),
        ] {
            assert_eq!(folders.path(file).as_deref(), path, "{folders:?} {file}");
        }
    }
}
