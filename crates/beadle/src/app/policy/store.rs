//! Keeps the files of policies in the store. The store keeps a policy from a repository together
//! with its commit. So if GitHub is unavailable at the start, Beadle uses the last accepted policy.

use std::collections::{BTreeMap, BTreeSet};

use beadle_engine::journal::{PolicyCommitted, PolicyInForce};
use beadle_engine::{Detail, Entry, EntryKind, Metadata, Note, Store, StoreError, Time};
use beadle_github::Commit;
use beadle_repositories::Policy;
use beadle_repositories::policy::{BASE, PolicyOrigin};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::policy::accepted::AcceptedPolicy;
use crate::app::store::text_parts::{join_named, split_named};

/// The number of parts that Beadle writes to the store at the same time.
const AT_ONCE: usize = 32;

/// A part of the text of a file. The name of the note contains the id of the content, the number of
/// this part, and the total number of parts.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct FilePart(String);

impl Metadata for FilePart {
    const KIND: &'static str = "policy-file";
}

/// A commit with the files of a policy, and the content ids of these files.
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
    /// The logins of the author and of the committer. The list is empty if the logins are not
    /// known, or if an older version stored the commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) logins: Vec<String>,
    /// The first line of the commit's message.
    pub(crate) subject: String,
    /// The ids of the contents, keyed by the paths of the files.
    pub(crate) files: BTreeMap<String, String>,
}

impl PolicyCommit {
    /// Returns the commit without its files.
    pub(crate) fn origin(&self) -> PolicyOrigin {
        PolicyOrigin {
            repository: self.repository.clone(),
            path: self.path.clone(),
            commit: Commit {
                id: self.commit.clone(),
                author: self.author.clone(),
                logins: self.logins.clone(),
                subject: self.subject.clone(),
            },
        }
    }

    /// Returns `known` if `known` has the same files as this commit, and this commit otherwise.
    fn or_same(self, known: Self) -> Self {
        let is_same =
            (&self.repository, &self.path, &self.files) == (&known.repository, &known.path, &known.files);
        if is_same { known } else { self }
    }
}

/// A policy in the store: its own commit, and the commit of its base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptPolicy {
    #[serde(flatten)]
    pub(crate) own: PolicyCommit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<PolicyCommit>,
}

impl Metadata for KeptPolicy {
    const KIND: &'static str = "policy-commit";
}

impl KeptPolicy {
    /// Replaces each commit with the corresponding commit of `current`, if both commits have the
    /// same files.
    pub(crate) fn with_commits_of(self, current: Self) -> Self {
        let base = match (self.base, current.base) {
            (Some(base), Some(current)) => Some(base.or_same(current)),
            (base, _) => base,
        };
        Self { own: self.own.or_same(current.own), base }
    }

    /// Returns the ids of all contents.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &String> {
        self.own.files.values().chain(self.base.iter().flat_map(|base| base.files.values()))
    }

    /// Returns the name of the generation that consists of these commits.
    pub(crate) fn generation(&self) -> String {
        let base = self.base.as_ref().map(|base| base.origin().generation());
        name(&self.own.origin().generation(), base.as_deref())
    }

    fn name(&self) -> String {
        name(&self.own.commit, self.base.as_ref().map(|base| base.commit.as_str()))
    }
}

/// Returns the name for a commit of the policy and the commit of the policy's base.
pub(crate) fn name(own: &str, base: Option<&str>) -> String {
    base.map_or_else(|| own.to_owned(), |base| format!("{own}+{base}"))
}

/// The [`name`] of the commits of the last policy that was in force.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct InForce(String);

impl Metadata for InForce {
    const KIND: &'static str = "policy-in-force";
}

fn in_force_note(organisation: &str) -> Note<InForce> {
    Note::of(&[organisation])
}

/// Returns the note of the policy whose commits have this name. With an empty name, returns the
/// prefix of all policies.
fn commit_note(organisation: &str, name: &str) -> Note<KeptPolicy> {
    Note::of(&[organisation, name])
}

/// Returns the note of a part. With an empty name, returns the prefix of all parts.
fn part_note(organisation: &str, part: &str) -> Note<FilePart> {
    Note::of(&[organisation, part])
}

/// Returns the last policy that was in force.
pub(crate) async fn in_force(
    store: &dyn Store,
    organisation: &str,
) -> Result<Option<KeptPolicy>, StoreError> {
    match in_force_note(organisation).get(store).await? {
        Some(InForce(commit)) => commit_note(organisation, &commit).get(store).await,
        None => Ok(None),
    }
}

/// Returns all stored policies of an organisation.
pub(crate) async fn all(store: &dyn Store, organisation: &str) -> Result<Vec<KeptPolicy>, StoreError> {
    let all = commit_note(organisation, "").list(store).await?;
    Ok(all.into_iter().map(|(_, kept)| kept).collect())
}

/// Returns the stored texts of an organisation's policy, keyed by their content ids.
pub(crate) async fn texts(
    store: &dyn Store,
    organisation: &str,
) -> Result<BTreeMap<String, String>, StoreError> {
    let parts = part_note(organisation, "").list(store).await?;
    Ok(join_named(parts.into_iter().map(|(name, FilePart(part))| (name, part))))
}

/// Returns the stored text of an organisation's policy that has this content id.
pub(crate) async fn text(
    store: &dyn Store,
    organisation: &str,
    blob: &str,
) -> Result<Option<String>, StoreError> {
    let parts = part_note(organisation, &format!("{blob}/")).list(store).await?;
    let named = parts.into_iter().map(|(rest, FilePart(part))| (format!("{blob}/{rest}"), part));
    Ok(join_named(named).remove(blob))
}

/// Stores the texts `new`, keyed by their content ids. Then stores the policy with these texts.
/// Keeps this policy, the policy in force and the accepted policy, and deletes all other policies.
/// The accepted policy can differ from the policy in force, because a process might end after it
/// accepts a policy and before it records that this policy is in force.
pub(crate) async fn keep(
    store: &dyn Store,
    organisation: &str,
    policy: &KeptPolicy,
    new: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    put(store, organisation, policy, new).await?;
    let in_force = in_force_note(organisation).get(store).await?.map(|InForce(name)| name);
    let accepted = accepted(store, organisation).await?;
    let spared: Vec<String> = in_force.into_iter().chain(accepted).chain([policy.name()]).collect();
    forget_others(store, organisation, &spared).await
}

/// Returns the name of the last accepted policy in the store.
async fn accepted(store: &dyn Store, organisation: &str) -> Result<Option<String>, StoreError> {
    let Some(generation) = AcceptedPolicy::generation(store, organisation).await? else { return Ok(None) };
    let all = all(store, organisation).await?;
    Ok(all.into_iter().find(|kept| kept.generation() == generation).map(|kept| kept.name()))
}

async fn put(
    store: &dyn Store,
    organisation: &str,
    policy: &KeptPolicy,
    new: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let mut parts = Vec::new();
    for (blob, text) in new {
        parts.extend(split_named(blob, text));
    }
    for batch in parts.chunks(AT_ONCE) {
        let mut writes = Vec::with_capacity(batch.len());
        for (name, part) in batch {
            writes.push(put_part(store, organisation, name, part));
        }
        futures::future::try_join_all(writes).await?;
    }
    commit_note(organisation, &policy.name()).put(store, policy).await
}

async fn put_part(store: &dyn Store, organisation: &str, name: &str, part: &str) -> Result<(), StoreError> {
    part_note(organisation, name).put(store, &FilePart(part.to_owned())).await
}

/// Records in the store and in the journal that a policy is in force. Keeps the files of this
/// policy and of the accepted policy, and deletes all other files. The two policies can differ,
/// because a slow process might record an older policy after another process has accepted a newer
/// one. Does nothing if the policy comes from a folder.
pub(crate) async fn accept(
    store: &dyn Store,
    organisation: &str,
    policy: &Policy,
    now: Time,
) -> Result<(), StoreError> {
    let Some(own) = &policy.origin else { return Ok(()) };
    let base = policy.base.as_ref();
    let name = name(&own.commit.id, base.map(|base| base.commit.id.as_str()));
    let note = in_force_note(organisation);
    if note.get(store).await?.is_some_and(|InForce(before)| before == name) {
        return Ok(());
    }
    let entry = Entry {
        seq: 0,
        at: now,
        kind: EntryKind::Policy,
        key: "-".into(),
        subject: organisation.to_owned(),
        intent: None,
        trace: beadle_engine::trace::current_id(),
        detail: Detail::Policy(PolicyInForce {
            in_force: policy.generation.clone(),
            from: committed(own),
            base: base.map(committed),
        }),
    };
    store.journal(None, vec![entry], now).await?;
    // This process or another process might have looked at a newer commit and deleted the files.
    let kept = commit_note(organisation, &name).get(store).await?;
    let stored = texts(store, organisation).await?;
    if kept.is_none_or(|kept| kept.blobs().any(|blob| !stored.contains_key(blob))) {
        let (kept, all) = of_sources(policy, own, base);
        put(store, organisation, &kept, &all).await?;
    }
    note.put(store, &InForce(name.clone())).await?;
    let accepted = accepted(store, organisation).await?;
    let spared: Vec<String> = accepted.into_iter().chain([name]).collect();
    forget_others(store, organisation, &spared).await
}

/// Creates a policy for the store from the texts of `policy`. Also returns these texts, keyed by
/// their content ids. Beadle computes these ids itself, so these ids differ from the ids that Git
/// uses.
fn of_sources(
    policy: &Policy,
    own: &PolicyOrigin,
    base: Option<&PolicyOrigin>,
) -> (KeptPolicy, BTreeMap<String, String>) {
    let commit = |origin: &PolicyOrigin| PolicyCommit {
        repository: origin.repository.clone(),
        path: origin.path.clone(),
        commit: origin.commit.id.clone(),
        author: origin.commit.author.clone(),
        logins: origin.commit.logins.clone(),
        subject: origin.commit.subject.clone(),
        files: BTreeMap::new(),
    };
    let mut kept = KeptPolicy { own: commit(own), base: base.map(commit) };
    let mut all = BTreeMap::new();
    for (file, text) in &policy.sources {
        let digest = Sha256::digest(text);
        let id = digest.iter().take(20).fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
        match (kept.base.as_mut(), file.strip_prefix(BASE)) {
            (Some(base), Some(file)) => base.files.insert(file.to_owned(), id.clone()),
            _ => kept.own.files.insert(file.clone(), id.clone()),
        };
        all.insert(id, text.clone());
    }
    (kept, all)
}

/// Converts the commit of a policy to the form that the journal and held generations use.
pub(crate) fn committed(origin: &PolicyOrigin) -> PolicyCommitted {
    PolicyCommitted {
        repository: origin.repository.clone(),
        commit: origin.commit.id.clone(),
        author: origin.commit.author.clone(),
        subject: origin.commit.subject.clone(),
    }
}

/// Deletes all stored policies except those with these names. Also deletes the files that belong to
/// none of the kept policies. If a policy cannot be read, deletes nothing, because the files of
/// that policy are not known.
async fn forget_others(store: &dyn Store, organisation: &str, spared: &[String]) -> Result<(), StoreError> {
    let (mut blobs, mut others) = (BTreeSet::new(), Vec::new());
    let all = commit_note(organisation, "");
    let known = all.list(store).await?;
    if store.notes(all.name()).await?.len() != known.len() {
        return Ok(());
    }
    for (name, kept) in known {
        if spared.contains(&name) {
            blobs.extend(kept.blobs().cloned());
        } else {
            others.push(name);
        }
    }
    // If all policies are kept, no files are unused.
    if others.is_empty() || blobs.is_empty() {
        return Ok(());
    }
    for (part, _) in part_note(organisation, "").list(store).await? {
        let blob = part.split('/').next().unwrap_or_default();
        if !blobs.contains(blob) {
            part_note(organisation, &part).forget(store).await?;
        }
    }
    for other in others {
        commit_note(organisation, &other).forget(store).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use beadle_engine::Listing;

    use super::*;
    use crate::app::store;
    use crate::config::OrgConfig;

    fn commit(id: &str, files: &[(&str, &str)]) -> PolicyCommit {
        PolicyCommit {
            repository: "acme/admin".into(),
            path: String::new(),
            commit: id.into(),
            author: "ann".into(),
            logins: vec!["ann".into(), "web-flow".into()],
            subject: "Change it".into(),
            files: files.iter().map(|(path, blob)| ((*path).to_owned(), (*blob).to_owned())).collect(),
        }
    }

    /// Returns a policy with these commits.
    fn policy(kept: &KeptPolicy) -> Policy {
        let files = [("settings.yml".to_owned(), "repository: { has_wiki: true }".to_owned())].into();
        let base = kept.base.as_ref().map(PolicyCommit::origin);
        Policy::on_base(files, "admin", kept.own.origin(), base).unwrap()
    }

    fn text(blob: &str) -> (String, String) {
        (blob.to_owned(), format!("text of {blob}"))
    }

    #[tokio::test]
    async fn only_the_files_of_the_policy_in_force_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let first = KeptPolicy { own: commit("c1", &[("a.yml", "b1"), ("b.yml", "b2")]), base: None };
        keep(store, "acme", &first, &BTreeMap::from([text("b1"), text("b2")])).await.unwrap();
        accept(store, "acme", &policy(&first), Time(1)).await.unwrap();
        let base = Some(commit("c9", &[("a.yml", "b4")]));
        let second = KeptPolicy { own: commit("c2", &[("a.yml", "b1"), ("b.yml", "b3")]), base };
        keep(store, "acme", &second, &BTreeMap::from([text("b3"), text("b4")])).await.unwrap();
        assert_eq!(texts(store, "acme").await.unwrap().len(), 4);
        assert_eq!(in_force(store, "acme").await.unwrap(), Some(first), "the second is not accepted yet");
        for _ in 0..2 {
            accept(store, "acme", &policy(&second), Time(2)).await.unwrap();
        }
        let kept = BTreeMap::from([text("b1"), text("b3"), text("b4")]);
        assert_eq!(texts(store, "acme").await.unwrap(), kept);
        assert_eq!(in_force(store, "acme").await.unwrap(), Some(second));
        let listing = Listing { after: 0, since: None, key: None, limit: 9 };
        let entries = store.entries(listing).await.unwrap();
        let commits = entries.iter().filter_map(|entry| match &entry.detail {
            Detail::Policy(policy) => Some((policy.from.commit.as_str(), policy.base.is_some())),
            _ => None,
        });
        assert_eq!(commits.collect::<Vec<_>>(), [("c1", false), ("c2", true)]);
    }

    #[tokio::test]
    async fn policies_that_were_not_accepted_do_not_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let kept = |id: &str, blob: &str| KeptPolicy { own: commit(id, &[("a.yml", blob)]), base: None };
        let first = kept("c1", "b1");
        keep(store, "acme", &first, &BTreeMap::from([text("b1")])).await.unwrap();
        accept(store, "acme", &policy(&first), Time(1)).await.unwrap();
        for n in 2..5 {
            let (id, blob) = (format!("c{n}"), format!("b{n}"));
            keep(store, "acme", &kept(&id, &blob), &BTreeMap::from([text(&blob)])).await.unwrap();
        }
        assert_eq!(all(store, "acme").await.unwrap(), [first, kept("c4", "b4")]);
        assert_eq!(texts(store, "acme").await.unwrap(), BTreeMap::from([text("b1"), text("b4")]));
    }

    #[tokio::test]
    async fn the_files_of_a_policy_that_only_a_newer_version_can_read_stay() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let kept = |id: &str, blob: &str| KeptPolicy { own: commit(id, &[("a.yml", blob)]), base: None };
        keep(store, "acme", &kept("c1", "b1"), &BTreeMap::from([text("b1")])).await.unwrap();
        let newer = r#"{"commits":["c1"]}"#;
        store.put(commit_note("acme", "c1").name(), newer).await.unwrap();
        for n in 2..5 {
            let (id, blob) = (format!("c{n}"), format!("b{n}"));
            keep(store, "acme", &kept(&id, &blob), &BTreeMap::from([text(&blob)])).await.unwrap();
        }
        assert!(texts(store, "acme").await.unwrap().contains_key("b1"));
        assert_eq!(store.get(commit_note("acme", "c1").name()).await.unwrap().as_deref(), Some(newer));
        // The newer version of Beadle has deleted its policy. So this version deletes all unused
        // files.
        commit_note("acme", "c1").forget(store).await.unwrap();
        keep(store, "acme", &kept("c5", "b5"), &BTreeMap::from([text("b5")])).await.unwrap();
        assert_eq!(texts(store, "acme").await.unwrap(), BTreeMap::from([text("b5")]));
    }

    #[tokio::test]
    async fn an_accepted_policy_stays_although_the_process_ended_before_it_was_in_force() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let file = "name = \"acme\"\npolicy = \"policy\"\ntoken = \"env:T\"\nmode = \"enforce\"\n";
        let file: OrgConfig = toml::from_str(file).unwrap();
        let kept = |id: &str| KeptPolicy { own: commit(id, &[("a.yml", id)]), base: None };
        keep(store, "acme", &kept("c1"), &BTreeMap::from([text("c1")])).await.unwrap();
        AcceptedPolicy::remember(store, &file, &policy(&kept("c1")), false).await.unwrap();
        for id in ["c2", "c3"] {
            keep(store, "acme", &kept(id), &BTreeMap::from([text(id)])).await.unwrap();
        }
        assert_eq!(all(store, "acme").await.unwrap(), [kept("c1"), kept("c3")]);
        // A slow process still uses another policy.
        accept(store, "acme", &policy(&kept("c3")), Time(1)).await.unwrap();
        assert_eq!(all(store, "acme").await.unwrap(), [kept("c1"), kept("c3")]);
    }

    #[tokio::test]
    async fn an_accepted_policy_has_its_files_although_a_newer_commit_was_read() {
        let (_folder, store) = store::temporary().unwrap();
        let store = store.as_ref();
        let base = || Some(commit("c9", &[("a.yml", "b9")]));
        let kept = |id: &str| KeptPolicy { own: commit(id, &[("a.yml", id)]), base: base() };
        for id in ["c1", "c2"] {
            keep(store, "acme", &kept(id), &BTreeMap::from([text(id), text("b9")])).await.unwrap();
        }
        let files = [
            ("settings.yml", "repository: { has_wiki: true }"),
            ("base/settings.yml", "repository: { has_issues: true }"),
        ];
        let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
        let of = |kept: &KeptPolicy| {
            let base = kept.base.as_ref().map(PolicyCommit::origin);
            Policy::on_base(files.clone().into(), "admin", kept.own.origin(), base).unwrap()
        };
        accept(store, "acme", &of(&kept("c1")), Time(1)).await.unwrap();
        let found = in_force(store, "acme").await.unwrap().unwrap();
        assert_eq!(found.generation(), of(&kept("c1")).generation);
        let texts = texts(store, "acme").await.unwrap();
        let text = |commit: &PolicyCommit| texts[&commit.files["settings.yml"]].clone();
        assert_eq!(text(&found.own), "repository: { has_wiki: true }");
        assert_eq!(text(&found.base.unwrap()), "repository: { has_issues: true }");
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn a_commit_with_the_same_files_is_not_a_new_one() {
        let kept = |own: &str, base: &str, file: &str| KeptPolicy {
            own: commit(own, &[("a.yml", "b1")]),
            base: Some(commit(base, &[("a.yml", file)])),
        };
        assert_eq!(kept("c2", "c9", "b2").with_commits_of(kept("c1", "c8", "b2")).name(), "c1+c8");
        assert_eq!(kept("c2", "c9", "b3").with_commits_of(kept("c1", "c8", "b2")).name(), "c1+c9");
    }
}
