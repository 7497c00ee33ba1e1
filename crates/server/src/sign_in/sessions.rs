//! The sessions of signed-in people. Beadle keeps the sessions in the store.
//!
//! The store contains only the digest of a session's id. So a person who can read the store cannot
//! take over a session.

use std::sync::Arc;
use std::time::Duration;

use beadle_engine::{Clock, Metadata, Note, Store, StoreError, Time};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::person::{Person, Visitor};
use super::provider::{IdentityProvider, SignInFailure, Standing};
use super::role::Role;
use super::tokens::{derived, digest, is_value, random};

/// The maximum duration of a session.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The maximum time between two requests of a session. After this time, the session ends.
const IDLE: Duration = Duration::from_secs(3600);
/// How long a confirmed role is valid for requests that only read. After this time, Beadle asks the
/// provider again.
const CHECKED: Duration = Duration::from_secs(300);
/// The maximum time between a person's sign-in and a decision. This limit applies if the provider
/// reports the person's groups only at the sign-in.
const FRESH: Duration = Duration::from_secs(600);
/// The minimum time between two records that Beadle stores about the use of a session.
const TOUCHED: Duration = Duration::from_secs(60);

/// The maximum number of sessions that one person can have. Each sign-in reads all sessions.
/// Without this limit, a person with a script could make the sign-ins of all people slow.
const MOST: usize = 10;

/// A session. A stored session never changes. So a request that is still running when the person
/// signs out cannot store the session again.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    person: Person,
    role: Role,
    /// The name of the provider.
    provider: String,
    /// The digest of [`IdentityProvider::setup`].
    #[serde(default)]
    setup: String,
    begun: Time,
}

impl Metadata for Session {
    const KIND: &'static str = "session";
}

/// The latest use of a session.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SessionUse {
    seen: Time,
    /// The time at which the provider confirmed the role.
    checked: Time,
}

impl Metadata for SessionUse {
    const KIND: &'static str = "session-use";
}

/// The reason why Beadle denies the request of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The session ended.
    Ended,
    /// The role of the person is not sufficient.
    Role(Role),
    /// The person must sign in again, because the role was confirmed too long ago.
    Stale,
    /// The store or the provider does not answer, so the role is not known.
    Unknown(String),
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Self {
        Self::Unknown(error.to_string())
    }
}

impl From<SignInFailure> for Denied {
    fn from(failure: SignInFailure) -> Self {
        Self::Unknown(format!("the role cannot be confirmed: {}", failure.0))
    }
}

/// The sessions of all people.
pub(super) struct Sessions {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) provider: Arc<dyn IdentityProvider>,
    /// Reports that a session ended in this process.
    pub(super) ends: watch::Sender<()>,
}

/// The cause of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A person does something.
    Person,
    /// An open page sends a request without an action of the person. A request without an action of
    /// the person does not extend the session.
    OpenPage,
}

impl Sessions {
    /// Begins a session with a new id. Returns the id.
    pub(super) async fn begin(&self, person: Person, role: Role) -> Result<String, StoreError> {
        let (store, now) = (self.store.as_ref(), self.clock.now());
        self.prune(&person, now).await?;
        let id = random();
        let name = digest(&id);
        let uses = SessionUse { seen: now, checked: now };
        Note::<SessionUse>::of(&[&name]).put(store, &uses).await?;
        let provider = self.provider.name().to_owned();
        let session = Session { person, role, provider, setup: self.setup(), begun: now };
        Note::<Session>::of(&[&name]).put(store, &session).await?;
        Ok(id)
    }

    /// Ends the session with this id, if there is one.
    pub(super) async fn end(&self, id: &str) -> Result<(), StoreError> {
        if is_value(id) { self.forget(&digest(id)).await } else { Ok(()) }
    }

    /// Ends the session of a visitor.
    pub(super) async fn end_of(&self, visitor: &Visitor) -> Result<(), StoreError> {
        self.forget(&visitor.session).await
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let store = self.store.as_ref();
        Note::<Session>::of(&[name]).forget(store).await?;
        self.ends.send_replace(());
        Note::<SessionUse>::of(&[name]).forget(store).await
    }

    /// Deletes the expired sessions. If the person has too many sessions, also deletes the person's
    /// oldest sessions.
    async fn prune(&self, person: &Person, now: Time) -> Result<(), StoreError> {
        let store = self.store.as_ref();
        let mut own = Vec::new();
        for (name, session) in Note::<Session>::of(&[""]).list(store).await? {
            if now.since(session.begun) >= LIFE {
                self.forget(&name).await?;
            } else if session.person.id == person.id {
                own.push((session.begun, name));
            }
        }
        own.sort_unstable();
        for (_, name) in own.iter().rev().skip(MOST - 1) {
            self.forget(name).await?;
        }
        for (name, uses) in Note::<SessionUse>::of(&[""]).list(store).await? {
            if now.since(uses.seen) >= LIFE {
                Note::<SessionUse>::of(&[&name]).forget(store).await?;
            }
        }
        Ok(())
    }

    /// Returns the person of the session with this id. Returns `None` if the session does not exist
    /// or has ended.
    pub(super) async fn visitor(&self, id: &str, asker: Asker) -> Result<Option<Visitor>, Denied> {
        if !is_value(id) {
            return Ok(None);
        }
        let (now, name) = (self.clock.now(), digest(id));
        let Some(session) = self.confirmed(&name, asker, now).await? else { return Ok(None) };
        let Session { person, role, begun, .. } = session;
        let token = derived(id, "form", &name);
        Ok(Some(Visitor { person, role, since: begun, at: now, token, session: name }))
    }

    /// Returns whether a session is still valid. `visitor` is the visitor of an open page.
    pub(super) async fn lasts(&self, visitor: &Visitor) -> Result<bool, Denied> {
        let session = self.confirmed(&visitor.session, Asker::OpenPage, self.clock.now()).await?;
        Ok(session.is_some())
    }

    /// Returns the session whose id has this digest. Checks the age and the role of the session.
    /// Returns `None` if the session does not exist or has ended.
    async fn confirmed(&self, name: &str, asker: Asker, now: Time) -> Result<Option<Session>, Denied> {
        let store = self.store.as_ref();
        let Some(session) = Note::<Session>::of(&[name]).get(store).await? else { return Ok(None) };
        let uses = Note::<SessionUse>::of(&[name]).get(store).await?;
        let Some(uses) = uses.filter(|uses| self.is_alive(&session, *uses, now)) else {
            self.forget(name).await?;
            return Ok(None);
        };
        let mut checked = uses.checked;
        if now.since(checked) >= CHECKED
            && let Standing::Role(role) = self.provider.standing(&session.person).await?
        {
            if role != Some(session.role) {
                tracing::info!(person = session.person.name, "session ended, because the role changed");
                self.forget(name).await?;
                return Ok(None);
            }
            checked = now;
        }
        let seen = match asker {
            Asker::Person => now,
            Asker::OpenPage => uses.seen,
        };
        if checked != uses.checked || seen.since(uses.seen) >= TOUCHED {
            Note::<SessionUse>::of(&[name]).put(store, &SessionUse { seen, checked }).await?;
        }
        Ok(Some(session))
    }

    /// Returns the digest of the provider's setup.
    fn setup(&self) -> String {
        digest(&self.provider.setup())
    }

    /// Returns whether a session is still valid. A change of the provider or of the roles ends all
    /// earlier sessions.
    fn is_alive(&self, session: &Session, uses: SessionUse, now: Time) -> bool {
        let is_young = now.since(session.begun) < LIFE && now.since(uses.seen) < IDLE;
        is_young && session.provider == self.provider.name() && session.setup == self.setup()
    }

    /// Checks that a visitor has at least the role `needed` at this moment. If the visitor has lost
    /// the role, the session ends.
    pub(super) async fn authorise(&self, visitor: &Visitor, needed: Role) -> Result<(), Denied> {
        match self.provider.standing(&visitor.person).await? {
            Standing::Role(role) if role != Some(visitor.role) => {
                self.end_of(visitor).await?;
                return Err(Denied::Ended);
            }
            Standing::KnownAtSignIn if self.clock.now().since(visitor.since) >= FRESH => {
                return Err(Denied::Stale);
            }
            Standing::Role(_) | Standing::KnownAtSignIn => {}
        }
        // The person might have signed out after the request began.
        if Note::<Session>::of(&[&visitor.session]).get(self.store.as_ref()).await?.is_none() {
            return Err(Denied::Ended);
        }
        if visitor.role < needed { Err(Denied::Role(needed)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;
    use crate::exchange::store;
    use crate::sign_in::provider::{Challenge, Proof};

    /// A provider for tests. A test sets the answer of the provider. `None` means that the provider
    /// does not answer.
    struct Provider(Mutex<Option<Standing>>, &'static str);

    #[async_trait]
    impl IdentityProvider for Provider {
        fn name(&self) -> &'static str {
            "test"
        }

        fn setup(&self) -> String {
            self.1.to_owned()
        }

        async fn address(&self, _: &Challenge) -> Result<String, SignInFailure> {
            Err(SignInFailure(String::new()))
        }

        async fn identify(&self, _: &Proof) -> Result<(Person, Option<Role>), SignInFailure> {
            Err(SignInFailure(String::new()))
        }

        async fn standing(&self, _: &Person) -> Result<Standing, SignInFailure> {
            let standing = *self.0.lock();
            standing.ok_or_else(|| SignInFailure("502".to_owned()))
        }
    }

    struct World {
        _folder: tempfile::TempDir,
        provider: Arc<Provider>,
        sessions: Sessions,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let standing = Standing::Role(Some(Role::Operator));
            let provider = Arc::new(Provider(Mutex::new(Some(standing)), "approvers: security"));
            let sessions = Sessions {
                store: store(&folder),
                clock: Clock::simulated(Time(1_000_000)),
                provider: provider.clone(),
                ends: watch::channel(()).0,
            };
            Self { _folder: folder, provider, sessions }
        }

        fn pass(&self, time: Duration) {
            self.sessions.clock.jump(i64::try_from(time.as_millis()).unwrap());
        }

        async fn begin(&self) -> String {
            let person = Person { id: "7".into(), name: "mona".into(), login: Some("mona".into()) };
            self.sessions.begin(person, Role::Operator).await.unwrap()
        }

        async fn is_there(&self, id: &str) -> bool {
            self.sessions.visitor(id, Asker::Person).await.unwrap().is_some()
        }
    }

    #[tokio::test]
    async fn a_session_ends_when_it_is_idle_or_old_or_ended() {
        let world = World::new();
        let id = world.begin().await;
        assert!(world.is_there(&id).await);
        world.pass(IDLE);
        assert!(!world.is_there(&id).await, "idle");
        let id = world.begin().await;
        for _ in 0..23 {
            world.pass(IDLE / 2);
            assert!(world.is_there(&id).await);
        }
        world.pass(IDLE / 2);
        assert!(!world.is_there(&id).await, "old");
        let id = world.begin().await;
        world.sessions.end(&id).await.unwrap();
        assert!(!world.is_there(&id).await, "ended");
    }

    #[tokio::test]
    async fn an_open_page_does_not_keep_the_session_of_an_absent_person_alive() {
        let world = World::new();
        let id = world.begin().await;
        let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        for _ in 0..2 {
            assert!(world.sessions.lasts(&visitor).await.unwrap());
            assert!(world.sessions.visitor(&id, Asker::OpenPage).await.unwrap().is_some());
            world.pass(IDLE / 2);
        }
        assert!(!world.sessions.lasts(&visitor).await.unwrap(), "idle");
    }

    #[tokio::test]
    async fn the_end_of_a_session_is_reported_to_open_pages() {
        let world = World::new();
        let id = world.begin().await;
        let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        let ends = world.sessions.ends.subscribe();
        assert!(!ends.has_changed().unwrap());
        world.sessions.end(&id).await.unwrap();
        assert!(ends.has_changed().unwrap() && !world.sessions.lasts(&visitor).await.unwrap());
        let id = world.begin().await;
        let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        *world.provider.0.lock() = Some(Standing::Role(Some(Role::Viewer)));
        world.pass(CHECKED);
        assert!(!world.sessions.lasts(&visitor).await.unwrap(), "another role");
    }

    #[tokio::test]
    async fn a_session_ends_when_the_provider_or_the_roles_change() {
        let mut world = World::new();
        let id = world.begin().await;
        assert!(world.is_there(&id).await);
        let standing = Some(Standing::KnownAtSignIn);
        world.sessions.provider = Arc::new(Provider(Mutex::new(standing), "approvers: leads"));
        assert!(!world.is_there(&id).await);
    }

    #[tokio::test]
    async fn the_store_has_no_id_and_each_session_has_its_own_token() {
        let world = World::new();
        let (one, two) = (world.begin().await, world.begin().await);
        let stored = world.sessions.store.notes("session").await.unwrap();
        assert_eq!(stored.len(), 4);
        let text = format!("{stored:?}");
        let visitor = world.sessions.visitor(&one, Asker::Person).await.unwrap().unwrap();
        assert!(!text.contains(&one) && !text.contains(&two) && !text.contains(&visitor.token), "{text}");
        assert!(visitor.token != world.sessions.visitor(&two, Asker::Person).await.unwrap().unwrap().token);
        assert!(!world.is_there(&visitor.session).await, "a digest is no id");
        for id in ["", "x", "../x", &"0".repeat(64), &one.to_uppercase()] {
            assert!(!world.is_there(id).await, "{id}");
        }
    }

    #[tokio::test]
    async fn a_lost_or_changed_role_ends_the_session_and_an_unknown_role_allows_nothing() {
        for after in [None, Some(Role::Viewer), Some(Role::Approver)] {
            let world = World::new();
            let id = world.begin().await;
            world.pass(CHECKED);
            *world.provider.0.lock() = None;
            assert!(matches!(world.sessions.visitor(&id, Asker::Person).await, Err(Denied::Unknown(_))));
            *world.provider.0.lock() = Some(Standing::Role(Some(Role::Operator)));
            let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
            *world.provider.0.lock() = None;
            let unknown = world.sessions.authorise(&visitor, Role::Operator).await;
            assert!(matches!(unknown, Err(Denied::Unknown(_))), "{unknown:?}");
            assert!(world.is_there(&id).await, "the role was confirmed a moment ago");
            *world.provider.0.lock() = Some(Standing::Role(after));
            assert_eq!(world.sessions.authorise(&visitor, Role::Viewer).await, Err(Denied::Ended));
            assert!(!world.is_there(&id).await);
        }
    }

    #[tokio::test]
    async fn a_visitor_does_only_what_the_role_allows() {
        let world = World::new();
        let id = world.begin().await;
        let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        world.pass(TOUCHED);
        let later = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        assert!(later.at >= visitor.at + TOUCHED, "the time of the request");
        for (needed, expected) in [
            (Role::Viewer, Ok(())),
            (Role::Operator, Ok(())),
            (Role::Approver, Err(Denied::Role(Role::Approver))),
        ] {
            assert_eq!(world.sessions.authorise(&visitor, needed).await, expected);
        }
        world.sessions.end(&id).await.unwrap();
        assert_eq!(world.sessions.authorise(&visitor, Role::Viewer).await, Err(Denied::Ended));
    }

    #[tokio::test]
    async fn without_news_of_the_role_a_person_decides_only_soon_after_the_sign_in() {
        let world = World::new();
        *world.provider.0.lock() = Some(Standing::KnownAtSignIn);
        let id = world.begin().await;
        let visitor = world.sessions.visitor(&id, Asker::Person).await.unwrap().unwrap();
        assert_eq!(world.sessions.authorise(&visitor, Role::Operator).await, Ok(()));
        world.pass(FRESH);
        assert_eq!(world.sessions.authorise(&visitor, Role::Operator).await, Err(Denied::Stale));
        assert!(world.is_there(&id).await, "the person still reads");
    }

    #[tokio::test]
    async fn a_person_has_only_some_sessions() {
        let world = World::new();
        let first = world.begin().await;
        world.pass(TOUCHED);
        let second = world.begin().await;
        for _ in 1..MOST {
            world.pass(TOUCHED);
            world.begin().await;
        }
        assert!(!world.is_there(&first).await && world.is_there(&second).await);
        assert_eq!(world.sessions.store.notes("session:").await.unwrap().len(), MOST);
    }

    #[tokio::test]
    async fn old_sessions_leave_the_store() {
        let world = World::new();
        world.begin().await;
        world.pass(LIFE);
        world.begin().await;
        assert_eq!(world.sessions.store.notes("session").await.unwrap().len(), 2);
    }
}
