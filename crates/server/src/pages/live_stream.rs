//! `/live`: server-sent events. An event tells an open page that its values changed. The event
//! contains none of these values, so the browser loads the page again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use tokio::sync::watch;

use super::live::{Live, Part};
use super::places::Place;
use crate::sign_in::{SignIn, Visitor};

/// The path of the events.
pub(super) const LIVE_PATH: &str = "/live";

/// The time between two comparisons. Each comparison compares an open page with the latest look at
/// the store.
const STEP: Duration = Duration::from_secs(1);
/// After this number of comparisons, Beadle checks the session. If the page has not changed until
/// then, Beadle also sends an empty event. If the session ends in this process, Beadle does not
/// wait for the check, and ends the events immediately.
const PULSE: u32 = 15;
/// The time that a browser waits before it asks for events again. This time begins when the events
/// end.
const RETRY: Duration = Duration::from_secs(5);
/// The maximum length of the version that a browser sends.
const LONGEST: usize = 64;

/// The data that the events need.
#[derive(Clone)]
struct Source {
    live: Arc<Live>,
    sign_in: Option<Arc<SignIn>>,
}

/// The query of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// The name of the page.
    part: String,
    /// The version that the page shows.
    version: String,
}

/// Returns the route of the events. `sign_in` is the sign-in of the pages.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    live: Arc<Live>,
    sign_in: Option<Arc<SignIn>>,
) -> Router<S> {
    Router::new().route(LIVE_PATH, get(subscribe)).with_state(Source { live, sign_in })
}

/// Begins to send events to an open page.
async fn subscribe(
    State(source): State<Source>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    visitor: Option<Extension<Visitor>>,
) -> Response {
    // Without this check, another website could use this address for many images, and so occupy all
    // places for open pages.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") {
        return (StatusCode::FORBIDDEN, "only a page of this listener gets events\n").into_response();
    }
    let Some(part) = Part::named(&asked.part) else {
        let why = "`part` must be `overview`, `holds`, `queue` or `tasks`\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let person = visitor.as_ref().map_or("", |Extension(visitor)| visitor.person.id.as_str());
    let Some(place) = source.live.places.take(person) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    // When a browser asks for events again, it sends the id of the latest event that it received.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let version = last.map_or(asked.version, str::to_owned);
    if version.len() > LONGEST {
        return (StatusCode::BAD_REQUEST, "`version` is too long\n").into_response();
    }
    let session = source.sign_in.zip(visitor).map(|(sign_in, Extension(visitor))| {
        let ends = sign_in.ends();
        Session { sign_in, visitor, ends }
    });
    let reader = Reader {
        live: source.live,
        part,
        version,
        session,
        steps: 0,
        begun: false,
        over: false,
        _place: place,
    };
    let events = futures::stream::unfold(reader, Reader::next);
    // A proxy must pass on each event immediately.
    let headers = [(header::HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(events)).into_response()
}

/// The session of a person who has a page open.
struct Session {
    sign_in: Arc<SignIn>,
    visitor: Visitor,
    /// Reports that a session ended in this process.
    ends: watch::Receiver<()>,
}

impl Session {
    /// Waits until a session of any person ends in this process.
    async fn some_end(session: Option<&mut Self>) {
        if let Some(session) = session
            && session.ends.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// A browser that waits until the values of a page change.
struct Reader {
    live: Arc<Live>,
    part: Part,
    /// The version that the page shows.
    version: String,
    /// The session. `None` if reading needs no session.
    session: Option<Session>,
    /// The number of comparisons since the last event.
    steps: u32,
    /// True after the first event.
    begun: bool,
    /// True after the last event.
    over: bool,
    _place: Place,
}

impl Reader {
    /// Waits for the next event. Returns `None` if there is no further event.
    async fn next(self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.over {
            return None;
        }
        let stop = self.live.stop.clone();
        tokio::select! {
            () = stop.cancelled() => None,
            next = self.event() => next.map(|(event, reader)| (Ok(event), reader)),
        }
    }

    async fn event(mut self) -> Option<(Event, Self)> {
        if !self.begun {
            self.begun = true;
            return Some((Event::default().retry(RETRY), self));
        }
        loop {
            if self.steps >= PULSE {
                self.steps = 0;
                // If Beadle does not know whether the person has the right to read, the browser
                // asks for events again later.
                let may_read = self.may_read().await?;
                let event = if may_read { Event::default().comment("no news") } else { self.last_event() };
                return Some((event, self));
            }
            if let Some(version) = self.live.version(self.part).await
                && version != self.version
            {
                let event = Event::default().event("changed").id(&version).data(&version);
                self.version = version;
                return Some((event, self));
            }
            let ended = tokio::select! {
                () = self.live.clock.sleep(STEP) => false,
                () = Session::some_end(self.session.as_mut()) => true,
            };
            self.steps += 1;
            if ended && !self.may_read().await? {
                return Some((self.last_event(), self));
            }
        }
    }

    /// Returns whether the session is still valid and the role is still the same. Returns `None` if
    /// Beadle does not know this.
    async fn may_read(&self) -> Option<bool> {
        match &self.session {
            Some(session) => session.sign_in.lasts(&session.visitor).await,
            None => Some(true),
        }
    }

    /// Returns the last event, which reports that the session ended. After this event, the browser
    /// must not ask for events again.
    fn last_event(&mut self) -> Event {
        self.over = true;
        Event::default().event("end").data("session")
    }
}

#[cfg(test)]
mod tests {
    use beadle_engine::{Clock, Driver, Key, Lane, Mark, Store, Time};
    use futures::StreamExt as _;
    use http_body_util::BodyExt as _;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::exchange::{request, store};
    use crate::pages::places::MOST;

    struct World {
        _folder: tempfile::TempDir,
        store: Arc<dyn Store>,
        live: Arc<Live>,
        router: Router,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (store, clock) = (store(&folder), Clock::simulated(Time(1_000_000)));
            let driver = Driver::new(store.clone(), clock.clone(), Vec::new());
            let live = Arc::new(Live::new(store.clone(), clock, driver, CancellationToken::new()));
            let router = router::<()>(live.clone(), None);
            Self { _folder: folder, store, live, router }
        }

        async fn ask(&self, query: &str, headers: &[(&str, &str)]) -> Response {
            let asked = request("GET", &format!("/live{query}"), headers, axum::body::Body::empty());
            TowerToHyperService::new(self.router.clone()).call(asked).await.unwrap()
        }
    }

    /// Returns the next piece of an answer. Returns `None` at the end of the answer.
    async fn piece(answer: &mut Response) -> Option<String> {
        let frame = answer.body_mut().frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_gets_an_event_when_its_values_are_others_than_those_it_shows() {
        let world = World::new();
        let mut answer = world.ask("?part=queue&version=old", &[]).await;
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert!(piece(&mut answer).await.unwrap().starts_with("retry:"));
        let first = world.live.version(Part::Queue).await.unwrap();
        let event = piece(&mut answer).await.unwrap();
        assert!(event.contains("event: changed\n") && event.contains(&format!("data: {first}\n")), "{event}");
        // If the header and the address contain different versions, the version in the header
        // counts.
        let mut again = world.ask("?part=queue&version=old", &[("last-event-id", &first)]).await;
        piece(&mut again).await.unwrap();
        let key = Key::new("repository", "acme", 8);
        world.store.mark(vec![Mark::new(key, Lane::Event)], Time(1_000_000)).await.unwrap();
        world.live.clock.jump(2000);
        let second = world.live.version(Part::Queue).await.unwrap();
        assert_ne!(second, first);
        for answer in [&mut answer, &mut again] {
            let event = piece(answer).await.unwrap();
            assert!(event.contains(&format!("id: {second}\n")), "{event}");
        }
    }

    #[tokio::test]
    async fn events_end_when_the_service_stops() {
        let world = World::new();
        let mut answer = world.ask("?part=tasks", &[]).await;
        piece(&mut answer).await.unwrap();
        world.live.stop.cancel();
        assert_eq!(piece(&mut answer).await, None);
    }

    #[tokio::test]
    async fn places_are_limited_and_become_free_again() {
        let world = World::new();
        let asked = futures::stream::iter(0..MOST);
        let asked = asked.then(|_| world.ask("?part=tasks", &[]));
        let mut open: Vec<Response> = asked.collect().await;
        assert!(open.iter().all(|answer| answer.status() == 200));
        assert_eq!(world.ask("?part=tasks", &[]).await.status(), 503);
        open.pop();
        assert_eq!(world.ask("?part=tasks", &[]).await.status(), 200);
    }

    #[tokio::test]
    async fn invalid_requests_and_other_websites_are_refused() {
        let world = World::new();
        let long = format!("?part=holds&version={}", "x".repeat(65));
        for (query, site, status) in [
            ("?part=holds", "", 200),
            ("?part=holds", "same-origin", 200),
            ("?part=holds", "cross-site", 403),
            ("?part=holds", "same-site", 403),
            ("?part=holds", "none", 403),
            ("?part=journal", "", 400),
            ("", "", 400),
            ("?part=holds&x=1", "", 400),
            (long.as_str(), "", 400),
        ] {
            let answer = world.ask(query, &[("sec-fetch-site", site)]).await;
            assert_eq!(answer.status().as_u16(), status, "{query} {site}");
        }
    }
}
