//! Stores the id behind each name in a policy, and behind the name of the policy's repository. If
//! somebody renames an account or a team, Beadle still finds it by its id. If a name gets a new
//! owner, Beadle gives this owner access only after an operator has confirmed the name.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Resolved;
use crate::read::Reader;
use crate::repository::{Actor, ActorKind};
use beadle_engine::{Clock, Failure, Lane, Metadata, Note, PolicyLocation, Store, StoreError, Time};
use serde::{Deserialize, Serialize};

/// The time for which Beadle trusts a confirmed name without reading the store. A run for an event
/// always reads the store, because an operator might have confirmed a new owner.
const BELIEVED: Duration = Duration::from_secs(300);
/// The id that the memory keeps for a name without a stored id. GitHub has no such id.
const NO_ID: u64 = 0;

/// The kind of a named thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A team. A policy identifies the team by its slug.
    Team,
    /// An account. A policy identifies the account by its login.
    User,
    /// A repository that contains a policy. The configuration identifies it by `owner/name`.
    Repository,
}

impl NameKind {
    /// Returns the word for this kind in stored notes and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Team => "team",
            Self::User => "user",
            Self::Repository => "repository",
        }
    }

    /// Returns the kind of the names of these actors. Beadle does not store the ids of Apps, because
    /// only the owner of an App can change the App's slug.
    pub fn of(kind: ActorKind) -> Option<Self> {
        match kind {
            ActorKind::Team => Some(Self::Team),
            ActorKind::User => Some(Self::User),
            ActorKind::App => None,
        }
    }
}

/// Adds the line of the policy to a text.
fn located(text: String, asked: Option<&PolicyLocation>) -> String {
    match asked {
        Some(asked) => format!("{text} ({asked})"),
        None => text,
    }
}

/// The id of a named account or a named team.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct NamedId(u64);

impl Metadata for NamedId {
    const KIND: &'static str = "name";
    const IS_NEEDED: bool = true;
}

/// The stored ids behind the names in one organisation's policy. Without a store, there are no
/// stored ids.
#[derive(Clone)]
pub struct Names {
    store: Option<Arc<dyn Store>>,
    organisation: String,
    clock: Clock,
    /// True if Beadle only reads the stored ids, and does not store new ids.
    looks_only: bool,
    /// The lane of the run that uses the names.
    lane: Lane,
    /// The ids that Beadle read from the store, with the time of the read. The key of the map is
    /// the name of the stored note.
    known: Arc<Mutex<HashMap<String, (u64, Time)>>>,
}

impl Names {
    /// Creates a [`Names`] value for one organisation's policy.
    pub fn new(store: Option<Arc<dyn Store>>, organisation: &str, clock: &Clock) -> Self {
        let organisation = organisation.to_lowercase();
        let (looks_only, lane) = (false, Lane::Manual);
        Self { store, organisation, clock: clock.clone(), looks_only, lane, known: Arc::default() }
    }

    /// Returns a copy for a run in this lane. The copy and the original share their memory.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
    }

    /// Makes this value read-only: from now on, it does not store new names.
    pub fn only_look(&mut self) {
        self.looks_only = true;
    }

    /// Returns a copy that does not store new names and does not change this value's memory.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { looks_only: true, known: Arc::default(), ..self.clone() }
    }

    fn note(&self, named: NameKind, name: &str) -> Note<NamedId> {
        Note::of(&[&self.organisation, named.as_str(), &name.to_lowercase()])
    }

    /// Returns the stored id of a name. Returns `None` if Beadle has not stored the name.
    pub async fn remembered(&self, named: NameKind, name: &str) -> Result<Option<u64>, StoreError> {
        let Some(store) = &self.store else { return Ok(None) };
        let id = self.note(named, name).get(store.as_ref()).await?;
        Ok(id.map(|NamedId(id)| id))
    }

    /// Returns the stored id of a name like [`Self::remembered`], but reads the store only if the last
    /// read is older than 5 min.
    pub async fn remembered_lately(&self, named: NameKind, name: &str) -> Result<Option<u64>, StoreError> {
        let (note, now) = (self.note(named, name), self.clock.now());
        let known = self.known.lock().get(note.name()).copied();
        if let Some((id, at)) = known
            && at <= now
            && now.since(at) < BELIEVED
        {
            return Ok((id != NO_ID).then_some(id));
        }
        let id = self.remembered(named, name).await?;
        self.known.lock().insert(note.name().to_owned(), (id.unwrap_or(NO_ID), now));
        Ok(id)
    }

    /// Returns the stored id of a name if this id differs from `id`. `id` is the id of the present
    /// owner. If the name has no stored id yet, the function stores `id` and returns `None`.
    pub async fn meant_before(
        &self,
        named: NameKind,
        name: &str,
        id: u64,
    ) -> Result<Option<u64>, StoreError> {
        let (note, now) = (self.note(named, name), self.clock.now());
        if self.is_believed(note.name(), id, now) {
            return Ok(None);
        }
        match self.remembered(named, name).await? {
            Some(before) if before != id => return Ok(Some(before)),
            Some(_) => {}
            None if self.looks_only => {}
            None => self.confirm(named, name, id).await?,
        }
        self.known.lock().insert(note.name().to_owned(), (id, now));
        Ok(None)
    }

    /// Returns whether Beadle recently read the name from the store, and whether the name had this
    /// id.
    fn is_believed(&self, note: &str, id: u64, now: Time) -> bool {
        let known = self.known.lock().get(note).copied();
        let is_recent = |at: Time| at <= now && now.since(at) < BELIEVED;
        self.lane != Lane::Event && known.is_some_and(|(known, at)| known == id && is_recent(at))
    }

    /// Stores that the name now means `id`.
    pub async fn confirm(&self, named: NameKind, name: &str, id: u64) -> Result<(), StoreError> {
        match &self.store {
            Some(store) => self.note(named, name).put(store.as_ref(), &NamedId(id)).await,
            None => Ok(()),
        }
    }

    /// If the name now has a new owner, returns a message that contains the line of the policy.
    /// Returns `None` if the name still has the same owner.
    pub async fn another_owner(
        &self,
        named: NameKind,
        name: &str,
        id: u64,
        asked: Option<&PolicyLocation>,
    ) -> Result<Option<String>, StoreError> {
        let Some(before) = self.meant_before(named, name, id).await? else { return Ok(None) };
        Ok(Some(located(self.taken(named, name, before, id), asked)))
    }

    /// Resolves names to ids. For each name, the result contains what has the name, or the reason
    /// why Beadle must not use the name. A reason contains the line of the policy if the caller
    /// passed the line. All aspects resolve names with this function, because it also refuses a
    /// name that has a new owner.
    #[expect(clippy::disallowed_methods, reason = "this is the function that the lint names")]
    pub async fn resolve(
        &self,
        reader: &Reader,
        wanted: &[(Actor, Option<&PolicyLocation>)],
    ) -> Result<Vec<Result<Resolved, String>>, Failure> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let actors: Vec<Actor> = wanted.iter().map(|(actor, _)| actor.clone()).collect();
        let mut all = Vec::new();
        for ((actor, asked), found) in wanted.iter().zip(reader.resolve(&actors).await?) {
            all.push(match (found, NameKind::of(actor.kind)) {
                (Err(why), _) => Err(located(why, *asked)),
                (Ok(found), None) => Ok(found),
                (Ok(found), Some(named)) => {
                    let other = self.another_owner(named, &actor.name, found.id, *asked).await?;
                    other.map_or(Ok(found), Err)
                }
            });
        }
        Ok(all)
    }

    fn taken(&self, named: NameKind, name: &str, before: u64, now: u64) -> String {
        let what = named.as_str();
        format!(
            "{what} `{name}` had the id {before}, but another {what} with the id {now} has this name now; if the \
             policy means this {what}, run `beadle rebind {} --{what} {name}`",
            self.organisation
        )
    }
}

#[cfg(test)]
mod tests {
    use beadle_store_sqlite::{SqliteSettings, SqliteStore};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_name_that_a_newer_version_remembers_is_not_confirmed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let names = Names::new(Some(store.clone()), "acme", &Clock::simulated(Time(1_000_000_000)));
        let (note, newer) = (names.note(NameKind::User, "mona"), r#"{"id":501,"node":"U_1"}"#);
        store.put(note.name(), newer).await.unwrap();
        let another = names.meant_before(NameKind::User, "mona", 502).await;
        assert!(matches!(another, Err(StoreError::Newer { .. })), "{another:?}");
        assert_eq!(store.get(note.name()).await.unwrap().as_deref(), Some(newer));
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_operator_confirms_elsewhere_counts_for_the_next_event_and_soon_for_a_sweep() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_inline(&folder.path().join("b.db"), SqliteSettings::default()).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Clock::simulated(Time(1_000_000_000));
        let (ours, theirs) = (
            Names::new(Some(store.clone()), "acme", &clock),
            Names::new(Some(store.clone()), "acme", &clock),
        );
        let look =
            async |lane: Lane, id: u64| ours.in_lane(lane).meant_before(NameKind::User, "mona", id).await;
        assert_eq!(look(Lane::Sweep, 501).await, Ok(None));
        theirs.confirm(NameKind::User, "mona", 502).await.unwrap();
        assert_eq!(look(Lane::Sweep, 501).await, Ok(None), "a sweep asks the store once");
        assert_eq!(look(Lane::Event, 501).await, Ok(Some(502)));
        tokio::time::advance(BELIEVED).await;
        assert_eq!(look(Lane::Sweep, 501).await, Ok(Some(502)));
        assert_eq!(look(Lane::Sweep, 502).await, Ok(None));
    }
}
