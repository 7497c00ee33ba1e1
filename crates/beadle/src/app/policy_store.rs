//! The files of policies in the store. A policy from a repository is kept there with its commit, so
//! that a start without GitHub uses the last accepted policy.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::journal::PolicyInForce;
use beadle_engine::{Detail, Entry, EntryKind, Metadata, Note, Store, StoreError, Time};
use beadle_repositories::policy::PolicyOrigin;
use serde::{Deserialize, Serialize};

/// The maximum size of a part of a file in the store, in bytes. A note must be small enough for every
/// store.
const PART: usize = 250_000;
/// The number of parts that are written to the store at the same time.
const AT_ONCE: usize = 32;

/// A part of the text of a file. The name of the note has the id of the content, the number of the
/// part, and the number of parts.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct FilePart(String);

impl Metadata for FilePart {
    const KIND: &'static str = "policy-file";
}

/// A commit with the files of a policy, and the ids of their contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyCommit {
    /// The repository, as `owner/name`.
    pub(crate) repository: String,
    /// The folder of the policy in the repository.
    pub(crate) path: String,
    /// The id of the commit.
    pub(crate) commit: String,
    /// The author of the commit.
    pub(crate) author: String,
    /// The first line of the commit's message.
    pub(crate) subject: String,
    /// The ids of the contents, by the paths of the files.
    pub(crate) files: BTreeMap<String, String>,
}

impl Metadata for PolicyCommit {
    const KIND: &'static str = "policy-commit";
}

/// The id of the commit whose policy was put in force last.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct InForce(String);

impl Metadata for InForce {
    const KIND: &'static str = "policy-in-force";
}

fn in_force_note(organisation: &str) -> Note<InForce> {
    Note::of(&[organisation])
}

/// Returns the note of a commit. With an empty id, returns the prefix of all commits.
fn commit_note(organisation: &str, commit: &str) -> Note<PolicyCommit> {
    Note::of(&[organisation, commit])
}

/// Returns the note of a part. With an empty name, returns the prefix of all parts.
fn part_note(organisation: &str, part: &str) -> Note<FilePart> {
    Note::of(&[organisation, part])
}

/// Returns the commit of the policy that was put in force last.
pub(crate) async fn in_force(
    store: &dyn Store,
    organisation: &str,
) -> Result<Option<PolicyCommit>, StoreError> {
    match in_force_note(organisation).get(store).await? {
        Some(InForce(commit)) => commit_note(organisation, &commit).get(store).await,
        None => Ok(None),
    }
}

/// Returns the stored texts of an organisation's policy, by the ids of their contents.
pub(crate) async fn texts(
    store: &dyn Store,
    organisation: &str,
) -> Result<BTreeMap<String, String>, StoreError> {
    Ok(joined(part_note(organisation, "").list(store).await?))
}

/// Stores the texts `new` by the ids of their contents, and then the commit that has them.
pub(crate) async fn keep(
    store: &dyn Store,
    organisation: &str,
    commit: &PolicyCommit,
    new: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let mut parts = Vec::new();
    for (blob, text) in new {
        parts.extend(split(blob, text));
    }
    for batch in parts.chunks(AT_ONCE) {
        let mut writes = Vec::with_capacity(batch.len());
        for (name, part) in batch {
            writes.push(put_part(store, organisation, name, part));
        }
        futures::future::try_join_all(writes).await?;
    }
    commit_note(organisation, &commit.commit).put(store, commit).await
}

async fn put_part(
    store: &dyn Store,
    organisation: &str,
    name: &str,
    part: &FilePart,
) -> Result<(), StoreError> {
    part_note(organisation, name).put(store, part).await
}

/// Records in the store and in the journal that the policy of a commit is in force, and deletes the
/// files that this policy does not have.
pub(crate) async fn accept(
    store: &dyn Store,
    organisation: &str,
    origin: &PolicyOrigin,
    now: Time,
) -> Result<(), StoreError> {
    let note = in_force_note(organisation);
    let commit = &origin.commit;
    if note.get(store).await?.is_some_and(|InForce(before)| before == commit.id) {
        return Ok(());
    }
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Policy,
        key: "-".into(),
        subject: organisation.to_owned(),
        intent: None,
        detail: Detail::Policy(PolicyInForce {
            in_force: origin.generation(),
            repository: origin.repository.clone(),
            commit: commit.id.clone(),
            author: commit.author.clone(),
            subject: commit.subject.clone(),
        }),
    };
    store.journal(None, vec![entry], now).await?;
    note.put(store, &InForce(commit.id.clone())).await?;
    forget_others(store, organisation, &commit.id).await
}

/// Deletes all stored commits but one, and the files that this one does not have.
async fn forget_others(store: &dyn Store, organisation: &str, commit: &str) -> Result<(), StoreError> {
    let Some(kept) = commit_note(organisation, commit).get(store).await? else { return Ok(()) };
    for (other, _) in commit_note(organisation, "").list(store).await? {
        if other != commit {
            commit_note(organisation, &other).forget(store).await?;
        }
    }
    let blobs: BTreeSet<&String> = kept.files.values().collect();
    for (part, _) in part_note(organisation, "").list(store).await? {
        let blob = part.split('/').next().unwrap_or_default().to_owned();
        if !blobs.contains(&blob) {
            part_note(organisation, &part).forget(store).await?;
        }
    }
    Ok(())
}

/// Splits a text into parts that fit into a note, with their names.
fn split(blob: &str, text: &str) -> Vec<(String, FilePart)> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = (0..=rest.len().min(PART)).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0);
        let (part, after) = rest.split_at(end);
        parts.push(part.to_owned());
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let of = parts.len();
    let named = parts.into_iter().enumerate();
    named.map(|(at, part)| (format!("{blob}/{at}/{of}"), FilePart(part))).collect()
}

/// Joins parts to texts, by the ids of their contents. A text with a missing part is left out.
fn joined(parts: Vec<(String, FilePart)>) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, (usize, BTreeMap<usize, String>)> = BTreeMap::new();
    for (name, FilePart(part)) in parts {
        let mut pieces = name.split('/');
        let (blob, at, of) = (pieces.next(), pieces.next(), pieces.next());
        let number = |piece: Option<&str>| piece.and_then(|piece| piece.parse::<usize>().ok());
        if let (Some(blob), Some(at), Some(of)) = (blob, number(at), number(of)) {
            let (total, all) = found.entry(blob.to_owned()).or_default();
            *total = of;
            all.insert(at, part);
        }
    }
    let whole = found.into_iter().filter(|(_, (of, parts))| parts.len() == *of);
    whole.map(|(blob, (_, parts))| (blob, parts.into_values().collect())).collect()
}

#[cfg(test)]
mod tests {
    use beadle_engine::Listing;
    use beadle_github::Commit;

    use super::*;
    use crate::app::store;

    fn commit(id: &str, files: &[(&str, &str)]) -> PolicyCommit {
        PolicyCommit {
            repository: "acme/admin".into(),
            path: String::new(),
            commit: id.into(),
            author: "ann".into(),
            subject: "Change it".into(),
            files: files.iter().map(|(path, blob)| ((*path).to_owned(), (*blob).to_owned())).collect(),
        }
    }

    fn origin(id: &str) -> PolicyOrigin {
        let commit = Commit { id: id.into(), author: "ann".into(), subject: "Change it".into() };
        PolicyOrigin { repository: "acme/admin".into(), path: String::new(), commit }
    }

    #[test]
    fn a_text_of_any_length_survives_its_parts() {
        for text in [String::new(), "a".repeat(PART), "ä".repeat(PART), format!("a{}", "€".repeat(PART))] {
            let parts = split("blob", &text);
            assert!(parts.iter().all(|(_, FilePart(part))| part.len() <= PART));
            assert_eq!(joined(parts), BTreeMap::from([("blob".to_owned(), text)]));
        }
        let mut parts = split("blob", &"a".repeat(2 * PART));
        parts.pop();
        assert!(joined(parts).is_empty(), "a part is missing");
    }

    #[tokio::test]
    async fn only_the_files_of_the_policy_in_force_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let text = |blob: &str| (blob.to_owned(), format!("text of {blob}"));
        let first = commit("c1", &[("a.yml", "b1"), ("b.yml", "b2")]);
        keep(store, "acme", &first, &BTreeMap::from([text("b1"), text("b2")])).await.unwrap();
        accept(store, "acme", &origin("c1"), Time(1)).await.unwrap();
        let second = commit("c2", &[("a.yml", "b1"), ("b.yml", "b3")]);
        keep(store, "acme", &second, &BTreeMap::from([text("b3")])).await.unwrap();
        assert_eq!(texts(store, "acme").await.unwrap().len(), 3);
        assert_eq!(in_force(store, "acme").await.unwrap(), Some(first), "the second is not accepted yet");
        for _ in 0..2 {
            accept(store, "acme", &origin("c2"), Time(2)).await.unwrap();
        }
        assert_eq!(texts(store, "acme").await.unwrap(), BTreeMap::from([text("b1"), text("b3")]));
        assert_eq!(in_force(store, "acme").await.unwrap(), Some(second));
        let listing = Listing { after: 0, since: None, key: None, limit: 9 };
        let entries = store.entries(listing).await.unwrap();
        let commits: Vec<&str> = entries
            .iter()
            .filter_map(|entry| match &entry.detail {
                Detail::Policy(policy) => Some(policy.commit.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(commits, ["c1", "c2"]);
    }
}
