//! The pages of the operator listener, and the API. The API returns the same values as JSON.
//! Without a sign-in, the pages and the API are read-only.

mod access;
mod admission;
mod answers;
mod api_routes;
mod asked;
#[cfg(test)]
mod closed_connection_tests;
mod condition;
mod detail;
mod facts;
mod group_names;
mod html;
mod keys_meant;
mod layout;
mod lines;
mod link;
#[cfg(test)]
mod list_tests;
mod live;
mod live_stream;
mod names;
mod newest;
mod operating;
#[cfg(test)]
mod operating_tests;
mod operation_answers;
mod operation_forms;
mod parts;
mod places;
mod queue_row;
mod requests;
mod ruling_confirmation;
mod ruling_form;
#[cfg(test)]
mod sign_in_limit_tests;
mod signed_in;
#[cfg(test)]
mod signed_in_tests;
#[cfg(test)]
mod tests;
mod undo_plan;
mod unreadable;
mod view;
mod views;
mod waiting_changes;
mod write_results;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use beadle_engine::{Clock, Driver, Store};
use http::{HeaderMap, Method, StatusCode, header};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use access::{HasScript, Wanted, allow_forms, harden};
use admission::{Admission, admit};
#[cfg(test)]
use api_routes::DESCRIPTION;
use api_routes::api;
use asked::{Asked, Refused, in_time};
use html::{Html, text};
use layout::LivePage;
use lines::{HasLines, Lines};
use link::Link;
use live::Part;
use operation_forms::{RELOAD_PATH, UNDO_PATH};
use parts::{link, paragraph};
use requests::{Sender, visitor};
use signed_in::ACCOUNT_PATH;
use view::View;
use views::deliveries::{self, DeliveriesPage};
use views::group::{self, GroupPage};
use views::holds::{self, HoldsPage};
use views::journal::{self, Journal};
use views::overview::{self, Overview};
use views::policy::{self, Policies};
use views::previews::{self, Previews};
use views::queue::{self, Queue};
use views::repository::{self, RepositoryPage};
use views::tasks::Tasks;
use views::things::{self, GROUP, Groups, REPOSITORY, Repositories};

use crate::sign_in::SignIn;

pub use access::Access;
pub use detail::is_cut;
pub use facts::{
    AbsentFacts, AskedLine, ChangedRepositories, CheckedRepositories, CoveringWaivers, DeclaredFacts, Facts,
    HeldChanges, HeldPolicy, HoldFacts, InstallationFacts, LineFacts, MergeFacts, OrganisationFacts,
    PullFacts, UndoneFacts, WaiverFacts, WriteFacts,
};
pub use live::Live;

/// The path of the background tasks.
const TASKS_PATH: &str = "/tasks";
/// The maximum number of answers that Beadle prepares at the same time. One answer might need the
/// states of all repositories, which use a lot of memory.
const TURNS: usize = 8;
/// The maximum time that a request waits for its turn.
const TURN_PATIENCE: Duration = Duration::from_secs(10);

/// Everything that the pages show.
pub struct Pages {
    /// The store, which contains the queue, the holds, the journal and the deliveries.
    pub store: Arc<dyn Store>,
    /// The source of the current time.
    pub clock: Clock,
    /// The driver of the background tasks.
    pub driver: Driver,
    /// The facts that are not in the store.
    pub facts: Arc<dyn Facts>,
    /// The rules for callers.
    pub access: Access,
    /// The sign-in of the pages. `None` if the configuration has no sign-in.
    pub sign_in: Option<Arc<SignIn>>,
    /// Tells open pages that their values changed.
    pub live: Arc<Live>,
    /// The requests that change something. The service waits for them before it stops.
    pub requests: TaskTracker,
}

type Shared = State<Arc<Pages>>;

impl Pages {
    /// Returns the routes of the pages and of the API, except `/tasks`.
    pub fn router(self: Arc<Self>) -> axum::Router {
        let routes = pages().into_iter().chain(api());
        let router = routes.fold(axum::Router::new(), |router, (path, route)| router.route(path, route));
        let turns = Arc::new(Semaphore::new(TURNS));
        let router = router.route_layer(from_fn_with_state(turns, wait_for_turn));
        // A sign-in waits for the provider, so a sign-in must not occupy a turn.
        let router = match &self.sign_in {
            Some(sign_in) => {
                let deciding = signed_in::router(sign_in.clone()).merge(operating::router(sign_in.clone()));
                router.merge(deciding.route_layer(from_fn_with_state(self.requests.clone(), run_to_the_end)))
            }
            None => router,
        };
        // A stream of events continues for hours, so such a stream must not occupy a turn.
        let router = router.merge(live_stream::router(self.live.clone(), self.sign_in.clone()));
        // The answer to an unknown path is 404 for everybody.
        router.route_layer(from_fn_with_state(self.clone(), guard)).with_state(self)
    }

    /// Returns the page of the background tasks if a browser asks for it. A program gets the
    /// records of the tasks at the same address.
    pub async fn tasks_page(&self, headers: &HeaderMap) -> Option<Response> {
        let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok())?;
        if !accepted.contains("text/html") {
            return None;
        }
        let mut response = match self.admit((&Method::GET, TASKS_PATH, headers), Wanted::Page).await {
            Admission::Refused(refused) => *refused,
            Admission::Admitted(visitor) => {
                let live = self.live_page(Part::Tasks).await;
                self.show_live(&live, Ok(Tasks { visitor, ..self.tasks().await }))
            }
        };
        self.limit(&mut response);
        Some(response)
    }

    /// Returns a refusal if a program is not allowed to read the records of the tasks. Otherwise,
    /// returns `None`. A program needs no session, because it can read the same records with the
    /// commands.
    pub fn api_refusal(&self, headers: &HeaderMap) -> Option<Response> {
        self.access.refusal(headers, Wanted::Json)
    }

    /// Decides whether Beadle handles a request.
    async fn admit(&self, request: (&Method, &str, &HeaderMap), wanted: Wanted) -> Admission {
        match &self.sign_in {
            Some(sign_in) => admit(sign_in, &self.access, request, wanted).await,
            None => match self.access.refusal(request.2, wanted) {
                Some(refused) => Admission::Refused(Box::new(refused)),
                None => Admission::Admitted(None),
            },
        }
    }

    /// Adds headers to an answer. These headers restrict what the browser does with the answer.
    fn limit(&self, response: &mut Response) {
        harden(response);
        if self.sign_in.is_some() {
            allow_forms(response.headers_mut());
        }
    }

    /// Returns a refusal if the caller is not allowed to use the listener's addresses for programs.
    /// A caller must run on the same machine or send the token.
    pub(crate) fn program_refusal(&self, headers: &HeaderMap) -> Option<Response> {
        self.access.refusal(headers, Wanted::Json)
    }

    /// Returns the content of a page with these values.
    fn content<V: View>(&self, view: &V) -> Vec<Html> {
        let mut content = view.content(self.clock.now());
        if self.sign_in.is_some() {
            let undo = link(&Link::to(UNDO_PATH), "Undo writes");
            content.push(paragraph([link(&Link::to(ACCOUNT_PATH), "Account"), text(" · "), undo]));
        }
        content
    }

    /// Returns the version of a page's values. Beadle must read this version before it reads the
    /// values, so that a change between the two reads causes an event.
    async fn live_page(&self, part: Part) -> LivePage {
        let version = self.live.version(part).await.unwrap_or_default();
        LivePage { part: part.as_str(), version }
    }

    /// Returns a page like [`Self::show`]. A browser replaces the values of this page when they
    /// change.
    fn show_live<V: View>(&self, live: &LivePage, loaded: Result<V, Refused>) -> Response {
        match loaded {
            Ok(view) => {
                let page = layout::live_page(&view.title(), V::PLACE, live, self.content(&view));
                let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
                (Extension(HasScript), html, page).into_response()
            }
            Err(refused) => self.show::<V>(Err(refused)),
        }
    }

    /// Returns the page with these values. If there are no values, returns a page with the reason.
    fn show<V: View>(&self, loaded: Result<V, Refused>) -> Response {
        let (status, page) = match loaded {
            Ok(view) => (StatusCode::OK, layout::page(&view.title(), V::PLACE, self.content(&view))),
            Err(refused) => {
                let (status, title) = match refused {
                    Refused::Invalid(_) => (StatusCode::BAD_REQUEST, "Invalid request"),
                    Refused::NotFound(_) => (StatusCode::NOT_FOUND, "Not found"),
                    Refused::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "Store unavailable"),
                };
                (status, layout::page(title, V::PLACE, vec![paragraph([text(refused.why())])]))
            }
        };
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
    }

    /// Adds the policies behind the changes to a page: the texts and the addresses of the lines, and
    /// the authors. If Beadle cannot read them, the page shows only the places of the lines and the
    /// names of the policies.
    async fn quoted<P: HasLines>(&self, loaded: Result<P, Refused>) -> Result<P, Refused> {
        let page = loaded?;
        let asked = page.asked_lines();
        let known = in_time(async { Ok(self.facts.policy_lines(asked).await?) }).await;
        let writes = in_time(async { Ok(self.facts.write_facts(page.entries()).await?) }).await;
        let of_holds = in_time(async { Ok(self.facts.hold_facts(&page.holds()).await?) }).await;
        let lines = Lines::new(known.unwrap_or_default())
            .with_absent(&page.changes(), |change, field| self.facts.absent(change, field))
            .with_writes(writes.unwrap_or_default())
            .with_holds(of_holds.unwrap_or_default());
        Ok(page.with_lines(lines))
    }

    async fn overview(&self) -> Result<Overview, Refused> {
        let loaded = async {
            let (store, now) = (self.store.as_ref(), self.clock.now());
            let tasks = self.driver.status_everywhere().await;
            overview::load(store, self.facts.as_ref(), tasks, now).await
        };
        in_time(loaded).await
    }

    async fn repositories(&self, asked: &Asked) -> Result<Repositories, Refused> {
        let of = (REPOSITORY, self.facts.names());
        in_time(things::load(self.store.as_ref(), of, asked, self.clock.now())).await.map(Repositories)
    }

    async fn repository(&self, owner: &str, name: &str) -> Result<RepositoryPage, Refused> {
        let (store, facts) = (self.store.as_ref(), self.facts.as_ref());
        let sign_in = self.sign_in.as_deref();
        in_time(repository::load(store, facts, (owner, name), sign_in, self.clock.now())).await
    }

    async fn groups(&self, asked: &Asked) -> Result<Groups, Refused> {
        let of = (GROUP, self.facts.targets());
        in_time(things::load(self.store.as_ref(), of, asked, self.clock.now())).await.map(Groups)
    }

    async fn group(&self, asked: &Asked) -> Result<GroupPage, Refused> {
        let targets = self.facts.targets();
        in_time(group::load(self.store.as_ref(), &targets, asked, self.clock.now())).await
    }

    async fn holds(&self, asked: &Asked) -> Result<HoldsPage, Refused> {
        in_time(holds::load(self.store.as_ref(), asked)).await
    }

    async fn journal(&self, asked: &Asked) -> Result<Journal, Refused> {
        in_time(journal::load(self.store.as_ref(), self.facts.as_ref(), asked)).await
    }

    async fn deliveries(&self, asked: &Asked) -> Result<DeliveriesPage, Refused> {
        in_time(deliveries::load(self.store.as_ref(), self.facts.as_ref(), asked)).await
    }

    async fn queue(&self) -> Result<Queue, Refused> {
        in_time(queue::load(self.store.as_ref(), self.facts.as_ref(), self.clock.now())).await
    }

    async fn policies(&self, asked: &Asked) -> Result<Policies, Refused> {
        let loaded = async {
            let organisations = self.facts.organisations().await?;
            policy::load(self.store.as_ref(), organisations, asked).await
        };
        in_time(loaded).await
    }

    async fn previews(&self, asked: &Asked) -> Result<Previews, Refused> {
        in_time(previews::load(self.facts.as_ref(), asked)).await
    }

    async fn tasks(&self) -> Tasks {
        Tasks { tasks: self.driver.status_everywhere().await, visitor: None }
    }
}

/// Adds headers to an answer of the operator listener. These headers restrict what the browser does
/// with the answer.
pub(crate) async fn hardened(mut response: Response) -> Response {
    // A page already has these headers, together with the headers for its forms and its script.
    if !response.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
        harden(&mut response);
    }
    response
}

/// Waits for the turn of a request, because Beadle prepares only a few answers at the same time. A
/// slow reader does not occupy a turn, because the turn ends when the answer is complete.
async fn wait_for_turn(State(turns): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(TURN_PATIENCE, turns.acquire()).await {
        Ok(Ok(_turn)) => next.run(request).await,
        _ => (StatusCode::SERVICE_UNAVAILABLE, "too many pages are prepared at the same time\n")
            .into_response(),
    }
}

/// Runs a request that can change something to its end, even if the caller closes the connection.
/// Otherwise, a decision could take effect without its entry in the journal, because the server drops
/// the unfinished answer of a closed connection.
async fn run_to_the_end(State(requests): State<TaskTracker>, request: Request, next: Next) -> Response {
    // A reload stops the service with the earlier configuration, which waits for these requests.
    if request.method().is_safe() || request.uri().path().ends_with(RELOAD_PATH) {
        return next.run(request).await;
    }
    let request = requests.spawn(next.run(request).in_current_span());
    match request.await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Refuses a caller that has no right to read. Adds headers that restrict what the browser does
/// with each answer.
async fn guard(State(pages): Shared, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let is_api = head.uri.path().starts_with("/api/");
    let wanted = if is_api { Wanted::Json } else { Wanted::Page };
    let admission = pages.admit((&head.method, head.uri.path(), &head.headers), wanted).await;
    let mut response = match admission {
        Admission::Refused(refused) => *refused,
        Admission::Admitted(visitor) => {
            if let Some(visitor) = visitor {
                head.extensions.insert(visitor);
            }
            next.run(Request::from_parts(head, body)).await
        }
    };
    pages.limit(&mut response);
    response
}

/// A path with its handler.
type Route = (&'static str, MethodRouter<Arc<Pages>>);

/// Returns the routes of the pages.
fn pages() -> Vec<Route> {
    let style = ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], layout::STYLE);
    let script = ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], layout::SCRIPT);
    vec![
        (
            "/",
            get(|State(pages): Shared, sender: Sender| async move {
                let live = pages.live_page(Part::Overview).await;
                let page = pages.overview().await;
                pages.show_live(&live, page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            "/repositories",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                pages.show(pages.repositories(&asked).await)
            }),
        ),
        (
            "/repositories/{organisation}/{name}",
            get(
                |State(pages): Shared, Path((owner, name)): Path<(String, String)>, sender: Sender| async move {
                    let page = pages.quoted(pages.repository(&owner, &name).await).await;
                    pages.show(page.map(|page| page.for_visitor(visitor(sender))))
                },
            ),
        ),
        (
            "/groups",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                pages.show(pages.groups(&asked).await)
            }),
        ),
        (
            "/group",
            get(|State(pages): Shared, Query(asked): Query<Asked>, sender: Sender| async move {
                let page = pages.group(&asked).await;
                pages.show(page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            "/holds",
            get(|State(pages): Shared, Query(asked): Query<Asked>, sender: Sender| async move {
                let live = pages.live_page(Part::Holds).await;
                let page = pages.quoted(pages.holds(&asked).await).await;
                pages.show_live(&live, page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            "/journal",
            get(|State(pages): Shared, Query(asked): Query<Asked>, sender: Sender| async move {
                let page = pages.quoted(pages.journal(&asked).await).await;
                pages.show(page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            "/deliveries",
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                pages.show(pages.deliveries(&asked).await)
            }),
        ),
        (
            "/queue",
            get(|State(pages): Shared, sender: Sender| async move {
                let live = pages.live_page(Part::Queue).await;
                let page = pages.queue().await;
                pages.show_live(&live, page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            "/policy",
            get(|State(pages): Shared, Query(asked): Query<Asked>, sender: Sender| async move {
                let page = pages.policies(&asked).await;
                pages.show(page.map(|page| page.for_visitor(visitor(sender))))
            }),
        ),
        (
            previews::PATH,
            get(|State(pages): Shared, Query(asked): Query<Asked>| async move {
                pages.show(pages.previews(&asked).await)
            }),
        ),
        (layout::STYLE_PATH, get(move || async move { style.into_response() })),
        (layout::SCRIPT_PATH, get(move || async move { script.into_response() })),
    ]
}
