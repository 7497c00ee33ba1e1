//! Finds the line of the policy that last declared an entry for a repository before Beadle removed
//! the entry. The removal itself shows only the line of the list, because no line of the policy in
//! force declares the entry for the repository. The record does not show why: a file of the policy
//! might still have the entry, but no longer apply to the repository.

use std::collections::HashMap;
use std::sync::Arc;

use beadle_engine::{Key, PolicyLocation, Store, StoreError, Time};

use super::state::{ControlLines, ControlState};
use crate::policy::{AbsentEntry, contains, exempts};

/// For each repository, Beadle reads at most this number of states. For each part, it reads at most
/// this number of versions of the lines. A search for a recently removed entry needs only a few
/// states and versions.
const NOTES: u32 = 200;

/// The line that declared an entry for a repository, in the last recorded policy that has this
/// entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastDeclared {
    /// The path of the entry, such as `teams[core]`.
    pub path: String,
    /// The first line of the entry.
    pub at: PolicyLocation,
    /// The commit that has the entry on this line. For a policy in a folder, the field contains the
    /// name of the generation.
    pub commit: String,
}

/// Searches the record of controls for removed entries. Reads each part of the record only once.
pub struct PastDeclarations {
    store: Arc<dyn Store>,
    /// The states of each repository. The newest state comes first.
    states: HashMap<Key, Arc<Vec<ControlState>>>,
    /// The lines of the policy, keyed by the organisation and the digest. The newest lines come
    /// first.
    lines: HashMap<(String, String), Arc<Vec<ControlLines>>>,
}

impl PastDeclarations {
    /// Creates a search in the record of a store.
    pub fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), states: HashMap::new(), lines: HashMap::new() }
    }

    /// Returns the line that last declared an entry before Beadle removed the entry at the time
    /// `at`. Returns `None` if the record does not have such a line. Also returns `None` if the
    /// repository did not have the entry at some time between this line and the removal. In this
    /// case, somebody added the entry at GitHub, and no policy declared it.
    pub async fn find(
        &mut self,
        key: &Key,
        at: Time,
        entry: &AbsentEntry,
    ) -> Result<Option<LastDeclared>, StoreError> {
        // The record has no controls of the organisation itself.
        if key.kind() != "repository" {
            return Ok(None);
        }
        let states = self.states(key).await?;
        // The run that removes the entry records a state after the removal.
        for state in states.iter().filter(|state| state.at < at) {
            if let Some(found) = self.declared(key.instance(), (state, at), entry).await? {
                return Ok(Some(found));
            }
            // At the time of this state, the policy did not declare the entry and the repository
            // did not have it. So somebody added the entry afterwards.
            if is_met(state, entry) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Returns the line of an entry if a state declares the entry. `at` is the time of the removal.
    async fn declared(
        &mut self,
        instance: &str,
        (state, at): (&ControlState, Time),
        entry: &AbsentEntry,
    ) -> Result<Option<LastDeclared>, StoreError> {
        let path = entry.path();
        for digest in &state.lines {
            let versions = self.lines(instance, digest).await?;
            // The lines can move without a new state.
            let Some(lines) = versions.iter().find(|lines| lines.at <= at).or(versions.last()) else {
                continue;
            };
            let own = lines.controls.iter().filter(|(control, _)| contains(&path, control));
            if let Some(line) = own.map(|(_, line)| line.line).min() {
                let at = PolicyLocation { file: lines.file.as_str().into(), line };
                return Ok(Some(LastDeclared { path, at, commit: lines.commit.clone() }));
            }
        }
        Ok(None)
    }

    async fn states(&mut self, key: &Key) -> Result<Arc<Vec<ControlState>>, StoreError> {
        if let Some(known) = self.states.get(key) {
            return Ok(known.clone());
        }
        let notes = ControlState::of_repository(key.instance(), key.id());
        let (page, _) = notes.page(self.store.as_ref(), "", NOTES).await?;
        let states = Arc::new(page.into_iter().map(|(_, state)| state).collect::<Vec<_>>());
        self.states.insert(key.clone(), states.clone());
        Ok(states)
    }

    async fn lines(&mut self, instance: &str, digest: &str) -> Result<Arc<Vec<ControlLines>>, StoreError> {
        let name = (instance.to_owned(), digest.to_owned());
        if let Some(known) = self.lines.get(&name) {
            return Ok(known.clone());
        }
        let notes = ControlLines::of_part(instance, digest);
        let (page, _) = notes.page(self.store.as_ref(), "", NOTES).await?;
        let lines = Arc::new(page.into_iter().map(|(_, lines)| lines).collect::<Vec<_>>());
        self.lines.insert(name, lines.clone());
        Ok(lines)
    }
}

/// Returns whether the repository did not have this undeclared entry at the time of a state. If it
/// had the entry, the control of the list would not be met. The controls of other entries show
/// nothing about this entry.
fn is_met(state: &ControlState, entry: &AbsentEntry) -> bool {
    let (list, path) = (&entry.list, entry.path());
    let is_own = |control: &String| {
        let is_list = contains(list, control) && contains(control, list);
        is_list || contains(&path, control)
    };
    state.outside.is_none()
        && state.failed.is_none()
        && !state.not_met.keys().chain(state.unknown.keys()).any(is_own)
        && !state.waived.iter().any(|waived| exempts(&waived.key, &path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use beadle_engine::{Field, Risk};
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};
    use serde_json::{Value, json};

    use super::super::state::ControlLine;
    use super::*;
    use crate::policy::absent_entry;

    fn key() -> Key {
        Key::new("repository", "acme", 7)
    }

    fn entry(what: &str) -> AbsentEntry {
        let (name, before) = ("permission".to_owned(), json!("push"));
        let field = Field { name, before, after: Value::Null, asked: None, risk: Risk::Removes };
        absent_entry("teams", what, &field).unwrap()
    }

    /// Stores the lines of one file, valid from the given time. Each entry of the file is a team.
    async fn lines(store: &dyn Store, digest: &str, at: i64, teams: &[(&str, u32)]) {
        let mut controls = BTreeMap::new();
        controls.insert("teams".to_owned(), ControlLine { value: "\"no other entries\"".into(), line: 1 });
        for (team, line) in teams {
            for (key, line) in [("name", *line), ("permission", line + 1)] {
                controls.insert(format!("teams[{team}].{key}"), ControlLine { value: "1".into(), line });
            }
        }
        let lines =
            ControlLines { at: Time(at), file: "settings.yml".into(), commit: format!("c{at}"), controls };
        ControlLines::note("acme", digest, Time(at)).put(store, &lines).await.unwrap();
    }

    async fn state(store: &dyn Store, digest: &str, at: i64, not_met: &[&str]) {
        let not_met = not_met.iter().map(|path| ((*path).to_owned(), "held".to_owned())).collect();
        let (subject, lines) = ("acme/shop".to_owned(), vec![digest.to_owned()]);
        let state = ControlState { at: Time(at), subject, lines, not_met, ..ControlState::default() };
        ControlState::note("acme", "7", Time(at)).put(store, &state).await.unwrap();
    }

    #[tokio::test]
    async fn the_last_line_of_an_entry_is_known_until_the_repository_matches_the_policy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
        lines(store.as_ref(), "with", 10, &[("core", 2), ("ops", 4)]).await;
        // A new comment in the file moves the lines.
        lines(store.as_ref(), "with", 20, &[("core", 3), ("ops", 5)]).await;
        lines(store.as_ref(), "without", 30, &[("core", 3)]).await;
        state(store.as_ref(), "with", 10, &[]).await;
        // At first, the guard holds the removal.
        state(store.as_ref(), "without", 30, &["teams"]).await;
        state(store.as_ref(), "without", 50, &[]).await;
        let mut past = PastDeclarations::new(&store);
        let found = past.find(&key(), Time(40), &entry("team Ops")).await.unwrap().unwrap();
        assert_eq!((found.path.as_str(), found.at.to_string().as_str()), ("teams[Ops]", "settings.yml:5"));
        assert_eq!(found.commit, "c20");
        let directly = past.find(&key(), Time(30), &entry("team ops")).await.unwrap();
        assert_eq!(directly.map(|found| found.at.line), Some(5));
        // Somebody adds the team again after Beadle removed it.
        assert_eq!(past.find(&key(), Time(60), &entry("team ops")).await.unwrap(), None);
        assert_eq!(past.find(&key(), Time(40), &entry("team web")).await.unwrap(), None);
        assert_eq!(past.find(&key(), Time(10), &entry("team ops")).await.unwrap(), None);
        let organisation = Key::new("organisation", "acme", 7);
        assert_eq!(past.find(&organisation, Time(40), &entry("team ops")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn another_entry_that_is_not_met_does_not_extend_the_search() {
        for (not_met, expected) in [
            // The guard holds a change of another team. Beadle removed the team ops at the time 30.
            ("teams[core].permission", None),
            ("teams", Some(4)),
            ("teams[ops].permission", Some(4)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("beadle.db");
            let store: Arc<dyn Store> =
                Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
            lines(store.as_ref(), "with", 10, &[("core", 2), ("ops", 4)]).await;
            lines(store.as_ref(), "without", 30, &[("core", 2)]).await;
            state(store.as_ref(), "with", 10, &[]).await;
            state(store.as_ref(), "without", 30, &[not_met]).await;
            let mut past = PastDeclarations::new(&store);
            let found = past.find(&key(), Time(60), &entry("team ops")).await.unwrap();
            assert_eq!(found.map(|found| found.at.line), expected, "{not_met}");
            // The policy caused the removal at the time 30.
            let directly = past.find(&key(), Time(30), &entry("team ops")).await.unwrap();
            assert_eq!(directly.map(|found| found.at.line), Some(4), "{not_met}");
        }
    }

    #[tokio::test]
    async fn a_file_that_no_longer_applies_has_the_last_line_of_an_entry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beadle.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
        lines(store.as_ref(), "base", 10, &[("core", 2)]).await;
        lines(store.as_ref(), "layer", 10, &[("ops", 4)]).await;
        let digests = |all: &[&str]| all.iter().map(|digest| (*digest).to_owned()).collect::<Vec<_>>();
        // At the time 20, the repository loses the topic that the layer selects. The policy still
        // has the layer.
        for (at, all) in [(10, digests(&["base", "layer"])), (20, digests(&["base"]))] {
            let state = ControlState { at: Time(at), lines: all, ..ControlState::default() };
            ControlState::note("acme", "7", Time(at)).put(store.as_ref(), &state).await.unwrap();
        }
        let found = PastDeclarations::new(&store).find(&key(), Time(20), &entry("team ops")).await.unwrap();
        let last = LastDeclared {
            path: "teams[ops]".into(),
            at: PolicyLocation { file: "settings.yml".into(), line: 4 },
            commit: "c10".into(),
        };
        assert_eq!(found, Some(last));
    }
}
