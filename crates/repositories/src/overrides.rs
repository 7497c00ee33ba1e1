//! Decides the owner of each file in repos/. The owner is the first repository that Beadle saw
//! under the name of the file. Beadle stores the immutable id of this repository. If somebody
//! renames this repository, or if another repository gets the old name, Beadle only reports this
//! event.

use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Failure, Lane, Store, StoreError, Time, note};
use beadle_github::{Called, Reader, Repository};

use crate::policy::{Layer, LayerKind, OverrideStatus, Policy};

/// If the owner of a file is unknown, Beadle asks GitHub again after this duration.
const AGAIN: Duration = Duration::from_secs(300);

/// Stores the owner of each file. All clones share the same memory.
#[derive(Clone)]
pub struct Overrides {
    store: Option<Arc<dyn Store>>,
    /// The memory of this process. Beadle uses this memory for two things: runs without a store,
    /// and plans that Beadle only shows.
    here: Arc<Mutex<BTreeMap<String, String>>>,
    /// The repositories that might own a file. The key is the repository's id. Each entry contains
    /// the path of the file, and the reason why the owner is not certain.
    doubts: Arc<Mutex<BTreeMap<u64, (String, String)>>>,
    /// The newest generation for which Beadle asked GitHub about the owners of files, and the time
    /// of this request.
    followed: Arc<tokio::sync::Mutex<Option<(String, Time)>>>,
    organisation: String,
    /// True if Beadle only reads the memory in the store, and adds nothing to it.
    looks_only: bool,
}

/// Returns the name of the stored note about the owner of a file. If `file` is empty, the function
/// returns the common prefix of these names.
pub(crate) fn note_of_file(organisation: &str, file: &str) -> String {
    note("override", &[organisation, &file.to_lowercase()])
}

/// Returns the name of the stored note about the file of a repository. If `id` is empty, the
/// function returns the common prefix of these names.
pub(crate) fn note_of_repository(organisation: &str, id: &str) -> String {
    note("override-of", &[organisation, id])
}

/// The possible owner, according to GitHub's answers, of a file whose owner is not stored.
#[derive(Debug, PartialEq, Eq)]
enum Lead {
    Nobody,
    /// The file belongs to this repository. The repository has the name of the file, or had this
    /// name before a rename.
    Of(u64),
    /// The file belongs to one of two repositories, but Beadle does not know which. The first
    /// repository has or had the name of the file. The second repository has the new name that the
    /// file sets for its repository.
    Either(u64, u64),
}

/// Finds the possible owner of a file. `name` is the name of the file. If the file sets a new name
/// for its repository, `given` is this new name. `called` takes a name, and returns the repository
/// that has or had this name. `has_file` takes a name, and returns whether the policy has a file
/// with this name.
fn lead(
    name: &str,
    given: Option<&str>,
    called: impl Fn(&str) -> Option<Called>,
    has_file: impl Fn(&str) -> bool,
) -> Lead {
    let Some(one) = called(name) else { return Lead::Nobody };
    // Somebody has renamed the repository, and the policy already has a file with the repository's
    // present name. So the file `name` does not belong to this repository.
    if !one.name.eq_ignore_ascii_case(name) && has_file(&one.name) {
        return Lead::Nobody;
    }
    let given = given.and_then(|given| called(given).filter(|other| other.name.eq_ignore_ascii_case(given)));
    match given {
        // Beadle might have renamed the repository because of this file. After the rename, a
        // different repository might have taken the old name.
        Some(other) if other.id != one.id => Lead::Either(one.id, other.id),
        _ => Lead::Of(one.id),
    }
}

/// Returns all names of a file. The first name is the name of the file itself. The other names are
/// the new name and the former name that the file contains for its repository.
fn names_in<'a>(name: &'a str, layer: &'a Layer) -> impl Iterator<Item = &'a str> {
    [Some(name), layer.given_name(), layer.old_name()].into_iter().flatten()
}

/// Finds the repository that a file renames. No repository has the name of the file yet, but one
/// repository has the former name that the file contains. The arguments are the same as for
/// [`lead`].
fn to_rename(
    name: &str,
    old: Option<&str>,
    called: impl Fn(&str) -> Option<Called>,
    has_file: impl Fn(&str) -> bool,
) -> Option<u64> {
    let old = old.filter(|old| called(name).is_none() && !has_file(old))?;
    called(old).filter(|found| found.name.eq_ignore_ascii_case(old)).map(|found| found.id)
}

impl Overrides {
    /// Creates the memory for the files in one organisation's policy.
    pub fn new(store: Option<Arc<dyn Store>>, organisation: &str) -> Self {
        let (here, doubts, followed) = (Arc::default(), Arc::default(), Arc::default());
        Self { store, here, doubts, followed, organisation: organisation.to_lowercase(), looks_only: false }
    }

    /// Makes this value read-only: from now on, it adds nothing to the store.
    pub(crate) fn only_look(&mut self) {
        self.looks_only = true;
    }

    /// Returns a copy that does not change the store or this value's memory.
    #[must_use]
    pub(crate) fn apart(&self) -> Self {
        let here = self.here.lock().clone();
        Self {
            here: Arc::new(Mutex::new(here)),
            looks_only: true,
            ..Self::new(self.store.clone(), &self.organisation)
        }
    }

    async fn get(&self, note: &str) -> Result<Option<String>, StoreError> {
        let here = self.here.lock().get(note).cloned();
        match &self.store {
            Some(store) if here.is_none() => store.get(note).await,
            _ => Ok(here),
        }
    }

    async fn put(&self, note: String, value: &str) -> Result<(), StoreError> {
        if let Some(store) = self.store.as_ref().filter(|_| !self.looks_only) {
            return store.put(&note, value).await;
        }
        let mut here = self.here.lock();
        here.insert(note, value.to_owned());
        Ok(())
    }

    fn of_file(&self, layer: &Layer) -> String {
        note_of_file(&self.organisation, &layer.file)
    }

    /// Returns the common prefix for the names of notes about files.
    fn of_files(&self) -> String {
        note_of_file(&self.organisation, "")
    }

    fn of_repository(&self, id: u64) -> String {
        note_of_repository(&self.organisation, &id.to_string())
    }

    /// Asks GitHub about each file in repos/ whose owner is not stored. A CI job has no store, so
    /// it has no stored owners. But GitHub knows the former names of a repository. If a file might
    /// belong to one of two repositories, Beadle gives the file to neither of them.
    pub(crate) async fn follow(&self, policy: &Policy, reader: &Reader) -> Result<(), Failure> {
        let files = self.ownerless(policy).await?;
        let names: BTreeSet<&str> = files.iter().flat_map(|(name, layer)| names_in(name, layer)).collect();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let found = reader.repositories_called(&names).await?;
        let found: BTreeMap<String, Called> =
            names.into_iter().zip(found).filter_map(|(name, called)| Some((name, called?))).collect();
        let mut doubts = BTreeMap::new();
        for (name, layer) in files {
            let called = |name: &str| found.get(name).cloned();
            if let Some(id) = to_rename(name, layer.old_name(), called, |name| policy.file_of(name).is_some())
            {
                self.give(policy, layer, id).await?;
                continue;
            }
            match lead(name, layer.given_name(), called, |name| policy.file_of(name).is_some()) {
                Lead::Nobody => {}
                Lead::Of(id) => {
                    self.give(policy, layer, id).await?;
                }
                Lead::Either(one, other) => {
                    let file = &layer.file;
                    let why = format!(
                        "{file} has the name of repository {one}, but its `repository.name` is the name of repository \
                         {other}: rename the file, or remove `repository.name` from it"
                    );
                    for id in [one, other] {
                        doubts.entry(id).or_insert_with(|| (file.clone(), why.clone()));
                    }
                }
            }
        }
        *self.doubts.lock() = doubts;
        Ok(())
    }

    /// Calls [`Self::follow`] once for each generation of the policy, before Beadle plans the first
    /// repository. While the owner of a file is unknown, Beadle asks GitHub again after some
    /// minutes. If the repository `id` is a possible owner, Beadle asks again immediately, except
    /// in a sweep.
    pub(crate) async fn follow_once(&self, policy: &Policy, reader: &Reader, id: u64) -> Result<(), Failure> {
        let now = reader.clock().now();
        let mut followed = self.followed.lock().await;
        let holds = |at: Time| self.holds(at, now, id, reader.lane());
        if followed.as_ref().is_some_and(|(generation, at)| *generation == policy.generation && holds(*at)) {
            return Ok(());
        }
        self.follow(policy, reader).await?;
        *followed = Some((policy.generation.clone(), now));
        Ok(())
    }

    /// Returns whether the run of the repository `id` can use the answers that GitHub gave at the
    /// time `at`. The run can always use these answers if the owner of every file is certain.
    /// Otherwise, the run needs recent answers. Except in a sweep, the run of a possible owner
    /// needs new answers.
    fn holds(&self, at: Time, now: Time, id: u64, lane: Lane) -> bool {
        let doubts = self.doubts.lock();
        let is_recent = at <= now && now.since(at) < AGAIN;
        doubts.is_empty() || (is_recent && (lane == Lane::Sweep || !doubts.contains_key(&id)))
    }

    /// Returns a file in repos/ that might belong to the repository `id`. Also returns the reason
    /// why the owner of the file is not certain.
    fn doubt<'a>(&self, policy: &'a Policy, id: u64) -> Option<(&'a Layer, String)> {
        let doubts = self.doubts.lock();
        let (file, why) = doubts.get(&id)?;
        let layer = policy.layers.iter().find(|layer| layer.file == *file)?;
        Some((layer, why.clone()))
    }

    /// Returns the files in repos/ whose owner is not stored. Each file comes with its name.
    async fn ownerless<'a>(&self, policy: &'a Policy) -> Result<Vec<(&'a str, &'a Layer)>, StoreError> {
        let mut known: BTreeSet<String> = self.here.lock().keys().cloned().collect();
        if let Some(store) = &self.store {
            known.extend(store.notes(&self.of_files()).await?.into_iter().map(|(note, _)| note));
        }
        let files = policy.layers.iter().filter_map(|layer| match &layer.kind {
            LayerKind::Repository(name) => Some((name.as_str(), layer)),
            _ => None,
        });
        Ok(files.filter(|(_, layer)| !known.contains(&self.of_file(layer))).collect())
    }

    /// Returns the file of a repository according to the store. Returns `None` if the policy no
    /// longer contains the file, or if the file now belongs to another repository.
    async fn remembered<'a>(&self, policy: &'a Policy, id: u64) -> Result<Option<&'a Layer>, StoreError> {
        let Some(file) = self.get(&self.of_repository(id)).await? else { return Ok(None) };
        // This comparison ignores the case of file names.
        let is_it = |layer: &&Layer| layer.file.to_lowercase() == file.to_lowercase();
        let Some(layer) = policy.layers.iter().find(is_it) else { return Ok(None) };
        let owner = self.get(&self.of_file(layer)).await?;
        Ok(owner.is_some_and(|owner| owner == id.to_string()).then_some(layer))
    }

    /// Returns the file in repos/ that applies to a repository. Also returns the files about which
    /// a person must decide.
    pub(crate) async fn of<'a>(
        &self,
        policy: &'a Policy,
        seen: &Repository,
    ) -> Result<OverrideStatus<'a>, StoreError> {
        let full = seen.full_name();
        let id = seen.id.to_string();
        let mut standing = OverrideStatus::default();
        let mut named = policy.file_of(&seen.name);
        if let Some((layer, why)) = self.doubt(policy, seen.id)
            && self.get(&self.of_file(layer)).await?.is_none()
        {
            // Only this file waits for a decision. Another file with the name of the repository
            // still applies.
            named = named.filter(|named| named.file != layer.file);
            standing.waits.push((layer, why));
        }
        if let Some(layer) = named {
            let file = &layer.file;
            let why = match self.get(&self.of_file(layer)).await? {
                Some(owner) if owner == id => return Ok(standing),
                Some(owner) => {
                    let why = format!("{file} belongs to repository {owner}, which had this name before");
                    format!("{why}; if the file now belongs to {full}, run `beadle rebind {full}`")
                }
                None => match self.give(policy, layer, seen.id).await? {
                    None => return Ok(standing),
                    Some(other) => format!(
                        "{full} has another file, {}, so {file} has no effect; to use {file}, run `beadle rebind {full}`",
                        other.file
                    ),
                },
            };
            standing.waits.push((layer, why));
        }
        let Some(layer) = self.remembered(policy, seen.id).await? else { return Ok(standing) };
        let mut names = [layer.given_name(), layer.old_name()].into_iter().flatten();
        if names.any(|name| name.eq_ignore_ascii_case(&seen.name)) {
            // Either this file gave the repository its present name, or the file will rename the
            // repository.
            return Ok(OverrideStatus { own: Some(layer), ..standing });
        }
        let file = &layer.file;
        let why =
            format!("{file} belongs to this repository, which is now called {full}; rename the file too");
        standing.waits.push((layer, why));
        Ok(standing)
    }

    /// Returns the id of the repository that owns a file, or `None` if the file has no owner yet.
    pub(crate) async fn owner_of(&self, layer: &Layer) -> Result<Option<String>, StoreError> {
        self.get(&self.of_file(layer)).await
    }

    /// Makes a repository the owner of a file. If the repository already owns another file of the
    /// policy, the function changes nothing, and returns that file.
    async fn give<'a>(
        &self,
        policy: &'a Policy,
        layer: &Layer,
        id: u64,
    ) -> Result<Option<&'a Layer>, StoreError> {
        let other = self.remembered(policy, id).await?;
        if other.is_none() {
            self.adopt(layer, id).await?;
        }
        Ok(other)
    }

    /// Makes a repository the owner of a file.
    pub async fn adopt(&self, layer: &Layer, id: u64) -> Result<(), StoreError> {
        // Beadle writes the note about the repository first, and then the note about the file. If
        // the process ends between the two writes, the next run again makes the repository the
        // owner. So the repository keeps the file even if somebody renames the repository.
        self.put(self.of_repository(id), &layer.file).await?;
        self.put(self.of_file(layer), &id.to_string()).await
    }
}

#[cfg(test)]
mod tests;
