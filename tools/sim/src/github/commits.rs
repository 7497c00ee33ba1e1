//! Makes the commits of repositories. Each change of a repository's `contents` makes one commit,
//! and the repository keeps the files of every commit. So a test that patches the state can
//! simulate a merge.
//!
//! <https://docs.github.com/rest/commits/commits>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::{Digest, Sha256};

/// The author of a commit if the state contains no author for it.
const AUTHOR: &str = "octocat";

/// A file of a commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    /// The mode, such as `100644`, `120000` for a symbolic link or `160000` for a submodule.
    pub(crate) mode: &'a str,
    /// The text of the file, the target of the link, or the commit of the submodule.
    pub(crate) text: &'a str,
}

impl File<'_> {
    pub(crate) fn is_submodule(&self) -> bool {
        self.mode == "160000"
    }

    /// Returns the id of the file. Files with the same text have the same id.
    pub(crate) fn id(&self) -> String {
        if self.is_submodule() { self.text.to_owned() } else { id("blob", self.text) }
    }
}

/// A commit of a repository.
pub(crate) struct Commit<'a> {
    pub(crate) id: String,
    pub(crate) author: &'a str,
    pub(crate) message: &'a str,
    pub(crate) parents: Vec<&'a str>,
    contents: &'a Value,
}

impl<'a> Commit<'a> {
    /// Returns the files of the commit, by path.
    pub(crate) fn files(&self) -> BTreeMap<&'a str, File<'a>> {
        files(self.contents)
    }

    /// Returns the files in the form that the state uses.
    pub(crate) fn contents(&self) -> &'a Value {
        self.contents
    }

    /// Returns the id of the folder at `path`. The path of the root is empty.
    pub(crate) fn tree(&self, path: &str) -> String {
        tree(self.contents, path)
    }
}

fn files(contents: &Value) -> BTreeMap<&str, File<'_>> {
    let contents = contents.as_object().into_iter().flatten();
    contents.map(|(path, file)| (path.as_str(), file_of(file))).collect()
}

/// Returns the id of the folder at `path` in the `contents` of a repository. The id depends on
/// everything in the folder. The path of the root is empty.
pub(crate) fn tree(contents: &Value, path: &str) -> String {
    let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut listed = String::new();
    for (path, file) in files(contents) {
        if let Some(below) = path.strip_prefix(&folder) {
            let _ = writeln!(listed, "{} {below} {}", file.mode, file.id()); // writing to a string cannot fail
        }
    }
    id("tree", &listed)
}

/// Returns a file of the state. The file is either a text, or an object with `mode` and `text`.
fn file_of(file: &Value) -> File<'_> {
    match file {
        Value::Object(given) => File {
            mode: given.get("mode").and_then(Value::as_str).unwrap_or("100644"),
            text: given.get("text").and_then(Value::as_str).unwrap_or_default(),
        },
        file => File { mode: "100644", text: file.as_str().unwrap_or_default() },
    }
}

/// Returns the id of an object with this content. A file has the same id as in git, because clients
/// can compute this id.
pub(crate) fn id(kind: &str, content: &str) -> String {
    if kind == "blob" {
        return hexadecimal(&Sha1::digest(format!("blob {}\0{content}", content.len()).as_bytes()));
    }
    let digest = Sha256::digest(format!("{kind} {content}").as_bytes());
    hexadecimal(&digest)
}

/// Returns the first 20 bytes as hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().take(20).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// Adds a commit to a repository. No branch points to the commit. Returns the id of the commit.
pub(crate) fn add(
    repository: &mut Value,
    author: &str,
    message: &str,
    parent: &str,
    contents: &Value,
) -> String {
    let files = contents.as_object().into_iter().flatten();
    let blobs: BTreeMap<String, &String> = files.map(|(path, file)| (file_of(file).id(), path)).collect();
    let new = json!({
        "author": author, "message": message, "parents": [parent], "contents": contents, "blobs": blobs,
    });
    let commit = id("commit", &new.to_string());
    if !repository["commits"].is_object() {
        repository["commits"] = json!({});
    }
    repository["commits"][&commit] = new;
    commit
}

/// Makes a commit if the files of a repository have changed since the last commit. The key `commit`
/// of the state can have the `author` and the `message`.
pub(crate) fn complete(repository: &mut Value) {
    let named = repository.as_object_mut().and_then(|found| found.remove("commit")).unwrap_or_default();
    let contents = &repository["contents"];
    if contents.as_object().is_none_or(serde_json::Map::is_empty) || !has_branches(repository) {
        return;
    }
    let parent = repository["head_commit"].as_str().map(str::to_owned);
    if parent.as_ref().is_some_and(|parent| repository["commits"][parent]["contents"] == *contents) {
        return;
    }
    let author = named["author"].as_str().unwrap_or(AUTHOR);
    let message = named["message"].as_str().unwrap_or("Change files");
    let files = contents.as_object().into_iter().flatten();
    let blobs: BTreeMap<String, &String> = files.map(|(path, file)| (file_of(file).id(), path)).collect();
    let new = json!({
        "author": author, "message": message, "parents": parent.iter().collect::<Vec<_>>(),
        "contents": contents, "blobs": blobs,
    });
    let commit = id("commit", &new.to_string());
    if !repository["commits"].is_object() {
        repository["commits"] = json!({});
    }
    repository["commits"][&commit] = new;
    repository["head_commit"] = json!(commit);
}

pub(crate) fn has_branches(found: &Value) -> bool {
    found["branches"].as_object().is_some_and(|branches| !branches.is_empty())
}

/// Returns the id of the default commit. A branch points to this commit if the state has no other
/// `commit` for the branch.
pub(crate) fn head(found: &Value) -> String {
    found["head_commit"].as_str().map_or_else(|| "1".repeat(40), str::to_owned)
}

/// Returns the commit of a branch, of `HEAD`, or of a commit id.
pub(crate) fn find<'a>(found: &'a Value, reference: &str) -> Option<Commit<'a>> {
    if !has_branches(found) {
        return None;
    }
    let name = reference.strip_prefix("refs/").unwrap_or(reference);
    let name = name.strip_prefix("heads/").unwrap_or(name);
    let name = if name == "HEAD" { found["default_branch"].as_str().unwrap_or(name) } else { name };
    let branch = found["branches"].get(name);
    let id = match branch {
        Some(branch) => branch["commit"].as_str().map_or_else(|| head(found), str::to_owned),
        None if reference == "HEAD" || reference == head(found) => head(found),
        None => found["commits"].get(reference).map(|_| reference.to_owned())?,
    };
    let of = &found["commits"][&id];
    let parents = of["parents"].as_array().into_iter().flatten();
    Some(Commit {
        author: of["author"].as_str().unwrap_or(AUTHOR),
        message: of["message"].as_str().unwrap_or("Say what is there"),
        parents: parents.filter_map(Value::as_str).collect(),
        contents: if of["contents"].is_object() { &of["contents"] } else { &found["contents"] },
        id,
    })
}

/// Returns the text of a blob of any commit.
pub(crate) fn blob<'a>(found: &'a Value, id: &str) -> Option<&'a str> {
    let commits = found["commits"].as_object().into_iter().flatten();
    let mut known = commits.filter_map(|(_, commit)| {
        let path = commit["blobs"].get(id)?.as_str()?;
        Some(file_of(commit["contents"].get(path)?))
    });
    let unrecorded = || {
        let mut files = found["contents"].as_object().into_iter().flatten().map(|(_, file)| file_of(file));
        files.find(|file| found["commits"].is_null() && file.id() == id)
    };
    known.next().or_else(unrecorded).filter(|file| !file.is_submodule()).map(|file| file.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_files_makes_a_commit_that_keeps_its_files() {
        let mut found =
            json!({ "default_branch": "main", "branches": { "main": {} }, "contents": { "a": "1" } });
        complete(&mut found);
        let first = head(&found);
        complete(&mut found);
        assert_eq!(head(&found), first, "nothing has changed");
        found["contents"] = json!({ "a": "2", "d/l": { "mode": "120000", "text": "../a" } });
        found["commit"] = json!({ "author": "ann", "message": "Turn wikis on" });
        complete(&mut found);
        let second = find(&found, "main").unwrap();
        assert_eq!((second.author, second.message), ("ann", "Turn wikis on"));
        assert_eq!(second.parents, [first.as_str()]);
        assert_eq!(second.files()["d/l"].mode, "120000");
        let before = find(&found, &first).unwrap();
        assert_eq!(before.files()["a"].text, "1");
        assert_ne!(before.tree(""), second.tree(""));
        assert_eq!(blob(&found, &id("blob", "1")), Some("1"));
        assert!(found.get("commit").is_none() && find(&found, "gone").is_none());
    }

    #[test]
    fn a_branch_can_point_to_another_commit() {
        let mut found = json!({ "branches": { "main": {} }, "contents": { "a": "1" } });
        complete(&mut found);
        let first = head(&found);
        found["contents"]["a"] = json!("2");
        found["branches"]["old"] = json!({ "commit": first });
        complete(&mut found);
        assert_eq!(find(&found, "old").unwrap().files()["a"].text, "1");
        assert_eq!(find(&found, "refs/heads/main").unwrap().files()["a"].text, "2");
    }
}
