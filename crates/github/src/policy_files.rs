//! Reads the files of a policy from a repository, at one commit. Beadle needs no clone. GitHub's
//! tree lists all files with the ids of their contents, so Beadle reads only new contents.
//!
//! <https://docs.github.com/rest/git/trees>,
//! <https://docs.github.com/graphql/reference/objects#blob>

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use beadle_engine::{Class, Failure};
use beadle_transport::Path;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::co_authors::with_co_authors;
use crate::graphql::run_batch;
use crate::read::Reader;
use crate::refusal::{Asked, CONTENTS};

/// The maximum number of files.
const MOST_FILES: usize = 5_000;
/// The maximum size of a file, in bytes.
const LARGEST: u64 = 1 << 20;
/// The maximum size of all files together, in bytes. Beadle has all files of a policy in memory.
const LARGEST_SUM: u64 = 32 << 20;
/// The maximum length of an author's name and of the first line of a message, in characters. Git
/// has no limit, and a note in the store must stay small.
const LONGEST: usize = 200;
/// The number of contents that one query reads.
const BATCH: usize = 100;
/// The maximum number of contents that Beadle reads one by one. Beadle reads a content alone if a
/// query does not show its whole text. A policy has few contents whose text a query shows only in
/// part, because 32 MiB contain at most 64 long files, and a file that is not text is an error.
/// Without the limit, a pull request with many long or binary files would use up the API budget.
const MOST_ALONE: usize = 200;
/// The maximum number of folders that Beadle reads one by one, if a tree is too large for one
/// answer. One answer has up to 100,000 entries, so a folder that needs more than this number of
/// answers has too many files anyway.
const MOST_FOLDERS: usize = 100;
/// The media type for a file's text.
const RAW: &str = "application/vnd.github.raw+json";

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The id of the commit, in hexadecimal digits.
    pub id: String,
    /// The name of the author: the login, or the name in the commit if the author has no account.
    pub author: String,
    /// The logins of the author, the committer and the co-authors. The list is empty if one of
    /// these people has no known account, because anyone can write any name into a commit. The list
    /// is also empty for a merge commit. The author of a merge commit is the person who merged.
    /// This person is not always the author of the merged commits.
    pub logins: Vec<String>,
    /// The first line of the message.
    pub subject: String,
}

/// A regular file at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeFile {
    /// The path of the file, relative to the folder.
    pub path: String,
    /// The id of the content. Equal contents have equal ids.
    pub blob: String,
    /// The size in bytes.
    pub size: u64,
}

/// A commit as GitHub shows it.
#[derive(Deserialize)]
pub(crate) struct CommitRow {
    sha: String,
    commit: CommitText,
    author: Option<Account>,
    committer: Option<Account>,
    #[serde(default)]
    parents: Vec<IgnoredAny>,
}

impl CommitRow {
    pub(crate) fn into_commit(self) -> Result<Commit, Failure> {
        let Self { sha, commit, author, committer, parents } = self;
        let logins = logins(author.as_ref(), committer.as_ref(), parents.len());
        let logins = with_co_authors(logins, &commit.message);
        let subject = shortened(commit.message.lines().next().unwrap_or_default().trim());
        let login = author.and_then(|account| account.login);
        let name = commit.author.and_then(|person| person.name);
        let author = shortened(&login.or(name).unwrap_or_default());
        Ok(Commit { id: object_id(&sha)?, author, logins, subject })
    }
}

#[derive(Deserialize)]
struct CommitText {
    message: String,
    author: Option<Person>,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Account {
    login: Option<String>,
}

#[derive(Deserialize)]
struct Tree {
    tree: Vec<TreeEntry>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct TreeEntry {
    path: String,
    mode: String,
    sha: String,
    size: Option<u64>,
}

impl TreeEntry {
    fn is_folder(&self) -> bool {
        self.mode == "040000"
    }

    /// Converts the entry to the file at `path`. An entry that is not a small regular file is an
    /// error.
    fn into_file(self, path: String) -> Result<TreeFile, Failure> {
        let refuse = |why: &str| Err(Failure::new(Class::Rejected, format!("{path}: {why}")));
        match self.mode.as_str() {
            "120000" => refuse("must not be a symbolic link; replace the link with a copy of the file"),
            "160000" => refuse("must not be a submodule; copy its files into the repository"),
            _ => match self.size {
                Some(size) if size <= LARGEST => Ok(TreeFile { path, blob: self.sha, size }),
                _ => refuse("must have at most 1 MiB"),
            },
        }
    }
}

/// Returns the logins of both accounts. Returns an empty list if one of the accounts is unknown, or
/// if the commit has several parents.
fn logins(author: Option<&Account>, committer: Option<&Account>, parents: usize) -> Vec<String> {
    if parents > 1 {
        return Vec::new();
    }
    let logins = [author, committer].into_iter().map(|account| account?.login.clone());
    logins.collect::<Option<Vec<String>>>().unwrap_or_default()
}

/// Contents by their ids. The text is `None` if the query does not show the whole text.
type Texts<'a> = Vec<(&'a String, Option<String>)>;

impl Reader {
    /// Returns the commit of a branch, a tag or a commit id. The read costs nothing from the budget
    /// if the answer has not changed since the last read.
    pub async fn commit(&self, repository: &str, reference: &str) -> Result<Commit, Failure> {
        let path = self.repository_path(repository).then("commits").value(reference);
        // Without this limit, the answer would contain the changes of up to 300 files.
        let answer = self.api().read(&path.query("per_page", 1)).await;
        let answer = answer.map_err(|error| self.asked(repository, Some(reference)).explain(error))?;
        let row: CommitRow = answer.json()?;
        row.into_commit()
    }

    /// Returns the regular files below the folder `path` at a commit, sorted by their paths. An
    /// empty `path` means the root. The function fails if the folder does not exist, or has a
    /// symbolic link or a submodule. The function also fails if the folder has more than 5,000
    /// files, if a file has more than 1 MiB, or if all files together have more than 32 MiB. If one
    /// file is the cause, the failure contains the path of this file.
    pub async fn files_at(
        &self,
        repository: &str,
        commit: &str,
        path: &str,
    ) -> Result<Vec<TreeFile>, Failure> {
        let folder = path.trim_matches('/');
        let whole = self.tree(repository, commit, true).await?;
        let mut files = if whole.truncated {
            let root = self.folder(repository, commit, folder).await?;
            self.walk(repository, &root).await?
        } else {
            below(whole.tree, folder)?
        };
        if files.is_empty() && !folder.is_empty() {
            let text = format!("the repository {repository} has no files in the folder {folder}");
            return Err(Failure::new(Class::Rejected, text));
        }
        check_sum(&files)?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(files)
    }

    /// Returns the texts of the contents with these ids. The result has only contents that are
    /// UTF-8 text.
    pub async fn blobs(
        &self,
        repository: &str,
        blobs: &[String],
    ) -> Result<BTreeMap<String, String>, Failure> {
        let wanted: BTreeSet<&String> = blobs.iter().collect();
        let mut waiting: VecDeque<Vec<&String>> =
            wanted.into_iter().collect::<Vec<_>>().chunks(BATCH).map(<[&String]>::to_vec).collect();
        let mut texts = BTreeMap::new();
        let mut alone = 0;
        while let Some(batch) = waiting.pop_front() {
            let Some(found) = self.batch(repository, &batch).await? else {
                // GitHub could not return all these contents in one answer.
                let (one, other) = batch.split_at(batch.len() / 2);
                waiting.push_front(other.to_vec());
                waiting.push_front(one.to_vec());
                continue;
            };
            for (id, text) in found {
                let text = match text {
                    Some(text) => Some(text),
                    None if alone < MOST_ALONE => {
                        alone += 1;
                        self.whole_blob(repository, id).await?
                    }
                    None => return Err(too_many_alone()),
                };
                texts.extend(text.map(|text| (id.clone(), text)));
            }
        }
        Ok(texts)
    }

    /// Reads several contents in one query. Returns `None` if GitHub cannot return this number of
    /// contents.
    async fn batch<'a>(&self, repository: &str, ids: &[&'a String]) -> Result<Option<Texts<'a>>, Failure> {
        const DOING: &str = "reading files of the policy";
        let mut document = String::from("query ($owner: String!, $name: String!");
        let mut variables = json!({ "owner": self.organisation(), "name": repository });
        for (at, id) in ids.iter().enumerate() {
            let _ = write!(document, ", $o{at}: GitObjectID!"); // writing to a string cannot fail
            variables[format!("o{at}")] = json!(id);
        }
        document.push_str(") { repository(owner: $owner, name: $name) {");
        for at in 0..ids.len() {
            let fields = "... on Blob { text byteSize isTruncated isBinary }";
            let _ = write!(document, " b{at}: object(oid: $o{at}) {{ {fields} }}");
        }
        document.push_str(" } }");
        let answer = match run_batch(self.api(), DOING, &document, variables).await {
            Err(unanswered) if unanswered.too_much && ids.len() > 1 => return Ok(None),
            Ok(answer) if answer.is_cut() && ids.len() > 1 => return Ok(None),
            answer => answer.map_err(|unanswered| unanswered.failure)?,
        };
        let found = answer.whole(DOING)?;
        let row = |(at, id): (usize, &&'a String)| {
            let blob = &found["repository"][format!("b{at}")];
            blob.is_object().then(|| (*id, whole_text(blob))).ok_or_else(|| {
                Failure::new(Class::Retry, format!("{DOING}: {repository} has no content {id}"))
            })
        };
        ids.iter().enumerate().map(row).collect::<Result<_, _>>().map(Some)
    }

    /// Reads one content by REST. Returns `None` if the content is not UTF-8 text.
    async fn whole_blob(&self, repository: &str, id: &str) -> Result<Option<String>, Failure> {
        let path = self.repository_path(repository).then("git/blobs").value(id);
        let answer = self.api().get_accepting(&path, RAW).await?;
        let text = std::str::from_utf8(&answer.body).ok().filter(|text| !text.contains('\0'));
        Ok(text.map(str::to_owned))
    }

    /// Returns the id of the Git tree for a folder. The function reads the tree of one folder after
    /// the other, from the root.
    async fn folder(&self, repository: &str, commit: &str, folder: &str) -> Result<String, Failure> {
        let mut id = commit.to_owned();
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            let level = self.tree(repository, &id, false).await?;
            let found = level.tree.into_iter().find(|entry| entry.path == name && entry.is_folder());
            let missing = || {
                let text = format!("the repository {repository} has no folder {folder}");
                Failure::new(Class::Rejected, text)
            };
            id = found.ok_or_else(missing)?.sha;
        }
        Ok(id)
    }

    /// Returns the files of a folder. Beadle uses this function if the repository is too large for
    /// one answer. If the folder is also too large for one answer, the function reads its
    /// subfolders one by one.
    async fn walk(&self, repository: &str, root: &str) -> Result<Vec<TreeFile>, Failure> {
        let mut files = Vec::new();
        let mut waiting = VecDeque::from([(String::new(), root.to_owned())]);
        let mut read = 0;
        while let Some((prefix, id)) = waiting.pop_front() {
            read += 1;
            if read > MOST_FOLDERS {
                return Err(too_many());
            }
            let whole = self.tree(repository, &id, true).await?;
            let (entries, is_cut) = if whole.truncated {
                (self.tree(repository, &id, false).await?, true)
            } else {
                (whole, false)
            };
            if entries.truncated {
                return Err(too_many());
            }
            for entry in entries.tree {
                let path = format!("{prefix}{}", entry.path);
                if !entry.is_folder() {
                    files.push(entry.into_file(path)?);
                } else if is_cut {
                    waiting.push_back((format!("{path}/"), entry.sha));
                }
            }
            if files.len() > MOST_FILES {
                return Err(too_many());
            }
        }
        Ok(files)
    }

    async fn tree(&self, repository: &str, id: &str, is_deep: bool) -> Result<Tree, Failure> {
        let path = self.repository_path(repository).then("git/trees").value(id);
        let path = if is_deep { path.query("recursive", 1) } else { path };
        // The tree of a commit never changes, so the store does not have to keep the answer.
        let answer = self.api().get(&path).await;
        let answer = answer.map_err(|error| self.asked(repository, None).explain(error))?;
        answer.json().map_err(Failure::from)
    }

    pub(crate) fn asked<'a>(&'a self, repository: &'a str, reference: Option<&'a str>) -> Asked<'a> {
        Asked { organisation: self.organisation(), repository, reference, permission: CONTENTS }
    }

    pub(crate) fn repository_path(&self, repository: &str) -> Path {
        Path::at("repos").value(self.organisation()).value(repository)
    }
}

/// Returns the files of a folder. The paths of the files are relative to the folder.
fn below(entries: Vec<TreeEntry>, folder: &str) -> Result<Vec<TreeFile>, Failure> {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let mut files = Vec::new();
    for entry in entries.into_iter().filter(|entry| !entry.is_folder()) {
        if entry.path == folder {
            // This path is a link, a submodule or a file, not a folder.
            let path = entry.path.clone();
            entry.into_file(path.clone())?;
            return Err(Failure::new(Class::Rejected, format!("{path}: must be a folder, found a file")));
        }
        let Some(path) = entry.path.strip_prefix(&prefix).map(str::to_owned) else { continue };
        files.push(entry.into_file(path)?);
        if files.len() > MOST_FILES {
            return Err(too_many());
        }
    }
    Ok(files)
}

fn check_sum(files: &[TreeFile]) -> Result<(), Failure> {
    if files.iter().map(|file| file.size).sum::<u64>() <= LARGEST_SUM {
        return Ok(());
    }
    let most = LARGEST_SUM >> 20;
    let text = format!(
        "the files of the policy must have at most {most} MiB together; keep it in a folder of its own"
    );
    Err(Failure::new(Class::Rejected, text))
}

fn too_many() -> Failure {
    let text = format!("the policy must have at most {MOST_FILES} files; keep it in a folder of its own");
    Failure::new(Class::Rejected, text)
}

fn too_many_alone() -> Failure {
    let text = format!("the policy has more than {MOST_ALONE} files that are long or are no text in UTF-8");
    Failure::new(Class::Rejected, text)
}

/// Returns the text of a blob if the answer shows the whole text. GraphQL shows the text of a
/// binary file as null, and truncates a long text.
fn whole_text(blob: &Value) -> Option<String> {
    let text = blob["text"].as_str()?;
    // If GitHub converted the text from another encoding, the size differs.
    let is_whole =
        blob["isTruncated"] == json!(false) && blob["byteSize"].as_u64() == Some(text.len() as u64);
    is_whole.then(|| text.to_owned())
}

/// Returns the first characters of a text.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// Returns the text if it has the form of an object id.
fn object_id(id: &str) -> Result<String, Failure> {
    if (40..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(id.to_owned())
    } else {
        Err(Failure::new(
            Class::Retry,
            "invalid response from GitHub: the id of the commit is not hexadecimal",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, mode: &str, size: u64) -> TreeEntry {
        TreeEntry { path: path.into(), mode: mode.into(), sha: "a".repeat(40), size: Some(size) }
    }

    fn read(entries: Vec<TreeEntry>, folder: &str) -> Result<Vec<String>, String> {
        let files = below(entries, folder).map_err(|failure| failure.text)?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    #[test]
    fn only_the_files_of_the_folder_are_returned() {
        let tree = || {
            vec![
                entry(".github", "040000", 0),
                entry(".github/settings.yml", "100644", 5),
                entry(".github/repos/shop.yml", "100755", 5),
                entry(".githubs/x.yml", "100644", 5),
                entry("linked", "120000", 5),
            ]
        };
        assert_eq!(read(tree(), ".github").unwrap(), ["settings.yml", "repos/shop.yml"]);
        assert!(read(tree(), "").unwrap_err().starts_with("linked: must not be a symbolic link"));
        assert!(read(tree(), "linked").unwrap_err().starts_with("linked: must not be a symbolic link"));
        assert!(read(tree(), ".github/settings.yml").unwrap_err().contains("must be a folder"));
    }

    #[test]
    fn a_file_that_is_no_small_regular_file_is_refused_with_its_path() {
        for (mode, size, why) in [
            ("120000", 5, "symbolic link"),
            ("160000", 5, "submodule"),
            ("100644", LARGEST + 1, "at most 1 MiB"),
        ] {
            let error = read(vec![entry("p/repos/x.yml", mode, size)], "p").unwrap_err();
            assert!(error.starts_with("repos/x.yml: ") && error.contains(why), "{error}");
        }
        let many = (0..=MOST_FILES).map(|n| entry(&format!("{n}.yml"), "100644", 1)).collect();
        assert!(read(many, "").unwrap_err().contains("at most 5000 files"));
        let large = |count: u64| {
            let file = |n: u64| TreeFile { path: n.to_string(), blob: "a".repeat(40), size: LARGEST };
            check_sum(&(0..count).map(file).collect::<Vec<_>>())
        };
        assert!(large(32).is_ok());
        assert!(large(33).unwrap_err().text.contains("at most 32 MiB together"));
    }

    #[test]
    fn the_people_of_a_commit_are_known_only_if_both_have_an_account() {
        let account = |login: Option<&str>| Account { login: login.map(str::to_owned) };
        let (ann, flow, none) = (account(Some("ann")), account(Some("web-flow")), account(None));
        for (author, committer, expected) in [
            (Some(&ann), Some(&flow), vec!["ann", "web-flow"]),
            (Some(&ann), None, vec![]),
            (None, Some(&ann), vec![]),
            (Some(&none), Some(&ann), vec![]),
            (None, None, vec![]),
        ] {
            assert_eq!(logins(author, committer, 1), expected);
        }
        assert_eq!(logins(Some(&ann), Some(&flow), 0), ["ann", "web-flow"], "the first commit");
        assert!(logins(Some(&ann), Some(&flow), 2).is_empty(), "somebody else wrote the merged commits");
    }

    #[test]
    fn a_long_line_of_a_commit_is_cut() {
        assert_eq!(shortened("Change it"), "Change it");
        assert_eq!(shortened(&"é".repeat(100_000)).chars().count(), LONGEST);
    }

    #[test]
    fn a_text_that_the_answer_does_not_show_whole_is_read_again() {
        let blob = |text: Value, size: u64, is_truncated: bool| json!({ "text": text, "byteSize": size, "isTruncated": is_truncated, "isBinary": false });
        assert_eq!(whole_text(&blob(json!("ä"), 2, false)), Some("ä".into()));
        assert_eq!(whole_text(&blob(json!("ä"), 1, false)), None, "GitHub converted it");
        assert_eq!(whole_text(&blob(json!("ab"), 3, true)), None);
        assert_eq!(whole_text(&blob(Value::Null, 3, false)), None);
    }
}
